"""The quick reader of reports lets through nothing that the careful one refuses, and takes the same from the rest."""

from __future__ import annotations

import gzip
import json
from hashlib import sha256
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from narrows_licensing.signature import public_key_to_text
from narrows_metering.canonical import INTEGER_MAX, canonical_json
from narrows_metering.errors import MeteringError
from narrows_metering.record import Kind, Record
from narrows_metering.report import Report, check_report, encode_report, sign_report
from narrows_metering.testing import (
    a_delivery,
    a_key,
    a_report,
    an_encode,
    an_evidence,
    an_installation_id,
    some_records,
)
from narrows_server.usage.arrival import Arrival, read_good_report

KEY = a_key()
NAMES = st.text(st.characters(max_codepoint=127), min_size=1, max_size=64)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def report_of(entries: list[tuple[Kind, dict[str, Any]]], **changes: Any) -> Report:
    members = {
        "installation_id": an_installation_id(),
        "public_key": public_key_to_text(KEY.public_key()),
        "license_token": "header.claims.signature",
        "sdk": "narrows 0.1.0",
        "nonce_previous": None,
        "records": tuple(some_records(entries)),
    }
    return Report(**(members | changes))


def signed(document: object) -> tuple[bytes, str]:
    """*document* as a signed body, whatever it is: what a hostile installation can send."""
    body = gzip.compress(orjson.dumps(document, option=orjson.OPT_SORT_KEYS), mtime=0)
    return body, sign_report(body, KEY)


def agree(body: bytes, signature: str) -> bool:
    """Whether both take the report; fails if the quick one takes what the careful one does not, or something else."""
    quick = read_good_report(body, signature)
    try:
        careful = Arrival.of(check_report(body, signature))
    except MeteringError:
        assert quick is None
        return False
    assert quick is None or quick == careful
    return quick is not None


ORDINARY = report_of(
    [(Kind.ENCODE, an_encode()), (Kind.EVIDENCE, an_evidence()), (Kind.DELIVERY, a_delivery())],
    nonce_previous="nonce-of-the-server-1",
)


def document_of(report: Report) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(gzip.decompress(encode_report(report)))
    return document


def test_an_ordinary_report_is_read_the_same_and_quickly() -> None:
    body = encode_report(ORDINARY)
    arrival = read_good_report(body, sign_report(body, KEY))

    assert arrival == Arrival.of(ORDINARY)
    assert arrival.records == ORDINARY.records
    assert [count for count in arrival.delivered if count is not None] == [ORDINARY.records[2].payload["bytes"]]


@given(st.lists(st.tuples(st.sampled_from(Kind), st.dictionaries(NAMES, VALUES, max_size=5)), min_size=1, max_size=4))
def test_whatever_a_ledger_can_hold_is_read_the_same(entries: list[tuple[Kind, dict[str, Any]]]) -> None:
    body = encode_report(report_of(entries))

    assert agree(body, sign_report(body, KEY))


@given(VALUES)
def test_both_write_json_with_the_same_bytes(value: Any) -> None:
    assert orjson.dumps(value, option=orjson.OPT_SORT_KEYS) == canonical_json(value)


ODDITIES: list[Any] = [
    1.0,
    0.5,
    1e300,
    -0.0,
    True,
    None,
    2**53,
    -(2**53),
    2**63,
    "",
    "é",
    "\u2028",
    "\x00",
    "\x7f",
    "\U0001f3ac",
    [],
    {},
    {"": 1},
    {"é": 1},
    {"a" * 65: 1},
    [[[[[[[[[]]]]]]]]],
    [[[[[[[[]]]]]]]],
    [[[[[[[]]]]]]],
    "x" * 70_000,
    {"hash": "0" * 64},
]


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: repr(oddity)[:20])
@pytest.mark.parametrize(
    "place",
    [
        (),
        ("format",),
        ("installation_id",),
        ("public_key",),
        ("license_token",),
        ("sdk",),
        ("nonce_previous",),
        ("records",),
        ("more",),
        ("records", 0),
        ("records", 0, "seq"),
        ("records", 1, "seq"),
        ("records", 0, "prev"),
        ("records", 1, "prev"),
        ("records", 2, "time"),
        ("records", 1, "kind"),
        ("records", 1, "hash"),
        ("records", 1, "more"),
        ("records", 1, "payload"),
        ("records", 1, "payload", "bytes"),
        ("records", 1, "payload", "points", 0),
    ],
    ids=str,
)
def test_nothing_odd_gets_past_the_quick_reader_alone(place: tuple[str | int, ...], oddity: object) -> None:
    document: Any = document_of(ORDINARY)
    if place:
        *way, last = place
        parent = document
        for step in way:
            parent = parent[step]
        parent[last] = oddity
    else:
        document = oddity
    resealed = reseal(document) if len(place) > 2 and place[2] in {"payload", "time", "kind", "seq"} else document
    agree(*signed(resealed))


def reseal(document: Any) -> Any:
    """Give the altered records hashes that fit, as an installation that lies consistently would."""
    prev = document["records"][0]["prev"]
    for record in document["records"]:
        record["prev"] = prev
        rest = {name: value for name, value in record.items() if name != "hash"}
        try:
            record["hash"] = sha256(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)).hexdigest()
        except TypeError:
            return document
        prev = record["hash"]
    return document


@pytest.mark.parametrize("time", ["2026-02-30T08:00:00.000000Z", "0000-01-01T00:00:00.000000Z", "2026-11-23T08:00:00Z"])
def test_a_moment_that_does_not_exist_is_refused(time: str) -> None:
    document = document_of(ORDINARY)
    document["records"][2]["time"] = time

    assert not agree(*signed(reseal(document)))


@pytest.mark.parametrize("count", [1, 2])
def test_a_first_record_that_begins_another_chain_is_refused(count: int) -> None:
    strange = some_records([(Kind.ENCODE, an_encode())] * count, installation_id=an_installation_id("another"))

    assert not agree(*signed(document_of(report_of([], records=tuple(strange)))))


@pytest.mark.parametrize(
    "write",
    [
        lambda document: json.dumps(document, sort_keys=True).encode(),
        lambda document: json.dumps(dict(reversed(document.items())), separators=(",", ":")).encode(),
        lambda document: json.dumps(document, sort_keys=True, separators=(",", ":")).replace("{", "{ ", 1).encode(),
        lambda document: json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n",
        lambda document: json.dumps(document, sort_keys=True, separators=(",", ":")).replace('"e', '"\\u0065').encode(),
        lambda document: (
            json.dumps(document, sort_keys=True, separators=(",", ":"))
            .replace('"sdk":', '"sdk":"other","sdk":')
            .encode()
        ),
        lambda document: b"\xef\xbb\xbf" + json.dumps(document, sort_keys=True, separators=(",", ":")).encode(),
        lambda document: json.dumps(document, sort_keys=True, separators=(",", ":")).encode("utf-16"),
    ],
)
def test_another_spelling_of_the_same_report_is_refused(write: Any) -> None:
    body = gzip.compress(write(document_of(ORDINARY)), mtime=0)

    assert not agree(body, sign_report(body, KEY))


@pytest.mark.parametrize("tail", [b"", b"\x00", gzip.compress(b"more", mtime=0)])
def test_a_body_that_goes_on_after_its_end_or_ends_too_early_is_refused(tail: bytes) -> None:
    body = encode_report(ORDINARY)
    changed = body + tail if tail else body[:-4]

    assert not agree(changed, sign_report(changed, KEY))


def test_a_signature_by_another_key_or_of_another_body_is_refused() -> None:
    body = encode_report(ORDINARY)

    assert not agree(body, sign_report(body, a_key("stranger")))
    assert not agree(body, sign_report(body + b"x", KEY))
    assert not agree(body, "e30..AAAA")
    assert not agree(body, "")
    other = encode_report(a_report(name="another"))
    assert not agree(other, sign_report(other, KEY))


@settings(max_examples=300)
@given(st.data())
def test_no_flipped_bit_of_the_text_gets_past_the_quick_reader_alone(data: st.DataObject) -> None:
    """Every altered report is signed anew, so that nothing but its content can give it away."""
    text = bytearray(gzip.decompress(encode_report(ORDINARY)))
    text[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    body = gzip.compress(bytes(text), mtime=0)

    agree(body, sign_report(body, KEY))


def test_a_run_from_the_middle_of_a_ledger_is_read_the_same() -> None:
    records = some_records([(Kind.DELIVERY, a_delivery(source_digest=str(n))) for n in range(9)])
    body = encode_report(report_of([], records=tuple(records[5:])))

    assert agree(body, sign_report(body, KEY))


def test_a_record_swapped_left_out_or_repeated_is_refused() -> None:
    records = some_records([(Kind.DELIVERY, a_delivery(source_digest=str(n))) for n in range(4)])
    for run in ([0, 2, 1, 3], [0, 1, 3], [0, 1, 1, 2], [3, 2, 1, 0]):
        chosen: tuple[Record, ...] = tuple(records[place] for place in run)
        body = encode_report(report_of([], records=chosen))
        assert not agree(body, sign_report(body, KEY))
