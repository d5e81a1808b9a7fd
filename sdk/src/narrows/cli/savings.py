"""The command line's `narrows savings measure | reproduce | forecast`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from narrows_metering.importers.formats import LogFormat
from rich.table import Table

from narrows.cli.terminal import Json, err, out, reports_errors, show
from narrows.errors import UsageError

app = typer.Typer(help="What is saved at equal quality: measured, measured again, and forecast.", no_args_is_help=True)


@app.command()
@reports_errors
def measure(
    source: Annotated[Path, typer.Argument(help="The video that was encoded.")],
    coded: Annotated[Path, typer.Argument(help="What `narrows encode` made of it.")],
    evidence: Annotated[Path, typer.Option("--out", help="Where to write the evidence.")],
    baseline: Annotated[list[str] | None, typer.Option(help="libx264-medium, libx265-medium; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """
    Measure what the baseline needs at equal quality, into a file that anyone can reproduce. Nothing is recorded.

    Example: narrows savings measure talk.mp4 talk.mkv --out talk.evidence.json
    """
    from narrows.media.quality import available_metrics
    from narrows.savings import account, reproduction

    known = account.baselines(baseline)
    with err.status("measuring …") as status:
        document = reproduction.measure(
            source, coded, known, metrics=available_metrics(), on_step=lambda step: status.update(f"{step} …")
        )
    try:
        evidence.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"{evidence}: {error}") from error
    show(
        {f"{e['baseline']}, {e['metric']}": e["baseline_bytes"] or e["status"] for e in document["evidence"]},
        as_json=as_json,
        title=f"{evidence}: bytes at equal quality",
    )


@app.command()
@reports_errors
def reproduce(
    evidence: Annotated[Path, typer.Argument(help="What `narrows savings measure` wrote.")],
    source: Annotated[Path | None, typer.Option(help="The video, if it is elsewhere now.")] = None,
    coded: Annotated[Path | None, typer.Option(help="The coded file, if it is elsewhere now.")] = None,
    as_json: Json = False,
) -> None:
    """
    Measure again, and say whether every value is the same. Exit code 1 naming the first that is not.

    Example: narrows savings reproduce talk.evidence.json
    """
    from narrows.savings import reproduction

    with err.status("measuring …") as status:
        outcome = reproduction.reproduce(
            evidence, source=source, coded=coded, on_step=lambda step: status.update(f"{step} …")
        )
    show(outcome, as_json=as_json, title="it differs" if outcome.difference else "every value is the same")
    if outcome.difference:
        raise typer.Exit(1)


@app.command()
@reports_errors
def forecast(
    folder: Annotated[Path, typer.Argument(help="A library of videos.")],
    traffic: Annotated[Path, typer.Option(help="A delivery log; it knows files by their paths in the folder.")],
    tariff: Annotated[Path, typer.Option(help='{"currency": "EUR", "tiers": [{"up_to_gb": …, "price_per_gb": "…"}]}')],
    log_format: Annotated[LogFormat, typer.Option("--format", help="Whose log it is.")] = LogFormat.CLOUDFRONT,
    baseline: Annotated[str, typer.Option(help="The codec to compare with.")] = "libx265-medium",
    sample: Annotated[int, typer.Option(min=2, help="How many videos to measure; those watched most always are.")] = 40,
    html: Annotated[Path | None, typer.Option(help="Where to write the page for whoever decides.")] = None,
    as_json: Json = False,
) -> None:
    """
    Forecast what Narrows would save on a library: a sample is encoded, weighed with its traffic and priced.

    Example: narrows savings forecast videos/ --traffic november.log.gz --tariff tariff.json --html forecast.html
    """
    from narrows.media.quality import Metric
    from narrows.savings import account, forecast_page
    from narrows.savings import forecast as forecasts

    (codec,) = account.baselines([baseline])
    with err.status("reading the log …") as status:
        result = forecasts.forecast(
            folder,
            traffic,
            tariff,
            measure=forecasts.measured_by_encoding(baseline=codec, metric=Metric.MS_SSIM),
            log_format=log_format,
            count=sample,
            on_file=lambda name, done, total: status.update(f"measuring {done + 1} of {total}: {name} …"),
        )
    if html is not None:
        try:
            html.write_text(forecast_page.render(result), "utf-8")
        except OSError as error:
            raise UsageError(f"{html}: {error}") from error
    if as_json:
        show(result, as_json=True)
        return
    table = Table("", "least", "likely", "most", title="saved per month", box=None, title_justify="left")
    table.add_row("money", *(str(amount) for amount in (result.saved_lower, result.saved, result.saved_upper)))
    volumes = (result.saved_bytes_lower, result.saved_bytes, result.saved_bytes_upper)
    table.add_row("bytes", *(f"{volume:,}" for volume in volumes))
    out.print(table)
    out.print(
        f"{result.measured_count} of {result.file_count} videos measured; {result.delivered_bytes:,} bytes a month "
        f"cost {result.cost_now} now"
    )
