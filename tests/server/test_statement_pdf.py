"""The statement on paper: eleven sections, and the signed JSON inside."""

from __future__ import annotations

import re
import zlib
from datetime import UTC, datetime
from typing import Any

from narrows_metering.canonical import canonical_json
from narrows_metering.endorsement import Signer, endorse
from narrows_metering.record import Kind
from narrows_metering.statement import draw_up
from narrows_metering.testing import (
    NOVEMBER,
    a_delivery,
    a_key,
    an_encode,
    an_evidence,
    an_installation_id,
    some_records,
    some_terms,
)
from narrows_server.statements.pdf import _texts, render

ENTRIES: list[tuple[Kind, dict[str, Any]]] = [
    (Kind.ENCODE, an_encode()),
    (Kind.EVIDENCE, an_evidence()),
    (Kind.DELIVERY, a_delivery()),
    (Kind.DELIVERY, a_delivery("nobody's")),
]
STATEMENT = endorse(
    draw_up(
        some_terms(),
        period=NOVEMBER,
        records_by_installation={an_installation_id(): some_records(ENTRIES)},
        drawn_up_at=datetime(2026, 12, 4, tzinfo=UTC),
    ),
    Signer.VENDOR,
    a_key("vendor"),
)


def streams(pdf: bytes) -> list[bytes]:
    """Every stream of a PDF, inflated where it is deflated."""
    found = []
    for raw in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            found.append(zlib.decompress(raw))
        except zlib.error:
            found.append(raw)
    return found


def test_the_signed_json_is_inside_to_the_byte() -> None:
    pdf = render(STATEMENT, "kanal-1.2026-11")
    assert pdf.startswith(b"%PDF-1.7")
    assert canonical_json(STATEMENT) in streams(pdf)


def test_the_same_statement_gives_the_same_bytes() -> None:
    assert render(STATEMENT, "kanal-1.2026-11") == render(STATEMENT, "kanal-1.2026-11")


def test_the_page_has_eleven_sections_with_the_numbers_of_the_statement() -> None:
    sections = _texts(STATEMENT, "kanal-1.2026-11")["sections"]
    assert [section["name"].split()[0] for section in sections] == [str(n) for n in range(1, 12)]
    texts = [text for section in sections for row in section["rows"] for text in row]
    assert "200.000 GB" in texts
    assert "EUR 2.00" in texts
    assert any(text.startswith("no encode: ") for text in texts)
