"""The reference says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import narrows
import pytest

from .reference import PAGES, REFERENCE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_current(name: str) -> None:
    assert (REFERENCE / name).read_text() == PAGES[name](), "run: make reference"


def test_every_variable_that_the_code_reads_is_explained() -> None:
    page = (REFERENCE / "environment.md").read_text()
    sources = [path.read_text() for member in ("sdk", "server", "metering", "licensing") for path in code_of(member)]
    variables = {name for text in sources for name in re.findall(r"NARROWS_[A-Z_]*[A-Z]", text)}

    assert {name for name in variables if f"`{name}`" not in page} == {"NARROWS_SERVER"}


def test_every_public_name_is_in_the_api_reference() -> None:
    page = (REFERENCE / "python-api.md").read_text()
    errors = (REFERENCE / "errors.md").read_text()
    names = set(narrows.__all__) - {"__version__"}

    assert {name for name in names if f"::: narrows.{name}\n" not in page and name not in errors} == set()


def code_of(member: str) -> list[Path]:
    return sorted((ROOT / member / "src").rglob("*.py"))
