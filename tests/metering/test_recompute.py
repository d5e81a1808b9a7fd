"""`narrows-recompute`: agrees with a true statement, and names the first number of an untrue one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from narrows_metering.evidence import write_evidence
from narrows_metering.recompute import app, recompute
from narrows_metering.record import Kind, Record
from narrows_metering.statement import draw_up, statement_hash
from narrows_metering.testing import (
    GB,
    NOVEMBER,
    a_delivery,
    an_encode,
    an_evidence,
    an_installation_id,
    some_records,
    some_terms,
)
from typer.testing import CliRunner, Result

INSTALLATION = an_installation_id()
RECORDS = some_records(
    [
        (Kind.ENCODE, an_encode()),
        (Kind.EVIDENCE, an_evidence()),
        (Kind.DELIVERY, a_delivery()),
        (Kind.DELIVERY, a_delivery("nobody's", delivered=GB)),
    ]
)
STATEMENT = draw_up(
    some_terms(tiers=((10_000, "0.085"), (None, "0.06"))),
    period=NOVEMBER,
    records_by_installation={INSTALLATION: RECORDS},
    drawn_up_at=datetime(2026, 12, 4, tzinfo=UTC),
)

PREMISES = ("format", "contract", "period", "proofs")
UNCONTRADICTED = {
    ("contract", "contract_id"),
    ("contract", "customer_id"),
    ("contract", "tariff", "tariff_id"),
    ("contract", "tariff", "tiers", 0, "up_to_bytes"),
}


def run(folder: Path, statement: object, *options: str, records: list[Record] | None = None) -> Result:
    """The outcome of the command for *statement* with the evidence *records*."""
    (folder / "statement.json").write_text(json.dumps(statement), "utf-8")
    (folder / "records").mkdir(exist_ok=True)
    write_evidence(folder / "records", INSTALLATION, RECORDS if records is None else records)
    command = [str(folder / "statement.json"), "--evidence", str(folder / "records"), *options]
    return CliRunner().invoke(app, command)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a document that is neither list nor dict."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


def altered(path: tuple[Any, ...]) -> dict[str, Any]:
    """The statement with another value of the same type at *path*."""
    statement: dict[str, Any] = json.loads(json.dumps(STATEMENT))
    *parents, last = path
    place: Any = statement
    for step in parents:
        place = place[step]
    value = place[last]
    place[last] = value + 1 if isinstance(value, int) else ("something" if value is None else value + "x")
    return statement


def test_a_true_statement_is_confirmed_with_its_numbers(tmp_path: Path) -> None:
    result = run(tmp_path, STATEMENT)

    assert result.exit_code == 0, result.output
    assert "agree with the records" in result.output
    assert "1,001,000,000,000 bytes" in result.output
    assert "20 %: 3.40 EUR" in result.output
    assert statement_hash(STATEMENT) in result.output


def test_the_outcome_is_also_given_as_json(tmp_path: Path) -> None:
    outcome = json.loads(run(tmp_path, STATEMENT, "--json").stdout)
    assert outcome["agrees"] is True
    assert outcome["statement_hash"] == statement_hash(STATEMENT)
    assert outcome["values_compared"] == len(list(leaves(STATEMENT)))


@pytest.mark.parametrize("path", list(leaves(STATEMENT)), ids=lambda path: "/".join(map(str, path)))
def test_every_altered_value_is_noticed(tmp_path: Path, path: tuple[Any, ...]) -> None:
    result = run(tmp_path, altered(path), "--json")

    outcome = json.loads(result.stdout)
    if path[0] in PREMISES:
        # Records cannot contradict a name or an unused tier, but the hash on the invoice can; the rest they contradict.
        assert outcome["agrees"] is not True or outcome["statement_hash"] != statement_hash(STATEMENT)
        assert outcome["agrees"] is not True or path in UNCONTRADICTED
    else:
        assert outcome["difference"]["pointer"] == "/" + "/".join(map(str, path))
        assert outcome["difference"]["stated"] != outcome["difference"]["recomputed"]
        assert result.exit_code == 1


def test_the_first_difference_is_named_with_both_values(tmp_path: Path) -> None:
    result = run(tmp_path, altered(("share", "amount", "minor")))

    assert result.exit_code == 1
    assert result.output.splitlines() == ["/share/amount/minor differs", "  stated      341", "  recomputed  340"]


def test_a_missing_and_an_added_member_are_noticed(tmp_path: Path) -> None:
    less = {name: value for name, value in STATEMENT.items() if name != "valuation"}
    assert "/valuation differs\n  stated      (absent)" in run(tmp_path, less).output
    assert "/discount differs" in run(tmp_path, {**STATEMENT, "discount": 1}).output


def test_records_that_were_altered_do_not_hold(tmp_path: Path) -> None:
    forged = [*RECORDS[:2], Record.seal(3, RECORDS[1].hash, RECORDS[2].time, Kind.DELIVERY, a_delivery(delivered=GB))]
    assert "record 4" in run(tmp_path, STATEMENT, records=[*forged, RECORDS[3]]).output
    assert run(tmp_path, STATEMENT, records=[*forged, RECORDS[3]]).exit_code == 1
    # A chain that was forged to its end holds by itself, but it is not the one of the statement.
    assert "/delivered/bytes differs" in run(tmp_path, STATEMENT, records=forged).output


def test_records_after_the_statement_are_left_aside(tmp_path: Path) -> None:
    later = Record.seal(5, RECORDS[3].hash, RECORDS[3].time, Kind.DELIVERY, a_delivery(delivered=7))
    assert run(tmp_path, STATEMENT, records=[*RECORDS, later]).exit_code == 0


def test_an_installation_that_the_statement_leaves_out_is_said(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    write_evidence(tmp_path / "records", "another", [])
    result = run(tmp_path, STATEMENT)
    assert result.exit_code == 0
    assert "another is not in the statement" in result.output


def test_missing_evidence_is_not_a_verdict(tmp_path: Path) -> None:
    (tmp_path / "statement.json").write_text(json.dumps(STATEMENT))
    (tmp_path / "records").mkdir()
    command = [str(tmp_path / "statement.json"), "--evidence", str(tmp_path / "records")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert f"the evidence of installation {INSTALLATION} is missing" in result.output


@pytest.mark.parametrize("statement", [[], {}, {"format": "narrows-statement/1"}, {**STATEMENT, "proofs": 7}, 1.5])
def test_what_is_no_statement_is_not_a_verdict(tmp_path: Path, statement: object) -> None:
    result = run(tmp_path, statement)
    assert result.exit_code == 2
    assert "Cannot recompute" in result.output


def test_the_function_gives_what_the_command_prints(tmp_path: Path) -> None:
    write_evidence(tmp_path, INSTALLATION, RECORDS)
    outcome = recompute(STATEMENT, tmp_path)
    assert (outcome.difference, outcome.left_out) == (None, ())
