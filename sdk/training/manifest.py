"""
The training material and the licenses it may be used under.

A manifest is the tab-separated `PROVENANCE.tsv` beside the files: path, kind, source and license of each.
Only material whose license allows a product is read; everything else is listed as refused, with the reason.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

ALLOWED_LICENSES = (
    "BSD",
    "CC-BY-2.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0",
    "MIT",
    "Mixkit / Coverr",
    "Pexels",
    "Pixabay",
    "US public domain",
    "Unsplash",
)
"""Prefixes of the licenses that permit training of a commercial product."""

SHARE_MAX = 0.15
"""No one source may fill more of the sequences than this: robots and offices are over-represented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One file of training material."""

    path: Path
    kind: str
    source: str
    license: str

    @property
    def origin(self) -> str:
        """The repository or site that the file came from; the unit that `SHARE_MAX` counts."""
        return self.source.split(":")[0]

    @property
    def is_allowed(self) -> bool:
        return self.license.startswith(ALLOWED_LICENSES)


def read_manifest(folder: Path) -> tuple[list[Material], list[Material]]:
    """Return the (allowed, refused) material of *folder*; raises FileNotFoundError without its manifest."""
    with (folder / "PROVENANCE.tsv").open(newline="") as file:
        rows = [
            Material(path=folder / row["path"], kind=row["kind"], source=row["source"], license=row["license"])
            for row in csv.DictReader(file, delimiter="\t")
        ]
    return [m for m in rows if m.is_allowed], [m for m in rows if not m.is_allowed]
