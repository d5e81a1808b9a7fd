"""
The command line's `narrows usage …`: what was recorded on this machine, and what was reported.

Parses and shows; imports what it needs when it runs, so that `--help` is there at once.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from narrows.cli.deliveries import import_deliveries
from narrows.cli.terminal import Json, err, out, reports_errors, show, show_table
from narrows.settings import Settings
from narrows.shown import plain

app = typer.Typer(help="What was recorded on this machine, and what was reported.", no_args_is_help=True)

PREVIEW_ROWS = 20

Again = Annotated[bool, typer.Option("--again", help="All that is kept, for a server that lost its records.")]


@app.command()
@reports_errors
def status(
    prometheus: Annotated[
        bool, typer.Option("--prometheus", help="Print metrics for Prometheus instead, as for a textfile collector.")
    ] = False,
    as_json: Json = False,
) -> None:
    """
    Show the ledger's head, what is not reported yet, and how reporting fares; exit code 1 if the ledger is damaged.

    Example: narrows usage status --prometheus > /var/lib/node_exporter/narrows.prom
    """
    from narrows.reporting.status import usage_status

    found = usage_status()
    if prometheus:
        from narrows.reporting.exposition import exposition

        sys.stdout.write(exposition(found))
    elif as_json:
        show(found, as_json=True)
    else:
        earlier = [f"{one.installation}: {one.unreported} of {one.records}" for one in found.earlier]
        show(plain(found) | {"earlier": "\n".join(earlier) or None}, as_json=False, title="usage")
    # Whoever collects metrics puts them in place only if all went well, and damage is one of them.
    if found.damage is not None and not prometheus:
        raise typer.Exit(1)


@app.command()
@reports_errors
def verify(as_json: Json = False) -> None:
    """
    Verify the whole ledger: every record, every link, every receipt and its signature; exit code 1 naming the first
    that fails.

    Example: narrows usage verify
    """
    from narrows.reporting.signatures import check_signatures
    from narrows.usage.machine import open_meter, translated

    settings = Settings.read()
    with open_meter(settings) as meter, translated():
        head = meter.ledger.verify()
        signatures = check_signatures(meter.ledger.receipts(), settings, datetime.now(UTC))
    found = {"verified_records": head.seq, "head_hash": head.hash} | plain(signatures)
    show(found, as_json=as_json, title="the ledger verifies")


@app.command()
@reports_errors
def preview(
    raw: Annotated[bool, typer.Option("--raw", help="Print the body of the next report, to the byte.")] = False,
    again: Again = False,
    as_json: Json = False,
) -> None:
    """
    Show exactly what would be sent next. Nothing is sent.

    Example: narrows usage preview --raw | gunzip | less
    """
    from narrows.reporting.outbox import preview_reports

    found = preview_reports(again=again)
    if raw:
        sys.stdout.buffer.write(found.body if found else b"")
    elif as_json:
        show(_preview_members(found), as_json=True)
    elif found is None:
        out.print("Everything is reported; nothing would be sent.")
    else:
        _show_preview(found.document)
        sums = f"{len(found.body):,} bytes in this report; {found.report_count} in all, {found.record_count} records."
        out.print(f"{sums} Signature: {found.signature[:24]}…")


@app.command()
@reports_errors
def report(
    url: Annotated[str | None, typer.Option(help="Server to report to; by default the license's.")] = None,
    again: Again = False,
    as_json: Json = False,
) -> None:
    """
    Send what is not acknowledged yet, and keep the receipts. Sending again changes nothing.

    Example: narrows usage report
    """
    from narrows.reporting.outbox import send_reports

    done = send_reports(url=url, again=again)
    receipt = None if done.receipt is None else f"up to record {done.receipt.last_seq}, {done.receipt.time}"
    show(done if as_json else plain(done) | {"receipt": receipt}, as_json=as_json, title="reported")


@app.command()
@reports_errors
def export(
    target: Annotated[Path, typer.Argument(help="File to write; your vendor takes it.")],
    again: Again = False,
    as_json: Json = False,
) -> None:
    """
    Write the reports to a file instead, for a machine without a network. They count once the receipts are back.

    Example: narrows usage export /media/usb/reports.jsonl
    """
    from narrows.reporting.outbox import export_reports

    show(export_reports(target, again=again), as_json=as_json, title="exported")
    if not as_json:
        err.print("Send it to your vendor; take in the answer with: narrows usage acknowledge FILE")


@app.command()
@reports_errors
def acknowledge(
    source: Annotated[Path, typer.Argument(help="The file of receipts that your vendor sent back.")],
    reidentify: Annotated[
        bool, typer.Option("--reidentify", help="Go on as another installation where the file tells of a conflict.")
    ] = False,
    as_json: Json = False,
) -> None:
    """
    Keep the receipts for an exported file; exit code 1 if the vendor refused a part of it.

    Example: narrows usage acknowledge /media/usb/receipts.jsonl
    """
    from narrows.reporting.outbox import acknowledge_receipts

    done = acknowledge_receipts(source, reidentifies=reidentify)
    if as_json:
        show(done, as_json=True)
    else:
        show({name: member for name, member in plain(done).items() if name != "refusals"}, as_json=False)
        for refusal in done.refusals:
            err.print(f"refused [{refusal.code}]: {refusal.detail}", markup=False, soft_wrap=True)
        if done.refusals:
            err.print(_after_refusal(done.reidentified, {refusal.code for refusal in done.refusals}))
    if done.refusals:
        raise typer.Exit(1)


@app.command()
@reports_errors
def proof(
    everything: Annotated[bool, typer.Option("--all", help="Every receipt, not only the new ones.")] = False,
    save: Annotated[Path | None, typer.Option(help="Keep what was fetched in this file.")] = None,
    file: Annotated[Path | None, typer.Option(help="Check a kept file instead, without a network.")] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Forget the tree head of the last check first.")] = False,
    as_json: Json = False,
) -> None:
    """
    Check the vendor's transparency log: your receipts are in it and it only grew; exit code 1 naming what fails.

    Example: narrows usage proof --save proof.json
    """
    from narrows.reporting import auditor, log_proof

    if file is not None:
        check = auditor.check_file(file)
    else:
        if forget:
            auditor.forget_log()
        check, fetched = auditor.audit_log(everything=everything)
        if save is not None:
            auditor.save_proof(fetched, save)
    if as_json:
        show(log_proof.summary(check), as_json=True)
    else:
        for sentence in log_proof.sentences(check):
            out.print(sentence, markup=False, highlight=False, soft_wrap=True)
    if check.failures:
        raise typer.Exit(1)


@app.command()
@reports_errors
def records(
    folder: Annotated[Path, typer.Option("--out", help="Folder to write to, a file for each installation.")],
    as_json: Json = False,
) -> None:
    """
    Write all records of this machine as files, to recompute a statement from them with narrows-recompute.

    Example: narrows usage records --out records/
    """
    from narrows.usage.record_files import write_records

    written = write_records(folder)
    if as_json:
        show({"files": [plain(one) for one in written]}, as_json=True)
        return
    for one in written:
        out.print(f"{one.last_seq:,} records in {one.path}", markup=False, highlight=False, soft_wrap=True)


@app.command()
@reports_errors
def recover(as_json: Json = False) -> None:
    """
    Go on after damage: set the ledger aside, report what is good, name what is lost. Stop running encoders first.

    Example: narrows usage recover
    """
    from narrows.usage.machine import recover

    recovered = recover(Settings.read(), at=datetime.now(UTC))
    if recovered is None:
        show({"recovered": False}, as_json=as_json, title="the ledger is fine; nothing was changed")
        return
    show({"recovered": True, **plain(recovered)}, as_json=as_json, title="going on with a new ledger")


@app.command()
@reports_errors
def prune(as_json: Json = False) -> None:
    """
    Remove records whose receipt is older than 400 days. The background reporter does so by itself, daily.

    Example: narrows usage prune
    """
    from narrows.usage.machine import open_meter, prune

    settings = Settings.read()
    with open_meter(settings) as meter:
        removed = prune(settings, meter, at=datetime.now(UTC))
    show({"removed_records": removed}, as_json=as_json, title="pruned")


app.command("import")(import_deliveries)


def _preview_members(found: Any) -> dict[str, Any]:
    if found is None:
        return {"report_count": 0, "record_count": 0, "bytes": 0, "signature": None, "document": None}
    return {
        "report_count": found.report_count,
        "record_count": found.record_count,
        "bytes": len(found.body),
        "signature": found.signature,
        "document": found.document,
    }


def _show_preview(document: dict[str, Any]) -> None:
    records = document["records"]
    about = {name: text for name, text in document.items() if name != "records"}
    about["license_token"] = f"{about['license_token'][:24]}… ({len(about['license_token'])} characters)"
    show(about, as_json=False, title="the next report")
    table = Table("seq", "time", "kind", "payload", box=None)
    for record in records[:PREVIEW_ROWS]:
        members = ", ".join(f"{name} {value}" for name, value in record["payload"].items())
        table.add_row(str(record["seq"]), record["time"], record["kind"], members)
    show_table(table)
    if len(records) > PREVIEW_ROWS:
        out.print(f"… and {len(records) - PREVIEW_ROWS} more; --json and --raw show all")


def _after_refusal(is_reidentified: bool, codes: set[str]) -> str:
    if is_reidentified:
        return "This installation goes on as another. Next step: narrows usage export FILE"
    if "gap" in codes:
        return "The vendor lacks earlier records. Next step: narrows usage export FILE --again"
    if "conflict" in codes:
        return (
            "The vendor holds other records under this name: was this machine copied or restored? Next step: narrows "
            "usage export FILE --again, or narrows usage acknowledge FILE --reidentify if that was refused too"
        )
    return "Next step: send these lines to your vendor"
