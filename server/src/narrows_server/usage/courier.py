"""
Reports that come as a file, from machines without a network: the same intake, another way in.

Each report is taken in by `service.receive`, as the endpoint does, so that totals cannot depend on how it came.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from narrows_metering.errors import ReportUnreadable
from narrows_metering.report_file import Answer, Refusal, SignedReport, read_reports, write_answers

from narrows_server.errors import ReportNotRead, ReportNotTrusted
from narrows_server.office import Office
from narrows_server.usage.service import Accepted, Conflict, Gap, read_report, receive


class FileNotRead(Exception):
    """The file is not one of reports, or it was cut short. Nothing of it was taken in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenIn:
    """What a file came to. *record_count* counts those of accepted reports, known ones too."""

    report_count: int
    accepted_count: int
    record_count: int
    refusals: tuple[Refusal, ...]


def import_reports(office: Office, reports: IO[bytes], receipts: IO[bytes]) -> TakenIn:
    """
    Take in every report of the file *reports*, each in a transaction of its own, and write an answer for each.

    Raises FileNotRead before anything is taken in.
    """
    try:
        for _ in read_reports(reports):
            pass
    except ReportUnreadable as error:
        raise FileNotRead(str(error)) from error
    reports.seek(0)
    refusals = list[Refusal]()
    record_count = 0

    def answers() -> Iterator[Answer]:
        nonlocal record_count
        for report in read_reports(reports):
            outcome, records = _answer(office, report)
            record_count += records
            if isinstance(outcome, Refusal):
                refusals.append(outcome)
            yield Answer(outcome=outcome, reference=report.reference)

    report_count = write_answers(receipts, answers())
    return TakenIn(
        report_count=report_count,
        accepted_count=report_count - len(refusals),
        record_count=record_count,
        refusals=tuple(refusals),
    )


def _answer(office: Office, report: SignedReport) -> tuple[str | Refusal, int]:
    """A receipt, or why there is none; and how many records were accepted."""
    try:
        arrival = read_report(report.body, report.signature)
        outcome = receive(office.database, report.body, report.signature, keyring=office.keyring, at=office.clock())
    except (ReportNotRead, ReportNotTrusted) as error:
        return Refusal(code=error.code, detail=error.detail), 0
    name = arrival.installation_id
    match outcome:
        case Accepted(receipt=receipt):
            return receipt, len(arrival.hashes)
        case Conflict(seq=seq, expected_seq=expected):
            detail = f"record {seq} of {name} contradicts the one we hold; nothing of this report was counted"
            refusal = Refusal(code="conflict", detail=detail, installation_id=name, seq=seq, expected_seq=expected)
        case Gap(expected_seq=expected, first_seq=first):
            detail = f"we hold every record of {name} up to {expected - 1}, and this report begins at {first}"
            refusal = Refusal(code="gap", detail=detail, installation_id=name, expected_seq=expected)
    return refusal, 0


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of *path* when the block ends well, as a whole. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
