"""The statement on paper: eleven sections, and the signed JSON inside."""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from narrows_metering.baseline_spec import Rung, known_baselines
from narrows_metering.bench import Stipulation
from narrows_metering.canonical import canonical_json
from narrows_metering.endorsement import Signer, endorse
from narrows_metering.estimator import Method
from narrows_metering.payload import BASELINE_ARM
from narrows_metering.record import Kind
from narrows_metering.statement import draw_up
from narrows_metering.terms import Terms
from narrows_metering.testing import (
    NOVEMBER,
    a_bench,
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


def rows_of(terms: Terms, entries: list[tuple[Kind, dict[str, Any]]], section: int) -> dict[str, str]:
    """A section of the paper for a month under *terms*."""
    statement = draw_up(
        terms,
        period=NOVEMBER,
        records_by_installation={an_installation_id(): some_records(entries)},
        drawn_up_at=datetime(2026, 12, 4, tzinfo=UTC),
    )
    assert render(statement, "kanal-1.2026-11").startswith(b"%PDF-1.7")
    return dict(_texts(statement, "kanal-1.2026-11")["sections"][section - 1]["rows"])


def test_a_stipulated_month_names_its_bench() -> None:
    stipulation = Stipulation(bench=a_bench({"*": (800, 1_000)}), first_month=NOVEMBER)
    rows = rows_of(replace(some_terms(), method=Method.STIPULATED, stipulation=stipulation), ENTRIES, 3)
    assert rows["Bench"] == "bench-1, month 1 of 3"
    assert rows["Of what it says is billed"] == "80 %"
    assert rows["Class *"] == "200.000 GB"


def test_a_holdout_says_how_much_was_played_on_either_ladder() -> None:
    entries: list[tuple[Kind, dict[str, Any]]] = [(Kind.ENCODE, an_encode())]
    for day in range(1, 11):
        start = datetime(2026, 11, day, tzinfo=UTC)
        entries.append((Kind.DELIVERY, a_delivery(start=start, played_ms=96 * 3_600_000)))
        held = a_delivery(start=start, delivered=40 * 10**9, played_ms=4 * 3_600_000, arm=BASELINE_ARM)
        entries.append((Kind.DELIVERY, held))
    rows = rows_of(replace(some_terms(), method=Method.HOLDOUT, holdout_percent=4), entries, 3)
    assert rows["Sessions with the baseline's ladder"] == "4.0 % of the played time, 4 % agreed"
    assert rows["Ours: delivered, hours played"] == "8,000.000 GB, 960"
    assert rows["Baseline: delivered, hours played"] == "400.000 GB, 40"


def test_a_fixed_baseline_is_named_by_its_hash_and_its_ladder_by_what_it_capped() -> None:
    spec = replace(known_baselines()["libx265-medium"], ladder=(Rung(height=1080, kbps=720),))
    entries = [*ENTRIES[:1], (Kind.EVIDENCE, {**an_evidence(), "baseline_sha256": spec.digest()}), *ENTRIES[2:]]
    terms = replace(some_terms(), baseline=spec)
    assert rows_of(terms, entries, 2)["Its settings, SHA-256"] == spec.digest()
    assert rows_of(terms, entries, 3)["of which up to the ladder's top"] == "1"
