"""What the documents show is what happens."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from narrows_metering.baseline_spec import Rung, known_baselines
from narrows_metering.bench import Stipulation
from narrows_metering.cdn_tariff import VolumeTariff
from narrows_metering.estimator import Method
from narrows_metering.exclusion import Exclusion
from narrows_metering.money import cost
from narrows_metering.payload import BASELINE_ARM
from narrows_metering.record import Kind
from narrows_metering.savings import Mismatch, saved_bytes
from narrows_metering.statement import draw_up
from narrows_metering.tariff import Tariff, Tier
from narrows_metering.terms import Terms
from narrows_metering.testing import (
    NOVEMBER,
    a_bench,
    a_delivery,
    an_encode,
    an_evidence,
    an_installation_id,
    some_records,
    some_terms,
)

from .blocks import PAGES, ROOT

GB = 10**9


@pytest.mark.parametrize("document", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for path, anchor in re.findall(r"\]\((?!https?:|mailto:)([^)#]*)(?:#([^)]+))?\)", document.read_text()):
        target = document.parent / path if path else document
        assert target.exists(), path
        assert not anchor or anchor in anchors(target.read_text()), f"{path}#{anchor}"


def anchors(page: str) -> set[str]:
    """What the headings of *page* are called in links."""
    headings = re.findall(r"^#+ (.+)$", page, re.M)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower())) for heading in headings}


def test_the_worked_example_of_the_savings_is_what_the_code_computes() -> None:
    tariff = Tariff(tariff_id="example", tiers=(Tier(up_to_bytes=None, price_per_gb=Decimal("0.085")),))
    saved = saved_bytes(40 * GB, ours=800_000, baseline=1_000_000)
    value = cost(40 * GB + saved, tariff, currency="EUR") - cost(40 * GB, tariff, currency="EUR")

    assert saved == 10 * GB
    assert (value.minor, value.share(Decimal(20)).minor) == (85, 17)
    assert saved_bytes(40 * GB, ours=1_000_000, baseline=800_000) == -8 * GB


def the_examples() -> list[dict[str, Any]]:
    """The worked examples of the document."""
    text = (ROOT / "docs/explanation/how-savings-are-measured.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", text, re.S)
    examples: list[dict[str, Any]] = json.loads(block)
    return examples


@pytest.mark.parametrize("example", the_examples(), ids=lambda example: str(example["says"]))
def test_a_statement_over_a_worked_example_says_what_the_document_says(example: dict[str, Any]) -> None:
    regions = {
        region: Tariff(
            tariff_id=region,
            tiers=tuple(Tier(up_to_bytes=top and top * GB, price_per_gb=Decimal(price)) for top, price in tiers),
        )
        for region, tiers in example["tiers"].items()
    }
    tariff = VolumeTariff(cdn="cdn", regions=regions, commit=Decimal(example.get("commit", "0")))
    terms = replace(some_terms(share_percent=example["share"]), cdn_tariffs=(tariff,))
    terms, entries = the_month_of(example, terms)
    statement = draw_up(
        terms,
        period=NOVEMBER,
        records_by_installation={an_installation_id(): some_records(entries)},
        drawn_up_at=datetime(2026, 12, 4, tzinfo=UTC),
    )
    assert statement["result"]["saved_bytes"] == Decimal(example["saved_gb"]) * GB
    assert statement["valuation"]["saved"]["minor"] == example["saved"]
    assert statement["share"]["due"]["minor"] == example["due"]


def the_month_of(example: dict[str, Any], terms: Terms) -> tuple[Terms, list[tuple[Kind, dict[str, Any]]]]:
    """The method and the records that *example* tells of."""
    encode = (Kind.ENCODE, an_encode(content_class="film"))
    volumes = {region: volume * GB for region, volume in example["delivered_gb"].items()}
    if "holdout" in example:
        told, hour = example["holdout"], 3_600_000
        played = told["hours"] * hour // 10, told["baseline_hours"] * hour // 10
        held_bytes = int(Decimal(told["baseline_gb"]) * GB) // 10
        entries = [encode]
        for day in range(10):
            start = datetime(2026, 11, 1 + day, tzinfo=UTC)
            ours = a_delivery(delivered=volumes["eu"] // 10, played_ms=played[0], start=start)
            held = a_delivery(delivered=held_bytes, played_ms=played[1], start=start, arm=BASELINE_ARM)
            entries += [(Kind.DELIVERY, {**one, "cdn": "cdn", "region": "eu"}) for one in (ours, held)]
        return replace(terms, method=Method.HOLDOUT, holdout_percent=5), entries
    deliveries = [
        (Kind.DELIVERY, {**a_delivery(delivered=volume), "cdn": "cdn", "region": region})
        for region, volume in volumes.items()
    ]
    if "bench" in example:
        bench = a_bench({name: (ours, baseline) for name, (ours, baseline) in example["bench"].items()})
        stipulation = Stipulation(bench=bench, first_month=NOVEMBER)
        return replace(terms, method=Method.STIPULATED, stipulation=stipulation), [encode, *deliveries]
    evidence = an_evidence(ours=example["ours"], baseline=example["baseline"])
    if "ladder_kbps" in example:
        spec = replace(known_baselines()["libx265-medium"], ladder=(Rung(height=1080, kbps=example["ladder_kbps"]),))
        terms, evidence = replace(terms, baseline=spec), {**evidence, "baseline_sha256": spec.digest()}
    return terms, [encode, (Kind.EVIDENCE, evidence), *deliveries]


def test_every_reason_why_something_saves_nothing_is_explained() -> None:
    page = (ROOT / "docs/reference/statement.md").read_text()
    for reason in (*Exclusion, *Mismatch):
        assert f"`{reason.value}`" in page, reason


def test_every_section_of_a_statement_is_explained() -> None:
    page = (ROOT / "docs/reference/statement.md").read_text()
    statement = draw_up(
        some_terms(), period=NOVEMBER, records_by_installation={}, drawn_up_at=datetime(2026, 12, 4, tzinfo=UTC)
    )
    for name in [name for name in statement if name != "format"] + list(statement["evidence"]):
        assert f"`{name}`" in page, name


def test_the_readme_opens_with_one_sentence_and_a_session_with_a_refusal() -> None:
    _, sentence, session = (ROOT / "README.md").read_text().split("\n\n")[:3]

    assert sentence.count(".") == 1
    assert "LicenseUnreadable" in session
    assert "narrows license development" in session


def test_contributors_learn_what_each_folder_of_tests_shows() -> None:
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/*.py")}

    assert {name for name in folders if f"`{name}`" not in (ROOT / "CONTRIBUTING.md").read_text()} == set()
