"""Customers, tariffs and contracts: what is wrong with them is said when they are made."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from narrows_metering.tariff import Tier
from narrows_server.audit import trail
from narrows_server.customers import service
from narrows_server.errors import AlreadyExists, Invalid, NotFound
from narrows_server.identity import slug
from narrows_server.office import Office
from narrows_server.parties.party import Party

from .builders import a_contract, an_occasion

OPEN = Tier(up_to_bytes=None, price_per_gb=Decimal("0.05"))


@pytest.mark.parametrize(
    ("text", "up_to_bytes", "price"),
    [
        ("10000:0.05", 10**13, "0.05"),
        ("0.5:0.05", 5 * 10**8, "0.05"),
        (":0.04", None, "0.04"),
        (":0", None, "0"),
    ],
)
def test_a_tier_is_read_exactly(text: str, up_to_bytes: int | None, price: str) -> None:
    assert service.tier_from_text(text) == Tier(up_to_bytes=up_to_bytes, price_per_gb=Decimal(price))


@pytest.mark.parametrize("text", ["", "5", "5:", ":x", "0.0000000001:1", "-1:1", ":-1", ":nan", "1/0:1", ":Infinity"])
def test_what_is_no_tier_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is not a tier"):
        service.tier_from_text(text)


@pytest.mark.parametrize(
    ("currency", "tiers"),
    [
        ("EUR", ()),
        ("EUR", (Tier(up_to_bytes=5, price_per_gb=Decimal(1)),)),
        ("EUR", (OPEN, OPEN)),
        ("XXX", (OPEN,)),
        ("EUR", (Tier(up_to_bytes=9, price_per_gb=Decimal(1)), Tier(up_to_bytes=5, price_per_gb=Decimal(1)), OPEN)),
    ],
)
def test_a_tariff_that_prices_nothing_clearly_is_refused(
    office: Office, currency: str, tiers: tuple[Tier, ...]
) -> None:
    with pytest.raises(Invalid), office.database.transaction() as session:
        service.add_tariff(session, "CDN", currency=currency, tiers=tiers, occasion=an_occasion())


@pytest.mark.parametrize(
    "terms",
    [
        {"share_percent": Decimal(0)},
        {"share_percent": Decimal("100.01")},
        {"share_percent": Decimal("0.00001")},
        {"share_percent": Decimal("NaN")},
        {"baseline_id": "libsvtav1-6"},
        {"metric": "vmaf"},
        {"starts_on": date(2026, 11, 2)},
        {"terms_days": -1},
    ],
)
def test_terms_that_cannot_be_settled_are_refused(office: Office, terms: dict[str, object]) -> None:
    a_contract(office)
    valid: dict[str, object] = {
        "customer_id": "kanal",
        "tariff_id": "kanal-1-tariff",
        "share_percent": Decimal(20),
        "baseline_id": "libx265-medium",
        "metric": "ms_ssim",
        "starts_on": date(2026, 11, 1),
    }
    order = service.ContractOrder(**(valid | terms))  # type: ignore[arg-type]

    with pytest.raises(Invalid), office.database.transaction() as session:
        service.add_contract(session, order, occasion=an_occasion())


def test_a_customer_gets_its_id_from_its_name(office: Office) -> None:
    with office.database.transaction() as session:
        customer = service.add_customer(session, Party(name="Kanal Fünf (AB)"), occasion=an_occasion())

        assert customer.id == "kanal-funf-ab"


@pytest.mark.parametrize("name", ["日本放送", "!!!"])
def test_a_name_that_suggests_no_id_asks_for_one(office: Office, name: str) -> None:
    assert slug(name) == ""
    with office.database.transaction() as session:
        with pytest.raises(Invalid, match="cannot be an id"):
            service.add_customer(session, Party(name=name), occasion=an_occasion())
        assert service.add_customer(session, Party(name=name), customer_id="nhk", occasion=an_occasion()).name == name


def test_an_id_is_given_once(office: Office) -> None:
    a_contract(office)
    with pytest.raises(AlreadyExists), office.database.transaction() as session:
        service.add_customer(session, Party(name="Another"), customer_id="kanal", occasion=an_occasion())


def test_a_contract_needs_a_customer_that_exists(office: Office) -> None:
    order = service.ContractOrder(
        customer_id="nobody",
        tariff_id="none",
        share_percent=Decimal(20),
        baseline_id="libx265-medium",
        metric="ms_ssim",
        starts_on=date(2026, 11, 1),
    )
    with pytest.raises(NotFound, match="nobody"), office.database.transaction() as session:
        service.add_contract(session, order, occasion=an_occasion())


def test_every_change_leaves_its_audit_row_and_a_change_that_fails_leaves_none(office: Office) -> None:
    a_contract(office)
    with pytest.raises(AlreadyExists):
        a_contract(office)

    with office.database.snapshot() as session:
        actions = [(row.actor, row.action, row.subject) for row in trail(session)]
    assert actions[:3] == [
        ("admin:test", "contract.added", "kanal-1"),
        ("admin:test", "tariff.added", "kanal-1-tariff"),
        ("admin:test", "customer.added", "kanal"),
    ]
    assert len([action for action in actions if action[1] == "customer.added"]) == 1
