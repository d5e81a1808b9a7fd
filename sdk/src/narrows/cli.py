"""
The command line: `narrows encode | decode | info | evidence | license … | usage …`.

Exit codes: 0 done, 1 refused or failed (the reason is on standard error), 2 wrong usage.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from enum import Enum
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from narrows.errors import NarrowsError
from narrows.options import CRF_DEFAULT, CRF_MAX, KEYINT_DEFAULT, Preset, Tune
from narrows.version import VERSION

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(
    name="narrows",
    help="A video codec made only of neural networks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
LicensePath = Annotated[
    Path | None, typer.Option("--license", help="License file [default: NARROWS_LICENSE, then the platform's place].")
]


def plain(value: object) -> Any:
    """*value* as JSON can hold it: dataclasses as objects, times in ISO 8601, fractions as text, bytes in hex."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path | Fraction):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


def show(value: object, *, as_json: bool, title: str = "") -> None:
    """Print a result as a table of its members, or as JSON."""
    members = plain(value)
    if as_json:
        sys.stdout.write(json.dumps(members, indent=2) + "\n")
        return
    table = Table(title=title or None, show_header=False, box=None, title_justify="left")
    for name, member in members.items():
        shown = f"{member:.3f}" if isinstance(member, float) else "–" if member is None else str(member)
        table.add_row(name.replace("_", " "), shown, style="default")
    out.print(table)


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Print what the SDK raises on purpose as one line, with exit code 1; anything else is a bug and shows itself."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except NarrowsError as error:
            err.print(f"[bold red]{type(error).__name__}[/]: ", end="")
            err.print(str(error), markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(1) from error

    return run


@contextmanager
def progress_bar(label: str, *, is_quiet: bool) -> Iterator[Callable[[int, int | None, int], None]]:
    """A bar with frames, frames per second, bits per frame and the time left."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=is_quiet or not err.is_terminal) as progress:
        task = progress.add_task(label, total=None, speed="")

        def update(done: int, total: int | None, payload: int) -> None:
            elapsed = progress.tasks[0].elapsed or 1e-9
            speed = f"{done / elapsed:.1f} fps, {8 * payload / done / 1000:.1f} kbit/frame"
            progress.update(task, completed=done, total=total and max(total, done), speed=speed)

        yield update


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
    target: Annotated[Path, typer.Argument(help="Matroska file to write (.mkv).")],
    crf: Annotated[int, typer.Option(min=0, max=CRF_MAX, help="Quality, lower is better.")] = CRF_DEFAULT,
    preset: Annotated[Preset, typer.Option(help="How much time the encoder takes.")] = Preset.MEDIUM,
    tune: Annotated[Tune, typer.Option(help="visual: the human eye; fidelity: PSNR.")] = Tune.VISUAL,
    keyint: Annotated[int, typer.Option(min=1, help="Most frames between key frames.")] = KEYINT_DEFAULT,
    license: LicensePath = None,
    as_json: Json = False,
) -> None:
    """
    Encode a video; its audio is carried along.

    Example: narrows encode talk.mp4 talk.mkv --crf 32 --preset slow
    """
    from narrows import files

    with progress_bar("encoding", is_quiet=as_json) as update:
        result = files.encode(
            source, target, crf=crf, preset=preset, tune=tune, keyint=keyint, license=license, on_progress=update
        )
    if result.license_state != "valid" and not as_json:
        err.print(f"[yellow]The license is in state {result.license_state}; run: narrows license show[/]")
    show(result, as_json=as_json, title="encoded")


@app.command()
@reports_errors
def decode(
    source: Annotated[Path, typer.Argument(help="A file that `narrows encode` wrote.")],
    target: Annotated[Path, typer.Argument(help="YUV4MPEG2 file to write (.y4m).")],
    as_json: Json = False,
) -> None:
    """
    Decode a coded file. Needs no license and no network.

    Example: narrows decode talk.mkv talk.y4m
    """
    from narrows import files

    with progress_bar("decoding", is_quiet=as_json) as update:
        result = files.decode(source, target, on_progress=update)
    show(result, as_json=as_json, title="decoded")


@app.command()
@reports_errors
def info(source: Annotated[Path, typer.Argument(help="A coded file.")], as_json: Json = False) -> None:
    """
    Show what a coded file is, after checking all of it.

    Example: narrows info talk.mkv --json
    """
    from narrows import files

    show(files.inspect(source), as_json=as_json, title=str(source))


@app.command()
@reports_errors
def evidence(
    source: Annotated[Path, typer.Argument(help="The video that was encoded.")],
    coded: Annotated[Path, typer.Argument(help="What `narrows encode` made of it.")],
    baseline: Annotated[list[str] | None, typer.Option(help="libx264-medium, libx265-medium; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """
    Find out what the baseline codec needs at equal quality, and record it as evidence.

    Example: narrows evidence talk.mp4 talk.mkv --baseline libx265-medium
    """
    from narrows import account

    known = account.baselines(baseline)
    with err.status("measuring …") as status:
        comparison = account.record_evidence(source, coded, known, on_step=lambda step: status.update(f"{step} …"))
    if as_json:
        show(comparison, as_json=True)
        return
    table = Table("baseline", "metric", "status", "our bytes", "baseline bytes", "saved", title="evidence", box=None)
    for item in comparison.evidence:
        saved = item.saved_percent
        table.add_row(
            item.baseline.value,
            item.metric.value,
            item.status,
            f"{item.payload_bytes:,}",
            "–" if item.baseline_bytes is None else f"{item.baseline_bytes:,}",
            "–" if saved is None else f"{saved:+.1f} %",
        )
    out.print(table)


def main() -> None:
    """The console script."""
    from narrows import cli_license, cli_usage

    app.add_typer(cli_license.app, name="license")
    app.add_typer(cli_usage.app, name="usage")
    app()
