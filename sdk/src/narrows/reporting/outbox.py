"""
What leaves this machine: reports over the network or as a file, and what comes back for them.

For those who ask for it, such as the command line; `background` reports without being asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from narrows_metering.errors import ReportUnreadable
from narrows_metering.receipt import read_receipt
from narrows_metering.report import decode_report
from narrows_metering.report_file import Refusal, SignedReport, read_answers, write_reports

from narrows.atomic_file import replacing
from narrows.errors import UsageError
from narrows.reporting.attempts import Attempts, note_attempts, read_attempts
from narrows.reporting.client import MeteringClient
from narrows.reporting.destination import connect, find_destination, require_url
from narrows.reporting.reporter import Reported, Upcoming, report_usage, upcoming_reports
from narrows.settings import Settings
from narrows.usage.machine import open_meter, open_retired, reidentify, translated
from narrows.usage.meter import utc_now


def send_reports(
    *,
    url: str | None = None,
    again: bool = False,
    settings: Settings | None = None,
    connect: Callable[[Settings, str], MeteringClient] = connect,
    clock: Callable[[], datetime] = utc_now,
) -> Reported:
    """
    Report all that is unsent to *url*, or to the license's server; with *again* everything from the first record.

    Whoever asks is not made to wait for what the background reporter waits for. Raises as `report_usage` does.
    """
    settings = settings or Settings.read()
    now = clock()
    destination = find_destination(settings, now)
    with open_meter(settings, clock=clock) as meter, connect(settings, url or require_url(destination)) as client:
        reported = report_usage(
            settings,
            meter,
            client,
            license_token=destination.license_token,
            receipt_keys=destination.receipt_keys,
            at=now,
            again=again,
        )
    noted = read_attempts(settings.state_folder)
    note_attempts(settings.state_folder, Attempts(last_attempt_at=now, last_success_at=now, pruned_at=noted.pruned_at))
    return reported


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The report that would be sent next, to the byte, and what is written in it; how many there are in all."""

    body: bytes
    signature: str
    document: dict[str, Any]
    report_count: int
    record_count: int


def preview_reports(
    *, again: bool = False, settings: Settings | None = None, clock: Callable[[], datetime] = utc_now
) -> Preview | None:
    """What `send_reports` would send now; None if there is nothing. Sends nothing."""
    settings = settings or Settings.read()
    destination = find_destination(settings, clock())
    first: Upcoming | None = None
    report_count = record_count = 0
    with (
        open_meter(settings, clock=clock) as meter,
        upcoming_reports(settings, meter, license_token=destination.license_token, again=again) as reports,
    ):
        for report in reports:
            first = first or report
            report_count += 1
            record_count += len(decode_report(report.body).records)
    if first is None:
        return None
    return Preview(
        body=first.body,
        signature=first.signature,
        document=_document(first.body),
        report_count=report_count,
        record_count=record_count,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What a file of reports holds."""

    file: Path
    report_count: int
    record_count: int
    bytes: int


def export_reports(
    target: Path,
    *,
    again: bool = False,
    settings: Settings | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Exported:
    """
    Write what `send_reports` would send to the file *target*, for all installations that lived here.

    Nothing counts as sent before its receipt comes back: exporting again writes the same records again, and more.
    Raises UsageError if the file can't be written; then what was at *target* is still there.
    """
    settings = settings or Settings.read()
    destination = find_destination(settings, clock())
    record_count = 0

    def signed(reports: Iterator[Upcoming]) -> Iterator[SignedReport]:
        nonlocal record_count
        for report in reports:
            record_count += len(decode_report(report.body).records)
            yield SignedReport(body=report.body, signature=report.signature)

    try:
        with (
            open_meter(settings, clock=clock) as meter,
            upcoming_reports(settings, meter, license_token=destination.license_token, again=again) as reports,
            replacing(target) as file,
        ):
            report_count = write_reports(file, signed(reports))
        size = target.stat().st_size
    except OSError as error:
        raise UsageError(f"can't write {target}: {error}") from error
    return Exported(file=target, report_count=report_count, record_count=record_count, bytes=size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """What came back in a file: receipts that were kept, how far the records are acknowledged now, and refusals."""

    receipt_count: int
    acknowledged: int
    unreported: int
    refusals: tuple[Refusal, ...]
    reidentified: bool = False


def acknowledge_receipts(
    source: Path,
    *,
    reidentifies: bool = False,
    settings: Settings | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Acknowledged:
    """
    Keep the receipts in the file *source*, which the vendor made of an exported one. Again is harmless.

    A refusal is not signed, so it only counts for something if the caller says so: with *reidentifies* a conflict makes
    this installation go on as another, as it does by itself over the network. Raises UsageError for a file that can't
    be read, or a receipt that is not the vendor's or not for an installation of this machine.
    """
    settings = settings or Settings.read()
    now = clock()
    keys = find_destination(settings, now).receipt_keys
    refusals = list[Refusal]()
    receipt_count, has_changed = 0, False
    with translated(), open_meter(settings, clock=clock) as meter, open_retired(settings) as earlier:
        ledgers = {one.installation.id: one.ledger for one in earlier}
        ledgers[meter.installation.id] = meter.ledger
        for answer in _answers(source):
            if isinstance(answer, Refusal):
                refusals.append(answer)
                continue
            receipt = read_receipt(answer, keys)
            if receipt.installation_id not in ledgers:
                raise UsageError(f"{source}: a receipt for {receipt.installation_id}, which never lived here")
            ledgers[receipt.installation_id].acknowledge(answer, receipt)
            receipt_count += 1
        for refusal in refusals if reidentifies else ():
            ledger = ledgers.get(refusal.installation_id or "")
            is_fork = refusal.code == "conflict" and refusal.seq is not None and refusal.expected_seq is None
            if ledger is None or not is_fork or refusal.seq is None:
                continue
            if ledger.pruned().seq < refusal.seq <= ledger.own_seq():
                reidentify(settings, installation_id=ledger.installation_id, first_seq=refusal.seq, at=now)
                has_changed = True
        meter.follow()
        head, done = meter.ledger.head().seq, meter.ledger.acknowledged()
    return Acknowledged(
        receipt_count=receipt_count,
        acknowledged=done,
        unreported=head - done,
        refusals=tuple(refusals),
        reidentified=has_changed,
    )


def _answers(source: Path) -> list[str | Refusal]:
    try:
        with source.open("rb") as file:
            return list(read_answers(file))  # All of them first: a file that was cut short changes nothing.
    except OSError as error:
        raise UsageError(f"can't read {source}: {error}") from error
    except ReportUnreadable as error:
        raise UsageError(f"{source}: {error}. Next step: ask your vendor for the file of receipts again") from error


def _document(body: bytes) -> dict[str, Any]:
    report = decode_report(body)
    document = {name: getattr(report, name) for name in ("installation_id", "public_key", "license_token", "sdk")}
    return {
        **document,
        "nonce_previous": report.nonce_previous,
        "records": [record.to_dict() for record in report.records],
    }
