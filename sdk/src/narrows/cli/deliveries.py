"""The command line's `narrows usage import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from narrows_metering.importers.delivery_log import DAY, FIVE_MINUTES
from narrows_metering.importers.formats import LogFormat

from narrows.cli.terminal import Json, err, reports_errors, show
from narrows.errors import UsageError


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
    as_json: Json = False,
) -> None:
    """
    Record the deliveries in a CDN's logs. Importing the same logs again adds nothing.

    With --usage-report the logs are compared with the CDN's bill per region and day: up to 1 % apart they hold, up to 5
    % the smaller counts, beyond that nothing is recorded and the exit code is 1.

    Example: narrows usage import logs/*.gz --format cloudfront --map /videos/talk.mkv=talk.mkv
    """
    from narrows.savings import deliveries

    pairs = [entry.partition("=") for entry in served]
    if not all(stem and equals and file for stem, equals, file in pairs):
        raise UsageError("--map takes URL_PATH=CODED_FILE, such as /videos/talk.mkv=talk.mkv")
    how = deliveries.Import(
        log_format=log_format,
        cdn=cdn,
        mapping=mapping,
        regions=regions,
        usage_report=usage_report,
        window=FIVE_MINUTES if five_minutes else DAY,
    )
    with err.status("reading …") as status:
        imported = deliveries.import_deliveries(
            logs,
            {stem: Path(file) for stem, _, file in pairs},
            how=how,
            on_file=lambda done, total: status.update(f"read {done} of {total} files …"),
        )
    show(imported, as_json=as_json, title="held: the logs and the bill differ" if imported.held else "imported")
    if imported.held:
        raise typer.Exit(1)
