"""The road of a month: plan what is drawn, measure what it lacks, and have a statement that counts it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from narrows import files
from narrows.cli.app import app
from narrows.errors import UsageError
from narrows.savings import deliveries, planning
from narrows.savings.account import baselines
from narrows.savings.reproduction import reproduce
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_metering.estimator import Method
from narrows_metering.importers.formats import LogFormat
from narrows_metering.record import Kind
from narrows_metering.statement import draw_up
from narrows_metering.terms import Period, Terms
from narrows_metering.testing import NOVEMBER, an_installation_id, some_records, some_terms
from typer.testing import CliRunner

from tests.sdk.builders import a_clip

SPEC = replace(
    baselines(["libx264-medium"])[0], metric="psnr", gop_frames_max=4, points_min=2, crf_start=20, crf_step=8
)
TERMS = replace(
    some_terms(), baseline_id=SPEC.baseline_id, baseline=SPEC, metric="psnr", method=Method.SAMPLED, segment_count=2
)


@pytest.fixture
def library(tmp_path: Path, settings: Settings) -> Path:
    """Two films of sixteen frames that were delivered in November; the CSV that says which files they are."""
    rows, lines = ["source,coded"], ["time,bytes,url"]
    for name, keyint in (("long", 4), ("short", 16)):
        source = a_clip(tmp_path / f"{name}.y4m", frames=16)
        files.encode(source, tmp_path / f"{name}.mkv", keyint=keyint, content_class="film", settings=settings)
        rows.append(f"{name}.y4m,{name}.mkv")
        lines.append(f"2026-11-03T08:00:00Z,{100_000 * keyint},/{name}.mkv")
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    (tmp_path / "log.csv").write_text("\n".join([*lines, ""]))
    served = {f"/{name}.mkv": tmp_path / f"{name}.mkv" for name in ("long", "short")}
    how = deliveries.Import(log_format=LogFormat.CMCD)
    deliveries.import_deliveries([tmp_path / "log.csv"], served, how=how, settings=settings)
    return tmp_path / "pairs.csv"


def test_what_was_planned_is_measured_in_segments_and_counts(library: Path, settings: Settings) -> None:
    plan = planning.make_plan(TERMS, NOVEMBER, settings=settings)
    assert [one.lacks for one in plan.renditions] == ["development", "development"]

    pairs, folder = planning.read_pairs(library), library.parent / "evidence"
    measured = list(planning.measure_plan(plan.to_dict(), pairs, evidence_folder=folder, settings=settings))
    assert {one.coded.name for one in measured} == {"long.mkv", "short.mkv"}
    assert all(one.status != "measured" or one.baseline_bytes for one in measured)

    long = next(one for one in measured if one.coded.name == "long.mkv")
    assert long.evidence is not None
    document = json.loads(long.evidence.read_text())
    assert document["draw"]["seed"] == plan.seed.hex()
    assert reproduce(long.evidence).difference is None

    after = planning.make_plan(TERMS, NOVEMBER, settings=settings)
    assert [one.rendition for one in after.renditions] == [one.rendition for one in plan.renditions]
    with open_meter(settings) as meter:
        records = {meter.installation.id: list(meter.ledger.records())}
    (run,) = records.values()
    assert {record.payload.get("content_class") for record in run if record.kind is Kind.ENCODE} == {"film"}
    # What a development license encodes is never billed; the same records under a paid one are.
    paid = [(r.kind, {**r.payload, **({"development": False} if r.kind is Kind.ENCODE else {})}) for r in run]
    statement = draw_up(
        TERMS,
        period=NOVEMBER,
        records_by_installation={an_installation_id(): some_records(paid)},
        drawn_up_at=datetime(2026, 12, 4, tzinfo=UTC),
    )
    reasons = {entry["rendition"]: entry["reason"] for entry in statement["exceptions"]}
    lines = {line["rendition"]: line for line in statement["evidence"]["lines"]}
    for one in measured:
        # Sealed anew the chain has other hashes, so the segments of the long film are not those of its draw.
        if one.status == "measured" and one.coded.name == "short.mkv":
            assert lines[one.rendition]["segments"] is None
        else:
            assert reasons[one.rendition] in ("other_segments", one.status)


def test_the_commands_print_the_plan_and_measure_it(
    library: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NARROWS_LICENSE", str(settings.license_path))
    monkeypatch.setenv("NARROWS_STATE", str(settings.state_folder))
    folder = library.parent
    (folder / "terms.json").write_text(json.dumps(TERMS.to_dict()))
    command = ["savings", "plan", "--terms", str(folder / "terms.json"), "--month", "2026-11"]

    shown = CliRunner().invoke(app, [*command, "--pairs", str(library), "--out", str(folder / "plan.json")])
    assert shown.exit_code == 0, shown.output
    assert "long.mkv" in shown.output
    assert "2 of 2 renditions, 2 still lack evidence" in shown.output
    assert json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)["renditions"]

    measured = CliRunner().invoke(
        app, ["savings", "measure", "--plan", str(folder / "plan.json"), "--pairs", str(library)]
    )
    assert measured.exit_code == 0, measured.output
    assert "2 measured and recorded; 0 of the plan have no file among the pairs" in measured.output


def test_terms_are_read_from_a_statement_too_with_its_time_zone(tmp_path: Path) -> None:
    period = Period(year=2026, month=11, time_zone="Europe/Stockholm")
    statement = draw_up(TERMS, period=period, records_by_installation={}, drawn_up_at=datetime(2026, 12, 4, tzinfo=UTC))
    path = tmp_path / "statement.json"
    path.write_text(json.dumps(statement))
    assert planning.read_terms(path) == (Terms.from_dict(TERMS.to_dict()), "Europe/Stockholm")


@pytest.mark.parametrize("text", ["", "[]", '{"contract": {}}'])
def test_what_holds_no_terms_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "terms.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"terms\.json"):
        planning.read_terms(path)


def test_pairs_name_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("source,coded\na.y4m,a.mkv\n")
    with pytest.raises(UsageError, match=r"a\.y4m is not there"):
        planning.read_pairs(path)
    path.write_text("from,to\n")
    assert planning.read_pairs(path) == ()
