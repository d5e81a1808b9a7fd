"""Records: what may be sealed, what the hash covers, what is refused when one is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.canonical import INTEGER_MAX, canonical_json
from narrows_metering.errors import RecordRefused
from narrows_metering.record import (
    PAYLOAD_BYTES_MAX,
    PAYLOAD_DEPTH_MAX,
    SEQUENCE_MAX,
    Kind,
    Record,
    genesis,
    time_from_text,
    time_to_text,
)
from narrows_metering.testing import NOW, a_delivery, an_encode, some_records

PREV = "0" * 64


def sealed(payload: Any = None, **changes: Any) -> Record:
    """A record, valid but for *changes*."""
    members: dict[str, Any] = {"seq": 1, "prev": PREV, "time": NOW, "kind": Kind.ENCODE, "payload": payload or {}}
    return Record.seal(**{**members, **changes})


def nested(depth: int) -> dict[str, Any]:
    """A payload of *depth* levels."""
    return {"a": nested(depth - 1)} if depth > 1 else {}


class TestSealing:
    def test_the_hash_is_of_these_very_bytes(self) -> None:
        record = sealed({"b": 2, "a": "é"}, seq=7)

        assert (
            record.canonical_bytes()
            == (
                '{"kind":"encode","payload":{"a":"é","b":2},"prev":"' + PREV + '","seq":7,'
                '"time":"2026-11-23T08:00:00.000000Z"}'
            ).encode()
        )
        assert record.hash == hashlib.sha256(record.canonical_bytes()).hexdigest()

    def test_a_record_does_not_change_when_its_payload_is_changed_by_the_caller(self) -> None:
        payload = {"points": [{"bytes": 1}]}
        record = sealed(payload)
        payload["points"].append({"bytes": 2})

        assert record.payload == {"points": [{"bytes": 1}]}
        assert record.hash == record.computed_hash()

    def test_the_same_moment_in_another_zone_gives_the_same_record(self) -> None:
        assert sealed(time=NOW.astimezone(timezone(timedelta(hours=5)))) == sealed(time=NOW)

    def test_an_enumerated_text_is_recorded_as_its_text(self) -> None:
        class Preset(StrEnum):
            SLOW = "slow"

        record = sealed({"preset": Preset.SLOW})
        assert type(record.payload["preset"]) is str
        assert record == sealed({"preset": "slow"})

    @pytest.mark.parametrize(
        ("payload", "named"),
        [
            ({"bytes": 1.0}, "bytes: float"),
            ({"points": [{"score": 0.5}]}, "score: float"),
            ({"bytes": INTEGER_MAX + 1}, "bytes: an integer beyond"),
            ({"bytes": -INTEGER_MAX - 1}, "bytes: an integer beyond"),
            ({"name": b"raw"}, "name: bytes"),
            ({"name": "\ud800"}, "surrogate"),
            ({"naïve": 1}, "ASCII"),
            ({"": 1}, "ASCII"),
            ({"k" * 65: 1}, "ASCII"),
            ({1: 1}, "ASCII"),
            (nested(PAYLOAD_DEPTH_MAX + 1), "nested deeper"),
            ({"text": "x" * PAYLOAD_BYTES_MAX}, "bytes, more than"),
            (["a list"], "not an object"),
        ],
    )
    def test_a_payload_that_breaks_a_rule_is_refused_by_name(self, payload: Any, named: str) -> None:
        with pytest.raises(RecordRefused, match=named):
            sealed(payload)

    def test_the_limits_themselves_are_allowed(self) -> None:
        exact = {"text": "x" * (PAYLOAD_BYTES_MAX - len('{"text":""}'))}

        assert sealed(exact).payload == exact
        assert sealed(nested(PAYLOAD_DEPTH_MAX)).payload == nested(PAYLOAD_DEPTH_MAX)
        assert (
            sealed({"most": INTEGER_MAX, "least": -INTEGER_MAX, "k" * 64: None}, seq=SEQUENCE_MAX).seq == SEQUENCE_MAX
        )

    @pytest.mark.parametrize(
        "changes",
        [{"seq": 0}, {"seq": SEQUENCE_MAX + 1}, {"seq": True}, {"prev": "F" * 64}, {"prev": "0" * 63},
         {"time": datetime(2026, 11, 23)}],  # noqa: DTZ001  (naive on purpose)
    )  # fmt: skip
    def test_a_number_hash_or_time_out_of_range_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(RecordRefused):
            sealed(**changes)


class TestReading:
    @given(
        payload=st.dictionaries(
            st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
            st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | st.text(max_size=20),
            max_size=8,
        ),
        time=st.datetimes(timezones=st.just(UTC)),
        kind=st.sampled_from(Kind),
        seq=st.integers(1, SEQUENCE_MAX),
    )
    def test_a_record_survives_being_written_and_read(
        self, payload: dict[str, Any], time: datetime, kind: Kind, seq: int
    ) -> None:
        record = sealed(payload, time=time, kind=kind, seq=seq)
        assert Record.from_dict(record.to_dict()) == record

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (lambda d: d.pop("prev"), "prev: missing"),
            (lambda d: d.update(extra=1), "extra: not a member"),
            (lambda d: d.update(seq="1"), "seq"),
            (lambda d: d.update(seq=1.0), "seq"),
            (lambda d: d.update(kind="enc"), "kind"),
            (lambda d: d.update(kind=["encode"]), "kind"),
            (lambda d: d.update(hash=d["hash"].upper()), "hash"),
            (lambda d: d.update(payload=[]), "payload"),
            (lambda d: d.update(time="2026-11-23T08:00:00Z"), "time"),
        ],
    )
    def test_a_document_that_is_no_record_is_refused_by_name(
        self, change: Callable[[dict[str, Any]], object], named: str
    ) -> None:
        document = sealed(an_encode()).to_dict()
        change(document)
        with pytest.raises(RecordRefused, match=named):
            Record.from_dict(document)

    def test_an_altered_member_changes_the_computed_hash(self) -> None:
        record = sealed({"bytes": 1})
        others = [
            replace(record, seq=2),
            replace(record, prev="1" * 64),
            replace(record, time=NOW + timedelta(microseconds=1)),
            replace(record, kind=Kind.GAP),
            replace(record, payload={"bytes": 2}),
            replace(record, payload={"bytes": True}),
        ]
        assert len({record.computed_hash(), *(other.computed_hash() for other in others)}) == 7


class TestTimes:
    @given(st.datetimes(timezones=st.just(UTC)))
    def test_a_time_survives_being_written_and_read(self, time: datetime) -> None:
        assert time_from_text(time_to_text(time)) == time

    @pytest.mark.parametrize(
        "text",
        [
            "2026-11-23T08:00:00.000Z",
            "2026-11-23T08:00:00.000000+00:00",
            "2026-11-23 08:00:00.000000Z",
            "2026-W48-1T08:00:00.000000Z",
            "2026-11-23T08:00:00,000000Z",
            "2026-11-23T08:00:60.000000Z",
            "2026-13-23T08:00:00.000000Z",
            "٢026-11-23T08:00:00.000000Z",
            20261123,
            None,
        ],
    )
    def test_every_other_spelling_is_refused(self, text: object) -> None:
        with pytest.raises(RecordRefused, match="time"):
            time_from_text(text)


def test_two_installations_never_share_a_beginning() -> None:
    assert genesis("a") == hashlib.sha256(b"narrows-ledger/1:a").hexdigest()
    assert genesis("a") != genesis("b")


def test_a_stored_record_reads_as_it_was_and_any_change_of_its_text_is_seen() -> None:
    record = some_records([(Kind.DELIVERY, a_delivery() | {"note": "Zürich \u2028"})])[0]
    text = canonical_json(record.to_dict())

    assert Record.from_stored(text) == record
    assert Record.from_stored(text).computed_hash() == record.hash
    for position in range(len(text)):
        changed = text[:position] + bytes([text[position] ^ 1]) + text[position + 1 :]
        try:
            read = Record.from_stored(changed)
        except RecordRefused:
            continue
        assert read.computed_hash() != read.hash, position
