"""
`make browser`: every page as every role, in light, in dark and on a phone; pictures into a folder, axe on each.

    python -m tests.browser.run --pictures demo-output/pictures --json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page
from rich.console import Console

from tests.demo.seed import SIGN_INS, SignIn
from tests.demo.story import ALPINE, PACIFIC

from .pages import Stop, faults_of, portal_stops, vendor_stops
from .served import Served, chromium, served

WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
README_PICTURES = {("owner", "light", "overview"): "console", ("customer", "light", "statement"): "portal"}
LOOKS = ("light", "dark", "phone")
console = Console(stderr=True)


@dataclass(slots=True)
class Found:
    """What a walk along the pages found."""

    pages: int = 0
    faults: dict[str, list[str]] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)  # What the browser complained about.
    milliseconds: list[float] = field(default_factory=list)  # From asking to the last byte, as the browser has it.

    def to_dict(self) -> dict[str, object]:
        ordered = sorted(self.milliseconds)
        return {
            "pages": self.pages,
            "faults": self.faults,
            "errors": self.errors,
            "milliseconds_median": round(statistics.median(ordered), 1) if ordered else None,
            "milliseconds_p95": round(ordered[int(len(ordered) * 0.95)], 1) if ordered else None,
        }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("demo-output/pictures"))
    parser.add_argument("--readme", type=Path, help="also write the pictures of the README into this folder")
    parser.add_argument("--role", action="append", help="only this role; repeat it")
    parser.add_argument("--look", action="append", choices=LOOKS, help="only this look; repeat it")
    parser.add_argument("--page", action="append", help="only pages of this name; repeat it")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    chosen.pictures.mkdir(parents=True, exist_ok=True)
    found = Found()
    with tempfile.TemporaryDirectory() as folder, served(Path(folder) / "home") as demo, chromium() as browser:
        for who in SIGN_INS:
            role = who.role.value
            if who.email == ALPINE.contact[1] or (chosen.role and role not in chosen.role):
                continue
            stops = portal_stops(demo.office) if role == "customer" else vendor_stops(demo.office)
            if role == "customer" and who.email != PACIFIC.contact[1]:
                continue
            for look in chosen.look or LOOKS:
                if role not in ("owner", "customer") and look != "light":
                    continue  # The same pages in the same colours, with less on them.
                wanted = [stop for stop in stops if not chosen.page or stop.name in chosen.page]
                _walk(demo, browser, who, look, wanted, chosen.pictures, chosen.readme, found)
    if chosen.json:
        print(json.dumps(found.to_dict(), indent=2))  # noqa: T201
    told = found.to_dict()
    console.print(f"{found.pages} pages, p95 {told['milliseconds_p95']} ms; pictures in {chosen.pictures}/")
    for place, faults in {**found.faults, **found.errors}.items():
        console.print(f"[red]{place}[/]: {'; '.join(faults)}")
    return 1 if found.faults or found.errors else 0


def _walk(
    demo: Served,
    browser: Browser,
    who: SignIn,
    look: str,
    stops: Sequence[Stop],
    pictures: Path,
    readme: Path | None,
    found: Found,
) -> None:
    scheme = "dark" if look == "dark" else "light"
    role = who.role.value
    context = demo.signed_in(browser, who, color_scheme=scheme, viewport=PHONE if look == "phone" else WIDE)
    page = context.new_page()
    with _listening(page) as said:
        for stop in stops:
            place = f"{role}.{look}.{stop.name}"
            began = time.monotonic()
            answer = page.goto(stop.path)
            assert answer is not None
            if answer.status == 403:
                said.clear()
                continue  # Not for this role; that it is refused by the table is shown elsewhere.
            assert answer.status == 200, (place, answer.status)
            found.pages += 1
            timing = "performance.getEntriesByType('navigation')[0]"
            found.milliseconds.append(page.evaluate(f"{timing}.responseEnd - {timing}.requestStart"))
            if said:
                found.errors[place] = [*said]
                said.clear()
            faults = faults_of(page)
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1"):
                faults.append("wider than its window")
            if faults:
                found.faults[place] = faults
            page.screenshot(path=pictures / f"{place}.png", full_page=True)
            name = README_PICTURES.get((role, look, stop.name))
            if readme is not None and name is not None:
                readme.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=readme / f"{name}.png")
            console.print(f"  {place} [dim]{time.monotonic() - began:.1f} s[/]")
    context.close()


@contextmanager
def _listening(page: Page) -> Iterator[list[str]]:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield said


if __name__ == "__main__":
    sys.exit(main())
