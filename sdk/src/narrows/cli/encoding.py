"""The command line's `narrows encode | encode-all`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from narrows.cli.terminal import (
    DeviceOption,
    EngineOption,
    Json,
    LicensePath,
    err,
    notice,
    progress_bar,
    reports_errors,
    show,
    show_table,
)
from narrows.options import CRF_DEFAULT, CRF_MAX, KEYINT_DEFAULT, Device, Engine, Preset, Tune, parse_bits

if TYPE_CHECKING:
    from narrows.cluster import Cluster

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
        show_table(table)
    failed = [one for one in library if one.error is not None]
    for one in failed:
        err.print(f"[bold red]error:[/] {escape(str(one.source))}: {escape(str(one.error))}", soft_wrap=True)
    if failed:
        raise typer.Exit(1)
