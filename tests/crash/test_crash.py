"""Kill, cut the power, change bytes, replay: the short form of `make crash`."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ..server.postgres import Postgres
from ..simulation.run import memory
from .books import Books
from .kill import kill_often
from .mutation import MutationReport, ledger_size, mutate_ledger, mutate_receipt, mutate_report, name_place
from .power import cut_often
from .replay import replay, some_reports

KILLS, CUTS, BYTES = 24, 60, 250


def test_no_acknowledged_record_is_lost_or_doubled_by_kill_9(tmp_path: Path) -> None:
    report = kill_often(tmp_path, kills=KILLS, seed=1)
    assert report.differences == []
    assert report.kills >= KILLS
    assert report.acknowledged > KILLS


def test_no_acknowledged_record_is_lost_or_doubled_by_a_power_cut() -> None:
    with memory() as folder:
        report = cut_often(folder, cuts=CUTS, seed=1)
    assert report.differences == []
    assert report.cuts == CUTS
    assert report.writes_lost > CUTS
    assert report.receipts > 0


def test_a_changed_byte_of_a_ledger_is_noticed_or_meant_nothing() -> None:
    with memory() as folder:
        positions = random.Random(1).sample(range(ledger_size(folder)), BYTES)
        report = mutate_ledger(folder, positions)
    assert report.differences == []
    assert report.noticed > 0
    assert report.noticed + report.meaningless.total() == report.changes == BYTES


@pytest.mark.parametrize("mutate", [mutate_report, mutate_receipt])
def test_every_changed_bit_of_what_is_sent_is_noticed(mutate: Callable[[Path], MutationReport], tmp_path: Path) -> None:
    report = mutate(tmp_path)
    assert report.differences == []
    assert report.noticed == report.changes == 8 * report.size_bytes


def test_shuffled_replay_by_eight_workers_changes_no_total(tmp_path: Path, postgres: Postgres | None) -> None:
    books = Books(tmp_path / "home", postgres)
    with books.opened() as office:
        reports = some_reports(office, tmp_path, random.Random(1))
    books.keep("before")
    report = replay(books, reports, seed=1)
    assert report.differences == []
    assert report.sent > 2 * len(reports)


def test_places_in_a_database_file_have_the_names_of_its_format() -> None:
    page = bytearray(
        b"SQLite format 3\x00" + bytes(84) + b"\x0d\x00\x00\x00\x01\x0f\x00\x00\x0f\x00" + bytes(4096 - 110)
    )
    page[16:18] = (4096).to_bytes(2, "big")
    names = [name_place(bytes(page), at) for at in (0, 24, 100, 108, 200, 4000)]
    assert names == [
        "header: magic",
        "header: change counter",
        "page: header",
        "page: cell pointers",
        "page: unused space",
        "page: cells and free blocks",
    ]
