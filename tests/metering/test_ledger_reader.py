"""Reading a ledger: in order, a page at a time, and whatever was altered is named where it begins."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from narrows_metering.errors import LedgerDamaged, LedgerUnavailable, MeteringError
from narrows_metering.ledger_reader import PAGE_RECORDS
from narrows_metering.record import Kind
from narrows_metering.testing import NOW, a_receipt, a_receipt_token

from .ledgers import filled, in_sqlite, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.ledger"


class TestReading:
    def test_records_are_read_after_a_number_and_up_to_a_limit(self, path: Path) -> None:
        records = filled(path, PAGE_RECORDS + 5)
        with opened(path) as ledger:
            assert list(ledger.records()) == records
            assert list(ledger.records(after=3, limit=4)) == records[3:7]
            assert list(ledger.records(after=PAGE_RECORDS - 1)) == records[PAGE_RECORDS - 1 :]
            assert list(ledger.records(after=PAGE_RECORDS + 5)) == []
            assert list(ledger.records(after=10**6)) == []
            assert list(ledger.records(limit=0)) == []

    def test_a_reader_who_stops_half_way_does_not_hold_up_a_writer(self, path: Path) -> None:
        filled(path, 3)
        with opened(path) as ledger:
            reading = ledger.records()
            next(reading)
            ledger.append(Kind.GAP, {}, time=NOW)
            assert [record.seq for record in reading] == [2, 3]

    def test_a_closed_ledger_says_so(self, path: Path) -> None:
        ledger = opened(path)
        ledger.close()
        with pytest.raises(LedgerUnavailable, match="closed"):
            ledger.append(Kind.GAP, {}, time=NOW)


class TestDamage:
    @pytest.mark.parametrize(
        "statement",
        ["UPDATE records SET body = body WHERE seq = 2", "DELETE FROM records WHERE seq = 3",
         "INSERT INTO records VALUES (7, 'h', x'00')", "INSERT OR REPLACE INTO records VALUES (2, 'h', x'00')",
         "UPDATE ledger SET head_seq = 1", "UPDATE ledger SET installation_id = 'x', head_seq = 9",
         "DELETE FROM ledger"],
    )  # fmt: skip
    def test_the_file_itself_refuses_to_change_what_is_recorded(self, path: Path, statement: str) -> None:
        records = filled(path, 3)
        with pytest.raises(sqlite3.IntegrityError):
            in_sqlite(path, statement)
        with opened(path) as ledger:
            assert list(ledger.records()) == records

    @pytest.mark.parametrize(
        ("tampering", "named"),
        [
            ("UPDATE records SET body = replace(body, '\"bytes\":41', '\"bytes\":14') WHERE seq = 42", 42),
            ("UPDATE records SET body = CAST(replace(body, ':41}', ':14}') AS BLOB) WHERE seq = 42", 42),
            ("UPDATE records SET hash = replace(hash, 'a', 'b') WHERE seq = 42", 42),
            ("UPDATE records SET body = x'FF' WHERE seq = 42", 42),
            ("UPDATE records SET body = 'text' WHERE seq = 42", 42),
            ("UPDATE records SET body = (SELECT body FROM records WHERE seq = 41) WHERE seq = 42", 42),
            ("DELETE FROM records WHERE seq = 42", 42),
            ("DELETE FROM records WHERE seq >= 42", 42),
            ("UPDATE records SET seq = 1000 WHERE seq = 42", 201),
            ("UPDATE records SET hash = replace(hash, 'a', 'b') WHERE seq = 200", 200),
            ("UPDATE ledger SET head_seq = 100", 101),
            ("UPDATE ledger SET head_seq = 300", 201),
            ("UPDATE ledger SET head_hash = 'x'", 200),
        ],
    )
    def test_whatever_the_owner_of_the_machine_alters_is_named(self, path: Path, tampering: str, named: int) -> None:
        filled(path, 200)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        in_sqlite(path, *(f"DROP TRIGGER {name}" for name, _ in triggers), tampering, *(sql for _, sql in triggers))

        with pytest.raises(LedgerDamaged) as damaged, opened(path) as ledger:
            ledger.verify()
        assert damaged.value.sequence == named

    def test_the_records_before_the_damage_can_still_be_read(self, path: Path) -> None:
        records = filled(path, 200)
        in_sqlite(path, "DROP TRIGGER records_never_change", "UPDATE records SET body = x'00' WHERE seq = 42",
                  "CREATE TRIGGER records_never_change BEFORE UPDATE ON records\n"
                  "        BEGIN SELECT RAISE(ABORT, 'records are append-only'); END")  # fmt: skip
        with opened(path) as ledger:
            reading = ledger.records()
            assert [next(reading) for _ in range(41)] == records[:41]
            with pytest.raises(LedgerDamaged, match="record 42"):
                next(reading)
            with pytest.raises(LedgerDamaged, match="record 42"):
                ledger.verify()
            assert ledger.append(Kind.GAP, {"reason": "damage"}, time=NOW).seq == 201

    def test_dropped_triggers_are_noticed(self, path: Path) -> None:
        filled(path, 1)
        in_sqlite(path, "DROP TRIGGER records_never_change")
        with pytest.raises(LedgerDamaged, match="tables and triggers"):
            opened(path)

    def test_a_flipped_byte_anywhere_in_the_file_is_detected_or_changes_nothing(self, path: Path) -> None:
        records = filled(path, 12)
        with opened(path) as ledger:
            receipt = a_receipt(records[:5])
            ledger.acknowledge(a_receipt_token(receipt), receipt)
        original = path.read_bytes()
        # One byte in thirteen where something is written, one in 1,999 of the unused space; every bit has its turn.
        written = [position for position in range(len(original)) if any(original[max(0, position - 1) : position + 2])]
        detected = 0
        for turn, position in enumerate([*written[::13], *range(0, len(original), 1999)]):
            flipped = bytearray(original)
            flipped[position] ^= 1 << turn % 8
            for leftover in path.parent.iterdir():
                leftover.unlink()  # A log of the turn before would heal the file.
            path.write_bytes(flipped)
            try:
                with opened(path) as ledger:
                    ledger.verify()
                    assert (list(ledger.records()), ledger.latest_receipt()) == (records, receipt), position
            except (LedgerDamaged, LedgerUnavailable):
                detected += 1
        assert detected > sum(len(record.canonical_bytes()) for record in records) // 13

    @pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
    def test_a_file_cut_short_is_detected(self, path: Path, keep: float) -> None:
        filled(path, 100)
        os.truncate(path, int(path.stat().st_size * keep))
        with pytest.raises(MeteringError), opened(path) as ledger:
            ledger.verify()
