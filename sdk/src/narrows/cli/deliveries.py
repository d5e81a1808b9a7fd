"""The command line's `narrows usage import`."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from narrows_metering.importers.delivery_log import DAY, FIVE_MINUTES
from narrows_metering.importers.formats import LogFormat
from narrows_metering.importers.reconciliation import Reconciled
from rich.table import Table

from narrows.cli.terminal import Json, err, reports_errors, show, show_table
from narrows.errors import UsageError
from narrows.shown import plain


@reports_errors
def import_deliveries(
    logs: Annotated[list[Path], typer.Argument(help="Delivery logs of one CDN: text, JSON or Parquet, plain or .gz.")],
    served: Annotated[list[str], typer.Option("--map", help="URL_PATH=CODED_FILE; may be repeated.")],
    log_format: Annotated[LogFormat, typer.Option("--format", help="Whose logs they are.")] = LogFormat.CLOUDFRONT,
    cdn: Annotated[str, typer.Option(help="The CDN's name in the contract's tariff.")] = "",
    mapping: Annotated[Path | None, typer.Option(help="JSON with the field names of a generic log.")] = None,
    regions: Annotated[Path | None, typer.Option(help="JSON from beginnings of locations to regions.")] = None,
    usage_report: Annotated[Path | None, typer.Option(help="What the CDN bills: CSV with region, day, bytes.")] = None,
    five_minutes: Annotated[
        bool, typer.Option("--five-minutes", help="Keep five-minute windows, for a tariff by the 95th percentile.")
    ] = False,
    held_out: Annotated[
        list[str] | None,
        typer.Option("--baseline-map", help="URL_PATH=CODED_FILE: the baseline's file of a title that we coded."),
    ] = None,
    is_check: Annotated[bool, typer.Option("--check", help="Read and compare, and record nothing.")] = False,
    as_json: Json = False,
) -> None:
    """
    Record the deliveries in a CDN's logs. Importing the same logs again adds nothing.

    With --usage-report the logs are compared with the CDN's bill per region and day: up to 1 % apart they hold, up to 5
    % the smaller counts, beyond that nothing is recorded and the exit code is 1. With --check nothing is recorded.

    Example: narrows usage import logs/*.gz --format cloudfront --map /videos/talk.mkv=talk.mkv
    """
    from narrows.savings import deliveries

    how = deliveries.Import(
        log_format=log_format,
        cdn=cdn,
        mapping=mapping,
        regions=regions,
        usage_report=usage_report,
        window=FIVE_MINUTES if five_minutes else DAY,
        is_check=is_check,
    )
    with err.status("reading …") as status:
        imported = deliveries.import_deliveries(
            logs,
            _files("--map", served),
            how=how,
            baseline_files=_files("--baseline-map", held_out or []),
            on_file=lambda done, total: status.update(f"read {done} of {total} files …"),
        )
    title = "held: the logs and the bill differ" if imported.held else "checked" if is_check else "imported"
    if as_json:
        show(imported, as_json=True)
    else:
        _show_reconciled(imported.reconciled)
        show(
            {name: value for name, value in plain(imported).items() if name != "reconciled"}, as_json=False, title=title
        )
    if imported.held:
        raise typer.Exit(1)


def _files(option: str, entries: list[str]) -> dict[str, Path]:
    pairs = [entry.partition("=") for entry in entries]
    if not all(stem and equals and file for stem, equals, file in pairs):
        raise UsageError(f"{option} takes URL_PATH=CODED_FILE, such as /videos/talk.mkv=talk.mkv")
    return {stem: Path(file) for stem, _, file in pairs}


def _show_reconciled(cells: Sequence[Reconciled]) -> None:
    """Logs beside the bill, per region and day."""
    if not cells:
        return
    table = Table("region", "day", "in the logs", "billed", "apart", "counted", "", box=None, title_justify="left")
    table.title = "the logs beside the bill"
    for cell in cells:
        apart = "–" if not cell.billed_bytes else f"{_apart(cell)} %"
        volumes = (f"{volume:,}" for volume in (cell.logged_bytes, cell.billed_bytes))
        table.add_row(
            cell.region or "all", cell.day.isoformat(), *volumes, apart, f"{cell.counted_bytes:,}", cell.agreement.value
        )
    show_table(table)


def _apart(cell: Reconciled) -> Decimal:
    return (Decimal(100 * (cell.logged_bytes - cell.billed_bytes)) / cell.billed_bytes).quantize(Decimal("0.01"))
