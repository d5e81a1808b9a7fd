"""
The demo's customers: who they are, what they agreed to, what they show their viewers, and how that saves.

Three of them: one that goes as it should, one that argues, and one that has just begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from narrows_metering.record import Kind
from narrows_metering.terms import Period
from narrows_metering.testing import GB, a_delivery, an_encode, an_evidence
from narrows_server.parties.party import Party, Seller

VENDOR = Seller(
    name="Narrows GmbH",
    address=("Uferstraße 12",),
    postcode="10115",
    city="Berlin",
    country="DE",
    email="billing@narrows.example",
    vat_id="DE136695976",
    registration="HRB 208118 B, Amtsgericht Charlottenburg",
    iban="DE02120300000000202051",
    bic="BYLADEM1001",
    bank="Deutsche Kreditbank",
)
# More is watched in winter than in summer: per cent of an average month, from January.
SEASON = (118, 110, 102, 95, 88, 80, 76, 82, 96, 106, 117, 130)
DELIVERY_DAYS = (2, 9, 16, 23)


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """An asset in two renditions, and what the baseline needs of our bytes, in per cent."""

    name: str
    terabytes: int  # A tenth of what is watched in an average month.
    baseline_percent: int  # Below 100 we lose.


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A customer of the demo."""

    id: str
    party: Party
    profile: dict[str, str]
    contact: tuple[str, str]  # Name and address of its own person in the portal.
    currency: str
    tiers: list[dict[str, str]]
    share: list[dict[str, str]]
    terms: dict[str, Any]
    shows: tuple[Show, ...]
    machines: tuple[str, ...]
    months: int  # For how many closed months it has been a customer.

    @property
    def contract_id(self) -> str:
        return f"{self.id}-1"


NORDLICHT = Client(
    id="nordlicht",
    party=Party(name="Nordlicht TV GmbH", address=("Speicherstadt 4",), email="rechnung@nordlicht.example"),
    profile={"country": "DE", "postcode": "20457", "city": "Hamburg", "vat_id": "DE811569869"},
    contact=("Jette Friis", "customer@nordlicht.example"),
    currency="EUR",
    tiers=[{"up_to_gb": "2000000", "price_per_gb": "0.021"}, {"price_per_gb": "0.016"}],
    share=[{"up_to": "10000", "percent": "25"}, {"percent": "20"}],
    terms={"payment_days": 30},
    shows=(
        Show(name="harbour-lights", terabytes=84, baseline_percent=131),
        Show(name="evening-news", terabytes=66, baseline_percent=124),
        Show(name="the-lighthouse", terabytes=52, baseline_percent=138),
        Show(name="north-sea-league", terabytes=47, baseline_percent=109),
        Show(name="kitchen-stories", terabytes=23, baseline_percent=127),
        Show(name="midnight-jazz", terabytes=9, baseline_percent=119),
    ),
    machines=("nordlicht-hamburg", "nordlicht-berlin"),
    months=6,
)
PACIFIC = Client(
    id="pacific",
    party=Party(name="Pacific Stream Inc.", address=("500 Howard Street",), email="ap@pacificstream.example"),
    profile={"country": "US", "postcode": "CA 94105", "city": "San Francisco"},
    contact=("Maria Ortega", "customer@pacific.example"),
    currency="USD",
    tiers=[{"up_to_gb": "3000000", "price_per_gb": "0.018"}, {"price_per_gb": "0.012"}],
    share=[{"percent": "22"}],
    terms={"payment_days": 14, "minimum": {"month": "250"}},
    shows=(
        Show(name="sierra", terabytes=120, baseline_percent=122),
        Show(name="surf-live", terabytes=95, baseline_percent=92),
        Show(name="courtroom", terabytes=61, baseline_percent=117),
        Show(name="animation-hour", terabytes=40, baseline_percent=141),
    ),
    machines=("pacific-west", "pacific-east"),
    months=5,
)
ALPINE = Client(
    id="alpine",
    party=Party(name="Alpine Médias SA", address=("Rue du Mont-Blanc 7",), email="factures@alpine.example"),
    profile={"country": "CH", "postcode": "1201", "city": "Genève"},
    contact=("Luc Favre", "customer@alpine.example"),
    currency="CHF",
    tiers=[{"price_per_gb": "0.024"}],
    share=[{"percent": "20"}],
    terms={"payment_days": 30},
    shows=(
        Show(name="sommets", terabytes=18, baseline_percent=129),
        Show(name="le-journal", terabytes=12, baseline_percent=121),
        Show(name="ski-direct", terabytes=7, baseline_percent=96),
    ),
    machines=("alpine-geneve", "alpine-sion"),
    months=2,
)
CLIENTS = (NORDLICHT, PACIFIC, ALPINE)


def first_records(client: Client) -> Iterator[tuple[Kind, dict[str, Any]]]:
    """Every rendition is encoded and measured once."""
    for show in client.shows:
        for suffix, size in (("1080", 800_000), ("720", 420_000)):
            rendition = f"{client.id}.{show.name}.{suffix}"
            asset = f"{client.id}.{show.name}"
            yield Kind.ENCODE, an_encode(rendition, asset=asset) | {"bytes": size}
            baseline = size * show.baseline_percent // 100
            yield Kind.EVIDENCE, an_evidence(rendition, asset=asset, ours=size, baseline=baseline)


def deliveries(client: Client, period: Period, place: int, *, until: datetime) -> Iterator[tuple[Kind, dict[str, Any]]]:
    """What machine number *place* saw delivered in a month: its part of every show, on four days, in season."""
    growth = 100 + 3 * ((period.year * 12 + period.month) % 7)
    for show in client.shows:
        for number, (suffix, percent) in enumerate((("1080", 70), ("720", 30))):
            volume = show.terabytes * 10_000 * GB * SEASON[period.month - 1] * growth * percent // 1_000_000
            for day in DELIVERY_DAYS:
                start = datetime(period.year, period.month, day + number + place, tzinfo=UTC)
                if start + timedelta(days=1) <= until:
                    part = volume // (len(DELIVERY_DAYS) * len(client.machines))
                    delivered = part * (97 + (day * 7 + place * 5 + number) % 8) // 100
                    yield (
                        Kind.DELIVERY,
                        a_delivery(f"{client.id}.{show.name}.{suffix}", delivered=delivered, start=start),
                    )
