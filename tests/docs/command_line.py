"""The page of all commands, from the programs themselves."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from importlib import import_module

import typer
import typer.cli

EXIT_CODES = """
**Exit codes** are the same for all programs: **0** done; **1** not done, or something is to be seen to, and the last
line says what; **2** the command was not understood. `narrows license doctor` has a third: **3** permitted, but see to
it soon. With `--json`, standard output is one JSON object; progress and errors go to standard error.
"""


def command_line() -> str:
    """All commands with their arguments, options and examples."""
    parts = ["# Command line\n", EXIT_CODES.strip() + "\n"]
    for program, module in (
        ("narrows", "narrows.cli.app"),
        ("narrows-recompute", "narrows_metering.recompute"),
        ("narrows-server", "narrows_server.cli"),
    ):
        command = typer.main.get_command(import_module(module).app)
        text = typer.cli.get_docs_for_click(obj=command, ctx=typer.Context(command), name=program)
        parts.append(deepened(text).rstrip() + "\n")
    parts.append(f"## `narrows-relay`\n\n```text\n{relay_help().rstrip()}\n```\n")
    parts += [f"### `narrows-relay {name}`\n\n```text\n{relay_help(name).rstrip()}\n```\n" for name in RELAY_COMMANDS]
    return "\n".join(parts)


def deepened(text: str) -> str:
    """*text* with its headings a level deeper, outside of its code blocks, and with its examples as code."""
    # They are dim on a terminal.
    text = re.sub(r"\[dim\](.*?)\[/\]", r"\n```console\n$ \1\n```\n", text, flags=re.S)
    lines, in_block = [], False
    for line in text.splitlines():
        in_block ^= line.startswith("```")
        lines.append(f"#{line}" if line.startswith("#") and not in_block else line.rstrip())
    return "\n".join(lines)


RELAY_COMMANDS = ("request", "import", "serve", "status", "forward", "export", "receipts")


def relay_help(*command: str) -> str:
    """What `narrows-relay COMMAND --help` prints, on a terminal of 100 columns."""
    main: Callable[[list[str]], int] = import_module("narrows_licensing.relay.cli").main
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"  # argparse asks nothing else.
    try:
        with redirect_stdout(io.StringIO()) as text, suppress(SystemExit):
            main([*command, "--help"])
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return text.getvalue()
