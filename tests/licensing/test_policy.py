"""The decision: when a license works, which reason is reported when it does not, and that there is always an answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_licensing.binding import Applications, Identity
from narrows_licensing.entitlement import Entitlements, Overage
from narrows_licensing.license import Kind, License, MeteringMode
from narrows_licensing.policy import CLOCK_TOLERANCE, EXPIRY_NOTICE, Circumstances, evaluate
from narrows_licensing.revocation import Status
from narrows_licensing.testing import NOW, a_license
from narrows_licensing.verdict import Granted, Reason, Refused, State

DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
EXPIRY = a_license().expires_at
END = EXPIRY + a_license().grace


def refusal(license: License, at: Circumstances) -> Refused:
    verdict = evaluate(license, at)
    assert isinstance(verdict, Refused)
    return verdict


def grant(license: License, at: Circumstances) -> Granted:
    verdict = evaluate(license, at)
    assert isinstance(verdict, Granted)
    return verdict


class TestTime:
    @pytest.mark.parametrize(
        ("now", "state", "until"),
        [
            (NOW, State.VALID, EXPIRY),
            (EXPIRY - EXPIRY_NOTICE - INSTANT, State.VALID, EXPIRY),
            (EXPIRY - EXPIRY_NOTICE, State.EXPIRING, EXPIRY),
            (EXPIRY - INSTANT, State.EXPIRING, EXPIRY),
            (EXPIRY, State.GRACE, END),
            (END - INSTANT, State.GRACE, END),
        ],
    )
    def test_a_license_passes_from_valid_to_expiring_to_grace(
        self, now: datetime, state: State, until: datetime
    ) -> None:
        assert evaluate(a_license(), Circumstances(now=now)) == Granted(
            license_id="LIC-0001", state=state, until=until, is_development=False
        )

    def test_an_expired_license_is_refused_with_its_next_step(self) -> None:
        refused = refusal(a_license(), Circumstances(now=END))

        assert refused.reason is Reason.EXPIRED
        assert refused.license_id == "LIC-0001"
        assert "renew" in refused.next_step
        assert EXPIRY.date().isoformat() in refused.detail

    def test_without_a_grace_period_the_expiry_is_the_end(self) -> None:
        license = a_license(grace=timedelta(0))

        assert grant(license, Circumstances(now=EXPIRY - INSTANT)).state is State.EXPIRING
        assert refusal(license, Circumstances(now=EXPIRY)).reason is Reason.EXPIRED

    def test_a_license_for_next_month_is_not_yet_valid(self) -> None:
        license = a_license(not_before=NOW + 30 * DAY)

        assert refusal(license, Circumstances(now=NOW)).reason is Reason.NOT_YET_VALID
        assert grant(license, Circumstances(now=NOW + 30 * DAY))

    def test_the_time_zone_of_the_caller_does_not_matter(self) -> None:
        for hours in (-12, 14):
            zone = timezone(timedelta(hours=hours))
            assert evaluate(a_license(), Circumstances(now=END.astimezone(zone))) == refusal(
                a_license(), Circumstances(now=END)
            )


class TestClock:
    def test_a_clock_a_little_behind_the_vendor_can_use_a_license_at_once(self) -> None:
        assert grant(a_license(), Circumstances(now=NOW - timedelta(minutes=5))).state is State.VALID

    def test_a_day_back_is_tolerated_and_more_is_not(self) -> None:
        seen = NOW + 10 * DAY

        assert grant(a_license(), Circumstances(now=seen - CLOCK_TOLERANCE, latest_time_seen=seen))
        refused = refusal(a_license(), Circumstances(now=seen - CLOCK_TOLERANCE - INSTANT, latest_time_seen=seen))
        assert refused.reason is Reason.CLOCK_WOUND_BACK

    def test_a_clock_before_the_license_was_issued_has_been_wound_back(self) -> None:
        assert refusal(a_license(), Circumstances(now=NOW - 2 * DAY)).reason is Reason.CLOCK_WOUND_BACK

    def test_winding_the_clock_back_does_not_revive_an_expired_license(self) -> None:
        refused = refusal(a_license(), Circumstances(now=END - timedelta(hours=1), latest_time_seen=END))

        assert refused.reason is Reason.EXPIRED

    def test_time_seen_earlier_changes_nothing(self) -> None:
        now = NOW + 100 * DAY

        assert evaluate(a_license(), Circumstances(now=now, latest_time_seen=now - 50 * DAY)) == evaluate(
            a_license(), Circumstances(now=now)
        )


class TestEntitlements:
    def test_a_revoked_license_is_refused(self) -> None:
        assert refusal(a_license(), Circumstances(now=NOW, status=Status.REVOKED)).reason is Reason.REVOKED

    def test_a_release_of_the_last_day_of_maintenance_may_be_used_forever_and_the_next_one_not(self) -> None:
        license = a_license(maintenance_until=date(2026, 12, 31))
        later = NOW + 300 * DAY

        assert grant(license, Circumstances(now=later, release_date=date(2026, 12, 31)))
        refused = refusal(license, Circumstances(now=later, release_date=date(2027, 1, 1)))
        assert refused.reason is Reason.MAINTENANCE_ENDED
        assert "2026-12-31" in refused.detail

    @pytest.mark.parametrize("version", ["1.2.0", "1.2", "1.2.1", "1.10", "2", "1.2.0.dev1", "1.2.0+local"])
    def test_an_equal_or_newer_release_is_new_enough(self, version: str) -> None:
        assert grant(a_license(sdk_min="1.2.0"), Circumstances(now=NOW, sdk_version=version))

    @pytest.mark.parametrize("version", ["1.1.9", "1.1", "0.99", "1", "unknown", ""])
    def test_an_older_release_is_too_old(self, version: str) -> None:
        refused = refusal(a_license(sdk_min="1.2.0"), Circumstances(now=NOW, sdk_version=version))

        assert refused.reason is Reason.SDK_TOO_OLD

    def test_a_preset_that_is_not_included_is_refused_and_the_included_ones_are_named(self) -> None:
        license = a_license(entitlements=Entitlements(encode=True, presets=("fast", "medium"), max_pixels=100))

        assert grant(license, Circumstances(now=NOW, preset="medium"))
        refused = refusal(license, Circumstances(now=NOW, preset="slow"))
        assert refused.reason is Reason.NOT_ENTITLED
        assert "fast, medium" in refused.detail

    def test_a_license_without_encoding_grants_none(self) -> None:
        license = a_license(entitlements=Entitlements(encode=False, presets=("fast",), max_pixels=100))

        assert refusal(license, Circumstances(now=NOW, preset="fast")).reason is Reason.NOT_ENTITLED

    def test_a_frame_of_exactly_the_limit_is_granted_and_one_pixel_more_is_not(self) -> None:
        assert grant(a_license(), Circumstances(now=NOW, pixels=3840 * 2160))
        refused = refusal(a_license(), Circumstances(now=NOW, pixels=3840 * 2160 + 1))
        assert refused.reason is Reason.OVER_LIMIT
        assert str(3840 * 2160) in refused.detail

    @pytest.mark.parametrize(
        ("overage", "granted"),
        [(Overage.NONE, 4), (Overage.QUARTER, 5), (Overage.HALF, 6), (Overage.DOUBLE, 8), (Overage.ALWAYS, 1000)],
    )
    def test_overage_stretches_a_counted_limit_and_says_so(self, overage: Overage, granted: int) -> None:
        """Of four agreed encodes at once."""
        entitlements = Entitlements(
            encode=True, presets=("fast",), max_pixels=100, max_concurrent_encodes=4, overage=overage
        )
        license = a_license(entitlements=entitlements)
        for running in range(granted):
            assert grant(license, Circumstances(now=NOW, running_encodes=running)).is_over_limit is (running >= 4)
        if overage is not Overage.ALWAYS:
            refused = refusal(license, Circumstances(now=NOW, running_encodes=granted))
            assert refused.reason is Reason.OVER_LIMIT

    def test_a_suspended_license_works_again_once_the_suspension_is_lifted(self) -> None:
        assert refusal(a_license(), Circumstances(now=NOW, status=Status.SUSPENDED)).reason is Reason.SUSPENDED
        assert grant(a_license(), Circumstances(now=NOW, status=Status.GOOD))

    def test_usage_may_wait_for_as_long_and_as_much_as_the_license_says(self) -> None:
        metering = replace(a_license().metering, max_unreported=30 * DAY, max_unreported_bytes=10**12)
        license = a_license(metering=metering)
        since = NOW - 30 * DAY

        assert grant(license, Circumstances(now=NOW, unreported_since=since, unreported_bytes=10**12))
        for waiting in ({"unreported_since": since - INSTANT}, {"unreported_bytes": 10**12 + 1}):
            refused = refusal(license, Circumstances(now=NOW, **waiting))
            assert refused.reason is Reason.UNREPORTED_TOO_LONG
        optional = a_license(metering=replace(metering, mode=MeteringMode.OPTIONAL))
        assert grant(optional, Circumstances(now=NOW, unreported_since=since - DAY, unreported_bytes=10**13))

    @pytest.mark.parametrize("kind", Kind)
    def test_only_development_licenses_are_marked_as_such(self, kind: Kind) -> None:
        assert grant(a_license(kind=kind), Circumstances(now=NOW)).is_development is (kind is Kind.DEVELOPMENT)


def test_of_several_reasons_the_most_permanent_is_reported() -> None:
    """Each step puts right what was reported; the next reason comes to light."""
    license = a_license(
        maintenance_until=date(2026, 12, 31),
        not_before=NOW + 10 * DAY,
        sdk_min="2.0",
        entitlements=Entitlements(
            encode=True, presets=("fast",), max_pixels=100, max_concurrent_encodes=2, overage=Overage.HALF
        ),
        binding=Applications(ids=("com.example.player",)),
        metering=replace(a_license().metering, max_unreported=3 * DAY, max_unreported_bytes=10),
    )
    at = Circumstances(
        now=NOW,
        status=Status.REVOKED,
        latest_time_seen=END,
        release_date=date(2027, 1, 1),
        sdk_version="1.0",
        identity=Identity(),
        preset="slow",
        profile="strange",
        pixels=101,
        running_encodes=3,
        unreported_since=NOW - DAY,
        unreported_bytes=11,
    )
    remedies: list[tuple[Reason, dict[str, Any]]] = [
        (Reason.REVOKED, {"status": Status.SUSPENDED}),
        (Reason.EXPIRED, {"latest_time_seen": NOW + 5 * DAY}),
        (Reason.MAINTENANCE_ENDED, {"release_date": date(2026, 12, 1)}),
        (Reason.SDK_TOO_OLD, {"sdk_version": "2.0"}),
        (Reason.WRONG_BINDING, {"identity": Identity(application_id="com.example.player")}),
        (Reason.NOT_ENTITLED, {"preset": "fast"}),
        (Reason.NOT_ENTITLED, {"profile": "main"}),
        (Reason.OVER_LIMIT, {"pixels": 100}),
        (Reason.OVER_LIMIT, {"running_encodes": 2}),
        (Reason.SUSPENDED, {"status": Status.GOOD}),
        (Reason.UNREPORTED_TOO_LONG, {"unreported_since": None}),
        (Reason.UNREPORTED_TOO_LONG, {"unreported_bytes": 10}),
        (Reason.CLOCK_WOUND_BACK, {"now": NOW + 5 * DAY}),
        (Reason.NOT_YET_VALID, {"now": NOW + 10 * DAY}),
    ]
    for reason, remedy in remedies:
        assert refusal(license, at).reason is reason
        at = replace(at, **remedy)
    assert grant(license, at).state is State.VALID


moments = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants them naive
circumstances = st.builds(
    Circumstances,
    now=moments,
    status=st.sampled_from(Status),
    latest_time_seen=st.none() | moments,
    release_date=st.none() | st.dates(),
    sdk_version=st.none() | st.text(max_size=12) | st.sampled_from(["0.1.0", "0.0.9"]),
    preset=st.none() | st.sampled_from(["fast", "unheard of", ""]),
    profile=st.none() | st.sampled_from(["main", "unheard of"]),
    pixels=st.none() | st.integers(),
    identity=st.none() | st.just(Identity()) | st.just(Identity(application_id="com.example.player")),
    running_encodes=st.none() | st.integers(),
    unreported_since=st.none() | moments,
    unreported_bytes=st.none() | st.integers(),
)


@given(circumstances)
def test_there_is_an_answer_in_all_circumstances_and_it_names_the_license(at: Circumstances) -> None:
    assert evaluate(a_license(maintenance_until=date(2027, 1, 1)), at).license_id == "LIC-0001"


@given(circumstances)
def test_what_is_granted_ends_in_the_future(at: Circumstances) -> None:
    verdict = evaluate(a_license(), at)
    if isinstance(verdict, Granted):
        assert verdict.until > at.now


@given(circumstances, moments)
def test_a_license_that_has_expired_is_never_granted_again(at: Circumstances, seen: datetime) -> None:
    verdict = evaluate(a_license(), replace(at, latest_time_seen=max(seen, END)))

    assert isinstance(verdict, Refused)


@given(circumstances)
def test_asking_for_less_never_turns_a_grant_into_a_refusal(at: Circumstances) -> None:
    if isinstance(evaluate(a_license(), at), Granted):
        less = Circumstances(now=at.now, latest_time_seen=at.latest_time_seen)
        assert evaluate(a_license(), less) == evaluate(a_license(), at)


STRICT = a_license(
    maintenance_until=date(2026, 12, 31),
    entitlements=Entitlements(encode=True, presets=("fast",), max_pixels=100, max_concurrent_encodes=4),
    binding=Applications(ids=("com.example.player",)),
    metering=replace(a_license().metering, max_unreported=3 * DAY, max_unreported_bytes=10**9),
)
FAULTS: list[dict[str, Any]] = [
    {"status": Status.REVOKED},
    {"latest_time_seen": END},
    {"release_date": date(2027, 1, 1)},
    {"sdk_version": "0.0.1"},
    {"identity": Identity()},
    {"preset": "slow"},
    {"profile": "strange"},
    {"pixels": 101},
    {"running_encodes": 4},
    {"status": Status.SUSPENDED},
    {"unreported_since": NOW - 4 * DAY},
    {"unreported_bytes": 10**9 + 1},
    {"latest_time_seen": NOW + 2 * DAY},
]


@given(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=6), st.sampled_from(FAULTS))
def test_one_more_fault_never_makes_the_reported_reason_milder(
    faults: list[dict[str, Any]], one: dict[str, Any]
) -> None:
    at = Circumstances(now=NOW)
    for fault in faults:
        at = replace(at, **{name: value for name, value in fault.items() if getattr(at, name) != Status.REVOKED})
    # A fault about the same circumstance takes the place of the one before, so it is not one more.
    added = {name: value for name, value in one.items() if getattr(at, name) in (None, Status.GOOD)}
    order = list(Reason)

    before, after = refusal(STRICT, at), refusal(STRICT, replace(at, **added))

    assert order.index(after.reason) <= order.index(before.reason)


@given(st.lists(moments, min_size=2, max_size=6))
def test_as_time_passes_a_license_only_moves_on(times: list[datetime]) -> None:
    """not_yet_valid → valid → expiring → grace → expired, and never back, whatever the clock says afterwards."""
    license = a_license(not_before=NOW + 3 * DAY)
    order: list[object] = [Reason.NOT_YET_VALID, State.VALID, State.EXPIRING, State.GRACE, Reason.EXPIRED]
    seen: datetime | None = None
    reached = 0
    for now in times:
        verdict = evaluate(license, Circumstances(now=now, latest_time_seen=seen))
        seen = max(now, seen or now)
        stage: object = verdict.state if isinstance(verdict, Granted) else verdict.reason
        if stage is Reason.CLOCK_WOUND_BACK:
            continue
        assert order.index(stage) >= reached
        reached = order.index(stage)
