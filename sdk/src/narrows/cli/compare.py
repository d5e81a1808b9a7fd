"""`narrows compare`: one page that shows Narrows beside other encoders on the user's own clip."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from narrows.cli.terminal import Json, LicensePath, err, notice, out, reports_errors, show_table
from narrows.errors import VideoError
from narrows.options import Preset, Tune

_METRICS = (("ms_ssim", "MS-SSIM"), ("vmaf_neg", "VMAF NEG"), ("psnr", "PSNR"))


@reports_errors
def compare(
    clip: Annotated[Path, typer.Argument(help="Any video that FFmpeg reads.")],
    target: Annotated[Path | None, typer.Option("--out", help="HTML to write [default: CLIP.compare.html].")] = None,
    frames: Annotated[int, typer.Option(min=0, help="Frames to compare, from the first on; 0: all.")] = 64,
    crf: Annotated[list[int] | None, typer.Option(min=0, max=63, help="One or more [default: 8 20 32 44 56].")] = None,
    against: Annotated[list[str] | None, typer.Option(help="x264, x265, svt-av1; may be repeated.")] = None,
    preset: Annotated[Preset, typer.Option(help="Of Narrows.")] = Preset.MEDIUM,
    tune: Annotated[Tune, typer.Option(help="Of Narrows.")] = Tune.VISUAL,
    license: LicensePath = None,
    as_json: Json = False,
) -> None:
    """
    Compare Narrows with x264, x265 and SVT-AV1 on a clip: rate and quality, pictures at the same rate, speed.

    Example: narrows compare talk.mp4 --frames 100 --out talk.html
    """
    from narrows.comparing import measurement
    from narrows.comparing.anchors import ANCHORS
    from narrows.comparing.page import as_json as comparison_as_json
    from narrows.comparing.page import page
    from narrows.media.unfinished import UnfinishedFile
    from narrows.media.video import translated

    names = [anchor.name for anchor in ANCHORS]
    unknown = set(against or ()) - set(names)
    if unknown:
        raise VideoError(f"no encoder is called {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    wanted = [anchor for anchor in ANCHORS if anchor.name in (against or names)]
    missing = [anchor for anchor in wanted if not anchor.is_available]
    path = target or clip.with_name(clip.name + ".compare.html")
    with _steps(is_quiet=as_json) as on_step:
        comparison = measurement.compare(
            clip,
            anchors=[anchor for anchor in wanted if anchor.is_available],
            crfs=tuple(crf) if crf else measurement.CRFS,
            frames=frames or None,
            preset=preset,
            tune=tune,
            license=license,
            on_step=on_step,
        )
    unfinished = UnfinishedFile(path)
    with translated(f"can't write {path}"):
        unfinished.path.write_text(page(comparison), "utf-8")
        unfinished.finish()
    notice((f"this build of PyAV has no {anchor.encoder}" for anchor in missing), as_json=as_json)
    notice(comparison.notices, as_json=as_json)
    if as_json:
        sys.stdout.write(json.dumps({**comparison_as_json(comparison), "page": str(path)}, indent=2) + "\n")
        return
    table = Table("Narrows against", *(name for _, name in _METRICS), title="bytes at equal quality", box=None)
    for row in comparison.bd_rates:
        figures = (getattr(row, key) for key, _ in _METRICS)
        table.add_row(comparison.labels[row.anchor], *("–" if f is None else f"{f:+.1f} %" for f in figures))
    show_table(table)
    out.print(f"written: {path}", highlight=False, soft_wrap=True)


@contextmanager
def _steps(*, is_quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar of the encodes that are done."""
    columns = (
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=is_quiet or not err.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def update(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield update
