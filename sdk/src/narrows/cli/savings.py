"""The command line's `narrows savings plan | measure | reproduce | forecast`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from narrows_metering.importers.formats import LogFormat
from rich.table import Table

from narrows.cli.terminal import Json, err, out, reports_errors, show, show_table
from narrows.errors import UsageError

app = typer.Typer(help="What is saved at equal quality: measured, measured again, and forecast.", no_args_is_help=True)


@app.command()
@reports_errors
def plan(
    terms: Annotated[Path, typer.Option(help="The contract's terms, or a statement that holds them.")],
    month: Annotated[str, typer.Option(help="Such as 2026-11.")],
    others: Annotated[
        Path | None, typer.Option("--records", help="Folder with the records of other installations, one file each.")
    ] = None,
    pairs: Annotated[Path | None, typer.Option(help="CSV with the columns source, coded: names for the table.")] = None,
    target: Annotated[Path | None, typer.Option("--out", help="Where to write the plan, for `measure --plan`.")] = None,
    as_json: Json = False,
) -> None:
    """
    Show which renditions of a month are measured, and which of them still lack evidence.

    It is the very draw that the statement makes, final once the last delivery of the month is recorded. Renditions are
    pseudonyms; with --pairs those that you have are named by their files.

    Example: narrows savings plan --terms terms.json --month 2026-11 --pairs library.csv --out plan.json
    """
    from narrows_metering.period import Period

    from narrows.savings import planning

    agreed, zone = planning.read_terms(terms)
    try:
        first = Period.from_text(month)
        period = Period(year=first.year, month=first.month, time_zone=zone)
    except ValueError as error:
        raise UsageError(f"--month: {error}") from error
    found = planning.make_plan(agreed, period, others=others)
    names = planning.known_files(planning.read_pairs(pairs)) if pairs else {}
    document = found.to_dict()
    if target is not None:
        _write(target, document)
    if as_json:
        show(document, as_json=True)
        return
    lacking = sum(one.lacks is not None for one in found.renditions)
    table = Table("rendition", "drawn", "delivered bytes", "evidence", box=None, title_justify="left")
    table.title = f"{agreed.contract_id}, {period}: {agreed.method.value.replace('_', ' ')}"
    for one in found.renditions:
        name = names[one.rendition].coded.name if one.rendition in names else one.rendition
        drawn = one.part.value if not one.stratum else f"{one.part.value} from {one.stratum}"
        table.add_row(name, drawn, f"{one.delivered_bytes:,}", one.lacks or "measured")
    show_table(table)
    out.print(f"{len(found.renditions):,} of {found.population:,} renditions, {lacking:,} still lack evidence")
    out.print(f"seed {found.seed.hex()}", soft_wrap=True, highlight=False)


@app.command()
@reports_errors
def measure(
    source: Annotated[Path | None, typer.Argument(help="The video that was encoded.")] = None,
    coded: Annotated[Path | None, typer.Argument(help="What `narrows encode` made of it.")] = None,
    target: Annotated[
        Path | None, typer.Option("--out", help="The evidence; with --plan, a folder for all of it.")
    ] = None,
    baseline: Annotated[
        list[str] | None, typer.Option(help="A baseline or its document *.json; may be repeated.")
    ] = None,
    planned: Annotated[Path | None, typer.Option("--plan", help="Measure and record what this plan lacks.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="With --plan: CSV with the columns source, coded.")] = None,
    as_json: Json = False,
) -> None:
    """
    Measure what the baseline needs at equal quality, into a file that anyone can reproduce.

    Of one pair nothing is recorded. With --plan, everything that the plan lacks and --pairs has is measured as the
    contract says and recorded as evidence.

    Example: narrows savings measure talk.mp4 talk.mkv --out talk.evidence.json

    Example: narrows savings measure --plan plan.json --pairs library.csv --out evidence/
    """
    if planned is not None:
        if pairs is None or source is not None:
            raise UsageError("--plan takes --pairs, a CSV with the columns source and coded, and no other files")
        _measure_plan(planned, pairs, target, as_json=as_json)
        return
    if source is None or coded is None or target is None:
        raise UsageError("name the video, the coded file and --out, or a --plan")
    from narrows.media.quality import available_metrics
    from narrows.savings import account, reproduction

    known = account.baselines(baseline)
    with err.status("measuring …") as status:
        document = reproduction.measure(
            source, coded, known, metrics=available_metrics(), on_step=lambda step: status.update(f"{step} …")
        )
    _write(target, document)
    show(
        {f"{e['baseline']}, {e['metric']}": e["baseline_bytes"] or e["status"] for e in document["evidence"]},
        as_json=as_json,
        title=f"{target}: bytes at equal quality",
    )


def _measure_plan(planned: Path, pairs: Path, folder: Path | None, *, as_json: bool) -> None:
    from narrows.savings import planning

    document = planning.read_plan(planned)
    table = Table("coded file", "status", "our bytes", "baseline bytes", box=None)
    measured = []
    with err.status("measuring …") as status:
        for one in planning.measure_plan(
            document,
            planning.read_pairs(pairs),
            evidence_folder=folder,
            on_step=lambda step: status.update(f"{step} …"),
        ):
            measured.append(one)
            needed = "–" if one.baseline_bytes is None else f"{one.baseline_bytes:,}"
            table.add_row(one.coded.name, one.status, f"{one.bytes:,}", needed)
    lacking = sum(one["lacks"] is not None for one in document["renditions"]) - len(measured)
    if as_json:
        show({"measured": measured, "lacking": lacking}, as_json=True)
        return
    show_table(table)
    out.print(f"{len(measured)} measured and recorded; {lacking} of the plan have no file among the pairs")


def _write(path: Path, document: object) -> None:
    try:
        path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error}") from error


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
    tariff: Annotated[
        Path,
        typer.Option(
            help='What your CDN charges, as JSON: {"currency": "EUR", "tiers": [{"up_to_gb": …, "price_per_gb": "…"}]}.'
        ),
    ],
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
    result = replace(result, compared_with=f"{codec.baseline_id}, at equal MS-SSIM")
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
    show_table(table)
    out.print(
        f"{result.measured_count} of {result.file_count} videos measured; {result.delivered_bytes:,} bytes a month "
        f"cost {result.cost_now} now"
    )
