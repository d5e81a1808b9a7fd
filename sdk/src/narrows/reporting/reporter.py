"""
Unsent records → server → receipts. Never in the path of an encode, never drops a record.

What has not been acknowledged stays in the ledger, and the next report begins with it. Here is one round, start to
end and without a thread; `background` decides when there is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from narrows_metering.errors import LedgerDamaged, RecordsPruned
from narrows_metering.ledger import Ledger
from narrows_metering.receipt import Receipt, read_receipt
from narrows_metering.report import REPORT_RECORDS_MAX, decode_report, next_report

from narrows.errors import ReportRejected, UsageError
from narrows.installation import Installation
from narrows.reporting.client import CallOverdue, MeteringClient
from narrows.settings import Settings
from narrows.usage.machine import Meter, Retired, open_retired, reidentify, translated
from narrows.version import VERSION

RECORDS_AT_LEAST: Final = 100  # In a report, if there are as many: some ten kilobytes.
HANDOVERS_MAX: Final = 8  # In one round; a server that contradicts every name that we take has another problem.


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What one round came to: what was sent, with the last receipt (None if there was nothing to send)."""

    record_count: int
    report_count: int
    receipt: Receipt | None
    handover_count: int  # How often the installation went on as another, because the server knew other records.
    damaged: tuple[str, ...] = ()  # Earlier installations whose ledgers can't be read to where they should be.


def report_usage(
    settings: Settings,
    meter: Meter,
    client: MeteringClient,
    *,
    license_token: str,
    receipt_keys: Mapping[str, Ed25519PublicKey],
    at: datetime,
    again: bool = False,
    records_max: int = REPORT_RECORDS_MAX,
) -> Reported:
    """
    Send all unacknowledged records, report by report, and keep the receipts; with *again* all there are.

    Where the server says that it lacks earlier ones, because its database was lost or restored, they are sent again.
    Where it holds other records under this installation's name, because this machine was copied or restored, the
    installation goes on as another from there, and nothing is billed twice. Raises ReportRejected and UsageError as
    `MeteringClient.send_report` does; what was acknowledged before stays so.
    """
    round_ = _Round(client, license_token, receipt_keys, again=again, records_max=records_max)
    handovers = 0
    with translated():
        while (contradiction := _report_all(round_, settings, meter)) is not None:
            if handovers == HANDOVERS_MAX:
                raise UsageError(f"the server still knows other records after {handovers} new names; nothing is lost")
            reidentify(
                settings,
                installation_id=contradiction.installation_id,
                first_seq=contradiction.first_seq,
                at=at,
            )
            meter.follow()
            handovers += 1
    return Reported(
        record_count=round_.record_count,
        report_count=round_.report_count,
        receipt=round_.receipt,
        handover_count=handovers,
        damaged=tuple(sorted(round_.damaged)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcoming:
    """A report as it would be sent now: *body* and *signature* are what goes over the wire, to the byte."""

    installation_id: str
    body: bytes
    signature: str


@contextmanager
def upcoming_reports(
    settings: Settings,
    meter: Meter,
    *,
    license_token: str,
    again: bool = False,
    records_max: int = REPORT_RECORDS_MAX,
) -> Iterator[Iterator[Upcoming]]:
    """
    All reports that `report_usage` would send, in its order, one at a time; nothing is sent and nothing changes.

    The first is what goes out next, to the byte. A later one names the same receipt as the first, since those in
    between are still to come; otherwise it is the same too.
    """
    with translated(), open_retired(settings) as earlier:
        yield _upcoming(earlier, meter, license_token, again=again, records_max=records_max)


def _upcoming(
    earlier: tuple[Retired, ...], meter: Meter, license_token: str, *, again: bool, records_max: int
) -> Iterator[Upcoming]:
    has_news = again or _has_news(meter)
    everybody: list[Retired | Meter] = [*earlier, meter]
    for one in everybody:
        if one.ledger.own_seq() == 0:
            continue
        with suppress(LedgerDamaged) if one is not meter else nullcontext():  # As `_report_all` passes it over.
            sent = _start(one.ledger, again=again, makes_sure=has_news and one is not meter)
            while (
                report := next_report(
                    one.ledger,
                    key=one.installation.key,
                    license_token=license_token,
                    sdk=VERSION,
                    after=sent,
                    limit=records_max,
                )
            ) is not None:
                body, signature = report
                yield Upcoming(installation_id=one.installation.id, body=body, signature=signature)
                start = one.ledger.acknowledged() if sent is None else sent
                sent = start + len(decode_report(body).records)


def _has_news(meter: Meter) -> bool:
    return meter.ledger.acknowledged() < meter.ledger.head().seq


def _start(ledger: Ledger, *, again: bool, makes_sure: bool) -> int | None:
    """The record behind which reports begin; None for what is acknowledged, which the ledger knows."""
    own, pruned = ledger.own_seq(), ledger.pruned().seq
    if again:
        return pruned
    if makes_sure and pruned < own <= ledger.acknowledged():
        return own - 1
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contradiction:
    """The server holds other records of an installation from *first_seq* on."""

    installation_id: str
    first_seq: int


def _report_all(round_: _Round, settings: Settings, meter: Meter) -> _Contradiction | None:
    """Report for those that lived here before, then for the one that lives here now."""
    while True:
        # Whoever has news finds out, with a record or two, whether the server still has what the earlier ones sent.
        has_news = round_.again or _has_news(meter)
        with open_retired(settings) as earlier:
            for one in earlier:
                try:
                    contradiction = round_.report(one.installation, one.ledger, makes_sure=has_news)
                except LedgerDamaged:
                    # What is good before the damage has been sent, and nothing can be done about the rest.
                    round_.damaged.add(one.installation.id)
                    continue
                if contradiction is not None:
                    return contradiction
        contradiction = round_.report(meter.installation, meter.ledger)
        # Another process may have given the installation a successor meanwhile.
        if contradiction is not None or not meter.follow():
            return contradiction


class _Round:
    """One round of reports, and what it has come to."""

    def __init__(
        self,
        client: MeteringClient,
        license_token: str,
        receipt_keys: Mapping[str, Ed25519PublicKey],
        *,
        again: bool,
        records_max: int,
    ) -> None:
        self._client = client
        self._license_token = license_token
        self._receipt_keys = receipt_keys
        self._records_max = records_max
        self.again = again
        self.record_count = self.report_count = 0
        self.receipt: Receipt | None = None
        self.damaged: set[str] = set()

    def report(self, installation: Installation, ledger: Ledger, *, makes_sure: bool = False) -> _Contradiction | None:
        """Send what *installation* has to report; with *makes_sure* its last record if there is nothing else."""
        if ledger.own_seq() == 0:
            return None  # Of a ledger that is damaged from the first record on, nothing else can be asked.
        sent = _start(ledger, again=self.again, makes_sure=makes_sure)
        lowest = ledger.own_seq() + 1
        while True:
            upcoming = next_report(
                ledger,
                key=installation.key,
                license_token=self._license_token,
                sdk=VERSION,
                after=sent,
                limit=self._records_max,
            )
            if upcoming is None:
                return None
            start = ledger.acknowledged() if sent is None else sent
            try:
                token = self._client.send_report(*upcoming)
            except CallOverdue:
                # Too much at once for this line, or for a server that is busy; the same again would fare the same.
                waiting = min(self._records_max, ledger.own_seq() - start)
                if waiting <= RECORDS_AT_LEAST:
                    raise
                self._records_max = max(RECORDS_AT_LEAST, waiting // 8)
                continue
            except ReportRejected as rejected:
                if rejected.code == "conflict" and rejected.expected_seq is None:
                    return _contradiction(ledger, rejected)
                # Every way back leads further back, or the server would have us walk in circles.
                if rejected.expected_seq is None or not 1 <= rejected.expected_seq <= min(start, lowest - 1):
                    raise
                lowest = rejected.expected_seq
                first_kept = ledger.pruned().seq + 1
                if lowest < first_kept:
                    if rejected.code == "conflict":
                        return _Contradiction(installation_id=installation.id, first_seq=first_kept)
                    raise RecordsPruned(first_kept) from rejected
                sent = lowest - 1
                continue
            receipt = read_receipt(token, self._receipt_keys)
            ledger.acknowledge(token, receipt)
            sent = None if receipt.last_seq == ledger.acknowledged() else receipt.last_seq
            self.record_count += receipt.last_seq - receipt.first_seq + 1
            self.report_count += 1
            self.receipt = receipt


def _contradiction(ledger: Ledger, rejected: ReportRejected) -> _Contradiction:
    if rejected.seq is None or not ledger.pruned().seq < rejected.seq <= ledger.own_seq():
        raise rejected
    return _Contradiction(installation_id=ledger.installation_id, first_seq=rejected.seq)
