"""From its own records alone, a machine's owner draws a statement up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from narrows.cli.app import app
from narrows.errors import UsageError
from narrows.settings import Settings
from narrows.usage.machine import open_meter, reidentify
from narrows.usage.record_files import own_records, write_records
from narrows_metering.endorsement import Signer, endorse
from narrows_metering.evidence import read_evidence
from narrows_metering.ledger import Entry
from narrows_metering.recompute import recompute
from narrows_metering.record import Kind, Record
from narrows_metering.statement import draw_up
from narrows_metering.testing import (
    NOVEMBER,
    a_delivery,
    a_key,
    a_receipt,
    a_receipt_token,
    an_encode,
    an_evidence,
    some_terms,
)
from typer.testing import CliRunner

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> Settings:
    """Settings with an empty state folder."""
    return Settings(license_path=tmp_path / "license.json", roots_path=None, state_folder=tmp_path / "state")


def record(state: Settings, *entries: tuple[Kind, Mapping[str, object]]) -> str:
    """The id of the installation that has recorded *entries*."""
    with open_meter(state, clock=lambda: NOW) as meter:
        meter.append_all([Entry(kind=kind, payload=payload, time=NOW) for kind, payload in entries])
        return meter.installation.id


def all_records(state: Settings) -> dict[str, list[Record]]:
    with own_records(state) as runs:
        return {name: list(run.records) for name, run in runs.items()}


def test_a_statement_over_them_is_recomputed_also_when_more_was_recorded_since(state: Settings, tmp_path: Path) -> None:
    record(state, (Kind.ENCODE, an_encode()), (Kind.EVIDENCE, an_evidence()), (Kind.DELIVERY, a_delivery()))
    statement = draw_up(
        some_terms(),
        period=NOVEMBER,
        records_by_installation={name: iter(records) for name, records in all_records(state).items()},
        drawn_up_at=datetime(2026, 12, 4, tzinfo=UTC),
    )
    assert statement["result"]["saved_bytes"] > 0
    record(state, (Kind.DELIVERY, a_delivery("another")))

    write_records(tmp_path / "records", settings=state)
    outcome = recompute(endorse(statement, Signer.VENDOR, a_key("vendor")), tmp_path / "records")

    assert (outcome.difference, outcome.left_out) == (None, ())


def test_each_installation_that_lived_here_has_a_file_and_each_record_is_in_one(
    state: Settings, tmp_path: Path
) -> None:
    first = record(state, *((Kind.DELIVERY, {"bytes": n}) for n in (2, 3, 4)))
    reidentify(state, installation_id=first, first_seq=4, at=NOW)

    files = write_records(tmp_path / "records", settings=state)

    assert {one.installation for one in files} == all_records(state).keys()
    told = [[r.payload["bytes"] for r in read_evidence(one.path) if r.kind is Kind.DELIVERY] for one in files]
    assert sorted(told) == [[2, 3], [4]]
    assert all(len(list(read_evidence(one.path))) == one.last_seq for one in files)


def test_written_again_they_are_the_same_and_nothing_else_is_left(state: Settings, tmp_path: Path) -> None:
    record(state, (Kind.DELIVERY, {"bytes": 2}))
    (file,) = write_records(tmp_path / "records", settings=state)
    before = file.path.read_bytes()

    write_records(tmp_path / "records", settings=state)

    assert file.path.read_bytes() == before
    assert list((tmp_path / "records").iterdir()) == [file.path]


def test_records_that_are_not_kept_any_more_are_named(state: Settings, tmp_path: Path) -> None:
    installation = record(state, (Kind.DELIVERY, {"bytes": 2}), (Kind.DELIVERY, {"bytes": 3}))
    with open_meter(state, clock=lambda: NOW) as meter:
        receipt = replace(a_receipt(list(meter.ledger.records(0, 2))), installation_id=installation)
        meter.ledger.acknowledge(a_receipt_token(receipt), receipt)
        meter.ledger.prune(receipt.time + timedelta(days=1))

    with pytest.raises(UsageError, match=f"up to 2 of the installation {installation} are not kept"):
        write_records(tmp_path / "records", settings=state)
    assert not (tmp_path / "records").exists()


def test_a_folder_that_can_not_be_made_is_named(state: Settings, tmp_path: Path) -> None:
    (tmp_path / "records").write_text("a file")

    with pytest.raises(UsageError, match="can't write into"):
        write_records(tmp_path / "records", settings=state)


def test_the_command_says_what_it_wrote(state: Settings, tmp_path: Path) -> None:
    record(state, (Kind.DELIVERY, {"bytes": 2}))

    done = CliRunner(env={"NARROWS_STATE": str(state.state_folder)}).invoke(
        app, ["usage", "records", "--out", str(tmp_path / "records")]
    )

    assert done.exit_code == 0
    assert done.stdout.startswith("2 records in ")
