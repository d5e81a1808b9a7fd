"""The figures of a statement that people look at, read from its document. Nothing is computed here."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

from narrows_server.statements.models import Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Totals of one statement. Amounts are minor units; they may be negative, the share may not."""

    baseline: str  # The codec and settings that were compared with.
    metric: str
    delivered_bytes: int
    baseline_bytes: int
    saved_bytes: int
    currency: str  # Of the share.
    valued_in: str  # Of what was saved: the tariff's.
    delivered_minor: int  # In *valued_in*: what the delivered traffic costs under the tariff.
    baseline_minor: int  # What the baseline's traffic would have cost.
    value_minor: int  # The difference.
    share_percent: str  # "25", or "25, 20" where several tiers were reached.
    share_minor: int
    reason: str | None  # Why the share is 0: a code of `narrows_metering.statement.NoShare`.
    has_usage: bool  # Whether anything was delivered or had to be left out.


def read_figures(document: str) -> Figures:
    """The figures in the JSON of a statement that we drew up."""
    statement = json.loads(document)
    result, valuation, share = statement["result"], statement["valuation"], statement["share"]
    return Figures(
        baseline=statement["baseline"]["baseline_id"],
        metric=statement["baseline"]["metric"],
        delivered_bytes=result["delivered_bytes"],
        baseline_bytes=result["baseline_bytes"],
        saved_bytes=result["saved_bytes"],
        currency=statement["contract"]["currency"],
        valued_in=valuation["saved"]["currency"],
        delivered_minor=valuation["delivered_cost"]["minor"],
        baseline_minor=valuation["baseline_cost"]["minor"],
        value_minor=valuation["saved"]["minor"],
        share_percent=", ".join(dict.fromkeys(one["percent"] for part in share["parts"] for one in part["slices"])),
        share_minor=share["amount"]["minor"],
        reason=share["reason"],
        has_usage=statement["delivered"]["deliveries"] > 0 or bool(statement["exceptions"]),
    )


def figures_of(statement: Statement) -> Figures:
    """The figures of a stored statement, without its document."""
    return Figures(**{one.name: getattr(statement.rollup, one.name) for one in fields(Figures)})
