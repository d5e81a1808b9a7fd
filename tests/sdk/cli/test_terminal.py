"""Colour and line breaks are for people: what goes into a pipe is plain, one line to an error."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

from .test_app import NARROWS, narrows


def on_a_terminal(folder: Path, *arguments: str) -> str:
    """What `narrows` prints to somebody who looks."""
    watching, terminal = pty.openpty()
    environment = {
        **{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
        "TERM": "xterm-256color",
        "COLUMNS": "200",
        "NARROWS_LICENSE": str(folder / "license.json"),
        "NARROWS_STATE": str(folder / "state"),
    }
    subprocess.run([*NARROWS, *arguments], env=environment, stdout=terminal, stderr=terminal, check=False, timeout=120)
    os.close(terminal)
    printed = b""
    try:
        while piece := os.read(watching, 65_536):
            printed += piece
    except OSError:  # How Linux says that nobody writes any more.
        pass
    os.close(watching)
    return printed.decode()


def test_a_refusal_in_a_pipe_is_one_plain_line_and_to_a_person_two_in_colour(tmp_path: Path) -> None:
    piped = narrows(tmp_path, "license", "show").stderr
    seen = on_a_terminal(tmp_path, "license", "show")

    assert "\x1b" not in piped
    assert len(piped.splitlines()) == 1
    assert "\x1b[1;31m" in seen
    assert "\r\nNext step: " in seen


def test_a_table_in_a_pipe_has_no_colour_and_whole_lines(tmp_path: Path) -> None:
    folder = tmp_path / ("a-long-name-" * 12)
    folder.mkdir()
    piped = narrows(folder, "license", "development").stdout

    assert "\x1b" not in piped
    assert any(str(folder / "license.json") in line for line in piped.splitlines())
