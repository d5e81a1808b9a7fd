"""
`make mutants`: rating, rounding and numbering changed in hundreds of small ways, and how many of them the tests notice.

mutmut works on copies in a folder of its own, since it rewrites what it tests. Prints the score and the survivors;
exits with 1 below the bar.
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
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("metering/src/narrows_metering", "licensing/src/narrows_licensing", "server/src/narrows_server")
NOTICED = ("killed", "timeout", "segfault", "suspicious", "caught_by_type_check")
SCORE_MIN = 85.0
# mutmut runs pytest several times in one process, which hypothesis takes for a fault of the tests.
_REPEATED_RUNS = """
from hypothesis import HealthCheck, settings

settings.register_profile("mutants", suppress_health_check=list(HealthCheck), deadline=None, max_examples=50)
settings.load_profile("mutants")
"""


def main() -> int:
    """The exit code of the command."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[], help="mutants by name, as mutmut writes them")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="narrows-mutants-") as name:
        folder = Path(name)
        _copy(folder)
        mutmut = [sys.executable, "-m", "mutmut"]
        shown = subprocess.DEVNULL if options.json else None
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "sdk/src"), str(folder)])}
        run = subprocess.run(
            [*mutmut, "run", "--max-children", str(options.jobs), *options.only],
            cwd=folder, env=environment, stdout=shown, check=False,
        )  # fmt: skip
        if run.returncode:
            sys.stderr.write(f"mutmut ended with {run.returncode}\n")
            return run.returncode
        subprocess.run([*mutmut, "export-cicd-stats"], cwd=folder, env=environment, capture_output=True, check=True)
        stats = json.loads((folder / "mutants/mutmut-cicd-stats.json").read_text())
        listed = subprocess.run(
            [*mutmut, "results"], cwd=folder, env=environment, capture_output=True, text=True, check=True
        ).stdout
    noticed = sum(stats.get(kind, 0) for kind in NOTICED)
    tested = noticed + stats["survived"] + stats.get("no_tests", 0)
    score = 100 * noticed / max(1, tested)
    survivors = [line.strip() for line in listed.splitlines() if "survived" in line or "no tests" in line]
    figures = {
        "score": round(score, 1),
        "noticed": noticed,
        "mutants": tested,
        "seconds": round(time.monotonic() - started),
        "survivors": survivors,
    }
    if options.json:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    else:
        for line in survivors:
            sys.stdout.write(f"  {line}\n")
        sys.stdout.write(f"{noticed} of {tested} mutants noticed: {score:.1f} % (bar {SCORE_MIN:.0f} %)\n")
    return 0 if score >= SCORE_MIN else 1


def _copy(folder: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / "src" / Path(package).name, ignore=ignored)
    for part in ("rating", "metering", "server", "licensing"):
        shutil.copytree(ROOT / "tests" / part, folder / "tests" / part, ignore=ignored)
    for name in ("__init__.py", "conftest.py"):
        shutil.copy(ROOT / "tests" / name, folder / "tests" / name)
    with (folder / "tests" / "conftest.py").open("a") as conftest:
        conftest.write(_REPEATED_RUNS)
    shutil.copy(Path(__file__).with_name("pyproject.toml"), folder / "pyproject.toml")


if __name__ == "__main__":
    sys.exit(main())
