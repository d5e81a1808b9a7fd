"""`narrows-recompute`: agrees with a true statement, and names the first number of an untrue one."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from narrows_licensing.signature import thumbprint
from narrows_metering.bench import Stipulation
from narrows_metering.canonical import canonical_json
from narrows_metering.endorsement import Signer, endorse
from narrows_metering.errors import MeteringError
from narrows_metering.estimator import Method
from narrows_metering.evidence import write_evidence
from narrows_metering.recompute import app, read_statement, recompute
from narrows_metering.record import Kind, Record
from narrows_metering.statement import draw_up, statement_hash
from narrows_metering.testing import (
    GB,
    NOVEMBER,
    a_bench,
    a_delivery,
    a_key,
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
VENDOR = a_key("vendor")
STATEMENT = endorse(
    draw_up(
        some_terms(tiers=((10_000, "0.085"), (None, "0.06"))),
        period=NOVEMBER,
        records_by_installation={INSTALLATION: RECORDS},
        drawn_up_at=datetime(2026, 12, 4, tzinfo=UTC),
    ),
    Signer.VENDOR,
    VENDOR,
)

BENCHED = endorse(
    draw_up(
        replace(
            some_terms(),
            method=Method.STIPULATED,
            stipulation=Stipulation(bench=a_bench({"*": (800, 1_000)}), first_month=NOVEMBER),
        ),
        period=NOVEMBER,
        records_by_installation={INSTALLATION: RECORDS},
        drawn_up_at=datetime(2026, 12, 4, tzinfo=UTC),
    ),
    Signer.VENDOR,
    VENDOR,
)

PREMISES = ("format", "contract", "period", "proofs", "signatures")


def run(folder: Path, statement: object, *options: str, records: list[Record] | None = None) -> Result:
    """The outcome of the command for *statement* with the evidence *records*."""
    text = json.dumps(statement).encode() if isinstance(statement, float) else canonical_json(statement)
    (folder / "statement.json").write_bytes(text)
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
    assert outcome["signed_by"] == {"vendor": thumbprint(VENDOR.public_key())}
    assert outcome["values_compared"] == len([path for path in leaves(STATEMENT) if path[0] != "signatures"])


@pytest.mark.parametrize("path", list(leaves(STATEMENT)), ids=lambda path: "/".join(map(str, path)))
def test_every_altered_value_is_noticed(tmp_path: Path, path: tuple[Any, ...]) -> None:
    result = run(tmp_path, altered(path), "--json")

    outcome = json.loads(result.stdout)
    if path[0] in PREMISES:
        # Records cannot contradict a name or an unused tier, but the signature does.
        assert outcome["agrees"] is not True
        assert outcome.get("error") or outcome["difference"]
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


def fault(statement: Path, evidence: Path) -> str | None:
    """What the recomputation names; None if all agrees and the vendor has signed it."""
    try:
        outcome = recompute(read_statement(statement), evidence)
    except MeteringError as error:
        return str(error)
    if outcome.difference is not None:
        return outcome.difference.pointer
    return None if outcome.signed_by == {"vendor": thumbprint(VENDOR.public_key())} else "/signatures"


@pytest.mark.parametrize("name", ["evidence", "bench"])
def test_every_single_byte_of_every_input_is_covered(tmp_path: Path, name: str) -> None:
    """Each byte of a statement and of its evidence, changed on its own, is found, and the fault has a name."""
    statement = STATEMENT if name == "evidence" else BENCHED
    run(tmp_path, statement)
    rng = random.Random(20261123)
    stated, records = tmp_path / "statement.json", tmp_path / "records" / f"{INSTALLATION}.json"
    assert fault(stated, records.parent) is None
    inputs = (stated, records) if name == "evidence" else (stated,)
    for path in inputs:
        intact = path.read_bytes()
        for at, byte in enumerate(intact):
            other = rng.choice([value for value in range(256) if value != byte])
            path.write_bytes(intact[:at] + bytes([other]) + intact[at + 1 :])
            assert fault(stated, records.parent), (path.name, at, other)
        for shorter in (intact[:-1], intact[1:], b""):
            path.write_bytes(shorter)
            assert fault(stated, records.parent), path.name
        path.write_bytes(intact)


def test_a_statement_that_somebody_else_signed_is_noticed(tmp_path: Path) -> None:
    forged = endorse(altered(("contract", "customer_id")), Signer.VENDOR, a_key("forger"))
    known = thumbprint(VENDOR.public_key())

    assert run(tmp_path, forged).exit_code == 0  # It holds by itself, and says who signed it.
    assert run(tmp_path, STATEMENT, "--signed-by", known).exit_code == 0
    result = run(tmp_path, forged, "--signed-by", known)
    assert result.exit_code == 1
    assert "/signatures/vendor: signed by" in result.output


def test_it_runs_in_a_network_namespace_without_a_network_and_without_torch(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rn", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine does not permit network namespaces (unshare -rn)")
    run(tmp_path, STATEMENT)
    program = (
        "import socket, sys\n"
        "assert [name for _, name in socket.if_nameindex()] == ['lo']\n"
        "from narrows_metering.recompute import app\n"
        "code = app(sys.argv[1:], standalone_mode=False)\n"
        "assert not {'torch', 'narrows', 'narrows_server', 'sqlalchemy'} & sys.modules.keys()\n"
        "sys.exit(code)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "statement.json"), "--evidence", str(tmp_path / "records")]
    done = subprocess.run([unshare, "-rn", *command], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "values agree with the records" in done.stdout


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
    (tmp_path / "statement.json").write_bytes(canonical_json(STATEMENT))
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
