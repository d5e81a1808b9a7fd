"""Benches at the command line: from measured clips to the terms of a contract."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from narrows_metering.bench import Bench
from narrows_server.cli import app
from narrows_server.contracts.contract_document import ContractDocument
from typer.testing import CliRunner

from .builders import some_contract


def an_evidence_file(folder: Path, name: str, *, ours: int, baseline: int | None, status: str = "measured") -> str:
    """What `narrows savings measure` writes of one clip, as far as a bench reads it; returns its name."""
    found = {"baseline": "libx265-medium", "metric": "ms_ssim", "status": status}
    document = {
        "format": "narrows-evidence/1",
        "source": {"path": f"/clips/{name}.mkv", "sha256": "0" * 64},
        "evidence": [{**found, "bytes": ours, "baseline_bytes": baseline}],
    }
    (folder / f"{name}.json").write_text(json.dumps(document))
    return f"{name}.json"


@pytest.fixture
def commands(home: Path) -> CliRunner:
    return CliRunner(env={"NARROWS_SERVER_HOME": str(home)})


def test_measured_clips_become_a_bench_that_a_contract_takes(commands: CliRunner, tmp_path: Path) -> None:
    rows = [
        f"{an_evidence_file(tmp_path, 'one', ours=800, baseline=1_000)},animation",
        f"{an_evidence_file(tmp_path, 'two', ours=1_000, baseline=900)},grain",
    ]
    (tmp_path / "clips.csv").write_text("\n".join(["evidence,content_class", *rows]))
    out = tmp_path / "bench.json"
    command = ["bench", "sign", str(tmp_path / "clips.csv"), "--id", "b-1", "--out", str(out)]
    done = commands.invoke(app, [*command, "--json"])

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["saved_ppm"] == {"animation": 250_000, "grain": -100_000}
    bench = Bench.from_dict(json.loads(out.read_text()))
    assert [clip.name for clip in bench.clips] == ["one.mkv", "two.mkv"]
    terms = some_contract(evidence={"method": "m1_stipulated", "bench": bench.to_dict()})
    document = ContractDocument.model_validate(terms)
    assert document.evidence.bench is not None


@pytest.mark.parametrize(
    ("csv", "says"),
    [
        ("", "needs the columns"),
        ("evidence,content_class\nmissing.json,film\n", "missing.json cannot be read"),
        ("evidence,content_class\nclips.csv,film\n", "cannot be read"),
        ("evidence,content_class\nworse.json,film\n", "no pair at equal ms_ssim: quality_above_ladder"),
    ],
)
def test_a_bench_leaves_nothing_out_by_itself(commands: CliRunner, tmp_path: Path, csv: str, says: str) -> None:
    an_evidence_file(tmp_path, "worse", ours=800, baseline=None, status="quality_above_ladder")
    (tmp_path / "clips.csv").write_text(csv)
    command = ["bench", "sign", str(tmp_path / "clips.csv"), "--id", "b-1", "--out", str(tmp_path / "bench.json")]
    done = commands.invoke(app, command)
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())
    assert not (tmp_path / "bench.json").exists()
