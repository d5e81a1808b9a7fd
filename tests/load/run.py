"""
The numbers of the ledger and the intake, beside a naive peer in the same run: `make load`.

Prints a table and writes the same as JSON. Exits with 1 when a bar is missed, a record is lost or a total is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ..server.postgres import PostgresMissing, running_postgres
from .appends import AppendRate, measure_appends
from .encode import EncodeShare, measure_encode
from .intake import IntakeRate, measure_intake
from .vendor import make_vendor

APPENDS_PER_SECOND = 10_000
RECORDS_PER_SECOND = 10_000
RECORDS_PER_SECOND_GOAL = 30_000
ACK_P99_SECONDS = 0.25
VISIBLE_P99_SECONDS = 2.0
ENCODE_PERCENT = 0.1
GROUPED = ("group of 100", "32 threads")  # Ways in which one wait for the disk serves many records.


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of the table. *is_met* is None where there is no bar, only a figure."""

    what: str
    figure: str
    peer: str = ""
    bar: str = ""
    is_met: bool | None = None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make load", description="Measure ledger and intake beside a naive peer.")
    parser.add_argument("--duration", type=float, default=60, help="seconds of load on each database [%(default)s]")
    parser.add_argument("--appends", type=float, default=5, help="seconds for each way of appending [%(default)s]")
    parser.add_argument("--peer", type=float, default=5, help="seconds for the naive peer [%(default)s]")
    parser.add_argument("--workers", type=int, default=2, help="server processes on PostgreSQL [%(default)s]")
    parser.add_argument("--parts", default="appends,sqlite,postgresql,encode", help="[%(default)s]")
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    options = parser.parse_args(arguments)
    parts = options.parts.split(",")
    measured: dict[str, object] = {"cpus": os.cpu_count(), "load_average_before": os.getloadavg()}
    lines: list[Line] = []
    # Not in memory: what is measured is above all a disk.
    with tempfile.TemporaryDirectory(prefix="narrows-load-") as folder:
        here = Path(folder)
        if "appends" in parts:
            appends = measure_appends(_new(here, "appends"), seconds=options.appends)
            measured["appends"] = [asdict(rate) | {"per_second": rate.per_second} for rate in appends]
            lines += _show(append_lines(appends))
        for part, database in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
            if part in parts:
                with _database_url(part) as url:
                    if url is not None and url.startswith("no "):
                        lines += _show([Line(what=f"{database}: {url}", figure="skipped")])
                        continue
                    rate = measure_intake(
                        make_vendor(here / f"{part}-home", url),
                        database=database,
                        seconds=options.duration,
                        workers=1 if part == "sqlite" else options.workers,
                        peer_seconds=options.peer,
                    )
                measured[part] = asdict(rate) | {"per_second": rate.per_second}
                lines += _show(intake_lines(rate))
        if "encode" in parts:
            share = measure_encode(_new(here, "encode"))
            measured["encode"] = asdict(share) | {"percent": share.percent}
            lines += _show([encode_line(share)])
    measured["lines"] = [asdict(line) for line in lines]
    if options.json:
        options.json.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    missed = [line.what for line in lines if line.is_met is False]
    sys.stdout.write("missed: " + ("; ".join(missed) or "nothing") + "\n")
    return 1 if missed else 0


def append_lines(rates: list[AppendRate]) -> list[Line]:
    peer = next(rate for rate in rates if rate.way == "naive peer")
    lines = []
    for rate in rates:
        is_grouped = rate.way in GROUPED
        lines.append(
            Line(
                what=f"durable appends, {rate.way}",
                figure=f"{rate.per_second:,.0f}/s",
                peer="" if rate is peer else f"{rate.per_second / peer.per_second:.2f} × peer",
                bar=f"≥ {APPENDS_PER_SECOND:,}/s" if is_grouped else "",
                is_met=rate.per_second >= APPENDS_PER_SECOND if is_grouped else None,
            )
        )
    complete = all(rate.is_complete for rate in rates)
    return [*lines, Line(what="appends lost", figure="0" if complete else "some", bar="0", is_met=complete)]


def intake_lines(rate: IntakeRate) -> list[Line]:
    name = f"{rate.database}, {rate.workers} worker{'s' if rate.workers > 1 else ''}"
    goal = "" if rate.per_second < RECORDS_PER_SECOND_GOAL else f", goal {RECORDS_PER_SECOND_GOAL:,} reached"
    has_bar = rate.database == "PostgreSQL"
    visible = rate.visible_p99_seconds
    return [
        Line(
            what=f"signed records accepted, {name}, {rate.seconds:.0f} s",
            figure=f"{rate.per_second:,.0f}/s{goal}",
            peer=f"{rate.per_second / rate.peer_per_second:.1f} × peer ({rate.peer_per_second:,.0f}/s)",
            bar=f"≥ {RECORDS_PER_SECOND:,}/s" if has_bar else "",
            is_met=rate.per_second >= RECORDS_PER_SECOND if has_bar else None,
        ),
        Line(
            what=f"report to receipt, {name}",
            figure=f"p50 {1000 * rate.ack_p50_seconds:.0f} ms, p99 {1000 * rate.ack_p99_seconds:.0f} ms",
            bar=f"p99 < {1000 * ACK_P99_SECONDS:.0f} ms" if has_bar else "",
            is_met=rate.ack_p99_seconds < ACK_P99_SECONDS if has_bar else None,
        ),
        Line(
            what=f"append to visible in usage, {name}",
            figure=f"p99 {visible:.2f} s" if visible is not None else "never seen",
            bar=f"p99 < {VISIBLE_P99_SECONDS:.0f} s",
            is_met=visible is not None and visible < VISIBLE_P99_SECONDS,
        ),
        Line(what=f"memory of the server, {name}", figure=f"{rate.memory_bytes / 1e6:.0f} MB"),
        Line(
            what=f"records lost, refused; totals, {name}",
            figure=f"{rate.lost_records}, {rate.refused}; {'exact' if rate.is_exact else 'wrong'}",
            bar="0, 0; exact",
            is_met=rate.lost_records == 0 and rate.refused == 0 and rate.is_exact,
        ),
    ]


def encode_line(share: EncodeShare) -> Line:
    return Line(
        what=f"metering within an encode ({share.frames} frames, {share.width} × {share.height})",
        figure=f"{share.percent:.3f} % ({1000 * share.metering_seconds:.1f} ms of {share.encode_seconds:.1f} s)",
        bar=f"< {ENCODE_PERCENT} %",
        is_met=share.percent < ENCODE_PERCENT,
    )


def _show(lines: list[Line]) -> list[Line]:
    for line in lines:
        verdict = "" if line.is_met is None else "ok" if line.is_met else "MISSED"
        sys.stdout.write(f"{line.what:62} {line.figure:34} {line.peer:26} {line.bar:16} {verdict}\n")
    sys.stdout.flush()
    return lines


def _new(folder: Path, name: str) -> Path:
    here = folder / name
    here.mkdir()
    return here


@contextmanager
def _database_url(part: str) -> Iterator[str | None]:
    """None for SQLite, the URL of a fresh database for PostgreSQL, or why there is none."""
    if part == "sqlite":
        yield None
        return
    try:
        with running_postgres() as server:
            yield server.fresh_database()
    except PostgresMissing as missing:
        yield f"no PostgreSQL here: {missing}"


if __name__ == "__main__":
    sys.exit(main())
