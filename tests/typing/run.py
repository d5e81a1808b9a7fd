"""
What pyright says of the public API, in its strict mode: what `make types` runs. mypy reads the same program in `check`.

A customer's program has no error and no unknown type; and no public name of `narrows` has a signature that is not
known, or that type checkers could infer differently.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import narrows

ROOT: Final = Path(__file__).parents[2]
CONSUMER: Final = Path(__file__).parent / "consumer.py"
SOURCES: Final = [str(ROOT / member / "src") for member in ("sdk", "metering", "licensing")]


def pyright(*arguments: str) -> dict[str, Any]:
    """What pyright prints as JSON, of the sources here; its exit code only says that there is something."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(CONSUMER, folder)
        project = {"include": [CONSUMER.name], "typeCheckingMode": "strict", "extraPaths": SOURCES}
        (Path(folder) / "pyrightconfig.json").write_text(json.dumps(project))
        command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise SystemExit(f"pyright did not run: {done.stdout}{done.stderr}") from None
    return told


def homes() -> set[str]:
    """Where each public name of `narrows` is defined, as pyright calls it."""
    public = {name: getattr(narrows, name) for name in narrows.__all__ if not name.startswith("__")}
    return {f"{thing.__module__}.{thing.__qualname__}" for thing in public.values()}


def unknown_names() -> tuple[list[str], int]:
    """The public symbols whose type is not known for certain, and how many public symbols there are."""
    known = homes()
    symbols = pyright("--ignoreexternal", "--verifytypes", "narrows")["typeCompleteness"]["symbols"]
    public = [one for one in symbols if one["name"] in known or one["name"].rpartition(".")[0] in known]
    return [one["name"] for one in public if not one["isTypeKnown"] or one["isTypeAmbiguous"]], len(public)


def main() -> int:
    """Exit code 1 if a customer's type checker would complain."""
    checked = pyright()
    problems = [
        f"{Path(one['file']).name}:{one['range']['start']['line'] + 1}: {one['message']}"
        for one in checked["generalDiagnostics"]
    ]
    unknown, count = unknown_names()
    problems += [f"{name}: its type is not known for certain" for name in unknown]
    for problem in problems:
        print(problem)  # noqa: T201
    files = checked["summary"]["filesAnalyzed"]
    print(f"pyright {checked['version']}, strict: {files} program and {count} public symbols, {len(problems)} problems")  # noqa: T201
    return 1 if problems or files != 1 or count < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
