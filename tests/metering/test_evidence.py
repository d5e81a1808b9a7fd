"""Evidence files: any layout of the one document, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from narrows_metering.errors import StatementUnreadable
from narrows_metering.evidence import find_evidence, read_evidence, write_evidence
from narrows_metering.record import Kind
from narrows_metering.testing import an_encode, an_installation_id, some_records

INSTALLATION = an_installation_id()
RECORDS = some_records([(Kind.ENCODE, an_encode())] * 3)
DOCUMENT = {"installation_id": INSTALLATION, "records": [record.to_dict() for record in RECORDS]}


def written(folder: Path, text: str) -> Path:
    """An evidence file of the usual installation that holds *text*."""
    path = folder / f"{INSTALLATION}.json"
    path.write_text(text, "utf-8")
    return path


def test_what_was_written_is_json_with_a_record_per_line_and_is_read_back(tmp_path: Path) -> None:
    path = write_evidence(tmp_path, INSTALLATION, iter(RECORDS))

    assert json.loads(path.read_text()) == DOCUMENT
    assert len(path.read_text().splitlines()) == len(RECORDS) + 2
    assert list(read_evidence(path)) == RECORDS
    assert find_evidence(tmp_path) == {INSTALLATION: path}


def test_an_installation_without_records_has_an_empty_list(tmp_path: Path) -> None:
    assert list(read_evidence(write_evidence(tmp_path, INSTALLATION, []))) == []


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("order", [1, -1])
def test_any_layout_is_read(tmp_path: Path, indent: int | None, order: int) -> None:
    text = json.dumps(dict(list(DOCUMENT.items())[::order]), indent=indent) + "\n"
    assert list(read_evidence(written(tmp_path, text))) == RECORDS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        '{"records":[]}',
        f'{{"installation_id":"{INSTALLATION}"}}',
        f'{{"installation_id":"{INSTALLATION}","records":{{}}}}',
        f'{{"installation_id":"{INSTALLATION}","records":[1]}}',
        f'{{"installation_id":"{INSTALLATION}","records":[],"records":[]}}',
        f'{{"installation_id":"{INSTALLATION}","records":[],"more":1}}',
        f'{{"installation_id":"{INSTALLATION}","records":[]}} x',
        f'{{"installation_id":"{INSTALLATION}","records":[],}}',
        f'{{"installation_id":"{INSTALLATION}","records":[}}',
        '{"installation_id":"another","records":[]}',
        json.dumps(DOCUMENT)[:-2],
        json.dumps(DOCUMENT).replace('"seq": 2', '"seq": 2.0'),
        "[" * 100_000,
    ],
)
def test_what_is_no_evidence_of_the_installation_is_refused(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(StatementUnreadable, match=INSTALLATION):
        list(read_evidence(path))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StatementUnreadable, match="nowhere"):
        find_evidence(tmp_path / "nowhere")


def test_an_installation_id_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name of a file"):
        write_evidence(tmp_path, "../elsewhere", [])
