"""
`make pages`: how long each page of console and portal takes over ten million rollup rows, on PostgreSQL.

The demo is copied a thousand times over into a real PostgreSQL (see `fill`), a real server answers in a process of its
own, and every page is asked for some dozens of times over HTTP: as the owner, who may see all of it, and as a customer.
Exits with 1 if a page's 95th percentile is over the limit. Files to take away (PDF, JSON, SVG) are timed and not
judged.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from narrows_server.audit import Occasion
from narrows_server.database import Database
from narrows_server.office import Office, open_office
from narrows_server.paging import Paging
from narrows_server.people import service as people
from narrows_server.people import sessions
from narrows_server.people.sessions import COOKIE, Level, Origin
from narrows_server.settings import DATABASE_VARIABLE
from narrows_server.statements.repository import list_current
from narrows_server.usage.repository import overview_page
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..browser.pages import Stop, portal_stops, vendor_stops
from ..demo.seed import seed
from ..demo.story import NORDLICHT, PACIFIC
from ..load.vendor import Vendor, serving
from ..server.postgres import PostgresMissing, running_postgres
from .fill import Size, fill

LIMIT_MILLISECONDS = 300
console = Console(stderr=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One page as one role, asked for some times."""

    role: str
    path: str
    is_page: bool
    kilobytes: int
    p50: float  # Milliseconds.
    p95: float
    slowest: float

    @property
    def is_slow(self) -> bool:
        return self.is_page and self.p95 >= LIMIT_MILLISECONDS


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make pages", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rollup rows [%(default)s]")
    parser.add_argument("--customers", type=int, default=1_000, help="among whom they are [%(default)s]")
    parser.add_argument("--times", type=int, default=40, help="how often each page is asked for [%(default)s]")
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    options = parser.parse_args(arguments)
    try:
        counts, timed = measure(Size(asset_rollups=options.rows, customers=options.customers), times=options.times)
    except PostgresMissing as missing:
        console.print(f"[red]no PostgreSQL:[/] {missing}")
        return 2
    show(counts, timed)
    if options.json:
        found = {"rows": counts, "limit_ms": LIMIT_MILLISECONDS, "pages": [asdict(one) for one in timed]}
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 1 if any(one.is_slow for one in timed) else 0


def measure(size: Size, *, times: int) -> tuple[dict[str, int], list[Timed]]:
    """Fill a fresh PostgreSQL, serve it, and ask."""
    now = datetime.now(UTC).replace(microsecond=0)
    with TemporaryDirectory(prefix="narrows-pages-") as folder, running_postgres() as postgres:
        url = postgres.fresh_database()
        home = Path(folder) / "home"
        with console.status("Half a year of the demo …"):
            settings = seed(home, now=now, environ={DATABASE_VARIABLE: url})
        with console.status(f"{size.asset_rollups:,} rollup rows of {size.customers:,} customers …"):
            started = time.monotonic()
            counts = fill(postgres.conninfo(Database(url).engine.url.database or ""), size, now=now)
        console.print(f"[green]✓[/] filled in {time.monotonic() - started:.0f} s")
        with open_office(settings) as office:
            seats = [
                ("owner", _session(office, "owner@narrows.example"), _vendor_paths(office, size.customers // 2)),
                ("customer", _session(office, NORDLICHT.contact[1]), _portal_paths(office)),
            ]
        vendor = Vendor(home=home, database_url=url, license_token="", admin_key="")
        with serving(vendor, workers=1) as served:
            return counts, [
                one
                for role, cookie, paths in seats
                for one in _ask(f"http://127.0.0.1:{served.port}", role, cookie, paths, times)
            ]


def show(counts: dict[str, int], timed: Sequence[Timed]) -> None:
    """A table for people, the slowest first."""
    table = Table("role", "page", "KB", "p50 ms", "p95 ms", "slowest", box=None, header_style="dim", pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for one in sorted(timed, key=lambda one: (one.is_page, one.p95), reverse=True):
        figures = (f"{one.p50:.0f}", f"{one.p95:.0f}", f"{one.slowest:.0f}")
        style = "red" if one.is_slow else "" if one.is_page else "dim"
        table.add_row(one.role, one.path, str(one.kilobytes), *figures, style=style)
    output = Console()
    output.print(table)
    pages = [one for one in timed if one.is_page]
    worst = max(pages, key=lambda one: one.p95)
    slow = sum(one.is_slow for one in pages)
    rows = ", ".join(f"{count:,} in {name}" for name, count in counts.items())
    verdict = "ok" if not slow else f"{slow} MISSED"
    output.print(
        f"\n{len(pages)} pages over {rows}: the slowest has a p95 of {worst.p95:.0f} ms ({worst.path}), bar "
        f"{LIMIT_MILLISECONDS} ms {verdict}; load average {os.getloadavg()[0]:.1f}"
    )


def _ask(url: str, role: str, cookie: str, paths: Sequence[str], times: int) -> list[Timed]:
    headers = {"Cookie": f"{COOKIE}={cookie}", "Accept": "text/html"}
    timed = []
    with httpx.Client(base_url=url, headers=headers, timeout=120) as client:
        for path in track(paths, description=f"asking as {role}", console=console, transient=True):
            answer = client.get(path)  # Once before it counts: what is read from the disk and compiled is read once.
            assert answer.status_code == 200, (role, path, answer.status_code, answer.text[:500])
            took = []
            for _ in range(times):
                started = time.perf_counter()
                client.get(path)
                took.append((time.perf_counter() - started) * 1000)
            timed.append(
                Timed(
                    role=role,
                    path=path,
                    is_page=answer.headers["content-type"].startswith("text/html"),
                    kilobytes=len(answer.content) // 1024,
                    p50=round(statistics.median(took), 1),
                    p95=round(sorted(took)[max(0, -(-len(took) * 95 // 100) - 1)], 1),
                    slowest=round(max(took), 1),
                )
            )
    return timed


def _vendor_paths(office: Office, number: int) -> list[str]:
    """Every page of the console: of the demo's own things, and of those of the copies."""
    paths = [stop.path for stop in vendor_stops(office)]
    copies = [f"/customers/load-{number:05}", f"/contracts/load-{number:05}-1", f"/licenses/lic_load{number}"]
    copies += ["/invoices?only=overdue", "/alerts?all=1", "/audit?subject=load-77"]
    return [*paths, *copies, *_of_copy(office, number)]


def _portal_paths(office: Office) -> list[str]:
    paths = [stop.path for stop in portal_stops(office, PACIFIC) if not _is_of(stop)]
    return [*paths, "/licenses/lic_load1", *_of_copy(office, 1)]


def _of_copy(office: Office, number: int) -> list[str]:
    """Pages of one of everything that the copy of this number has."""
    with office.database.snapshot() as session:
        statement = list_current(session, customer_id=f"load-{number:05}")[0]
        installation = overview_page(session, Paging(limit=1), customer_id=f"load-{number:05}").rows[0].installation
    return [
        f"/statements/{statement.id}",
        f"/statements/{statement.id}/assets/asset-000001",
        f"/installations/{installation.id}",
        f"/invoices/LOAD-{number}-{statement.period}",
    ]


def _is_of(stop: Stop) -> bool:
    """Whether it is a page of one thing: those of another customer do not exist."""
    return stop.path.count("/") > 1


def _session(office: Office, email: str) -> str:
    with office.database.transaction() as session:
        person = people.require_person(session, email)
        occasion = Occasion(actor=f"person:{email}", at=office.clock())
        origin = Origin(address="127.0.0.1", agent="make pages")
        return sessions.open_session(session, person, Level.FULL, origin=origin, occasion=occasion)


if __name__ == "__main__":
    sys.exit(main())
