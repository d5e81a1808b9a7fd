"""Which pages there are to look at, as whom; and what axe says of one."""

from __future__ import annotations

import json
from dataclasses import dataclass

from axe_playwright_python.sync_playwright import Axe
from narrows_server.invoices import repository as invoices
from narrows_server.licenses import repository as licenses
from narrows_server.office import Office
from narrows_server.people import service as people
from narrows_server.statements import repository as statements
from narrows_server.usage import repository as usage
from playwright.sync_api import Page

from tests.demo.story import PACIFIC, Client

SERIOUS = frozenset({"serious", "critical"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A page to look at, and its name on a picture."""

    name: str
    path: str


def vendor_stops(office: Office) -> list[Stop]:
    """Every kind of page that the vendor's people have."""
    things = _things(office, PACIFIC)
    with office.database.snapshot() as session:
        person = people.require_person(session, "finance@narrows.example").id
    plain = "alerts customers customers/new contracts contracts/new tariffs tariffs/new licenses licenses/new"
    plain += " installations statements invoices months exports proposals keys"
    plain += " webhooks people audit account what-is-sent"
    return [
        Stop(name="overview", path="/"),
        *(Stop(name=name.replace("/", "-"), path=f"/{name}") for name in plain.split()),
        Stop(name="customer", path="/customers/nordlicht"),
        Stop(name="billing", path="/customers/nordlicht/billing"),
        Stop(name="contract", path="/contracts/nordlicht-1"),
        Stop(name="tariff", path="/tariffs/nordlicht-cdn"),
        Stop(name="month", path=f"/months/{things['month']}"),
        Stop(name="month-preview", path=f"/months/{things['month']}/preview"),
        Stop(name="person", path=f"/people/{person}"),
        *_of_things(things),
    ]


def portal_stops(office: Office, client: Client = PACIFIC) -> list[Stop]:
    """Every kind of page that a customer's people have."""
    plain = "alerts licenses installations what-is-sent statements invoices keys webhooks account"
    return [
        Stop(name="overview", path="/"),
        *(Stop(name=name, path=f"/{name}") for name in plain.split()),
        *_of_things(_things(office, client)),
    ]


def faults_of(page: Page) -> list[str]:
    """What axe finds on the page that is serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {one['help']} – {one['nodes'][0]['html'][:160]}"
        for one in found
        if one["impact"] in SERIOUS
    ]


def _of_things(things: dict[str, str]) -> list[Stop]:
    return [
        Stop(name="license", path=f"/licenses/{things['license']}"),
        Stop(name="installation", path=f"/installations/{things['installation']}"),
        Stop(name="statement", path=f"/statements/{things['statement']}"),
        Stop(name="asset", path=f"/statements/{things['statement']}/assets/{things['asset']}"),
        Stop(name="invoice", path=f"/invoices/{things['invoice']}"),
    ]


def _things(office: Office, client: Client) -> dict[str, str]:
    """One of everything that a customer has; the installation is the one with the gap."""
    with office.database.snapshot() as session:
        statement = statements.list_current(session, customer_id=client.id)[0]
        issued = invoices.list_invoices(session, customer_id=client.id)
        known = {one.id: one for one in usage.list_installations(session, contract_id=client.contract_id)}
        gaps = [gap.installation_id for gap in usage.list_gaps(session, customer_id=client.id)]
        lines = json.loads(statement.document)["evidence"]["lines"]
        return {
            "license": licenses.list_licenses_of(session, client.id)[0].id,
            "installation": (gaps or list(known))[0],
            "statement": statement.id,
            "asset": min(lines, key=lambda line: line["saved_bytes"])["asset"],
            "invoice": str(issued[0].number),
            "month": statement.period,
        }
