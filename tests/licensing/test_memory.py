"""What was seen once is not unseen: an older bundle or list in a file can't bring back what was withdrawn."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_licensing.document import OpenedFile, open_file
from narrows_licensing.errors import DocumentUnreadable
from narrows_licensing.memory import NOTHING, Known
from narrows_licensing.revocation import RevocationList, Status, sign_revocations
from narrows_licensing.signature import thumbprint
from narrows_licensing.testing import NOW, Vendor, a_key, a_license
from narrows_licensing.trust import Role, sign_bundle
from narrows_licensing.verdict import Reason, Refused

VENDOR = Vendor()
WITHOUT_LICENSE_KEY = VENDOR.bundle(
    version=2, keys=tuple(key for key in VENDOR.bundle().keys if key.role is not Role.LICENSE)
)


def opened(text: str, known: Known = NOTHING) -> OpenedFile:
    found = open_file(text, roots=VENDOR.roots, at=NOW, known=known)
    assert isinstance(found, OpenedFile)
    return found


def refusal(text: str, known: Known) -> Refused:
    found = open_file(text, roots=VENDOR.roots, at=NOW, known=known)
    assert isinstance(found, Refused)
    return found


def knowing(*, bundle: Any = None, revocations: RevocationList | None = None) -> Known:
    return Known(
        bundle=sign_bundle(bundle or VENDOR.bundle(), VENDOR.root_keys[:2]),
        revocations=sign_revocations(revocations, key=VENDOR.key(Role.REVOCATION)) if revocations else None,
    )


def a_list(version: int, **numbers: Any) -> RevocationList:
    return RevocationList.of(version=version, issued_at=NOW, **numbers)


class TestBundles:
    def test_a_key_withdrawn_by_a_newer_bundle_is_not_brought_back_by_an_older_one(self) -> None:
        old_file = VENDOR.license_file(a_license())
        assert opened(old_file)

        refused = refusal(old_file, knowing(bundle=WITHOUT_LICENSE_KEY))

        assert refused.reason is Reason.UNTRUSTED_KEY
        assert "trust bundle 2" in refused.detail

    def test_a_license_beside_an_older_bundle_works_if_the_newer_one_vouches_for_it_too(self) -> None:
        found = opened(VENDOR.license_file(a_license()), knowing(bundle=VENDOR.bundle(version=2)))

        assert found.bundle == VENDOR.bundle(version=2)

    def test_an_expired_newer_bundle_is_not_passed_over_for_an_older_one(self) -> None:
        expired = VENDOR.bundle(version=2, expires_at=NOW)

        refused = refusal(VENDOR.license_file(a_license()), knowing(bundle=expired))

        assert "bundle 2 expired" in refused.detail

    def test_two_different_bundles_of_one_version_are_not_believed(self) -> None:
        other = VENDOR.bundle(expires_at=NOW + timedelta(days=1))

        assert refusal(VENDOR.license_file(a_license()), knowing(bundle=other)).reason is Reason.UNTRUSTED_KEY

    def test_what_another_vendors_roots_signed_is_not_remembered(self) -> None:
        stranger = Vendor(name="stranger")
        known = Known(bundle=sign_bundle(stranger.bundle(version=9), stranger.root_keys))

        assert opened(VENDOR.license_file(a_license()), known).bundle == VENDOR.bundle()

    def test_a_forged_memory_makes_nothing_believed(self) -> None:
        forged = sign_bundle(VENDOR.bundle(version=9), [a_key("thief 1"), a_key("thief 2")])

        assert opened(VENDOR.license_file(a_license()), Known(bundle=forged)).bundle == VENDOR.bundle()


class TestLists:
    def test_a_revoked_license_stays_revoked_when_the_file_comes_without_its_list(self) -> None:
        known = knowing(revocations=a_list(5, revoked=[1]))

        assert opened(VENDOR.license_file(a_license()), known).status is Status.REVOKED

    def test_and_when_the_file_comes_with_an_older_list(self) -> None:
        known = knowing(revocations=a_list(5, revoked=[1]))
        text = VENDOR.license_file(a_license(), revoked=[], list_version=4)

        assert opened(text, known).status is Status.REVOKED

    def test_a_newer_list_lifts_a_suspension(self) -> None:
        suspended = opened(VENDOR.license_file(a_license(), revoked=[], suspended=[1], list_version=5))
        lifted = opened(VENDOR.license_file(a_license(), revoked=[], list_version=6), suspended.known)

        assert (suspended.status, lifted.status) == (Status.SUSPENDED, Status.GOOD)

    def test_a_list_of_a_key_withdrawn_since_does_not_make_its_file_unreadable(self) -> None:
        new_key = VENDOR.trusted_key(Role.LICENSE)
        known = knowing(bundle=VENDOR.bundle(version=2, keys=(new_key,)))

        assert opened(VENDOR.license_file(a_license(), revoked=[1]), known).revocations is None


@given(st.permutations(range(1, 6)))
def test_whatever_the_order_of_the_files_the_highest_versions_are_kept(versions: list[int]) -> None:
    known = NOTHING
    for version in versions:
        text = VENDOR.license_file(
            a_license(), bundle=VENDOR.bundle(version=version), revoked=[], list_version=6 - version
        )
        found = opened(text, known)
        known = found.known
    assert found.bundle is not None
    assert found.revocations is not None
    assert (found.bundle.version, found.revocations.version) == (5, 5)


def test_the_latest_time_that_the_vendor_signed_is_known() -> None:
    assert opened(VENDOR.license_file(a_license())).latest_time == VENDOR.bundle().issued_at
    assert opened(VENDOR.license_file(a_license(), revoked=[])).latest_time == NOW


def test_a_memory_is_read_back_and_a_damaged_one_is_refused_by_name() -> None:
    known = opened(VENDOR.license_file(a_license(), revoked=[3])).known

    assert Known.from_json(known.to_json()) == known
    for text in ("", "[]", known.to_json().replace("narrows-known/1", "narrows-known/2"), "x" * (5 * 2**20)):
        with pytest.raises(DocumentUnreadable):
            Known.from_json(text)


def test_a_client_of_the_previous_release_without_a_network_accepts_a_key_made_later() -> None:
    """
    Rotation end to end: the client knows the roots of its release and bundle 1, and gets one file.

    The license key of bundle 1 has been stolen; two of three roots sign bundle 2 with a new key in its place.
    """
    # Given a client that has used bundle 1.
    client = opened(VENDOR.license_file(a_license())).known
    stolen, made_later = VENDOR.key(Role.LICENSE), a_key("license key of next year")
    others = tuple(key for key in VENDOR.bundle().keys if key.role is not Role.LICENSE)

    # When a license file arrives whose license the new key signed.
    new_key = VENDOR.trusted_key(
        Role.LICENSE, kid=thumbprint(made_later.public_key()), public_key=made_later.public_key()
    )
    bundle = VENDOR.bundle(version=2, keys=(*others, new_key))
    text = VENDOR.license_file(
        a_license(license_id="LIC-0002", bundle_min=2), bundle=bundle, key=made_later, root_keys=VENDOR.root_keys[1:]
    )
    found = opened(text, client)

    # Then it is accepted, and what the thief signs is not, not even beside the old bundle.
    assert found.license.license_id == "LIC-0002"
    forged = VENDOR.license_file(a_license(license_id="LIC-6666"), key=stolen)
    assert opened(forged, client).license.license_id == "LIC-6666"
    assert refusal(forged, found.known).reason is Reason.UNTRUSTED_KEY
    one_root = VENDOR.license_file(a_license(), bundle=bundle, key=made_later, root_keys=VENDOR.root_keys[:1])
    assert "2 must" in refusal(one_root, client).detail
