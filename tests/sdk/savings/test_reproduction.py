"""The same clip measured again gives the same evidence, or the first value that differs is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from narrows import files
from narrows.errors import UsageError
from narrows.savings.account import baselines
from narrows.savings.reproduction import measure, reproduce
from narrows.settings import Settings

from tests.sdk.builders import a_clip


def test_a_clip_measured_twice_gives_the_same_evidence(tmp_path: Path, settings: Settings) -> None:
    source = a_clip(tmp_path / "source.y4m")
    coded = files.encode(source, tmp_path / "coded.mkv", settings=settings).target
    evidence = tmp_path / "evidence.json"
    document = measure(source, coded, baselines(["libx264-medium"]))
    evidence.write_text(json.dumps(document))

    again = reproduce(evidence)
    assert (again.difference, again.same_tools) == (None, True)
    assert document["baselines"][0]["baseline_id"] == "libx264-medium"
    assert again.values_compared > 10

    document["evidence"][1]["points"][0]["bytes"] += 1
    evidence.write_text(json.dumps(document))
    assert (reproduce(evidence).difference or "").startswith("/evidence/1/points/0/bytes: stated ")

    with pytest.raises(UsageError, match="not the file that was measured"):
        reproduce(evidence, source=evidence)


def test_what_is_no_evidence_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    for text in ("", "[]", '{"format": "narrows-evidence/1"}'):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"evidence\.json"):
            reproduce(path)
