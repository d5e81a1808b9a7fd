"""
Whether this machine can decode, encode and report, and what to do where it can't.

Everything is looked at even where something is wrong already. Nothing is changed and nothing recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from narrows.doctor.server import Connect, examine_server
from narrows.doctor.software import examine_software
from narrows.doctor.state import examine_state
from narrows.finding import Finding, Outcome
from narrows.license.diagnosis import EXIT_PERMITTED, EXIT_REFUSED, diagnose
from narrows.reporting.destination import connect
from narrows.settings import Settings

_OUTCOMES: Final = {EXIT_PERMITTED: Outcome.GOOD, EXIT_REFUSED: Outcome.BAD}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """The findings by what depends on them: each of the three needs the one before it, but nobody needs to report."""

    software: tuple[Finding, ...]
    permission: tuple[Finding, ...]
    server: tuple[Finding, ...]

    @property
    def decodes(self) -> bool:
        return _are_fine(self.software)

    @property
    def encodes(self) -> bool:
        return self.decodes and _are_fine(self.permission)

    @property
    def reports(self) -> bool | None:
        """None if the server was not asked, or there is none."""
        if any(finding.outcome is Outcome.SKIPPED for finding in self.server):
            return None
        return _are_fine(self.server)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return (*self.software, *self.permission, *self.server)

    @property
    def is_fine(self) -> bool:
        """Whether nothing has to be done."""
        return _are_fine(self.findings)


def examine(settings: Settings, *, at: datetime, online: bool = False, connect: Connect = connect) -> Examination:
    """Look at everything; the server is asked only if *online*."""
    return Examination(
        software=tuple(examine_software()),
        permission=(*examine_state(settings.state_folder, at=at), *_examine_license(settings, at)),
        server=tuple(examine_server(settings, at=at, online=online, connect=connect)),
    )


def _examine_license(settings: Settings, at: datetime) -> Iterator[Finding]:
    diagnosis = diagnose(settings, at=at)
    yield from diagnosis.findings
    outcome = _OUTCOMES.get(diagnosis.exit_code, Outcome.NOTICE)
    detail = " ".join(
        [f"{diagnosis.code}:", diagnosis.sentence, *([f"({diagnosis.detail})"] if diagnosis.detail else [])]
    )
    todo = None if outcome is Outcome.GOOD else diagnosis.next_step
    yield Finding(check="license", outcome=outcome, detail=detail, todo=todo)


def _are_fine(findings: Iterable[Finding]) -> bool:
    return all(finding.outcome is not Outcome.BAD for finding in findings)
