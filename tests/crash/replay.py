"""
All reports of several installations, sent again and again in any order by many workers at once: no total changes.

Reports overlap, as they do when receipts are lost. Workers that come too early hear of a gap and try again later.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from narrows_metering.record import Kind
from narrows_metering.report import decode_report, encode_report, sign_report
from narrows_metering.testing import a_delivery
from narrows_server.office import Office
from narrows_server.usage.endpoints import _take_in
from narrows_server.usage.service import Accepted, Gap

from ..server.builders import Site, a_contract, a_site
from .books import Books

WORKERS: Final = 8
SITES: Final = 4
RECORDS: Final = 40
REPORTS_PER_SITE: Final = 12
ROUNDS_MAX: Final = 200

SignedReport = tuple[bytes, str]


@dataclass(slots=True)
class ReplayReport:
    """What came of it."""

    sent: int = 0
    accepted: int = 0
    gaps: int = 0  # Too early; sent again.
    differences: list[str] = field(default_factory=list)


def some_reports(office: Office, folder: Path, chance: random.Random) -> list[SignedReport]:
    """Overlapping reports of several sites of one customer, in an order that the server accepts."""
    a_contract(office)
    reports = []
    for number in range(SITES):
        site = a_site(office, folder / f"site-{number}")
        for record in range(RECORDS):
            site.record((Kind.DELIVERY, a_delivery(delivered=record + 1, source_digest=f"{number}.{record}")))
        whole = decode_report(site.report()[0])
        last = 0
        for _ in range(REPORTS_PER_SITE):
            first = chance.randrange(max(0, last - 6), last + 1)
            last = min(RECORDS, last + chance.randrange(8))
            if last > first:
                reports.append(_signed(site, encode_report(replace(whole, records=whole.records[first:last]))))
        reports.append(_signed(site, encode_report(whole)))
    return reports


def replay(books: Books, reports: Sequence[SignedReport], *, seed: int, times: int = 2) -> ReplayReport:
    """
    Take *reports* in order into *books* "before", then shuffled and at once into the same, and compare the records.

    Books must have been kept as "before" with the sites enrolled under their licenses and nothing reported.
    """
    report, chance = ReplayReport(), random.Random(seed)
    with books.opened() as office:
        for one in reports:
            assert isinstance(_take_in(office, *one), Accepted)
    wanted = totals(books)
    books.put_back("before")
    with books.opened() as office:
        waiting = [one for one in reports for _ in range(times)]
        for _ in range(ROUNDS_MAX):
            chance.shuffle(waiting)
            with ThreadPoolExecutor(WORKERS) as workers:
                outcomes = list(workers.map(lambda one: _take_in(office, *one), waiting))
            report.sent += len(waiting)
            report.accepted += sum(isinstance(outcome, Accepted) for outcome in outcomes)
            early = [one for one, outcome in zip(waiting, outcomes, strict=True) if isinstance(outcome, Gap)]
            report.gaps += len(early)
            if len(early) + sum(isinstance(outcome, Accepted) for outcome in outcomes) != len(waiting):
                report.differences.append("a report was taken for a contradiction")
            waiting = early
            if not waiting:
                break
    if totals(books) != wanted:
        report.differences.append("the records are not those that were taken in one after the other")
    with books.opened() as office, ThreadPoolExecutor(WORKERS) as workers:
        again = list(reports)
        chance.shuffle(again)
        list(workers.map(lambda one: _take_in(office, *one), again))
    report.sent += len(again)
    if totals(books) != wanted:
        report.differences.append("replaying everything changed a total")
    return report


def totals(books: Books) -> list[str]:
    """The rows of all records and the heads of all installations, as text."""
    names = ("record ", "installation ")
    return [line for line in books.dump().splitlines() if line.startswith(names)]


def _signed(site: Site, body: bytes) -> SignedReport:
    return body, sign_report(body, site.key)
