"""The ledger: what it returned is on the disk, in order, once, and whatever was altered is named."""

from __future__ import annotations

import multiprocessing
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from narrows_metering.chain import Head, check_chain
from narrows_metering.errors import LedgerDamaged, LedgerUnavailable, ReceiptRefused, RecordRefused
from narrows_metering.ledger import Entry, Ledger
from narrows_metering.record import Kind, Record, genesis
from narrows_metering.testing import NOW, a_delivery, a_receipt, a_receipt_token, an_encode, an_installation_id

from .ledgers import INSTALLATION, filled, in_sqlite, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.ledger"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with opened(path) as ledger:
        yield ledger


class TestAppending:
    def test_a_new_ledger_begins_at_the_installations_genesis(self, ledger: Ledger) -> None:
        assert ledger.head() == Head(seq=0, hash=genesis(INSTALLATION))
        assert list(ledger.records()) == []
        assert ledger.verify().seq == 0

    def test_records_continue_each_other_across_closing_and_opening(self, path: Path) -> None:
        with opened(path) as ledger:
            first = ledger.append(Kind.ENCODE, an_encode(), time=NOW)
        with opened(path) as ledger:
            second = ledger.append(Kind.DELIVERY, a_delivery(), time=NOW)
            assert list(ledger.records()) == [first, second]

        assert check_chain([first, second], prev=genesis(INSTALLATION), first_seq=1) == Head(seq=2, hash=second.hash)

    def test_what_append_returned_is_visible_to_another_process_at_once(self, ledger: Ledger, path: Path) -> None:
        record = ledger.append(Kind.ENCODE, an_encode(), time=NOW)
        script = f"import sqlite3; print(sqlite3.connect({str(path)!r}).execute('SELECT hash FROM records').fetchall())"
        seen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        assert seen.strip() == f"[('{record.hash}',)]"

    def test_a_batch_with_one_bad_payload_appends_nothing(self, ledger: Ledger) -> None:
        entries = [Entry(kind=Kind.ENCODE, payload=payload, time=NOW) for payload in ({"a": 1}, {"a": 1.5})]
        with pytest.raises(RecordRefused, match="a: float"):
            ledger.append_all(entries)
        assert ledger.head().seq == 0
        assert ledger.append_all([]) == ()

    def test_every_commit_waits_for_the_disk(self, ledger: Ledger) -> None:
        with ledger._file.transaction("BEGIN") as connection:
            modes = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("synchronous", "journal_mode")
            ]
        assert modes == [2, "wal"]  # 2 is FULL.

    def test_only_its_owner_can_read_the_file(self, ledger: Ledger, path: Path) -> None:
        ledger.append(Kind.ENCODE, an_encode(), time=NOW)
        assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}

    def test_making_a_ledger_leaves_no_drafts(self, path: Path) -> None:
        filled(path, 1)
        assert list(path.parent.iterdir()) == [path]


class TestOpening:
    def test_another_installations_ledger_is_not_opened(self, path: Path) -> None:
        filled(path, 1)
        with pytest.raises(LedgerUnavailable, match=f"belongs to the installation {INSTALLATION}"):
            Ledger.open(path, installation_id=an_installation_id("another"))

    def test_a_folder_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerUnavailable, match="nowhere"):
            opened(tmp_path / "nowhere" / "usage.ledger")

    @pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
    def test_a_file_that_is_no_ledger_is_refused_and_left_alone(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        with pytest.raises(LedgerDamaged):
            opened(path)
        # An empty file is a valid empty database to SQLite; but no ledger is begun in it.
        assert not content or path.read_bytes() == content

    def test_another_programs_database_is_refused(self, path: Path) -> None:
        in_sqlite(path, "CREATE TABLE records (seq INTEGER PRIMARY KEY, hash TEXT, body BLOB)")
        with pytest.raises(LedgerDamaged, match="not a ledger"):
            opened(path)

    def test_a_log_without_its_ledger_is_not_written_over(self, path: Path) -> None:
        path.with_name(path.name + "-wal").write_bytes(b"records that were not folded in yet")
        with pytest.raises(LedgerDamaged, match="write-ahead log"):
            opened(path)

    def test_many_processes_may_begin_the_same_ledger(self, path: Path) -> None:
        barrier = threading.Barrier(8)

        def begin() -> None:
            barrier.wait()
            with opened(path) as ledger:
                ledger.append(Kind.LIFECYCLE, {"event": "enrolled"}, time=NOW)

        threads = [threading.Thread(target=begin) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with opened(path) as ledger:
            assert ledger.verify().seq == 8
        assert list(path.parent.iterdir()) == [path]


APPENDER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from narrows_metering.ledger import Ledger
from narrows_metering.record import Kind

path, installation_id, name, count = sys.argv[1:]
with Ledger.open(Path(path), installation_id=installation_id) as ledger:
    for n in range(int(count)):
        record = ledger.append(Kind.DELIVERY, {"process": name, "n": n}, time=datetime(2026, 11, 23, tzinfo=UTC))
        print(record.seq, record.hash, flush=True)
"""


def appender(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    """A process that appends *count* records and prints each once it was told that it is safe."""
    command = [sys.executable, "-c", APPENDER, str(path), INSTALLATION, name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class TestCrashes:
    def test_a_process_killed_while_appending_loses_and_doubles_nothing_that_it_acknowledged(self, path: Path) -> None:
        acknowledged: dict[int, str] = {}
        for life in range(6):
            process = appender(path, str(life), 10**6)
            assert process.stdout is not None
            for _ in range(3 + 7 * life):  # Die a little later in every life.
                seq, record_hash = process.stdout.readline().split()
                acknowledged[int(seq)] = record_hash
            process.send_signal(signal.SIGKILL)
            # Lines that were printed between the last one read and the signal are promises too; a torn one is not.
            for line in process.stdout.read().splitlines(keepends=True):
                if line.endswith("\n"):
                    seq, record_hash = line.split()
                    acknowledged[int(seq)] = record_hash
            assert process.wait() == -signal.SIGKILL
            process.stdout.close()

        with opened(path) as ledger:
            stored = {record.seq: record.hash for record in ledger.records()}
            assert ledger.verify().seq == len(stored)
        assert acknowledged.items() <= stored.items()
        assert len(stored) - len(acknowledged) <= 6  # At most the one in flight, per life.

    def test_two_processes_share_one_ledger(self, path: Path) -> None:
        processes = [appender(path, name, 60) for name in ("a", "b")]
        promised = [line.split() for process in processes for line in process.communicate()[0].splitlines()]
        assert [process.returncode for process in processes] == [0, 0]

        with opened(path) as ledger:
            records = list(ledger.records())
            ledger.verify()
        assert sorted((int(seq), text) for seq, text in promised) == [(r.seq, r.hash) for r in records]
        for name in ("a", "b"):
            assert [r.payload["n"] for r in records if r.payload["process"] == name] == list(range(60))

    def test_threads_share_one_ledger(self, ledger: Ledger) -> None:
        def work(name: int) -> None:
            for n in range(10):
                ledger.append(Kind.DELIVERY, {"thread": name, "n": n}, time=NOW)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ledger.verify().seq == 40

    def test_parent_and_child_of_a_fork_share_one_ledger(self, ledger: Ledger) -> None:
        ledger.append(Kind.DELIVERY, {"who": "parent"}, time=NOW)

        def work() -> None:
            for _ in range(20):
                ledger.append(Kind.DELIVERY, {"who": "child"}, time=NOW)

        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        for _ in range(20):
            ledger.append(Kind.DELIVERY, {"who": "parent"}, time=NOW)
        child.join()

        assert child.exitcode == 0
        assert ledger.verify().seq == 41
        assert sum(record.payload["who"] == "child" for record in ledger.records()) == 20

    def test_a_fork_while_another_thread_opens_ledgers_finds_them_all_still(self, ledger: Ledger, path: Path) -> None:
        is_over = threading.Event()

        def open_often() -> None:
            while not is_over.is_set():
                Ledger.open(path, installation_id=ledger.installation_id).close()

        opening = [threading.Thread(target=open_often) for _ in range(2)]
        for thread in opening:
            thread.start()
        codes = []
        for _ in range(20):
            child = multiprocessing.get_context("fork").Process(
                target=ledger.append, args=(Kind.DELIVERY, {"who": "child"}), kwargs={"time": NOW}
            )
            child.start()
            child.join()
            codes.append(child.exitcode)
        is_over.set()
        for thread in opening:
            thread.join()

        assert codes == [0] * 20
        assert ledger.verify().seq == 20

    def test_a_ledger_that_somebody_else_keeps_locked_says_so(self, path: Path) -> None:
        impatient = Ledger.open(path, installation_id=INSTALLATION, lock_timeout=timedelta(0))
        with impatient as ledger, closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerUnavailable, match="locked"):
                ledger.append(Kind.GAP, {}, time=NOW)
            other.execute("ROLLBACK")
            assert ledger.append(Kind.GAP, {}, time=NOW).seq == 1

    def test_a_full_disk_is_said_and_leaves_the_ledger_as_it_was(self, path: Path) -> None:
        with opened(path) as ledger:
            ledger.append(Kind.GAP, {}, time=NOW)
            with ledger._file.transaction("BEGIN") as connection:
                pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
                connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            with pytest.raises(LedgerUnavailable, match="full"):
                ledger.append_all([Entry(kind=Kind.GAP, payload={"text": "x" * 5_000}, time=NOW)] * 4)
            assert ledger.verify().seq == 1


class TestReceipts:
    def test_a_receipt_moves_what_is_acknowledged(self, path: Path) -> None:
        records = filled(path, 5)
        with opened(path) as ledger:
            assert (ledger.acknowledged(), ledger.latest_receipt()) == (0, None)
            for end in (2, 5):
                receipt = a_receipt(records[:end])
                ledger.acknowledge(a_receipt_token(receipt), receipt)
                assert (ledger.acknowledged(), ledger.latest_receipt()) == (end, receipt)
        with opened(path) as ledger:
            assert ledger.acknowledged() == 5

    def test_the_same_and_an_older_receipt_change_nothing(self, path: Path) -> None:
        records = filled(path, 5)
        old, new = a_receipt(records[:2]), a_receipt(records[2:])
        with opened(path) as ledger:
            for receipt in (old, new, new, old):
                ledger.acknowledge(a_receipt_token(receipt), receipt)
            assert ledger.latest_receipt() == new

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            (lambda records: a_receipt(records[2:]), "begins at 3, but only 0"),
            (lambda records: a_receipt(records[:2], name="another"), "another installation"),
        ],
    )
    def test_a_receipt_that_does_not_fit_is_refused(
        self, path: Path, wrong: Callable[[list[Record]], object], named: str
    ) -> None:
        receipt = wrong(filled(path, 5))
        with opened(path) as ledger:
            with pytest.raises(ReceiptRefused, match=named):
                ledger.acknowledge(a_receipt_token(receipt), receipt)  # type: ignore[arg-type]
            assert ledger.acknowledged() == 0

    def test_a_restored_backup_learns_from_its_receipt_that_it_is_one(self, path: Path, tmp_path: Path) -> None:
        filled(path, 3)
        (tmp_path / "copy").write_bytes(path.read_bytes())
        with opened(path) as ledger:
            ledger.append(Kind.GAP, {"who": "original"}, time=NOW)
            receipt = a_receipt(list(ledger.records()))
        with opened(tmp_path / "copy") as ledger:
            with pytest.raises(ReceiptRefused, match="record 4, which this ledger does not have"):
                ledger.acknowledge(a_receipt_token(receipt), receipt)
            ledger.append(Kind.GAP, {"who": "copy"}, time=NOW)
            with pytest.raises(ReceiptRefused, match="other records 1–4"):
                ledger.acknowledge(a_receipt_token(receipt), receipt)

    def test_a_token_that_does_not_hold_the_receipt_is_refused(self, path: Path) -> None:
        records = filled(path, 2)
        with opened(path) as ledger, pytest.raises(ReceiptRefused, match="does not hold this receipt"):
            ledger.acknowledge(a_receipt_token(a_receipt(records[:1])), a_receipt(records))
