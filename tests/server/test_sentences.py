"""One line for each record of an installation."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from narrows_metering.record import Kind, Record, genesis
from narrows_metering.testing import GB, a_delivery, an_encode, an_evidence
from narrows_server.console.sentences import sentence

from .builders import NOW


@pytest.mark.parametrize(
    ("kind", "payload", "said"),
    [
        (Kind.ENCODE, an_encode(), "frames"),
        (Kind.EVIDENCE, an_evidence(ours=800_000, baseline=1_000_000), "800.0 kB where "),
        (Kind.EVIDENCE, {**an_evidence(), "status": "out_of_range"}, "could not be compared: out of range"),
        (Kind.DELIVERY, a_delivery(delivered=800 * GB), "800.0 GB of rendition "),
        (
            Kind.GAP,
            {"reason": "lost", "installation": "abcdefghij", "first_seq": 3, "last_seq": 9, "detail": ""},
            "records 3–9 of abcdefgh… are lost",
        ),
        (
            Kind.GAP,
            {"reason": "damaged", "installation": "abc", "first_seq": 3, "last_seq": None, "detail": ""},
            "records from 3 of abc are damaged",
        ),
        (Kind.LIFECYCLE, {"event": "clock_set_back"}, "the machine’s clock was set back"),
        (Kind.DELIVERY, {"bytes": 7}, "cannot be counted: rendition is missing or malformed"),
    ],
)
def test_a_record_is_said_in_a_line(kind: Kind, payload: Mapping[str, object], said: str) -> None:
    record = Record.seal(1, genesis("installation"), NOW, kind, payload)

    assert said in sentence(record)
    assert "\n" not in sentence(record)
