"""The page about reports says what a report holds: its example is one, and no record has a member it leaves out."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from narrows_metering import receipt
from narrows_metering.canonical import canonical_json
from narrows_metering.payload import Event, GapReason
from narrows_metering.record import Kind
from narrows_metering.report import check_report, sign_report

from .blocks import ROOT, blocks
from .world import World

PAGE = (ROOT / "docs" / "reference" / "report.md").read_text()


def test_the_example_is_a_report_and_every_byte_of_it_stands_there() -> None:
    shown, body_text, signature = (block.text for block in blocks(PAGE))
    body = base64.b64decode(body_text)
    canonical = canonical_json(json.loads(shown))

    assert gzip.decompress(body) == canonical
    assert f"{len(canonical):,} bytes" in PAGE
    report = check_report(body, signature.strip())
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    assert sign_report(body, key) == signature.strip()
    assert [record.kind for record in report.records] == [Kind.LIFECYCLE, Kind.ENCODE, Kind.DELIVERY]


def test_every_member_of_a_report_and_every_claim_of_a_receipt_is_explained() -> None:
    shown = json.loads(next(blocks(PAGE)).text)

    for name in (*shown, *shown["records"][0], *receipt._CLAIMS, *Event, *GapReason):
        assert f"`{name}`" in PAGE, name


@pytest.mark.parametrize("kind", [Kind.ENCODE, Kind.EVIDENCE, Kind.DELIVERY, Kind.LIFECYCLE])
def test_what_machines_really_record_is_all_explained(kind: Kind, made_world: World) -> None:
    (section,) = re.findall(rf"### Kind `{kind}`(.*?)(?=\n##)", PAGE, re.S)
    payloads = [
        record["payload"]
        for path in Path(made_world.folder, "records").glob("*.json")
        for record in records_of(json.loads(path.read_text()))
        if record["kind"] == kind
    ]

    assert payloads
    for name in {name for payload in payloads for name in payload}:
        assert f"`{name}`" in section, name


def records_of(document: Any) -> list[dict[str, Any]]:
    """The records of an evidence file, which is a list or holds one."""
    found: list[dict[str, Any]] = document["records"] if isinstance(document, dict) else document
    return found
