"""
`make growth`: what intake, the usage view and a month's close cost as the books grow, as a table, JSON and a drawing.

The books are written as intake would have left them (`close.write_books`); on top of them the real server takes in
signed reports, answers for the list of installations, and the real close rates every contract.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from narrows_server.office import Office, open_office

from ..server.postgres import running_postgres
from .close import active_contracts, close_all, write_books
from .reports import sign_chains
from .sender import send_from_elsewhere
from .vendor import Served, Vendor, make_vendor, serving

CONTRACTS: Final = 100
INTAKE_SECONDS: Final = 5.0
VIEWS: Final = 20
PANEL: Final = (230, 150)  # Width and height of a drawing, in pixels.
MARGIN: Final = 46


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """At one size of the books."""

    records: int
    intake_per_second: float
    view_seconds: float  # The median of a page of the list of installations.
    close_seconds: float  # All contracts.
    database_bytes: int
    load_average: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="make growth", description=__doc__)
    parser.add_argument("--sizes", default="100000,1000000,10000000", help="[%(default)s]")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    parser.add_argument("--drawing", type=Path, help="write the curves to this SVG file")
    options = parser.parse_args()
    costs = []
    sys.stdout.write(f"{'records':>12} {'intake':>12} {'view':>10} {'close':>10} {'a record':>10} {'database':>10}\n")
    for size in map(int, options.sizes.split(",")):
        cost = _measure(size, options.database)
        costs.append(cost)
        sys.stdout.write(
            f"{cost.records:12,} {cost.intake_per_second:10,.0f}/s {1000 * cost.view_seconds:7.1f} ms "
            f"{cost.close_seconds:8.1f} s {1e6 * cost.close_seconds / cost.records:7.1f} µs "
            f"{cost.database_bytes / 1e6:7.0f} MB\n"
        )
        sys.stdout.flush()
        if options.json:
            measured = {"database": options.database, "cpus": os.cpu_count(), "costs": [asdict(one) for one in costs]}
            options.json.write_text(json.dumps(measured, indent=2) + "\n")
        if options.drawing:
            options.drawing.write_text(draw(costs))
    return 0


def _measure(size: int, database: str) -> Cost:
    # Not in memory: part of what is measured is a disk.
    with TemporaryDirectory(prefix="narrows-growth-") as folder, _url(database) as url:
        vendor = make_vendor(Path(folder) / "home", url)
        with open_office(vendor.settings) as office:
            write_books(office, CONTRACTS, size)
            if url:
                _settle(office)
        with serving(vendor, workers=1) as served:
            rate, view = _intake_rate(vendor, served), _view_seconds(vendor, served)
        with open_office(vendor.settings) as office:
            ids = active_contracts(office)
            began = time.monotonic()
            outcomes = [one.result for one in close_all(office, ids)]
            seconds = time.monotonic() - began
            assert outcomes.count("invoiced") == CONTRACTS, outcomes
            with office.database.engine.connect() as connection:
                query = (
                    "SELECT pg_database_size(current_database())"
                    if url
                    else "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
                )
                bytes_ = int(connection.exec_driver_sql(query).scalar_one())
        return Cost(
            records=size,
            intake_per_second=rate,
            view_seconds=view,
            close_seconds=seconds,
            database_bytes=bytes_,
            load_average=os.getloadavg()[0],
        )


def _settle(office: Office) -> None:
    """Let PostgreSQL finish with what was loaded at once, which no intake ever does: the disk is then free again."""
    with office.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
        connection.exec_driver_sql("CHECKPOINT")


@contextmanager
def _url(database: str) -> Iterator[str | None]:
    if database == "sqlite":
        yield None
        return
    with running_postgres() as server:
        yield server.fresh_database()


def _intake_rate(vendor: Vendor, served: Served) -> float:
    chains = sign_chains(chains=4, reports=75, records=500, license_token=vendor.license_token, prefix="growth")
    sent = send_from_elsewhere(served.port, chains, INTAKE_SECONDS)
    assert not sent.refused, sent.refused[:1]
    return sent.records / sent.seconds


def _view_seconds(vendor: Vendor, served: Served) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    took = []
    for _ in range(VIEWS):
        began = time.perf_counter()
        connection.request("GET", "/v1/installations", headers={"Authorization": f"Bearer {vendor.admin_key}"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == http.client.OK, body
        took.append(time.perf_counter() - began)
    connection.close()
    return statistics.median(took)


def draw(costs: list[Cost]) -> str:
    """The three curves beside each other, both axes in powers of ten."""
    panels: tuple[tuple[str, Callable[[Cost], float]], ...] = (
        ("intake, records/s", lambda cost: cost.intake_per_second),
        ("usage view, ms", lambda cost: 1000 * cost.view_seconds),
        ("close of all contracts, s", lambda cost: cost.close_seconds),
    )
    width, height = PANEL
    whole = (len(panels) * (width + MARGIN) + MARGIN, height + 2 * MARGIN)
    size = f"0 0 {whole[0]} {whole[1]}"
    style = 'font-family="sans-serif" font-size="11" fill="#333"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" {style}>',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for place, (title, value) in enumerate(panels):
        points = [(math.log10(cost.records), math.log10(max(1e-9, value(cost)))) for cost in costs]
        parts.append(f'<g transform="translate({MARGIN + place * (width + MARGIN)} {MARGIN})">')
        parts += _panel(title, points, [value(cost) for cost in costs])
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(title: str, points: list[tuple[float, float]], values: list[float]) -> list[str]:
    width, height = PANEL
    low, high = math.floor(min(y for _, y in points)), math.ceil(max(y for _, y in points))
    high = max(high, low + 1)
    left, right = points[0][0], max(points[-1][0], points[0][0] + 1)

    def at(x: float, y: float) -> tuple[float, float]:
        return (x - left) / (right - left) * width, height - (y - low) / (high - low) * height

    parts = [f'<text x="0" y="-14" font-weight="bold">{title}</text>']
    for power in range(low, high + 1):
        y = at(left, power)[1]
        parts.append(f'<line x1="0" x2="{width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for x, _ in points:
        parts.append(
            f'<text x="{at(x, low)[0]:.1f}" y="{height + 18}" text-anchor="middle">10<tspan dy="-4" font-size="8">'
            f"{x:.0f}</tspan></text>"
        )
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
    parts.append(f'<polyline points="{line}" fill="none" stroke="#0a6e5c" stroke-width="2"/>')
    for point, value in zip(points, values, strict=True):
        x, y = at(*point)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#0a6e5c"/>')
        parts.append(f'<text x="{x:.1f}" y="{y - 7:.1f}" text-anchor="middle">{value:,.3g}</text>')
    return parts


if __name__ == "__main__":
    sys.exit(main())
