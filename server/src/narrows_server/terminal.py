"""
How commands read their options and show what they did: sentences and tables for people, JSON for programs.

With --json, one JSON document goes to the standard output and nothing else does. Errors go to the standard error
in both cases. Exit codes: 0 done, 1 refused or something needs attention, 2 asked for in a wrong way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import OperationalError
from typer.core import TyperGroup

from narrows_server.database import reason_of
from narrows_server.errors import HomeMissing, Invalid, ServerError
from narrows_server.office import Office, open_office
from narrows_server.settings import HOME_VARIABLE, Settings

EXIT_ATTENTION = 1
EXIT_USAGE = 2
PIPE_CHARACTERS = 1_000

Home = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="FOLDER", envvar=HOME_VARIABLE, help="The server's state folder.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class Commands(TyperGroup):
    """A group of commands that says what went wrong in one sentence."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ServerError as error:
            _say_error(error.detail)
            raise typer.Exit(EXIT_USAGE if isinstance(error, HomeMissing | Invalid) else EXIT_ATTENTION) from error
        except OperationalError as error:
            _say_error(f"the database does not answer: {reason_of(error)}")
            raise typer.Exit(EXIT_ATTENTION) from error


def _say_error(sentence: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]error:[/] {_plain(sentence)}")


def group(summary: str) -> typer.Typer:
    """An empty group of commands."""
    return typer.Typer(
        cls=Commands,
        help=summary,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )


def settings_of(home: Path | None) -> Settings:
    """The settings from the command line and the environment."""
    return Settings.read(os.environ, home=home)


@contextmanager
def office_of(home: Path | None) -> Iterator[Office]:
    """The opened state folder, for one command."""
    with open_office(settings_of(home)) as office:
        yield office


def show_json(value: object) -> None:
    """Print *value* as one JSON document."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_json_text))


def say(sentence: str) -> None:
    """Print a sentence; rich markup is understood, so quote foreign text with `quoted`."""
    Console(soft_wrap=True, highlight=False).print(sentence)


def quoted(text: object) -> str:
    """*text* in a sentence, with nothing in it taken for markup."""
    return f"[bold]{_plain(str(text))}[/]"


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print *rows* under *columns*; a column whose name begins with ">" is aligned right. *empty* if there are none."""
    if not rows:
        say(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(
            column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(_plain("–" if cell is None else str(cell)) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        # Into a pipe there is no width to fit: lines stay whole so that `grep` and `awk` find what they look for.
        console.width = PIPE_CHARACTERS
    console.print(table)


def write_file(path: Path, content: bytes) -> None:
    """Write a file that was asked for. Raises `Invalid` if the folder is missing or not writable."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise Invalid(f"{path} cannot be written: {error.strerror}") from error


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def _json_text(value: object) -> str:
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat() if isoformat else value)
