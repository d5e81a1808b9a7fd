"""The README says where everything is."""

from __future__ import annotations

import re
from pathlib import Path

import narrows_metering

PACKAGE = Path(narrows_metering.__file__).parent
README = PACKAGE.parents[1] / "README.md"


def test_every_module_has_a_place_in_the_table() -> None:
    rows = re.findall(r"^\| (`.*?) \|", README.read_text(encoding="utf-8"), re.M)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}

    modules = {path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__"}

    assert named == modules | {"importers"}
