"""
What became known of an earlier month after its statement: late deliveries, new evidence.

A correction compares the month as it was accounted for, from the records up to a cut, with the month as all records up
to now give it, under the terms of then. Both sides follow from records, so a correction can be recomputed without the
statement that it corrects; a month that is corrected twice has its second cut where the first correction ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from narrows_metering.errors import StatementUnreadable
from narrows_metering.reckoning import draw_sample
from narrows_metering.record import Record
from narrows_metering.statement import write_up
from narrows_metering.terms import Period, Terms
from narrows_metering.usage import collect

Records = Callable[[], Mapping[str, Iterable[Record]]]
"""Gives the records of all installations from their beginning, as often as it is called."""


def correct(
    terms: Terms, period: Period, *, statement_hash: str, accounted: Mapping[str, int], records: Records
) -> dict[str, Any] | None:
    """
    The correction of *period*, or None if nothing changed that was saved, valued or shared.

    *accounted* is the last record of each installation that has been accounted for, *statement_hash* where it was.
    """
    before = {name: up_to(run, accounted[name]) for name, run in records().items() if name in accounted}
    usages = [collect(runs, terms=terms, period=period) for runs in (before, records())]
    # The draw of then holds: a delivery that came late must not ask for evidence that nobody could have measured.
    drawn = draw_sample(usages[0], terms, period)
    then, now = (write_up(usage, terms, period=period, drawn=drawn, drawn_up_at=period.end) for usage in usages)
    figures = [_figures(statement) for statement in (then, now)]
    if figures[0] == figures[1]:
        return None
    return {
        "contract": terms.to_dict(),
        **period.to_dict(),
        "statement_hash": statement_hash,
        "accounted": [{"installation_id": name, "last_seq": last_seq} for name, last_seq in sorted(accounted.items())],
        "stated": figures[0],
        "found": figures[1],
        "share": {**figures[1]["share"], "minor": figures[1]["share"]["minor"] - figures[0]["share"]["minor"]},
        "reason": "late_deliveries" if then["delivered"] != now["delivered"] else "other_evidence",
    }


def correct_again(stated: object, records: Records) -> dict[str, Any] | None:
    """The correction that *stated*, one of a statement, should be. Raises StatementUnreadable for what is none."""
    try:
        if not isinstance(stated, dict):
            raise ValueError("not an object")
        accounted = {entry["installation_id"]: entry["last_seq"] for entry in stated["accounted"]}
        if not all(isinstance(name, str) and type(last_seq) is int for name, last_seq in accounted.items()):
            raise ValueError("accounted: malformed")
        return correct(
            Terms.from_dict(stated["contract"]),
            Period.from_dict(stated),
            statement_hash=str(stated["statement_hash"]),
            accounted=accounted,
            records=records,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StatementUnreadable(f"corrections: {error}") from None


def up_to(records: Iterable[Record], last_seq: int) -> Iterator[Record]:
    """*records* without those after *last_seq*."""
    for record in records:
        if record.seq > last_seq:
            return
        yield record


def _figures(statement: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "delivered_bytes": statement["result"]["delivered_bytes"],
        "saved_bytes": statement["result"]["saved_bytes"],
        "saved": statement["valuation"]["saved"],
        "share": statement["share"]["amount"],
        "parts": [
            {name: part[name] for name in ("delivered_bytes", "saved_minor")} for part in statement["share"]["parts"]
        ],
    }
