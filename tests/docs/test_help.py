"""Every command shows an example in its help, and the example is understood by the command that it is of."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from narrows.cli.app import app as narrows
from narrows_licensing.relay.cli import _parser as relay_parser
from narrows_metering.recompute import app as recompute
from narrows_server.cli import app as narrows_server

from .command_line import RELAY_COMMANDS, relay_help

PROGRAMS: dict[str, Any] = {
    name: typer.main.get_command(app)
    for name, app in (("narrows", narrows), ("narrows-recompute", recompute), ("narrows-server", narrows_server))
}


def commands(found: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command below *found* by what is typed for it; groups are not commands."""
    if not hasattr(found, "commands"):
        yield path, found
        return
    for name, below in found.commands.items():
        yield from commands(below, f"{path} {name}")


ALL = dict(one for name, program in PROGRAMS.items() for one in commands(program, name))


def examples(help_text: str) -> list[str]:
    """What stands there as typed: after "Example:" in the SDK, dim on the server, where one may go over lines."""
    return re.findall(r"Example: (.+)", help_text) + re.findall(r"\[dim\](.*?)\[/\]", help_text, re.S)


@pytest.mark.parametrize("path", ALL)
def test_an_example_is_shown_and_is_understood(path: str) -> None:
    typed = [
        part
        for text in examples(f"{ALL[path].help}\n{ALL[path].epilog}")
        for part in re.split(r"[|>]|&&", text)
        if path in part
    ]

    assert typed
    for command in typed:
        words = shlex.split(command[command.index(path) :].replace("\\\n", " "))
        ALL[path].make_context(path, words[len(path.split()) :])  # Raises what a user would be told.


@pytest.mark.parametrize("path", ALL)
def test_every_option_and_argument_says_in_a_sentence_what_it_is(path: str) -> None:
    unsaid = [one.name for one in ALL[path].params if not re.match(r"\S+ \S+.*", getattr(one, "help", None) or "")]

    assert unsaid == []


@pytest.mark.parametrize("name", RELAY_COMMANDS)
def test_every_option_of_the_relay_says_what_it_is(name: str) -> None:
    (commands,) = (action for action in relay_parser()._actions if isinstance(action, argparse._SubParsersAction))

    assert [one.dest for one in commands.choices[name]._actions if " " not in (one.help or "")] == []


@pytest.mark.parametrize("name", RELAY_COMMANDS)
def test_an_example_of_the_relay_is_understood(name: str) -> None:
    (example,) = examples(" ".join(relay_help(name).split()))
    words = shlex.split(example)

    assert words[0] == "narrows-relay"
    assert callable(relay_parser().parse_args(words[1:]).run)


def test_each_program_has_as_many_commands_as_its_reference() -> None:
    assert len(ALL) > 130
