"""
How the command line talks: tables for people, JSON for programs, one line for an error, a bar for long work.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from narrows.errors import NarrowsError
from narrows.options import Device, Engine
from narrows.shown import label_of, plain, text_of

P = ParamSpec("P")
R = TypeVar("R")

out = Console()
err = Console(stderr=True)

PIPE_CHARACTERS = 1_000

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
EngineOption = Annotated[Engine, typer.Option(help="What runs the networks; auto: onnx if it is installed.")]
DeviceOption = Annotated[Device, typer.Option(help="Where they run; auto: a GPU if torch finds one.")]
LicensePath = Annotated[
    Path | None, typer.Option("--license", help="License file; by default NARROWS_LICENSE, then the platform's place.")
]


def notice(texts: Iterable[str], *, as_json: bool) -> None:
    """What a person should know about work that was done; in JSON it is part of the result."""
    for text in () if as_json else texts:
        err.print(f"[yellow]notice[/]: {escape(text)}", soft_wrap=True, highlight=False)


def show(value: object, *, as_json: bool, title: str = "") -> None:
    """Print a result as a table of its members, or as JSON."""
    members = plain(value)
    if as_json:
        sys.stdout.write(json.dumps(members, indent=2) + "\n")
        return
    table = Table(title=title or None, show_header=False, box=None, title_justify="left")
    for name, member in members.items():
        table.add_row(label_of(name), text_of(member), style="default")
    show_table(table)


def show_table(table: Table) -> None:
    """Print a table; into a pipe there is no width to fit, so lines stay whole for `grep` and `awk`."""
    # A console's own width is the most that it prints, whatever `print` is told.
    whole = out if out.is_terminal else Console(file=out.file, width=PIPE_CHARACTERS)
    whole.print(table)


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """
    Print what the SDK raises on purpose as one line, with exit code 1; a person gets the next step on a line of its
    own. Anything else is a bug and shows itself.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except NarrowsError as error:
            err.print(f"[bold red]{type(error).__name__}[/]: ", end="")
            told = str(error).replace(" Next step: ", "\nNext step: ") if err.is_terminal else str(error)
            err.print(told, markup=False, highlight=False, soft_wrap=True)
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
