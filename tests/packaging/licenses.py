"""
The licenses of all that comes with our wheels, and bills of materials: what `make licenses` runs.

Each wheel is installed into a clean environment; what is in there is what a customer gets. A license that is not on
the list below fails, and so does a package whose license nobody stated: somebody has to read it first.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from .environments import make_environment
from .wheels import ROOT, build_all

PERMISSIVE: Final = re.compile(
    r"(MIT(-0|-CMU)?|BSD([- ][0-3][- ]?Clause)?|0BSD|Apache([- ]2\.0|[- ]Software)?|ISC|PSF-2\.0|BSL-1\.0|Zlib|"
    r"CC0-1\.0|MPL-2\.0|Mozilla Public License 2\.0 \(MPL 2\.0\)|ISC License \(ISCL\)|Apache-2\.0 WITH LLVM-exception|"
    r"Python Software Foundation License)( License)?"
)
OURS: Final = re.compile(r"narrows(-licensing|-metering|-server)?")
EXCEPTIONS: Final = {
    # Name: (license as stated, where it may be, why).
    "python-stdnum": ("LGPL", "vendor", "checks VAT ids on the vendor's own server, which is not shipped"),
}
CARRIED: Final = {
    "av": "its wheels carry FFmpeg with x264 and x265 (GPL): named, never bundled; see THIRD_PARTY.md",
    "opencv-python-headless": "its wheel carries an FFmpeg under the LGPL, as shared libraries that can be replaced",
}
console = Console()


def refusal(name: str, stated: str, party: str) -> str | None:
    """Why this package may not be in the environment of *party*, or None."""
    if OURS.fullmatch(name):
        return None
    allowed = EXCEPTIONS.get(name)
    if allowed is not None and allowed[0] in stated and allowed[1] == party:
        return None
    parts = [part.strip(" ()") for part in re.split(r" AND | OR |;", stated)] if stated != "UNKNOWN" else []
    # In "A OR B" one would do; that each is permissive is stricter, and simpler to be sure of.
    strange = [part for part in parts if not PERMISSIVE.fullmatch(part) and not PERMISSIVE.fullmatch(f"{part})")]
    if not parts or strange:
        return f"{name}: {stated} is not on the list of licenses"
    return None


def licenses_in(programs: Path) -> list[dict[str, str]]:
    """Name, Version and License of each package in an environment, as the packages state them."""
    command = [sys.executable, "-m", "piplicenses", "--python", str(programs / "python"), "--format=json"]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    packages: list[dict[str, str]] = json.loads(told.stdout)
    return packages


def write_bill(programs: Path, target: Path) -> dict[str, Any]:
    """The bill of materials (CycloneDX 1.6, JSON) of an environment; the same environment gives the same bytes."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--spec-version", "1.6"]
    subprocess.run([*command, "-o", str(target), str(programs / "python")], check=True, capture_output=True)
    bill: dict[str, Any] = json.loads(target.read_text())
    return bill


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 with a line for each package that may not be there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where wheels and bills of materials go")
    out: Path = parser.parse_args(arguments).out
    build_all(out)
    refused: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for party, wheel in (("customer", "narrows"), ("vendor", "narrows-server")):
            programs = make_environment(Path(folder) / party, wheel, wheels=out, needs_torch=party == "customer")
            packages = licenses_in(programs)
            bill = write_bill(programs, out / f"{wheel}.cdx.json")
            table = Table("package", "version", "license", "note", title=f"{party}: {wheel} and what it needs")
            for package in packages:
                name, stated = package["Name"], package["License"]
                why = refusal(name, stated, party)
                note = why or CARRIED.get(name) or (EXCEPTIONS[name][2] if name in EXCEPTIONS else "")
                table.add_row(name, package["Version"], stated, note, style="red" if why else None)
                refused += [f"{party}: {why}"] if why else []
            console.print(table)
            console.print(f"{out / f'{wheel}.cdx.json'}: {len(bill['components'])} components")
    for line in refused:
        console.print(f"[red]{line}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
