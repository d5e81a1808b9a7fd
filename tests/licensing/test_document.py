"""License files: who may vouch for what, and that no changed byte goes unseen."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from narrows_licensing.development import DEVELOPMENT_KEY, development_license_file
from narrows_licensing.document import FILE_BYTES_MAX, LicenseFile, OpenedFile, open_file, open_license
from narrows_licensing.errors import LicenseUnreadable
from narrows_licensing.license import Kind, License
from narrows_licensing.revocation import RevocationList, Status, sign_revocations
from narrows_licensing.signature import Typ, sign, thumbprint
from narrows_licensing.testing import NOW, Vendor, a_key, a_license
from narrows_licensing.trust import Role, sign_bundle
from narrows_licensing.verdict import Reason, Refused

VENDOR = Vendor()
ROOTS = VENDOR.roots


def refusal(text: str, *, at: datetime = NOW) -> Refused:
    opened = open_license(text, roots=ROOTS, at=at)
    assert isinstance(opened, Refused)
    return opened


def altered(text: str, **changes: Any) -> str:
    return json.dumps(json.loads(text) | changes)


class TestTrust:
    @pytest.mark.parametrize("kind", [Kind.PRODUCTION, Kind.TRIAL])
    def test_a_license_that_the_vendor_signed_is_opened(self, kind: Kind) -> None:
        license = a_license(kind=kind)

        assert open_license(VENDOR.license_file(license), roots=ROOTS, at=NOW) == license

    def test_an_expired_license_is_opened_all_the_same_because_policy_decides_that(self) -> None:
        text = VENDOR.license_file(a_license())

        assert open_license(text, roots=ROOTS, at=NOW + timedelta(days=1000)) == a_license()

    def test_the_file_of_another_vendor_is_refused(self) -> None:
        assert isinstance(
            open_license(Vendor(name="another").license_file(a_license()), roots=ROOTS, at=NOW),
            Refused,
        )

    def test_the_bundle_of_this_vendor_does_not_vouch_for_the_keys_of_another(self) -> None:
        refused = refusal(VENDOR.license_file(a_license(), key=a_key("stranger")))

        assert refused.reason is Reason.UNTRUSTED_KEY
        assert thumbprint(a_key("stranger").public_key()) in refused.detail

    @pytest.mark.parametrize("role", [role for role in Role if role is not Role.LICENSE])
    def test_a_key_of_another_role_signs_no_license(self, role: Role) -> None:
        refused = refusal(VENDOR.license_file(a_license(), key=VENDOR.key(role)))

        assert refused.reason is Reason.UNTRUSTED_KEY
        assert f"for signing a {role}" in refused.detail

    def test_a_root_key_signs_no_license(self) -> None:
        assert refusal(VENDOR.license_file(a_license(), key=VENDOR.root_keys[0])).reason is Reason.UNTRUSTED_KEY

    def test_without_root_keys_no_vendor_is_trusted(self) -> None:
        refused = open_license(VENDOR.license_file(a_license()), roots=None, at=NOW)

        assert isinstance(refused, Refused)
        assert refused.reason is Reason.UNTRUSTED_KEY
        assert "none are known" in refused.detail

    def test_a_license_without_a_trust_bundle_is_refused(self) -> None:
        refused = refusal(altered(VENDOR.license_file(a_license()), bundle=None))

        assert refused.reason is Reason.UNTRUSTED_KEY
        assert "no trust bundle" in refused.detail

    def test_a_bundle_that_one_root_signed_vouches_for_nothing(self) -> None:
        refused = refusal(VENDOR.license_file(a_license(), root_keys=VENDOR.root_keys[:1]))

        assert refused.reason is Reason.UNTRUSTED_KEY
        assert "2 must" in refused.detail

    def test_a_license_is_refused_from_the_moment_its_bundle_expires(self) -> None:
        end = NOW + timedelta(days=100)
        text = VENDOR.license_file(a_license(), bundle=VENDOR.bundle(expires_at=end))

        assert open_license(text, roots=ROOTS, at=end - timedelta(seconds=1)) == a_license()
        assert refusal(text, at=end).reason is Reason.UNTRUSTED_KEY
        assert "expired on" in refusal(text, at=end).detail

    def test_a_signing_key_is_believed_in_its_period_only(self) -> None:
        key = VENDOR.trusted_key(Role.LICENSE, not_before=NOW, not_after=NOW + timedelta(days=1))
        text = VENDOR.license_file(a_license(), bundle=VENDOR.bundle(keys=(key,)))

        assert open_license(text, roots=ROOTS, at=NOW) == a_license()
        for at in (NOW - timedelta(seconds=1), NOW + timedelta(days=1)):
            assert refusal(text, at=at).reason is Reason.UNTRUSTED_KEY
            assert "is trusted from" in refusal(text, at=at).detail

    def test_a_license_names_the_lowest_bundle_that_may_vouch_for_it(self) -> None:
        license = a_license(bundle_min=2)

        assert (
            open_license(VENDOR.license_file(license, bundle=VENDOR.bundle(version=2)), roots=ROOTS, at=NOW) == license
        )
        refused = refusal(VENDOR.license_file(license, bundle=VENDOR.bundle(version=1)))
        assert (refused.reason, refused.license_id) == (Reason.UNTRUSTED_KEY, license.license_id)

    def test_a_token_of_another_type_is_no_license(self) -> None:
        token = sign(a_license().claims(), typ=Typ.RECEIPT, key=VENDOR.key(Role.LICENSE))

        assert refusal(altered(VENDOR.license_file(a_license()), token=token)).reason is Reason.UNREADABLE

    def test_signed_claims_that_are_no_license_are_named(self) -> None:
        token = sign(a_license().claims() | {"exp": 0}, typ=Typ.LICENSE, key=VENDOR.key(Role.LICENSE))
        refused = refusal(altered(VENDOR.license_file(a_license()), token=token))

        assert refused.reason is Reason.UNREADABLE
        assert "exp" in refused.detail


class TestDevelopment:
    def test_a_development_license_needs_no_vendor(self) -> None:
        license = open_license(development_license_file(NOW), roots=ROOTS, at=NOW)

        assert isinstance(license, License)
        assert license.kind is Kind.DEVELOPMENT

    @pytest.mark.parametrize("kind", [Kind.PRODUCTION, Kind.TRIAL])
    def test_the_public_key_signs_no_other_kind(self, kind: Kind) -> None:
        refused = refusal(VENDOR.license_file(a_license(kind=kind), key=DEVELOPMENT_KEY))

        assert refused.reason is Reason.UNTRUSTED_KEY
        assert kind in refused.detail

    def test_the_public_key_signs_no_other_kind_even_if_a_bundle_vouches_for_it(self) -> None:
        public_key = DEVELOPMENT_KEY.public_key()
        entry = VENDOR.trusted_key(Role.LICENSE, kid=thumbprint(public_key), public_key=public_key)
        text = VENDOR.license_file(a_license(), key=DEVELOPMENT_KEY, bundle=VENDOR.bundle(keys=(entry,)))

        assert refusal(text).reason is Reason.UNTRUSTED_KEY

    def test_nobody_else_signs_development_licenses(self) -> None:
        refused = refusal(VENDOR.license_file(a_license(kind=Kind.DEVELOPMENT)))

        assert refused.reason is Reason.UNTRUSTED_KEY
        assert "development" in refused.detail

    def test_a_development_license_opens_without_root_keys_and_nothing_else_does(self) -> None:
        assert isinstance(open_license(development_license_file(NOW), roots=None, at=NOW), License)

        stranger = sign(a_license().claims(), typ=Typ.LICENSE, key=a_key("stranger"))
        refused = open_license(altered(development_license_file(NOW), token=stranger), roots=None, at=NOW)
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.UNTRUSTED_KEY


class TestRevocations:
    def test_the_list_in_the_file_is_handed_out_and_not_applied(self) -> None:
        text = VENDOR.license_file(a_license(), revoked=[1, 9])
        opened = open_file(text, roots=ROOTS, at=NOW)

        assert isinstance(opened, OpenedFile)
        assert opened.license == a_license()
        assert opened.bundle == VENDOR.bundle()
        assert opened.revocations is not None
        assert [n for n in range(12) if opened.revocations.status_of(n) is Status.REVOKED] == [1, 9]
        assert opened.status is Status.REVOKED

    def test_a_file_without_a_list_has_none(self) -> None:
        opened = open_file(VENDOR.license_file(a_license()), roots=ROOTS, at=NOW)

        assert isinstance(opened, OpenedFile)
        assert opened.revocations is None

    @pytest.mark.parametrize("key", [a_key("stranger"), VENDOR.key(Role.LICENSE), VENDOR.key(Role.RECEIPT)])
    def test_a_list_that_the_wrong_key_signed_refuses_the_file(self, key: Any) -> None:
        revocations = sign_revocations(RevocationList.of(version=1, issued_at=NOW), key=key)
        refused = refusal(altered(VENDOR.license_file(a_license()), revocations=revocations))

        assert refused.reason is Reason.UNTRUSTED_KEY

    def test_a_list_without_a_bundle_to_check_it_against_is_refused(self) -> None:
        revocations = sign_revocations(RevocationList.of(version=1, issued_at=NOW), key=VENDOR.key(Role.REVOCATION))

        assert refusal(altered(development_license_file(NOW), revocations=revocations)).reason is Reason.UNREADABLE


class TestForm:
    def test_what_was_written_is_read_back(self) -> None:
        file = LicenseFile(token="a.b.c", bundle=sign_bundle(VENDOR.bundle(), VENDOR.root_keys), revocations="d.e.f")

        assert LicenseFile.from_json(file.to_json()) == file

    @pytest.mark.parametrize(
        ("member", "change"),
        [
            ("format", {"format": "narrows-license/2"}),
            ("token", {"token": None}),
            ("token", {"token": ""}),
            ("token", {"token": "x" * 8193}),
            ("token", {"token": "a\nb"}),
            ("bundle", {"bundle": "x"}),
            ("bundle", {"bundle": []}),
            ("revocations", {"revocations": 1}),
            ("extra", {"extra": 1}),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_member_of_another_form_is_refused_by_name(self, member: str, change: dict[str, Any]) -> None:
        text = altered(VENDOR.license_file(a_license()), **change)
        with pytest.raises(LicenseUnreadable) as caught:
            LicenseFile.from_json(text)

        assert caught.value.claim == member
        assert refusal(text).reason is Reason.UNREADABLE

    @pytest.mark.parametrize("member", ["format", "token", "bundle", "revocations"])
    def test_no_member_may_be_missing(self, member: str) -> None:
        members = json.loads(VENDOR.license_file(a_license()))
        del members[member]

        assert member in refusal(json.dumps(members)).detail

    @pytest.mark.parametrize(
        "text", ["", "{}", "[]", "null", "\x00", "\ud800", "\ufeff{}", "not a license", "[" * 100_000], ids=ascii
    )
    def test_what_is_no_license_file_is_refused_as_unreadable(self, text: str) -> None:
        assert refusal(text[:FILE_BYTES_MAX]).reason is Reason.UNREADABLE

    def test_a_file_may_have_as_many_bytes_as_the_limit_and_not_one_more(self) -> None:
        text = VENDOR.license_file(a_license())
        padded = text + " " * (FILE_BYTES_MAX - len(text))

        assert open_license(padded, roots=ROOTS, at=NOW) == a_license()
        assert "more than" in refusal(padded + " ").detail
        assert "more than" in refusal("é" * (FILE_BYTES_MAX // 2 + 1)).detail

    @given(st.text(max_size=300))
    def test_no_text_causes_an_error(self, text: str) -> None:
        assert refusal(text).reason is Reason.UNREADABLE

    def test_a_refusal_repeats_neither_token_nor_bundle(self) -> None:
        text = VENDOR.license_file(a_license(), key=a_key("stranger"))
        members = json.loads(text)

        assert members["token"].split(".")[1] not in repr(refusal(text))
        assert members["bundle"]["payload"] not in repr(refusal(text))


class TestTampering:
    """Whatever is changed, the file is refused or still says exactly the same."""

    TEXT = VENDOR.license_file(a_license(), revoked=[9])
    OPENED = open_file(TEXT, roots=ROOTS, at=NOW)

    def check(self, changed: str) -> None:
        opened = open_file(changed, roots=ROOTS, at=NOW)
        assert isinstance(opened, Refused) or opened == self.OPENED

    def test_the_unchanged_file_is_opened(self) -> None:
        assert isinstance(self.OPENED, OpenedFile)

    def test_no_flipped_bit_goes_unseen(self) -> None:
        body = self.TEXT.encode()
        for position in range(len(body)):
            changed = bytearray(body)
            changed[position] ^= 1 << position % 8
            self.check(changed.decode("utf-8", "replace"))

    @given(st.data())
    @settings(max_examples=300)
    def test_no_insertion_removal_or_exchange_goes_unseen(self, data: st.DataObject) -> None:
        start = data.draw(st.integers(0, len(self.TEXT)))
        end = data.draw(st.integers(start, min(start + 4, len(self.TEXT))))
        self.check(self.TEXT[:start] + data.draw(st.text(max_size=4)) + self.TEXT[end:])

    @given(st.integers(0, len(TEXT.rstrip()) - 1))
    def test_no_truncated_file_is_opened(self, length: int) -> None:
        assert refusal(self.TEXT[:length]).reason is Reason.UNREADABLE

    def test_the_parts_of_two_good_files_do_not_combine_into_more(self) -> None:
        """A leaked newer bundle or an older list may be moved between files; the license stays what was signed."""
        other = json.loads(VENDOR.license_file(a_license(license_id="LIC-0002"), bundle=VENDOR.bundle(version=2)))
        opened = open_license(altered(self.TEXT, bundle=other["bundle"]), roots=ROOTS, at=NOW)

        assert opened == a_license()
