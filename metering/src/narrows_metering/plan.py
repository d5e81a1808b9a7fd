"""
What is to be measured of a month, before its statement is drawn up: the very draw that the statement will make.

Everybody with the terms and the records gets the same plan. Prices are not needed for it. A plan is final once the last
delivery of the month is recorded: one that comes later gives another, until the statement has fixed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from narrows_metering.estimator import Method
from narrows_metering.exclusion import usable_evidence
from narrows_metering.period import Period
from narrows_metering.reckoning import draw_sample, statement_seed
from narrows_metering.record import Record
from narrows_metering.terms import Terms
from narrows_metering.usage import LatestEvidence, collect

FORMAT: Final = "narrows-plan/1"


class Part(StrEnum):
    """Why a rendition is measured."""

    CERTAIN = "certain"
    DRAWN = "drawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One rendition that is to be measured. *lacks* is the reason why it saves nothing so far, None if it does not."""

    rendition: str
    part: Part
    stratum: str
    delivered_bytes: int
    lacks: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be measured of a month."""

    terms: Terms
    period: Period
    seed: bytes
    ledger_root: str
    population: int
    delivered_bytes: int
    renditions: tuple[Planned, ...]

    def to_dict(self) -> dict[str, Any]:
        """The document that `narrows savings measure --plan` takes."""
        return {
            "format": FORMAT,
            "contract_id": self.terms.contract_id,
            "method": self.terms.method.value,
            "period": self.period.to_dict(),
            "baseline_id": self.terms.baseline_id,
            "baseline": self.terms.baseline.to_dict() if self.terms.baseline else None,
            "metric": self.terms.metric,
            "measuring_hash": self.terms.measuring_hash(),
            "seed": self.seed.hex(),
            "ledger_root": self.ledger_root,
            "segment_count": self.terms.segment_count,
            "population": self.population,
            "delivered_bytes": self.delivered_bytes,
            "renditions": [
                {
                    "rendition": one.rendition,
                    "part": one.part.value,
                    "stratum": one.stratum,
                    "delivered_bytes": one.delivered_bytes,
                    "lacks": one.lacks,
                }
                for one in self.renditions
            ],
        }


def plan(terms: Terms, *, period: Period, records_by_installation: Mapping[str, Iterable[Record]]) -> Plan:
    """
    The plan of *period*: under M2 the sample, under M3 every rendition that was delivered, under M1 and M4 nothing.

    Raises ChainBroken if the records were altered.
    """
    usage = collect(records_by_installation, terms=terms, period=period)
    drawn = draw_sample(usage, terms, period)
    known = drawn or statement_seed(usage, terms, period)
    chosen: list[tuple[str, Part, str]] = []
    if drawn is not None:
        chosen = [(name, Part.CERTAIN, "") for name in drawn.sample.certainty]
        chosen += [(name, Part.DRAWN, stratum.name) for stratum in drawn.sample.strata for name in stratum.drawn]
    elif terms.method is Method.CENSUS:
        by_bytes = sorted(usage.delivered, key=lambda name: (-usage.delivered[name].bytes_delivered, name))
        chosen = [(name, Part.CERTAIN, "") for name in by_bytes]
    seeds = {known.seed.hex()}
    renditions = []
    for name, part, stratum in chosen:
        found = usable_evidence(usage, name, terms, seeds)
        renditions.append(
            Planned(
                rendition=name,
                part=part,
                stratum=stratum,
                delivered_bytes=usage.delivered[name].bytes_delivered,
                lacks=None if isinstance(found, LatestEvidence) else str(found),
            )
        )
    return Plan(
        terms=terms,
        period=period,
        seed=known.seed,
        ledger_root=known.ledger_root,
        population=len(usage.delivered),
        delivered_bytes=sum(entry.bytes_delivered for entry in usage.delivered.values()),
        renditions=tuple(renditions),
    )
