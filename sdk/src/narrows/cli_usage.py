"""The command line's `narrows usage status | verify | report | import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from narrows.errors import UsageError
from narrows.settings import Settings
from narrows.terminal import Json, reports_errors, show
from narrows.usage import open_meter, translated

app = typer.Typer(help="What was recorded on this machine, and what was reported.", no_args_is_help=True)


@app.command()
@reports_errors
def status(as_json: Json = False) -> None:
    """
    Show the ledger's head and what is not reported yet.

    Example: narrows usage status --json
    """
    settings = Settings.read()
    with open_meter(settings) as meter, translated():
        head, done, receipt = meter.ledger.head(), meter.ledger.acknowledged(), meter.ledger.latest_receipt()
        summary = {
            "ledger": str(settings.ledger_path),
            "installation": meter.installation.id,
            "records": head.seq,
            "head_hash": head.hash,
            "acknowledged": done,
            "unreported": head.seq - done,
            "last_receipt": receipt.time if receipt else None,
        }
    show(summary, as_json=as_json, title="usage")


@app.command()
@reports_errors
def verify(as_json: Json = False) -> None:
    """
    Verify the whole ledger: every record, every link, every receipt; exit code 1 naming the first that fails.

    Example: narrows usage verify
    """
    with open_meter(Settings.read()) as meter, translated():
        head = meter.ledger.verify()
    show({"verified_records": head.seq, "head_hash": head.hash}, as_json=as_json, title="the ledger verifies")


@app.command()
@reports_errors
def report(
    url: Annotated[str | None, typer.Option(help="Server to report to [default: the license's].")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Send everything, for a server that lost its records.")
    ] = False,
    as_json: Json = False,
) -> None:
    """
    Send what is not acknowledged yet, and keep the receipts. Sending again changes nothing.

    Example: narrows usage report
    """
    from narrows import account

    show(account.send_reports(url=url, again=again), as_json=as_json, title="reported")


@app.command("import")
@reports_errors
def import_(
    log: Annotated[Path, typer.Argument(help="A CloudFront standard log, plain or .gz.")],
    served: Annotated[list[str], typer.Option("--map", help="URL_PATH=CODED_FILE; may be repeated.")],
    as_json: Json = False,
) -> None:
    """
    Record the deliveries of a CDN's log. Importing the same log again adds nothing.

    Example: narrows usage import log.gz --map /videos/talk.mkv=talk.mkv
    """
    from narrows import account

    pairs = [entry.partition("=") for entry in served]
    if not all(stem and equals and file for stem, equals, file in pairs):
        raise UsageError("--map takes URL_PATH=CODED_FILE, such as /videos/talk.mkv=talk.mkv")
    show(
        account.import_deliveries(log, {stem: Path(file) for stem, _, file in pairs}), as_json=as_json, title="imported"
    )
