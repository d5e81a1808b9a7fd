"""
`make defences`: the tests of the server notice when one of its defences is gone.

Each defence is taken out of a copy of the server, one at a time, and the test that `docs/explanation/security.md` names
for it has to fail on that copy; before, all of these tests have to pass on the copy as it is. Exits with 1 if a test
passes without its defence.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from .defences import DEFENCES, Defence

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "server/src"
PASSED, FAILED = 0, 1  # Of pytest; anything else is neither, such as a test that is not there.
console = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make defences", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="copies at once [%(default)s]")
    parser.add_argument("--row", type=int, action="append", help="only this row of security.md; repeat it")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    chosen = [one for one in DEFENCES if not options.row or one.row in options.row]
    began = time.monotonic()
    with console.status("the tests as they are …"):
        if (code := _on_a_copy((), [one.test for one in chosen])) != PASSED:
            console.print(f"[red]the tests do not pass with all defences in place (pytest ended with {code})[/]")
            return 2
    unnoticed = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for one, code in zip(chosen, pool.map(_without, chosen), strict=True):
            is_noticed = code == FAILED
            console.print(f"  {'[green]✓[/]' if is_noticed else '[red]✗[/]'} {one.row:2} {one.what} [dim]{one.test}[/]")
            if not is_noticed:
                unnoticed.append({"row": one.row, "what": one.what, "test": one.test, "pytest": code})
    figures = {"defences": len(chosen), "unnoticed": unnoticed, "seconds": round(time.monotonic() - began)}
    if options.json:
        print(json.dumps(figures, indent=2))  # noqa: T201
    console.print(
        f"{len(chosen) - len(unnoticed)} of {len(chosen)} defences are missed by their test when they are gone"
    )
    return 1 if unnoticed else 0


def without(source: str, text: str, replacement: str) -> str:
    """*source* with *replacement* for the one place where *text* stands. Raises ValueError for none and for several."""
    if source.count(text) != 1:
        raise ValueError(f"{source.count(text)} times and not once: {text!r}")
    return source.replace(text, replacement)


def _without(defence: Defence) -> int:
    return _on_a_copy(defence.edits, [defence.test])


def _on_a_copy(edits: Iterable[tuple[str, str, str]], tests: Iterable[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="narrows-defences-") as name:
        copy = Path(name) / "src"
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for file, text, replacement in edits:
            path = copy / "narrows_server" / file
            path.write_text(without(path.read_text(), text, replacement))
        named = [test.split(".") for test in dict.fromkeys(tests)]
        files = dict.fromkeys(f"tests/server/test_{module}.py" for module, _ in named)
        paths = [str(copy), *(str(ROOT / part / "src") for part in ("sdk", "licensing", "metering")), str(ROOT)]
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files]
        return subprocess.run(
            [*command, "-k", " or ".join(f"test_{name}" for _, name in named)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
