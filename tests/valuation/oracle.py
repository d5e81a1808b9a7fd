"""
A second, naive reckoning of what a month's traffic is worth: plain fractions, nothing shared with the product.

And the random months and tariffs that both are asked about.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from narrows_metering.cdn_tariff import CdnTariff, CdnTraffic, PercentileTariff, VolumeTariff
from narrows_metering.money import Money, exponent
from narrows_metering.tariff import Tariff, Tier
from narrows_metering.valuation import CdnMonth, Mode, avoided_cost, effective_price, reference_price, total_saved

CURRENCIES = ("EUR", "JPY", "BHD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One random question."""

    mode: Mode
    currency: str
    months: tuple[CdnMonth, ...]
    tariffs: Mapping[str, CdnTariff]
    prices: Mapping[str, Decimal]
    invoiced: Mapping[str, Money]


def product(case: Case) -> int:
    """What the product says was saved, in minor units."""
    if case.mode is Mode.AVOIDED_COST:
        values = avoided_cost(case.months, case.tariffs, currency=case.currency)
    elif case.mode is Mode.REFERENCE_PRICE:
        values = reference_price(case.months, case.prices, currency=case.currency)
    else:
        values = effective_price(case.months, case.invoiced)
    return total_saved(values, currency=case.currency).minor


def naive(case: Case) -> int:
    """The same on paper."""
    saved = 0
    for month in case.months:
        if case.mode is Mode.EFFECTIVE_PRICE:
            paid, gb = case.invoiced[month.cdn].minor, Fraction(sum(month.delivered.region_bytes.values()), 10**9)
            if gb:
                saved += half_even(Fraction(paid) / gb * sum(month.baseline.region_bytes.values()) / 10**9) - paid
            continue
        both = [cents(case, month.cdn, traffic) for traffic in (month.baseline, month.delivered)]
        saved += both[0] - both[1]
    return saved


def cents(case: Case, cdn: str, traffic: CdnTraffic) -> int:
    """What one CDN's traffic costs."""
    scale = 10 ** exponent(case.currency)
    if case.mode is Mode.REFERENCE_PRICE:
        cost = Fraction(0)
        for region, volume in traffic.region_bytes.items():
            price = case.prices[region] if region in case.prices else case.prices["*"]
            cost += Fraction(volume, 10**9) * Fraction(price)
        return half_even(cost * scale)
    tariff = case.tariffs[cdn]
    if isinstance(tariff, PercentileTariff):
        rising = sorted(Fraction(volume * 8, 300) / 1_000_000 for volume in traffic.slot_bytes)
        for _ in range(int(Fraction(5, 100) * len(rising))):
            rising.pop()
        rate, commit = rising[-1], Fraction(tariff.commit_mbps)
        cost = commit * Fraction(tariff.price_per_mbps)
        if rate > commit:
            cost += (rate - commit) * Fraction(tariff.overage_per_mbps)
        return half_even(cost * scale)
    cost = Fraction(0)
    for name, tiers in tariff.regions.items():
        left = sum(v for r, v in traffic.region_bytes.items() if r == name or (name == "*" and r not in tariff.regions))
        begins = 0
        for tier in tiers.tiers:
            here = left if tier.up_to_bytes is None else min(left, tier.up_to_bytes - begins)
            cost += Fraction(here, 10**9) * Fraction(tier.price_per_gb)
            left -= here
            begins = tier.up_to_bytes or 0
    if cost < Fraction(tariff.commit):
        cost = Fraction(tariff.commit)
    return half_even(cost * scale)


def half_even(value: Fraction) -> int:
    """Rounded half to even, by hand."""
    whole, rest = divmod(value.numerator, value.denominator)
    if 2 * rest > value.denominator or (2 * rest == value.denominator and whole % 2):
        whole += 1
    return whole


def a_case(rng: random.Random) -> Case:
    """A random month of one to three CDNs; a third of them lose."""
    currency = rng.choice(CURRENCIES)
    cdns = ["one", "two", "three"][: rng.randint(1, 3)]
    slots = rng.choice((1, 19, 20, 21, 100))
    months = []
    for cdn in cdns:
        factor = Fraction(rng.randint(60, 160), 100) if rng.random() < 0.9 else Fraction(1)
        delivered = _traffic(rng, slots)
        months.append(CdnMonth(cdn=cdn, delivered=delivered, baseline=scaled(delivered, factor)))
    return Case(
        mode=rng.choice(list(Mode)),
        currency=currency,
        months=tuple(months),
        tariffs={cdn: _tariff(rng, cdn) for cdn in cdns},
        prices={"*": _price(rng), "eu": _price(rng)},
        invoiced={cdn: Money(minor=rng.randint(0, 10**9), currency=currency) for cdn in cdns},
    )


def scaled(traffic: CdnTraffic, factor: Fraction) -> CdnTraffic:
    """*traffic* times *factor*, everywhere, in whole bytes."""
    return CdnTraffic(
        region_bytes={region: int(volume * factor) for region, volume in traffic.region_bytes.items()},
        slot_bytes=[int(volume * factor) for volume in traffic.slot_bytes],
    )


def _traffic(rng: random.Random, slots: int) -> CdnTraffic:
    regions: Sequence[str] = rng.sample(["eu", "us", "in", "br"], rng.randint(0, 4))
    return CdnTraffic(
        region_bytes={region: rng.randint(0, 10 ** rng.randint(1, 16)) for region in regions},
        slot_bytes=[rng.randint(0, 10 ** rng.randint(1, 13)) for _ in range(slots)],
    )


def _tariff(rng: random.Random, cdn: str) -> CdnTariff:
    if rng.random() < 0.3:
        return PercentileTariff(
            cdn=cdn,
            price_per_mbps=_price(rng),
            overage_per_mbps=_price(rng),
            commit_mbps=rng.choice((Decimal(0), Decimal(rng.randint(0, 10**5)))),
        )
    named = ["*", *rng.sample(["eu", "us", "in"], rng.randint(0, 3))]
    commit = rng.choice((Decimal(0), Decimal(rng.randint(0, 10**8)) / 100))
    return VolumeTariff(cdn=cdn, regions={name: _tiers(rng) for name in named}, commit=commit)


def _tiers(rng: random.Random) -> Tariff:
    limits = sorted(rng.sample(range(1, 10**6), rng.randint(0, 4)))
    tiers = [Tier(up_to_bytes=limit * 10**9, price_per_gb=_price(rng)) for limit in limits]
    return Tariff(tariff_id="random", tiers=(*tiers, Tier(up_to_bytes=None, price_per_gb=_price(rng))))


def _price(rng: random.Random) -> Decimal:
    return Decimal(rng.randint(0, 10**6)).scaleb(-rng.randint(0, 6))
