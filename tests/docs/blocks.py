"""
What a page tells its reader to do, as steps that a shell takes.

A comment before a block says what a reader can't see: `<!-- exit 1 -->`, the exit code of its commands, one for each if
several stand there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")})
_BLOCK = re.compile(r"(?:<!-- exit (?P<codes>[\d ]+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)```", re.S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block: its language, its text, and the exit codes that the comment before it says."""

    language: str
    text: str
    exit_codes: tuple[int, ...] = ()

    @property
    def first_line(self) -> str:
        """What the block is called where something is said about it."""
        return self.text.partition("\n")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command of a page, as a shell takes it, and the exit code that the page promises."""

    command: str
    exit_code: int = 0


def blocks(page: str) -> Iterator[Block]:
    """All fenced blocks of *page*, in order."""
    for found in _BLOCK.finditer(page):
        codes = tuple(int(code) for code in (found["codes"] or "").split())
        yield Block(language=found["language"], text=found["text"], exit_codes=codes)


def steps(page: str, *, before_python: str = "", but: Container[str] = ()) -> list[Step]:
    """
    What *page* tells its reader to do, in order.

    Its Python is one program, as a reader goes on in the same session, run where the last of it stands; *before_python*
    is what the reader is taken to have. Blocks whose first line is in *but* are left out.
    """
    runnable = [block for block in blocks(page) if block.first_line not in but]
    python = [block for block in runnable if block.language == "python"]
    found: list[Step] = []
    for block in runnable:
        if block.language == "console":
            commands = typed(block.text)
            codes = block.exit_codes if len(block.exit_codes) > 1 else (*block.exit_codes, 0)[:1] * len(commands)
            found += [Step(command=c, exit_code=code) for c, code in zip(commands, codes, strict=True)]
        elif python and block is python[-1]:
            program = before_python + "\n".join(one.text for one in python)
            found.append(Step(command=f"python - <<'END_OF_PYTHON'\n{program}END_OF_PYTHON"))
    return found


def typed(text: str) -> list[str]:
    """What stands behind a prompt in a console block, with the lines that go on with it; the rest is printed by it."""
    commands: list[str] = []
    is_open, end = False, None
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append(line.removeprefix("$ "))
            here = re.search(r"<<'?(\w+)'?", line)
            is_open, end = line.endswith("\\"), here[1] if here else None
        elif is_open or end is not None:
            commands[-1] += f"\n{line}"
            is_open, end = line.endswith("\\"), None if line == end else end
    return commands


def script(all_steps: Sequence[Step]) -> str:
    """A shell script that types each step, says on descriptor 3 when it ended, and stops at the first that fails."""
    lines = ["shopt -s expand_aliases", "trap 'kill $(jobs -p) 2>/dev/null' EXIT"]
    for number, step in enumerate(all_steps):
        lines += [
            f"printf '%s\\n' {shlex.quote('$ ' + step.command)}",
            step.command,
            f"code=$?; echo {number} $code $EPOCHREALTIME >&3",
            f"[ $code = {step.exit_code} ] || exit 1",
        ]
    return "\n".join(lines) + "\n"
