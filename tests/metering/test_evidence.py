"""Evidence files: one layout, read line by line, in which no byte can change unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from narrows_metering.canonical import canonical_json
from narrows_metering.chain import check_chain
from narrows_metering.errors import ChainBroken, StatementUnreadable
from narrows_metering.evidence import find_evidence, read_evidence, write_evidence
from narrows_metering.record import Kind, genesis
from narrows_metering.testing import an_encode, an_installation_id, some_records

INSTALLATION = an_installation_id()
RECORDS = some_records([(Kind.ENCODE, {**an_encode(), "note": "é😀\x1f"})] * 3)
DOCUMENT = {"installation_id": INSTALLATION, "records": [record.to_dict() for record in RECORDS]}
FIRST = f'{{"installation_id":"{INSTALLATION}","records":[\n'
LINES = [canonical_json(record.to_dict()).decode() for record in RECORDS]


def written(folder: Path, text: str) -> Path:
    """An evidence file of the usual installation that holds *text*."""
    path = folder / f"{INSTALLATION}.json"
    path.write_text(text, "utf-8", newline="")
    return path


def test_what_was_written_is_json_with_a_record_per_line_and_is_read_back(tmp_path: Path) -> None:
    path = write_evidence(tmp_path, INSTALLATION, iter(RECORDS))

    assert json.loads(path.read_text()) == DOCUMENT
    assert len(path.read_text().splitlines()) == len(RECORDS) + 2
    assert [record.to_dict() for record in read_evidence(path)] == DOCUMENT["records"]
    assert find_evidence(tmp_path) == {INSTALLATION: path}


def test_the_hash_of_a_line_is_the_hash_of_its_record(tmp_path: Path) -> None:
    read = list(read_evidence(write_evidence(tmp_path, INSTALLATION, RECORDS)))
    assert [record.computed_hash() for record in read] == [record.computed_hash() for record in RECORDS]
    assert check_chain(read, prev=genesis(INSTALLATION), first_seq=1).hash == RECORDS[-1].hash


def test_an_installation_without_records_has_an_empty_list(tmp_path: Path) -> None:
    path = write_evidence(tmp_path, INSTALLATION, [])
    assert json.loads(path.read_text()) == {"installation_id": INSTALLATION, "records": []}
    assert list(read_evidence(path)) == []


def test_every_changed_byte_makes_the_file_unreadable_or_breaks_the_chain(tmp_path: Path) -> None:
    path = write_evidence(tmp_path, INSTALLATION, RECORDS)
    intact = path.read_bytes()
    for at in range(len(intact)):
        path.write_bytes(intact[:at] + bytes([intact[at] ^ 1]) + intact[at + 1 :])
        with pytest.raises((StatementUnreadable, ChainBroken)):
            check_chain(read_evidence(path), prev=genesis(INSTALLATION), first_seq=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        f'{{"installation_id":"{INSTALLATION}","records":[]}}\n',
        FIRST,
        FIRST + LINES[0],
        FIRST + LINES[0] + "\n",
        FIRST + LINES[0] + ",\n]}\n",
        FIRST + LINES[0] + "\n]}",
        FIRST + LINES[0] + "\n]}\nx",
        FIRST + LINES[0] + "\n\n]}\n",
        FIRST + LINES[0] + ",\r\n" + LINES[1] + "\n]}\n",
        FIRST + LINES[0].replace('"seq":1', '"seq":1.0') + "\n]}\n",
        FIRST + LINES[0].replace('"seq":1', '"seq":99999999999999999999999') + "\n]}\n",
        FIRST + LINES[0].replace('"seq":1', '"seq":1,"seq":1') + "\n]}\n",
        FIRST + LINES[0].replace('"seq":1', '"seq": 1') + "\n]}\n",
        FIRST + LINES[0].replace("é", "\\u00e9") + "\n]}\n",
        FIRST + "1\n]}\n",
        FIRST + "[" * 100_000,
        FIRST + '"' + "x" * 100_000 + '"\n]}\n',
        FIRST.replace(INSTALLATION, "another") + LINES[0] + "\n]}\n",
    ],
)
def test_what_is_no_evidence_of_the_installation_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(StatementUnreadable, match=f"{INSTALLATION}.json, line [1-4]:"):
        list(read_evidence(path))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StatementUnreadable, match="nowhere"):
        find_evidence(tmp_path / "nowhere")


def test_an_installation_id_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name of a file"):
        write_evidence(tmp_path, "../elsewhere", [])
