"""An installation's usage: its diary, its successors after a conflict and after damage, and a disk without room."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import narrows
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from narrows.errors import LedgerDamaged, UsageError
from narrows.settings import Settings
from narrows.usage.machine import Meter, Retired, open_meter, open_retired, recover, reidentify
from narrows.version import VERSION
from narrows_licensing.signature import Typ, sign
from narrows_metering.chain import merkle_root
from narrows_metering.ledger import Entry
from narrows_metering.payload import Event, Gap, GapReason, read_gap, read_lifecycle
from narrows_metering.receipt import Receipt
from narrows_metering.record import Kind, Record
from narrows_metering.report import decode_report, next_report
from narrows_metering.reserve import RESERVE_BYTES
from narrows_metering.testing import a_key

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> Settings:
    """Settings with an empty state folder."""
    return Settings(license_path=tmp_path / "license.json", roots_path=None, state_folder=tmp_path / "state")


def at(time: datetime) -> Callable[[], datetime]:
    return lambda: time


def deliveries(*numbers: int) -> list[Entry]:
    """An entry per number, which is its amount."""
    return [Entry(kind=Kind.DELIVERY, payload={"bytes": n}, time=NOW + timedelta(seconds=n)) for n in numbers]


def filled(state: Settings, *numbers: int) -> str:
    """The id of the installation, whose ledger now holds `enrolled` and a delivery per number."""
    with open_meter(state, clock=at(NOW)) as meter:
        meter.append_all(deliveries(*numbers))
        return meter.installation.id


def amounts(records: list[Record]) -> list[int]:
    return [record.payload["bytes"] for record in records if record.kind is Kind.DELIVERY]


def payloads(state: Settings, kind: Kind) -> list[dict[str, object]]:
    with open_meter(state, clock=at(NOW)) as meter:
        return [record.payload for record in meter.ledger.records() if record.kind is kind]


def acknowledge(meter: Meter, first_seq: int, last_seq: int) -> None:
    """Have the server acknowledge records *first_seq* to *last_seq*."""
    hashes = [record.hash for record in meter.ledger.records(first_seq - 1, last_seq - first_seq + 1)]
    receipt = Receipt(
        installation_id=meter.installation.id,
        first_seq=first_seq,
        last_seq=last_seq,
        head_hash=hashes[-1],
        merkle_root=merkle_root(hashes),
        nonce="nonce-of-the-server-1",
        time=NOW,
    )
    meter.ledger.acknowledge(sign(receipt.claims(), typ=Typ.RECEIPT, key=a_key("server")), receipt)


def unreported(state: Settings) -> dict[str, list[int]]:
    """What the reporter would send now, by installation: amounts of the earlier ones and of the current."""
    found = {}
    with open_meter(state, clock=at(NOW)) as meter, open_retired(state) as retired:
        for one in (*retired, Retired(meter.installation, meter.ledger)):
            upcoming = next_report(one.ledger, key=one.installation.key, license_token="a.b.c", sdk=VERSION)
            if upcoming is not None:
                found[one.installation.id] = amounts(list(decode_report(upcoming[0]).records))
    return found


class TestDiary:
    def test_a_ledger_begins_with_the_enrolment_and_says_nothing_more_while_nothing_changes(
        self, state: Settings
    ) -> None:
        filled(state, 1)
        filled(state, 2)

        assert payloads(state, Kind.LIFECYCLE) == [{"event": "enrolled", "sdk": VERSION}]

    def test_processes_that_start_together_enrol_once(self, state: Settings) -> None:
        script = f"""
from pathlib import Path
from narrows.settings import Settings
from narrows.usage.machine import open_meter
with open_meter(Settings.read({{"NARROWS_STATE": {str(state.state_folder)!r}}})):
    pass
"""
        starting = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(4)]

        assert [process.wait() for process in starting] == [0, 0, 0, 0]
        assert len(payloads(state, Kind.LIFECYCLE)) == 1

    def test_another_release_of_the_sdk_is_written_down_once(self, state: Settings) -> None:
        filled(state, 1)
        with open_meter(state, clock=at(NOW)) as meter:
            meter.append(Kind.LIFECYCLE, {"event": Event.SDK_CHANGED, "sdk": "0.0.9"}, time=NOW)
        filled(state, 2)
        filled(state, 3)

        assert payloads(state, Kind.LIFECYCLE)[2:] == [
            {"event": "sdk_changed", "sdk": VERSION, "previous_sdk": "0.0.9"}
        ]

    def test_a_clock_that_was_set_back_is_written_down_once_and_not_forgotten(self, state: Settings) -> None:
        filled(state, 5)
        for days in (2, 3):
            with open_meter(state, clock=at(NOW - timedelta(days=days))) as meter:
                meter.append_all([Entry(kind=Kind.DELIVERY, payload={}, time=NOW - timedelta(days=days))] * 40)

        assert payloads(state, Kind.LIFECYCLE)[1:] == [
            {"event": "clock_set_back", "latest_time_seen": "2026-11-23T08:00:05.000000Z"}
        ]
        with open_meter(state, clock=at(NOW)) as meter:
            assert meter.latest_time_seen() == NOW + timedelta(seconds=5)

    def test_every_event_can_be_read_again(self, state: Settings) -> None:
        filled(state, 1)
        (event,) = [read_lifecycle(payload) for payload in payloads(state, Kind.LIFECYCLE)]
        assert (event.event, event.sdk) == (Event.ENROLLED, VERSION)  # type: ignore[union-attr]


class TestReidentifying:
    def test_what_the_server_refused_is_reported_once_under_the_new_name(self, state: Settings) -> None:
        old = filled(state, 2, 3, 4, 5)
        with open_meter(state, clock=at(NOW)) as meter:
            acknowledge(meter, 1, 3)
            last_own = meter.ledger.head_at(3)

        reidentify(state, installation_id=old, first_seq=4, at=NOW)

        with open_meter(state, clock=at(NOW)) as meter:
            assert meter.installation.id != old
            first, *others = meter.ledger.records()
            assert first.payload == {
                "event": "reidentified",
                "previous_installation": old,
                "previous_seq": 3,
                "previous_hash": last_own.hash,
            }
            assert [(r.payload, r.time) for r in others if r.kind is Kind.DELIVERY] == [
                ({"bytes": n}, NOW + timedelta(seconds=n)) for n in (4, 5)
            ]
            new = meter.installation.id
        assert unreported(state) == {new: [4, 5]}

    def test_what_was_accepted_without_a_receipt_stays_to_be_reported_under_the_old_name(self, state: Settings) -> None:
        old = filled(state, 2, 3, 4, 5)
        reidentify(state, installation_id=old, first_seq=4, at=NOW)
        with open_retired(state) as (retired,):
            assert (retired.installation.id, retired.ledger.own_seq()) == (old, 3)
        assert unreported(state)[old] == [2, 3]

    def test_asset_ids_stay(self, state: Settings) -> None:
        old = filled(state)
        with open_meter(state) as meter:
            before = meter.installation.pseudonym(b"film")
        reidentify(state, installation_id=old, first_seq=1, at=NOW)
        with open_meter(state) as meter:
            assert meter.installation.pseudonym(b"film") == before

    def test_a_second_time_changes_nothing(self, state: Settings) -> None:
        old = filled(state, 2, 3)
        reidentify(state, installation_id=old, first_seq=3, at=NOW)
        before = unreported(state)
        reidentify(state, installation_id=old, first_seq=3, at=NOW)
        reidentify(state, installation_id="somebody-else", first_seq=1, at=NOW)
        assert unreported(state) == before

    def test_it_can_happen_again(self, state: Settings) -> None:
        first = filled(state, 2, 3)
        reidentify(state, installation_id=first, first_seq=3, at=NOW)
        with open_meter(state, clock=at(NOW)) as meter:
            second = meter.installation.id
        reidentify(state, installation_id=second, first_seq=1, at=NOW)
        with open_meter(state, clock=at(NOW)) as meter:
            third = meter.installation.id
            meter.ledger.verify()
        assert unreported(state) == {first: [2], third: [3]}

    def test_records_of_a_retired_installation_move_as_well(self, state: Settings) -> None:
        first = filled(state, 2, 3, 4, 5)
        reidentify(state, installation_id=first, first_seq=5, at=NOW)
        with open_meter(state, clock=at(NOW)) as meter:
            current = meter.installation.id

        for _ in range(2):
            reidentify(state, installation_id=first, first_seq=3, at=NOW)

        reported = unreported(state)
        assert reported.pop(first) == [2]
        assert reported.pop(current) == [5]
        assert list(reported.values()) == [[3, 4]]

    def test_a_meter_that_holds_the_old_ledger_writes_into_the_new_one(self, state: Settings) -> None:
        with open_meter(state, clock=at(NOW)) as encoder:
            encoder.append_all(deliveries(2, 3))
            reidentify(state, installation_id=encoder.installation.id, first_seq=3, at=NOW)
            (record,) = encoder.append_all(deliveries(4))
            assert encoder.installation.id == encoder.ledger.installation_id
        with open_meter(state, clock=at(NOW)) as meter:
            assert amounts(list(meter.ledger.records())) == [3, 4]
            assert list(meter.ledger.records())[record.seq - 1] == record

    def test_nothing_is_lost_or_doubled_while_threads_append(self, state: Settings) -> None:
        done = threading.Event()
        written: list[int] = []

        with open_meter(state, clock=at(NOW)) as meter:

            def work(thread: int) -> None:
                n = thread * 1_000_000
                while not done.is_set():
                    n += 1
                    meter.append_all(deliveries(n))
                    written.append(n)

            threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for _ in range(4):
                with open_meter(state, clock=at(NOW)) as other:
                    current, head = other.installation.id, other.ledger.head().seq
                reidentify(state, installation_id=current, first_seq=head // 2 + 1, at=NOW)
            done.set()
            for thread in threads:
                thread.join()

        kept = []
        with open_meter(state, clock=at(NOW)) as meter, open_retired(state) as retired:
            for one in (*retired, Retired(meter.installation, meter.ledger)):
                kept += amounts(list(one.ledger.records(0, one.ledger.own_seq())))
        assert len(retired) == 4
        assert sorted(kept) == sorted(written)

    def test_records_that_were_pruned_are_named(self, state: Settings) -> None:
        old = filled(state, 2, 3, 4)
        with open_meter(state, clock=at(NOW)) as meter:
            acknowledge(meter, 1, 2)
            assert meter.prune(NOW + timedelta(days=401)) == 2
        reidentify(state, installation_id=old, first_seq=1, at=NOW)

        (gap,) = [read_gap(payload) for payload in payloads(state, Kind.GAP)]
        assert gap == Gap(reason=GapReason.PRUNED, installation=old, first_seq=1, last_seq=2, detail="")
        assert list(unreported(state).values()) == [[3, 4]]


KILLED_AFTER = """
import os, sys
from datetime import UTC, datetime
from narrows.settings import Settings
from narrows.usage.machine import recover, reidentify

calls = int(sys.argv[3])

def count_down(event, arguments):
    # Every file that is opened, moved, linked or removed, every connection: the places where something changes.
    global calls
    if event in {"open", "os.rename", "os.link", "os.remove", "sqlite3.connect"}:
        calls -= 1
        if calls == 0:
            os._exit(9)

settings = Settings.read({"NARROWS_STATE": sys.argv[1]})
now = datetime(2026, 11, 23, 8, tzinfo=UTC)
sys.addaudithook(count_down)
if sys.argv[2] == "recover":
    recover(settings, at=now)
else:
    reidentify(settings, installation_id=sys.argv[2], first_seq=3, at=now)
"""


def interrupted(state: Settings, task: str, calls: int) -> bool:
    """Whether the process died before it was done: killed at its *calls*-th dealing with files."""
    command = [sys.executable, "-c", KILLED_AFTER, str(state.state_folder), task, str(calls)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 9


class TestInterruptions:
    @pytest.mark.slow
    def test_wherever_it_dies_the_next_one_finishes(self, tmp_path: Path) -> None:
        for calls in range(1, 200, 2):
            state = Settings(license_path=tmp_path, roots_path=None, state_folder=tmp_path / f"state-{calls}")
            old = filled(state, 2, 3, 4)
            has_died = interrupted(state, old, calls)

            with open_meter(state, clock=at(NOW)) as meter:
                meter.append_all(deliveries(5))
            reidentify(state, installation_id=old, first_seq=3, at=NOW)

            reported = unreported(state)
            assert reported.pop(old) == [2], calls
            assert list(reported.values()) == [[3, 4, 5]], calls
            if not has_died:
                assert calls > 20
                break
        else:
            pytest.fail("it never came to an end")


def overwrite(path: Path, marker: bytes) -> None:
    """Change a byte behind *marker* in the closed ledger at *path*."""
    data = bytearray(path.read_bytes())
    data[data.rindex(marker) + len(marker)] ^= 1
    path.write_bytes(data)


class TestRecovery:
    def test_a_ledger_that_is_fine_needs_none(self, state: Settings) -> None:
        filled(state, 2)
        assert recover(state, at=NOW) is None

    def test_damage_stops_a_new_encode_and_names_the_way_out(self, settings: Settings) -> None:
        filled(settings, 2, 3)
        overwrite(settings.ledger_path, b'"kind":"delivery","payload":{"bytes":')
        with pytest.raises(LedgerDamaged, match=r"record 2.*narrows usage recover"):
            narrows.Encoder(width=64, height=48, settings=settings)

    def test_the_good_records_are_reported_and_the_lost_ones_named(self, state: Settings) -> None:
        old = filled(state, 20, 30, 40, 50)
        overwrite(state.ledger_path, b'"bytes":4')
        before = state.ledger_path.read_bytes()

        recovered = recover(state, at=NOW)

        assert recovered is not None
        assert (recovered.good_seq, recovered.last_seq, recovered.set_aside) == (3, 5, state.ledger_path)
        assert len(before) == state.ledger_path.stat().st_size
        with open_meter(state, clock=at(NOW)) as meter:
            meter.append_all(deliveries(60))
            first, gap, *_ = meter.ledger.records()
            assert first.payload["event"] == "recovered"
            assert (first.payload["previous_installation"], first.payload["previous_seq"]) == (old, 3)
            assert read_gap(gap.payload) == Gap(
                reason=GapReason.DAMAGED, installation=old, first_seq=4, last_seq=5, detail=recovered.damage
            )
            new = meter.installation.id
        assert unreported(state) == {old: [20, 30], new: [60]}

    def test_records_whose_receipt_was_altered_are_reported_again(self, state: Settings) -> None:
        old = filled(state, 20, 30, 40)
        with open_meter(state, clock=at(NOW)) as meter:
            acknowledge(meter, 1, 2)
            acknowledge(meter, 3, 3)
            token = meter.ledger.receipts()[-1].token
        overwrite(state.ledger_path, token[:-8].encode())

        recovered = recover(state, at=NOW)

        assert recovered is not None
        assert recovered.good_seq == 4
        assert unreported(state)[old] == [30, 40]

    def test_a_file_that_is_no_database_any_more_is_set_aside(self, state: Settings) -> None:
        old = filled(state, 2, 3)
        state.ledger_path.write_bytes(b"nonsense" * 1000)

        recovered = recover(state, at=NOW)
        assert recovered is not None
        assert (recovered.good_seq, recovered.last_seq) == (0, 3)  # The witness knows how far it had come.
        (gap,) = [read_gap(payload) for payload in payloads(state, Kind.GAP)]
        assert gap == Gap(reason=GapReason.DAMAGED, installation=old, first_seq=1, last_seq=3, detail=recovered.damage)
        assert recover(state, at=NOW) is None

    def test_a_ledger_that_vanished_is_noticed_and_named(self, state: Settings) -> None:
        filled(state, 2, 3)
        state.ledger_path.unlink()
        with pytest.raises(LedgerDamaged, match="missing"), open_meter(state):
            pass
        recovered = recover(state, at=NOW)
        assert recovered is not None
        (gap,) = [read_gap(payload) for payload in payloads(state, Kind.GAP)]
        assert isinstance(gap, Gap)
        assert (gap.reason, gap.first_seq, gap.last_seq) == (GapReason.LOST, 1, 3)

    def test_an_older_copy_of_the_ledger_is_noticed_and_named(self, state: Settings) -> None:
        filled(state, 2)
        copy = state.ledger_path.read_bytes()
        old = filled(state, 3, 4)
        state.ledger_path.write_bytes(copy)
        with pytest.raises(LedgerDamaged, match="this machine had 4 records"), open_meter(state):
            pass

        recover(state, at=NOW)

        events = [read_lifecycle(payload) for payload in payloads(state, Kind.LIFECYCLE)]
        assert events[0].event is Event.RESTORED  # type: ignore[union-attr]
        assert unreported(state)[old] == [2]

    def test_a_dropped_trigger_costs_no_record(self, state: Settings) -> None:
        import sqlite3
        from contextlib import closing

        old = filled(state, 2, 3)
        with closing(sqlite3.connect(state.ledger_path)) as connection:
            connection.execute("DROP TRIGGER records_never_change")
        recovered = recover(state, at=NOW)
        assert recovered is not None
        assert (recovered.good_seq, recovered.last_seq) == (3, 3)
        assert payloads(state, Kind.GAP) == []
        assert unreported(state)[old] == [2, 3]

    def test_a_meter_that_holds_the_damaged_ledger_writes_into_the_new_one(self, state: Settings) -> None:
        filled(state, 2, 3)
        with open_meter(state, clock=at(NOW)) as encoder:
            state.ledger_path.write_bytes(b"nonsense" * 1000)
            recover(state, at=NOW)
            encoder.append_all(deliveries(4))
        with open_meter(state, clock=at(NOW)) as meter:
            assert amounts(list(meter.ledger.records())) == [4]


class TestRoom:
    def test_an_encode_does_not_start_on_a_disk_without_room(self, small_disk: Path, settings: Settings) -> None:
        settings = Settings(license_path=settings.license_path, roots_path=None, state_folder=small_disk / "state")
        with pytest.raises(UsageError, match=r"MiB left and usage records need .*NARROWS_STATE"):
            narrows.Encoder(width=64, height=48, settings=settings)
        with open_meter(settings, clock=at(NOW)) as meter:  # Everything else goes on.
            assert meter.ledger.head().seq == 1

    def test_the_record_of_an_encode_that_runs_lands_on_a_full_disk(self, small_disk: Path) -> None:
        state = Settings(license_path=small_disk, roots_path=None, state_folder=small_disk / "state")
        with open_meter(state, clock=at(NOW)) as meter:
            meter.ledger._reserve._make()  # type: ignore[union-attr]
            fill_up(small_disk)
            for n in range(200):
                meter.append_all(deliveries(n))
            assert not list(state.state_folder.glob("*-reserve"))
        with open_meter(state, clock=at(NOW)) as meter:
            assert amounts(list(meter.ledger.records())) == list(range(200))
            meter.ledger.verify()

    def test_the_reserve_comes_back_when_there_is_room(self, state: Settings) -> None:
        with open_meter(state) as meter:
            for _ in range(2):
                meter.require_room()
                (reserve,) = state.state_folder.glob("*-reserve")
                assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES
                reserve.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> object:
    """A file system of eight megabytes, where one can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only the superuser can mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(folder: Path) -> None:
    """Leave no byte on the disk of *folder*."""
    with (folder / "filler").open("wb", buffering=0) as file:
        size = 2**20
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(["append", "acknowledge", "conflict", "reopen"]), st.integers(0, 6))))
def test_whatever_happens_every_record_is_somebodys_exactly_once(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("state")
    state = Settings(license_path=folder, roots_path=None, state_folder=folder / "state")
    appended = 0
    for step, number in steps:
        with open_meter(state, clock=at(NOW)) as meter:
            head, done = meter.ledger.head().seq, meter.ledger.acknowledged()
            if step == "append":
                meter.append_all(deliveries(*range(appended, appended + number)))
                appended += number
            elif step == "acknowledge" and head > done:
                acknowledge(meter, done + 1, min(head, done + 1 + number))
            elif step == "conflict":
                reidentify(state, installation_id=meter.installation.id, first_seq=min(head, done + number) + 1, at=NOW)
    kept = []
    with open_meter(state, clock=at(NOW)) as meter, open_retired(state) as retired:
        for one in (*retired, Retired(meter.installation, meter.ledger)):
            one.ledger.verify()
            kept += amounts(list(one.ledger.records(0, one.ledger.own_seq())))
    assert sorted(kept) == list(range(appended))
