"""Customers: what is wrong with them is said when they are made."""

from __future__ import annotations

import pytest
from narrows_server.audit import trail
from narrows_server.customers import service
from narrows_server.errors import AlreadyExists, Invalid
from narrows_server.identity import slug
from narrows_server.office import Office
from narrows_server.parties.party import Party

from .builders import a_contract, an_occasion


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
