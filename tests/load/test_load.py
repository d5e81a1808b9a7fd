"""The short form of `make load`: nothing is lost and all totals are exact under load, and the naive peer is slower."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from ..server.postgres import PostgresMissing, running_postgres
from .appends import AppendRate, measure_appends
from .growth import Cost, draw
from .intake import IntakeRate, measure_intake
from .run import Line, append_lines, intake_lines
from .vendor import make_vendor

SECONDS = 2.0


def test_every_way_of_appending_keeps_everything_and_groups_beat_the_peer(tmp_path: Path) -> None:
    rates = {rate.way: rate for rate in measure_appends(tmp_path, seconds=0.5)}

    assert all(rate.is_complete and rate.records for rate in rates.values())
    assert rates["group of 100"].per_second > 2 * rates["naive peer"].per_second


@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_under_load_nothing_is_lost_and_the_peer_is_slower(database: str, tmp_path: Path) -> None:
    if database == "SQLite":
        rate = measure_intake(make_vendor(tmp_path), database=database, seconds=SECONDS, workers=1, peer_seconds=1)
    else:
        try:
            with running_postgres() as server:
                vendor = make_vendor(tmp_path, server.fresh_database())
                rate = measure_intake(vendor, database=database, seconds=SECONDS, workers=2, peer_seconds=1)
        except PostgresMissing as missing:
            pytest.skip(str(missing))

    assert (rate.lost_records, rate.refused, rate.is_exact) == (0, 0, True)
    assert rate.records > 0
    assert rate.per_second > 2 * rate.peer_per_second
    assert rate.visible_p99_seconds is not None


def test_the_curves_of_growth_are_drawn_in_powers_of_ten() -> None:
    costs = [
        Cost(
            records=10**power,
            intake_per_second=20_000,
            view_seconds=0.01,
            close_seconds=10.0 ** (power - 5),
            database_bytes=10**power,
            load_average=1,
        )
        for power in (5, 6)
    ]
    drawing = fromstring(draw(costs))

    assert len(drawing.findall(".//{*}polyline")) == 3
    assert len(drawing.findall(".//{*}circle")) == 6


class TestBars:
    def test_a_bar_that_is_missed_is_said_to_be(self) -> None:
        slow = AppendRate(way="group of 100", records=10, seconds=1, is_complete=True)
        peer = AppendRate(way="naive peer", records=5, seconds=1, is_complete=False)
        _, grouped, lost = append_lines([peer, slow])

        assert (grouped.is_met, grouped.peer) == (False, "2.00 × peer")
        assert lost.is_met is False

    def test_a_lost_record_misses_the_bar_whatever_the_speed(self) -> None:
        assert [line.is_met for line in _intake(lost=0)] == [True, True, True, None, True]
        assert [line.is_met for line in _intake(lost=1)] == [True, True, True, None, False]


def _intake(*, lost: int) -> list[Line]:
    return intake_lines(
        IntakeRate(
            database="PostgreSQL",
            workers=2,
            records=100_000,
            seconds=2,
            ack_p50_seconds=0.01,
            ack_p99_seconds=0.02,
            visible_p99_seconds=0.1,
            memory_bytes=10**8,
            lost_records=lost,
            is_exact=True,
            refused=0,
            peer_per_second=1_000,
        )
    )
