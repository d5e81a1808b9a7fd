"""The plan of a month: the draw that the statement will make, and what still lacks evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from narrows_metering.estimator import Method
from narrows_metering.plan import plan
from narrows_metering.record import Kind, Record
from narrows_metering.statement import draw_up
from narrows_metering.testing import (
    GB,
    NOVEMBER,
    a_delivery,
    an_encode,
    an_evidence,
    an_id,
    an_installation_id,
    some_records,
    some_terms,
)

SAMPLED = replace(some_terms(), method=Method.SAMPLED, sample_count=8)


def a_library(*, measured: int) -> Sequence[Record]:
    """Forty films, the first *measured* of which have evidence."""
    return some_records(
        [(Kind.ENCODE, an_encode(f"film-{n}", asset=f"film-{n}")) for n in range(40)]
        + [(Kind.DELIVERY, a_delivery(f"film-{n}", delivered=(10 + n * n) * GB)) for n in range(40)]
        + [(Kind.EVIDENCE, an_evidence(f"film-{n}", asset=f"film-{n}")) for n in range(measured)]
    )


def test_the_plan_is_the_draw_of_the_statement() -> None:
    records = {an_installation_id(): a_library(measured=0)}
    planned = plan(SAMPLED, period=NOVEMBER, records_by_installation=records)
    statement = draw_up(
        SAMPLED, period=NOVEMBER, records_by_installation=records, drawn_up_at=datetime(2026, 12, 4, tzinfo=UTC)
    )
    sample = statement["evidence"]["sample"]
    drawn = [name for stratum in sample["strata"] for name in stratum["drawn"]]
    assert [one.rendition for one in planned.renditions] == [*sample["certainty"], *drawn]
    assert planned.to_dict()["seed"] == sample["seed"]
    assert {one.lacks for one in planned.renditions} == {"no_evidence"}


def test_evidence_that_is_recorded_changes_no_draw_and_is_ticked_off() -> None:
    before, after = (
        plan(SAMPLED, period=NOVEMBER, records_by_installation={an_installation_id(): a_library(measured=count)})
        for count in (0, 30)
    )
    assert [one.rendition for one in before.renditions] == [one.rendition for one in after.renditions]
    measured = {an_id(f"film-{n}") for n in range(30)}
    assert {one.rendition for one in after.renditions if one.lacks is None} == measured & {
        one.rendition for one in before.renditions
    }


def test_a_census_plans_everything_that_was_delivered() -> None:
    planned = plan(some_terms(), period=NOVEMBER, records_by_installation={an_installation_id(): a_library(measured=1)})
    assert next(one.rendition for one in planned.renditions) == an_id("film-39")
    assert (planned.population, len(planned.renditions), sum(one.lacks is None for one in planned.renditions)) == (
        40,
        40,
        1,
    )


def test_prices_are_no_part_of_a_plan() -> None:
    records = {an_installation_id(): a_library(measured=0)}
    dear = replace(SAMPLED, tariff=some_terms(tiers=((None, "9"),)).tariff, invoiced_minor={"": 5})
    plans = [plan(terms, period=NOVEMBER, records_by_installation=records) for terms in (SAMPLED, dear)]
    assert plans[0].to_dict() == plans[1].to_dict()
