"""A license and its claims: one to one, every limit named, nothing unknown let through."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_licensing.binding import UNBOUND, Applications, Binding, Installation, bind_components
from narrows_licensing.claims import IDENTIFIER_CHARACTERS_MAX, TIME_MAX
from narrows_licensing.entitlement import PIXELS_MAX, PRESET_COUNT_MAX, PROFILE_COUNT_MAX, Entitlements, Overage
from narrows_licensing.errors import LicenseUnreadable
from narrows_licensing.license import (
    GRACE_DAYS_MAX,
    STATUS_INDEX_MAX,
    UNREPORTED_DAYS_MAX,
    URL_CHARACTERS_MAX,
    Kind,
    License,
    MeteringMode,
    MeteringTerms,
)
from narrows_licensing.qr import QR_BYTES_MAX
from narrows_licensing.signature import TOKEN_BYTES_MAX, Typ, sign, thumbprint
from narrows_licensing.testing import NOW, a_key, a_license

CLAIMS = a_license().claims()

identifiers = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,40}", fullmatch=True)
seconds = st.integers(0, int((TIME_MAX - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) - 2)


bindings: st.SearchStrategy[Binding] = st.one_of(
    st.just(UNBOUND),
    st.lists(identifiers, min_size=1, max_size=3, unique=True).map(lambda ids: Applications(ids=tuple(ids))),
    st.just(Installation(thumbprint=thumbprint(a_key("installation").public_key()))),
    st.just(bind_components({"board": "b", "disk": "d", "network": "n"}, required=2, salt="x" * 22)),
)


@st.composite
def licenses(draw: st.DrawFn) -> License:
    """Draw any license that can be read."""
    issued, not_before, expires = sorted(draw(st.lists(seconds, min_size=3, max_size=3)))
    return License(
        license_id=draw(identifiers),
        customer_id=draw(identifiers),
        kind=draw(st.sampled_from(Kind)),
        issued_at=datetime.fromtimestamp(issued, UTC),
        not_before=datetime.fromtimestamp(not_before, UTC),
        expires_at=datetime.fromtimestamp(expires + 1, UTC),
        grace=timedelta(days=draw(st.integers(0, GRACE_DAYS_MAX))),
        maintenance_until=draw(st.none() | st.dates()),
        entitlements=Entitlements(
            encode=draw(st.booleans()),
            presets=tuple(draw(st.lists(identifiers, max_size=PRESET_COUNT_MAX, unique=True))),
            max_pixels=draw(st.integers(1, PIXELS_MAX)),
            profiles=tuple(draw(st.lists(identifiers, max_size=PROFILE_COUNT_MAX, unique=True))),
            max_concurrent_encodes=draw(st.none() | st.integers(1, 1000)),
            overage=draw(st.sampled_from(Overage)),
        ),
        metering=MeteringTerms(
            mode=draw(st.sampled_from(MeteringMode)),
            report_url=draw(st.sampled_from([None, "https://metering.example/v1/reports", "http://127.0.0.1:8080/"])),
            contract_id=draw(identifiers),
            baseline_id=draw(identifiers),
            max_unreported=draw(st.none() | st.integers(1, UNREPORTED_DAYS_MAX).map(lambda days: timedelta(days=days))),
            max_unreported_bytes=draw(st.none() | st.integers(1, 2**53 - 1)),
        ),
        bundle_min=draw(st.integers(0, 2**31 - 1)),
        sdk_min=draw(st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}", fullmatch=True)),
        binding=draw(bindings),
        status_index=draw(st.none() | st.integers(0, STATUS_INDEX_MAX)),
    )


@given(licenses())
def test_every_license_comes_back_from_its_claims(license: License) -> None:
    assert License.from_claims(license.claims()) == license


@given(licenses())
def test_every_license_can_be_signed_within_the_size_of_a_token(license: License) -> None:
    assert len(sign(license.claims(), typ=Typ.LICENSE, key=a_key("any"))) <= TOKEN_BYTES_MAX


def test_the_largest_license_fits_in_a_token() -> None:
    name = "x" * IDENTIFIER_CHARACTERS_MAX
    url = "https://metering.example/"
    largest = a_license(
        license_id=name,
        customer_id=name,
        entitlements=Entitlements(
            encode=False,
            presets=tuple(f"{number:x}" * IDENTIFIER_CHARACTERS_MAX for number in range(PRESET_COUNT_MAX)),
            max_pixels=PIXELS_MAX,
        ),
        metering=MeteringTerms(
            mode=MeteringMode.REQUIRED,
            report_url=url + "x" * (URL_CHARACTERS_MAX - len(url)),
            contract_id=name,
            baseline_id=name,
        ),
        maintenance_until=date(9999, 12, 31),
        sdk_min="999999.999999.999999.999999",
    )

    assert len(sign(largest.claims(), typ=Typ.LICENSE, key=a_key("any"))) <= TOKEN_BYTES_MAX


def test_a_usual_license_fits_in_one_qr_code() -> None:
    assert len(sign(CLAIMS, typ=Typ.LICENSE, key=a_key("any"))) <= QR_BYTES_MAX // 2


@pytest.mark.parametrize("claim", CLAIMS)
def test_no_claim_may_be_missing(claim: str) -> None:
    assert _named({k: v for k, v in CLAIMS.items() if k != claim}) == claim


@pytest.mark.parametrize("group", ["entitlements", "metering"])
def test_no_member_of_a_group_may_be_missing_and_none_may_be_added(group: str) -> None:
    for member in CLAIMS[group]:
        assert _named(CLAIMS | {group: {k: v for k, v in CLAIMS[group].items() if k != member}}) == f"{group}.{member}"
    assert _named(CLAIMS | {group: CLAIMS[group] | {"surprise": 1}}) == f"{group}.surprise"
    assert _named(CLAIMS | {group: []}) == group


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "somebody"),
        ("aud", "another product"),
        ("aud", ["narrows"]),
        ("sub", ""),
        ("sub", "a b"),
        ("sub", "../../etc"),
        ("sub", "näme"),
        ("sub", "-"),
        ("jti", "x" * (IDENTIFIER_CHARACTERS_MAX + 1)),
        ("jti", "x\n"),
        ("jti", 7),
        ("iat", -1),
        ("iat", True),
        ("iat", "1"),
        ("iat", None),
        ("nbf", CLAIMS["iat"] - 1),
        ("exp", CLAIMS["nbf"]),
        ("exp", 2**53),
        ("kind", "free"),
        ("kind", ["production"]),
        ("grace_days", -1),
        ("grace_days", GRACE_DAYS_MAX + 1),
        ("grace_days", 1.0),
        ("maintenance_until", "2026-02-30"),
        ("maintenance_until", "20260228"),
        ("maintenance_until", "2026-W01-1"),
        ("maintenance_until", 20260228),
        ("entitlements.encode", 1),
        ("entitlements.presets", "fast"),
        ("entitlements.presets", ["fast", "fast"]),
        ("entitlements.presets", [["fast"]]),
        ("entitlements.presets", ["f"] * (PRESET_COUNT_MAX + 1)),
        ("entitlements.max_pixels", 0),
        ("entitlements.max_pixels", PIXELS_MAX + 1),
        ("metering.mode", "never"),
        ("metering.report_url", "http://metering.example/"),
        ("metering.report_url", "http://127.0.0.1.attacker.example/"),
        ("metering.report_url", "ftp://metering.example/"),
        ("metering.report_url", "https://"),
        ("metering.report_url", "https://[::1"),
        ("metering.report_url", "https://user:secret@metering.example/"),
        ("metering.report_url", "https://metering.example/#x"),
        ("metering.report_url", "https://metering.example/a b"),
        ("metering.report_url", "https://metering.example/" + "x" * URL_CHARACTERS_MAX),
        ("metering.contract_id", None),
        ("metering.baseline_id", ""),
        ("binding", "installation"),
        ("binding.kind", "hardware"),
        ("status_index", -1),
        ("status_index", 2**24),
        ("metering.max_unreported_days", 0),
        ("metering.max_unreported_bytes", True),
        ("entitlements.profiles", ["main", "main"]),
        ("entitlements.max_concurrent_encodes", 0),
        ("entitlements.overage", "3"),
        ("bundle_min", -1),
        ("bundle_min", None),
        ("sdk_min", "latest"),
        ("sdk_min", "1."),
        ("sdk_min", "1.2.3.4.5"),
        ("sdk_min", "१.२"),
        ("crit", ["exp"]),
    ],
)
def test_a_claim_outside_its_limits_is_refused_by_name(claim: str, value: object) -> None:
    group, _, member = claim.rpartition(".")
    changed = CLAIMS | ({group: CLAIMS[group] | {member: value}} if group else {claim: value})

    assert _named(changed) == claim


@pytest.mark.parametrize("claims", [{}, {"iss": "narrows"}])
def test_claims_of_something_else_are_refused(claims: dict[str, Any]) -> None:
    _named(claims)


def test_a_message_does_not_repeat_what_the_license_says() -> None:
    with pytest.raises(LicenseUnreadable) as caught:
        License.from_claims(CLAIMS | {"sub": "Some Customer's Real Name"})

    assert "Real Name" not in str(caught.value)


def test_a_message_does_not_repeat_a_strange_name() -> None:
    assert _named(CLAIMS | {"\x1b[2J": 1}) == "a member"


def test_fractions_of_a_second_are_dropped() -> None:
    license = a_license(issued_at=NOW.replace(microsecond=1), not_before=NOW.replace(microsecond=999_999))

    assert License.from_claims(license.claims()) == a_license()


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        ({"grace": timedelta(hours=12)}, "grace_days"),
        ({"grace": timedelta(days=-1)}, "grace_days"),
        ({"expires_at": NOW}, "exp"),
        ({"not_before": NOW - timedelta(days=1)}, "nbf"),
        ({"license_id": "a license"}, "jti"),
        ({"sdk_min": "1.0rc1"}, "sdk_min"),
        ({"entitlements": Entitlements(encode=True, presets=("fast", "fast"), max_pixels=1)}, "entitlements.presets"),
    ],
)
def test_a_license_that_could_not_be_read_makes_no_claims(change: dict[str, Any], claim: str) -> None:
    with pytest.raises(LicenseUnreadable) as caught:
        replace(a_license(), **change).claims()

    assert caught.value.claim == claim


def _named(claims: dict[str, Any]) -> str:
    with pytest.raises(LicenseUnreadable) as caught:
        License.from_claims(claims)
    return caught.value.claim
