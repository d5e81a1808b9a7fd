"""
The command line: `narrows encode | decode | probe | package | compare | export | evidence | doctor`, and `license`,
`usage` and `savings` with commands of their own.

Exit codes: 0 done, 1 refused or failed (the reason is on standard error), 2 wrong usage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from narrows.cli import compare as compare_command
from narrows.cli import doctor as doctor_command
from narrows.cli import encoding
from narrows.cli import export as export_commands
from narrows.cli import license as license_commands
from narrows.cli import savings as savings_commands
from narrows.cli import usage as usage_commands
from narrows.cli.terminal import (
    DeviceOption,
    EngineOption,
    Json,
    err,
    notice,
    out,
    progress_bar,
    reports_errors,
    show,
    show_table,
)
from narrows.options import Device, Engine
from narrows.packaging.playlist import Variant
from narrows.version import VERSION

app = typer.Typer(
    name="narrows",
    help="A video codec made only of neural networks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command()(encoding.encode)
app.command("encode-all")(encoding.encode_all)
app.add_typer(export_commands.app, name="export")
app.add_typer(license_commands.app, name="license")
app.add_typer(usage_commands.app, name="usage")
app.add_typer(savings_commands.app, name="savings")


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"narrows {VERSION}")
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """A video codec made only of neural networks."""


@app.command()
@reports_errors
def decode(
    source: Annotated[Path, typer.Argument(help="A file that `narrows encode` wrote.")],
    target: Annotated[Path, typer.Argument(help="Y4M (.y4m), or FFV1 with the sound beside it (.mkv).")],
    start: Annotated[float | None, typer.Option(min=0, help="Seconds from the start of the video.")] = None,
    duration: Annotated[float | None, typer.Option(min=0.001, help="Seconds to decode.")] = None,
    conceal: Annotated[
        bool, typer.Option("--conceal", help="Go on in a damaged or cut-off file; lost frames repeat the last.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, max=64, help="Frames decoded side by side.")] = None,
    engine: EngineOption = Engine.AUTO,
    device: DeviceOption = Device.CPU,
    as_json: Json = False,
) -> None:
    """
    Decode a coded file, or a part of it. Needs no license and no network.

    Example: narrows decode talk.mkv talk.y4m --start 12.5 --duration 3
    """
    from narrows import files

    with progress_bar("decoding", is_quiet=as_json) as update:
        result = files.decode(
            source,
            target,
            start=start,
            duration=duration,
            conceal=conceal,
            threads=threads,
            engine=engine,
            device=device,
            on_progress=update,
        )
    notice(result.notices, as_json=as_json)
    show(result, as_json=as_json, title="decoded")


@app.command()
@reports_errors
def probe(source: Annotated[Path, typer.Argument(help="A coded file.")], as_json: Json = False) -> None:
    """
    Show what a coded file is, after checking all of it.

    Example: narrows probe talk.mkv --json
    """
    from narrows import files

    show(files.probe(source), as_json=as_json, title=str(source))


@app.command()
@reports_errors
def package(
    sources: Annotated[list[Path], typer.Argument(help="Coded files: one video at several rates or sizes.")],
    hls: Annotated[Path, typer.Option("--hls", help="Folder to write HLS with fragmented MP4 into.")],
    segment_seconds: Annotated[float, typer.Option(min=0.1, help="Most seconds of a segment.")] = 6,
    as_json: Json = False,
) -> None:
    """
    Package coded files for delivery; nothing is coded again.

    Example: narrows package talk-high.mp4 talk-low.mp4 --hls talk/
    """
    from narrows.packaging.hls import package_hls

    with err.status("packaging …") as status:
        result = package_hls(
            sources, hls, segment_seconds=segment_seconds, on_step=lambda step: status.update(f"packaging {step} …")
        )
    notice(result.notices, as_json=as_json)
    if as_json:
        show(result, as_json=True)
        return
    table = Table("track", "codecs", "size", "kbit/s", "peak", "segments", title=str(result.master), box=None)
    for track in (*result.variants, *result.sounds):
        size = f"{track.width}×{track.height}" if isinstance(track, Variant) else "–"
        peak, average = f"{track.peak / 1000:.0f}", f"{track.average / 1000:.0f}"
        table.add_row(track.folder, track.codecs, size, average, peak, str(len(track.segments)))
    show_table(table)


@app.command()
@reports_errors
def evidence(
    source: Annotated[Path, typer.Argument(help="The video that was encoded.")],
    coded: Annotated[Path, typer.Argument(help="What `narrows encode` made of it.")],
    baseline: Annotated[
        list[str] | None, typer.Option(help="A baseline or its document *.json; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """
    Find out what the baseline codec needs at equal quality, and record it as evidence.

    Example: narrows evidence talk.mp4 talk.mkv --baseline libx265-medium
    """
    from narrows.media.quality import available_metrics
    from narrows.savings import account

    known = account.baselines(baseline)
    with err.status("measuring …") as status:
        comparison = account.record_evidence(
            source, coded, known, metrics=available_metrics(), on_step=lambda step: status.update(f"{step} …")
        )
    if as_json:
        show(comparison, as_json=True)
        return
    table = Table("baseline", "metric", "status", "our bytes", "baseline bytes", "saved", title="evidence", box=None)
    for item in comparison.evidence:
        saved = item.saved_percent
        table.add_row(
            item.baseline,
            item.metric.value,
            item.status,
            f"{item.payload_bytes:,}",
            "–" if item.baseline_bytes is None else f"{item.baseline_bytes:,}",
            "–" if saved is None else f"{saved:+.1f} %",
        )
    show_table(table)


app.command("compare")(compare_command.compare)
app.command()(doctor_command.doctor)


def main() -> None:
    """The console script."""
    app()
