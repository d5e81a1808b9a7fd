"""
The document of a contract: all terms between a customer and us, as both sides signed them.

One document is one version. What it says of sharing and paying may change on any day; what it says of measuring and
valuing only on the first of a month, because a month has one baseline and one CDN bill. Whose contract it is, its
currency, time zone and first day never change: that is another contract.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from narrows_metering.baseline_spec import BaselineSpec
from narrows_metering.bench import Bench, Stipulation
from narrows_metering.cdn_tariff import ANY_REGION
from narrows_metering.estimator import MILLION, Method
from narrows_metering.sampling import SAMPLE_COUNT
from narrows_metering.share import SHARE_TIERS_MAX, SharePart, ShareTier, ShareTiers, check_tiers
from narrows_metering.tariff import Tariff, Tier
from narrows_metering.terms import PERCENT_MAX, SAMPLE_COUNT_MAX, SEGMENT_COUNT_MAX, Period, Terms
from narrows_metering.valuation import Mode
from pydantic import Field, model_validator

from narrows_server.contracts.reading import Amount, Currency, Day, Document, Id, TimeZone, to_minor
from narrows_server.rating.terms import RatingTerms

BASELINES: Final = ("libx264-medium", "libx265-medium")
METRICS: Final = ("ms_ssim", "psnr", "vmaf_neg_v0.6.1")
PAYMENT_DAYS_MAX: Final = 180
LATE_MONTHS_MAX: Final = 24

FIXED: Final = ("format", "customer", "legal_entity", "currency", "time_zone", "starts_on")
MONTHLY: Final = ("tariff", "baseline", "baseline_spec", "metric", "valuation", "evidence", "exchange")


class Acceptance(StrEnum):
    """What makes a statement binding."""

    SILENCE = "silence"  # The customer's signature, or ten days without a dispute after it was sent.
    ON_CLOSE = "on_close"  # The close itself: the invoice follows at once, and a dispute leads to a credit note.


class ShareTierIn(Document):
    """Our part, in per cent, of the money saved above the tier before and up to `up_to` in a month."""

    up_to: Amount | None = None
    percent: Amount


class ByMonthAndYear(Document):
    """An amount for each month, one for each year of the contract, or both."""

    month: Amount | None = None
    year: Amount | None = None


class Valuation(Document):
    """How saved bytes become money."""

    mode: Annotated[Mode, Field(strict=False)] = Mode.AVOIDED_COST
    reference_prices: dict[str, Amount] = Field(default_factory=dict)  # Per GB by region; `*` for all others.


class EvidenceTerms(Document):
    """How savings are proved: M1 stipulated, M2 sampled, M3 census, M4 holdout."""

    method: Annotated[Method, Field(strict=False)] = Method.CENSUS
    noise_ppm: Annotated[int, Field(ge=0, lt=MILLION)] = 0  # One standard deviation of a measured baseline.
    psnr_tolerance_percent: Annotated[int, Field(ge=0, le=PERCENT_MAX)] | None = None
    sample_count: Annotated[int, Field(ge=2, le=SAMPLE_COUNT_MAX)] = SAMPLE_COUNT
    segment_count: Annotated[int, Field(ge=2, le=SEGMENT_COUNT_MAX)] | None = None  # Of a long rendition.
    bench: dict[str, Any] | None = None  # Of M1: the signed bench by which the first months are billed.
    holdout_percent: int | None = None  # Of M4: how much of the sessions gets the baseline's ladder.


class ExchangeTerms(Document):
    """Whose rate of which day turns the tariff's currency into the contract's."""

    source: Annotated[str, Field(min_length=1, max_length=40)] = "ECB"
    day: Literal["last_of_month", "first_of_next_month"] = "last_of_month"


class ContractDocument(Document):
    """One version of the terms. Amounts are in major units of `currency`, before tax."""

    format: Literal["narrows-contract/1"] = "narrows-contract/1"
    customer: Id
    legal_entity: Id | None = None  # Who invoices; the server's first entity if null.
    currency: Currency
    time_zone: TimeZone = "UTC"  # In which months begin and end.
    starts_on: Day
    ends_on: Day | None = None  # The last day on which it holds.

    tariff: Id
    baseline: Literal[BASELINES]  # type: ignore[valid-type]
    baseline_spec: dict[str, Any] | None = None  # All that decides what it needs; null accepts any settings.
    metric: Literal[METRICS]  # type: ignore[valid-type]
    valuation: Valuation = Valuation()
    evidence: EvidenceTerms = EvidenceTerms()
    exchange: ExchangeTerms = ExchangeTerms()

    share: Annotated[tuple[ShareTierIn, ...], Field(min_length=1, max_length=SHARE_TIERS_MAX, strict=False)]
    floor: Amount = Field(default="0", validate_default=True)  # A month with deliveries comes to at least this.
    minimum: ByMonthAndYear = ByMonthAndYear()  # Owed also if nothing was delivered.
    cap: ByMonthAndYear = ByMonthAndYear()
    true_up: bool = False  # At the end of the contract's year the year is rated as a whole.
    late_months: Annotated[int, Field(ge=0, le=LATE_MONTHS_MAX)] = 2  # How far back late usage is still corrected.
    payment_days: Annotated[int, Field(ge=0, le=PAYMENT_DAYS_MAX)] = 30
    acceptance: Annotated[Acceptance, Field(strict=False)] = Acceptance.SILENCE

    @model_validator(mode="after")
    def _can_be_settled(self) -> ContractDocument:
        check_tiers(self.tiers())
        if not any(tier.percent for tier in self.share):
            raise ValueError("share: no tier has a percentage above 0")
        if self.ends_on is not None and self.ends_on < self.starts_on:
            raise ValueError("ends_on: before starts_on")
        if self.valuation.mode is Mode.REFERENCE_PRICE and ANY_REGION not in self.valuation.reference_prices:
            raise ValueError(f"valuation/reference_prices: none for {ANY_REGION}, which is all regions not named")
        # Whatever `narrows_metering` would refuse at the month's end is refused here.
        Terms(contract_id="contract", tariff=_ANY_TARIFF, share=_one_part(self.tiers()), **self.measuring())
        terms = self.rating_terms()
        cap = terms.cap_month_minor
        if cap is not None and cap < max(terms.floor_minor, terms.minimum_month_minor):
            raise ValueError("cap/month: below the floor or the minimum of a month")
        cap = terms.cap_year_minor
        if cap is not None and cap < max(terms.minimum_year_minor, 12 * terms.minimum_month_minor):
            raise ValueError("cap/year: below the minimum of a year, or of its twelve months")
        return self

    def tiers(self) -> ShareTiers:
        """The share, for `narrows_metering`."""
        return tuple(
            ShareTier(
                up_to_minor=None if tier.up_to is None else self._minor(tier.up_to, f"share/{number}/up_to"),
                percent=tier.percent,
            )
            for number, tier in enumerate(self.share)
        )

    def rating_terms(self) -> RatingTerms:
        """What rating asks of a version."""
        return RatingTerms(
            tiers=self.tiers(),
            floor_minor=self._minor(self.floor, "floor"),
            minimum_month_minor=self._minor(self.minimum.month or Decimal(0), "minimum/month"),
            minimum_year_minor=self._minor(self.minimum.year or Decimal(0), "minimum/year"),
            cap_month_minor=None if self.cap.month is None else self._minor(self.cap.month, "cap/month"),
            cap_year_minor=None if self.cap.year is None else self._minor(self.cap.year, "cap/year"),
            is_trued_up=self.true_up,
        )

    def measuring(self) -> dict[str, Any]:
        """What of the terms `narrows_metering.terms.Terms` takes as it stands here. Raises ValueError."""
        evidence = self.evidence
        stipulation = None
        if evidence.bench is not None:
            first_month = Period(year=self.starts_on.year, month=self.starts_on.month)
            stipulation = Stipulation(bench=Bench.from_dict(evidence.bench), first_month=first_month)
        return {
            "customer_id": self.customer,
            "baseline_id": self.baseline,
            "baseline": None if self.baseline_spec is None else BaselineSpec.from_dict(self.baseline_spec),
            "metric": self.metric,
            "currency": self.currency,
            "mode": self.valuation.mode,
            "reference_prices": self.valuation.reference_prices,
            "method": evidence.method,
            "stipulation": stipulation,
            "holdout_percent": evidence.holdout_percent,
            "noise_ppm": evidence.noise_ppm,
            "psnr_tolerance_percent": evidence.psnr_tolerance_percent,
            "sample_count": evidence.sample_count,
            "segment_count": evidence.segment_count,
        }

    def _minor(self, amount: Decimal, where: str) -> int:
        return to_minor(amount, self.currency, where=where)


def _one_part(tiers: ShareTiers) -> tuple[SharePart, ...]:
    return (SharePart(from_day=1, tiers=tiers),)


_ANY_TARIFF: Final = Tariff(tariff_id="tariff", tiers=(Tier(up_to_bytes=None, price_per_gb=Decimal(0)),))


def changed_members(before: ContractDocument, after: ContractDocument) -> tuple[str, ...]:
    """The members in which two versions differ, in the order of the document."""
    return tuple(name for name in ContractDocument.model_fields if getattr(before, name) != getattr(after, name))


def json_schema(kind: type[Document]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a document."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **kind.model_json_schema()}
