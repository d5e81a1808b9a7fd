"""
The command line: `narrows encode | decode | probe | package | compare | export | evidence | doctor`, and `license`,
`usage` and `savings` with commands of their own.

Exit codes: 0 done, 1 refused or failed (the reason is on standard error), 2 wrong usage.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from narrows.cli import compare as compare_command
from narrows.cli import doctor as doctor_command
from narrows.cli import export as export_commands
from narrows.cli import license as license_commands
from narrows.cli import savings as savings_commands
from narrows.cli import usage as usage_commands
from narrows.cli.terminal import Json, LicensePath, err, notice, out, progress_bar, reports_errors, show
from narrows.options import CRF_DEFAULT, CRF_MAX, KEYINT_DEFAULT, Device, Engine, Preset, Tune, parse_bits
from narrows.packaging.playlist import Variant
from narrows.version import VERSION

if TYPE_CHECKING:
    from narrows.cluster import Cluster

app = typer.Typer(
    name="narrows",
    help="A video codec made only of neural networks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command("compare")(compare_command.compare)
app.command()(doctor_command.doctor)
app.add_typer(export_commands.app, name="export")
app.add_typer(license_commands.app, name="license")
app.add_typer(usage_commands.app, name="usage")
app.add_typer(savings_commands.app, name="savings")


EngineOption = Annotated[Engine, typer.Option(help="What runs the networks; auto: onnx if it is installed.")]
ClusterAddress = Annotated[
    str | None,
    typer.Option("--cluster", metavar="ADDRESS", help="Dask scheduler whose workers encode: tcp://host:8786."),
]


@contextmanager
def joined(address: str | None) -> Iterator[Cluster | None]:
    """The cluster at *address*, if there is one."""
    if address is None:
        yield None
        return
    from narrows.cluster import Cluster

    with Cluster(address) as cluster:
        yield cluster


DeviceOption = Annotated[Device, typer.Option(help="Where they run; auto: a GPU if torch finds one.")]


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
def encode(
    source: Annotated[Path, typer.Argument(help="Any video that FFmpeg reads.")],
    target: Annotated[Path, typer.Argument(help="Matroska (.mkv) or MP4 (.mp4) file to write.")],
    crf: Annotated[int, typer.Option(min=0, max=CRF_MAX, help="Quality, lower is better.")] = CRF_DEFAULT,
    preset: Annotated[Preset, typer.Option(help="How much time the encoder takes.")] = Preset.MEDIUM,
    tune: Annotated[Tune, typer.Option(help="visual: the human eye; fidelity: PSNR.")] = Tune.VISUAL,
    keyint: Annotated[int, typer.Option(min=1, help="Most frames between key frames.")] = KEYINT_DEFAULT,
    low_delay: Annotated[bool, typer.Option("--low-delay", help="Code each frame as it comes: no B-frames.")] = False,
    bitrate: Annotated[str | None, typer.Option(help="Bits a second on average instead of crf: 800k, 1.5M.")] = None,
    passes: Annotated[int, typer.Option(min=1, max=2, help="2: read the source twice, for an exact bitrate.")] = 1,
    maxrate: Annotated[str | None, typer.Option(help="Bits a second that a receiver takes: 1M.")] = None,
    bufsize: Annotated[str | None, typer.Option(help="Bits of its buffer [default: a second of maxrate].")] = None,
    fragmented: Annotated[bool, typer.Option("--fragmented", help="MP4 in fragments, for streaming.")] = False,
    content_class: Annotated[
        str, typer.Option("--content-class", help="Your word for content of this kind: savings are sampled by it.")
    ] = "",
    threads: Annotated[int | None, typer.Option(min=1, max=64, help="Frames coded side by side.")] = None,
    engine: EngineOption = Engine.AUTO,
    device: DeviceOption = Device.CPU,
    cluster: ClusterAddress = None,
    license: LicensePath = None,
    as_json: Json = False,
) -> None:
    """
    Encode a video; its audio, subtitles, chapters and metadata are carried along.

    Example: narrows encode talk.mp4 talk.mkv --crf 32 --preset slow

    Example: narrows encode talk.mov talk.mp4 --bitrate 800k --passes 2 --maxrate 1M --bufsize 2M

    Example: narrows encode film.mov film.mp4 --cluster tcp://scheduler:8786
    """
    from narrows import files

    with joined(cluster) as joined_cluster, progress_bar("encoding", is_quiet=as_json) as update:
        result = files.encode(
            source,
            target,
            crf=crf,
            preset=preset,
            tune=tune,
            keyint=keyint,
            low_delay=low_delay,
            bitrate=None if bitrate is None else parse_bits(bitrate),
            passes=passes,
            maxrate=None if maxrate is None else parse_bits(maxrate),
            bufsize=None if bufsize is None else parse_bits(bufsize),
            fragmented=fragmented,
            content_class=content_class,
            threads=threads,
            engine=engine,
            device=device,
            license=license,
            cluster=joined_cluster,
            on_progress=update,
        )
    if result.license_state != "valid" and not as_json:
        err.print(f"[yellow]The license is in state {result.license_state}; run: narrows license show[/]")
    notice(result.notices, as_json=as_json)
    show(result, as_json=as_json, title="encoded")


@app.command("encode-all")
@reports_errors
def encode_all(
    sources: Annotated[list[Path], typer.Argument(help="Videos that FFmpeg reads.")],
    folder: Annotated[Path, typer.Option("--to", help="Folder for the coded files; each keeps its name.")],
    suffix: Annotated[str, typer.Option(help="Container of all: .mkv or .mp4.")] = ".mkv",
    at_once: Annotated[int, typer.Option(min=1, max=64, help="Files that are worked on at a time.")] = 2,
    crf: Annotated[int, typer.Option(min=0, max=CRF_MAX, help="Quality, lower is better.")] = CRF_DEFAULT,
    preset: Annotated[Preset, typer.Option(help="How much time the encoder takes.")] = Preset.MEDIUM,
    tune: Annotated[Tune, typer.Option(help="visual: the human eye; fidelity: PSNR.")] = Tune.VISUAL,
    keyint: Annotated[int, typer.Option(min=1, help="Most frames between key frames.")] = KEYINT_DEFAULT,
    content_class: Annotated[
        str, typer.Option("--content-class", help="Your word for content of this kind: savings are sampled by it.")
    ] = "",
    cluster: ClusterAddress = None,
    license: LicensePath = None,
    as_json: Json = False,
) -> None:
    """
    Encode many videos. Files that are there already are left alone, so the same command goes on after an interruption.

    Exit code 1 if any could not be encoded; the others are.

    Example: narrows encode-all masters/*.mov --to coded --crf 30 --cluster tcp://scheduler:8786
    """
    from narrows import files

    with joined(cluster) as joined_cluster, progress_bar("files", is_quiet=as_json) as update:
        done = list[files.LibraryFile]()

        def on_file(one: files.LibraryFile) -> None:
            done.append(one)
            update(len(done), len(sources), 0)

        library = files.encode_all(
            sources,
            folder,
            suffix=suffix,
            at_once=at_once,
            on_file=on_file,
            crf=crf,
            preset=preset,
            tune=tune,
            keyint=keyint,
            content_class=content_class,
            license=license,
            cluster=joined_cluster,
        )
    if as_json:
        shown = [
            {"source": one.source, "target": one.target, "result": one.result, "error": one.error and str(one.error)}
            for one in library
        ]
        show({"files": shown}, as_json=True)
    else:
        table = Table("file", "frames", "bytes", "PSNR", box=None)
        for one in library:
            if one.result is not None:
                told = f"{one.result.frame_count}", f"{one.result.file_bytes:,}", f"{one.result.psnr:.2f} dB"
            else:
                told = ("was there" if one.was_there else "failed", "–", "–")
            table.add_row(escape(str(one.target)), *told)
        out.print(table)
    failed = [one for one in library if one.error is not None]
    for one in failed:
        err.print(f"[bold red]error:[/] {escape(str(one.source))}: {escape(str(one.error))}", soft_wrap=True)
    if failed:
        raise typer.Exit(1)


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
    out.print(table)


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
    out.print(table)


def main() -> None:
    """The console script."""
    app()
