"""
`make browser`: every flow, and every page as every role in light, in dark and on a phone; pictures into a folder, axe
on each.

    python -m tests.browser.run --pictures demo-output/pictures --json
    python -m tests.browser.run --flow webhooks --no-pages
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
from playwright.sync_api import Error as PlaywrightError
from rich.console import Console

from tests.demo.seed import SIGN_INS, SignIn
from tests.demo.story import ALPINE, PACIFIC

from .flows import FLOWS, TWO_PERSON_FLOWS, Stage
from .pages import Stop, faults_of, portal_stops, vendor_stops
from .served import Served, chromium, served

WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
README_PICTURES = {("owner", "light", "overview"): "console", ("customer", "light", "statement"): "portal"}
LOOKS = ("light", "dark", "phone")
console = Console(stderr=True)


@dataclass(slots=True)
class Found:
    """What flows and a walk along the pages found."""

    flows: list[str] = field(default_factory=list)
    broken: dict[str, list[str]] = field(default_factory=dict)
    pages: int = 0
    faults: dict[str, list[str]] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)  # What the browser complained about.
    milliseconds: list[float] = field(default_factory=list)  # From asking to the last byte, as the browser has it.

    def to_dict(self) -> dict[str, object]:
        ordered = sorted(self.milliseconds)
        return {
            "flows": self.flows,
            "broken": self.broken,
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
    parser.add_argument("--flow", action="append", choices=sorted(one.__name__ for one in (*FLOWS, *TWO_PERSON_FLOWS)))
    parser.add_argument("--no-pages", action="store_true", help="flows alone")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    chosen.pictures.mkdir(parents=True, exist_ok=True)
    found = Found()
    is_narrowed = bool(chosen.role or chosen.look or chosen.page)
    with chromium() as browser:
        if not is_narrowed:
            _play(browser, chosen.flow, chosen.pictures, found)
        if not chosen.no_pages and not chosen.flow:
            _see(browser, chosen, found)
    if chosen.json:
        print(json.dumps(found.to_dict(), indent=2))  # noqa: T201
    told = found.to_dict()
    pages = f"{found.pages} pages, p95 {told['milliseconds_p95']} ms"
    console.print(f"{len(found.flows)} flows, {len(found.broken)} broken; {pages}; pictures in {chosen.pictures}/")
    for place, faults in {**found.broken, **found.faults, **found.errors}.items():
        console.print(f"[red]{place}[/]: {'; '.join(faults)}", markup=True)
    return 1 if found.broken or found.faults or found.errors else 0


def _play(browser: Browser, wanted: Sequence[str] | None, pictures: Path, found: Found) -> None:
    """Every flow, in order; one that breaks does not keep the others from being played."""
    for flows, is_two_person in ((FLOWS, False), (TWO_PERSON_FLOWS, True)):
        chosen = [flow for flow in flows if not wanted or flow.__name__ in wanted]
        if not chosen:
            continue
        with (
            tempfile.TemporaryDirectory() as folder,
            served(Path(folder) / "home", is_two_person=is_two_person) as demo,
        ):
            for flow in chosen:
                stage = Stage(demo=demo, browser=browser, pictures=pictures, flow=flow.__name__)
                began = time.monotonic()
                try:
                    flow(stage)
                except (AssertionError, PlaywrightError) as error:
                    found.broken[flow.__name__] = [str(error)]
                found.flows.append(flow.__name__)
                if stage.faults:
                    found.faults[flow.__name__] = stage.faults
                mark = "[red]✗[/]" if flow.__name__ in found.broken else "[green]✓[/]"
                said = (flow.__doc__ or "").splitlines()[0]
                console.print(f"  {mark} {flow.__name__}: {said} [dim]{time.monotonic() - began:.1f} s[/]")


def _see(browser: Browser, chosen: argparse.Namespace, found: Found) -> None:
    """Every page, as every role."""
    with tempfile.TemporaryDirectory() as folder, served(Path(folder) / "home") as demo:
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
