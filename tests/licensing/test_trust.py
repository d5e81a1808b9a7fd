"""Trust bundles: enough different roots, one role for each key, and periods that end when they say."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from narrows_licensing.errors import DocumentUnreadable, LicensingError, SignatureRefused, TooFewRoots
from narrows_licensing.signature import Typ, public_key_to_text, sign, sign_detached, thumbprint
from narrows_licensing.strict_json import JsonRefused, read_object
from narrows_licensing.testing import NOW, Vendor, a_key
from narrows_licensing.trust import (
    BUNDLE_KEY_COUNT_MAX,
    Role,
    Roots,
    TrustBundle,
    read_bundle,
    sign_bundle,
)

VENDOR = Vendor()
ROOTS = VENDOR.roots
FIRST, SECOND, THIRD = VENDOR.root_keys
STRANGER = a_key("stranger")


class TestReading:
    @pytest.mark.parametrize("signers", [(FIRST, SECOND), (THIRD, FIRST), (FIRST, SECOND, THIRD)])
    def test_a_bundle_that_two_roots_signed_is_read(self, signers: tuple[Ed25519PrivateKey, ...]) -> None:
        assert read_bundle(sign_bundle(VENDOR.bundle(), signers), ROOTS) == VENDOR.bundle()

    @pytest.mark.parametrize("signers", [(), (SECOND,), (STRANGER, SECOND), (STRANGER, a_key("x"), a_key("y"))])
    def test_fewer_than_two_known_roots_are_not_enough(self, signers: tuple[Ed25519PrivateKey, ...]) -> None:
        with pytest.raises(SignatureRefused, match="2 must"):
            read_bundle(sign_bundle(VENDOR.bundle(), signers), ROOTS)

    def test_one_root_that_signs_twice_counts_once(self) -> None:
        document = sign_bundle(VENDOR.bundle(), [FIRST, FIRST])

        with pytest.raises(DocumentUnreadable, match="same root"):
            read_bundle(document, ROOTS)

    def test_a_new_root_may_sign_beside_enough_known_ones(self) -> None:
        document = sign_bundle(VENDOR.bundle(), [STRANGER, FIRST, SECOND])

        assert read_bundle(document, ROOTS) == VENDOR.bundle()

    def test_a_wrong_signature_in_the_name_of_a_root_refuses_even_what_two_others_signed(self) -> None:
        document = sign_bundle(VENDOR.bundle(), [FIRST, SECOND, THIRD])
        document["signatures"][2]["signature"] = document["signatures"][0]["signature"]

        with pytest.raises(SignatureRefused, match="does not belong"):
            read_bundle(document, ROOTS)

    def test_signatures_do_not_carry_over_to_another_bundle(self) -> None:
        document = sign_bundle(VENDOR.bundle(), [FIRST, SECOND])
        document["payload"] = sign_bundle(VENDOR.bundle(version=2), [FIRST, SECOND])["payload"]

        with pytest.raises(SignatureRefused, match="does not belong"):
            read_bundle(document, ROOTS)

    def test_what_roots_signed_as_something_else_is_no_bundle(self) -> None:
        tokens = [sign(VENDOR.bundle().claims(), typ=Typ.LICENSE, key=key).split(".") for key in (FIRST, SECOND)]
        document = {"payload": tokens[0][1], "signatures": [{"protected": t[0], "signature": t[2]} for t in tokens]}

        with pytest.raises(SignatureRefused, match="type must be"):
            read_bundle(document, ROOTS)

    def test_the_keys_of_a_bundle_cannot_sign_the_next_one(self) -> None:
        document = sign_bundle(VENDOR.bundle(version=2), [VENDOR.key(role) for role in Role])

        with pytest.raises(TooFewRoots, match="0 known root keys"):
            read_bundle(document, ROOTS)

    def test_the_roots_of_one_vendor_do_not_vouch_for_another(self) -> None:
        with pytest.raises(SignatureRefused):
            read_bundle(sign_bundle(VENDOR.bundle(), VENDOR.root_keys), Vendor(name="another").roots)

    @pytest.mark.parametrize(
        "change",
        [
            {"payload": None},
            {"payload": ""},
            {"payload": 1},
            {"payload": "=" * 8},
            {"payload": "x" * 65_537},
            {"signatures": None},
            {"signatures": {}},
            {"signatures": [None]},
            {"signatures": [{}]},
            {"signatures": [{"protected": "a", "signature": "b", "header": {"kid": "x"}}]},
            {"signatures": [{"protected": "a.b", "signature": "c"}]},
            {"signatures": [{"protected": 1, "signature": 2}]},
            {"signatures": [{"protected": "a", "signature": "b"}] * 9},
            {"header": {}},
        ],
        ids=repr,
    )
    def test_a_document_of_another_form_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(LicensingError):
            read_bundle(sign_bundle(VENDOR.bundle(), [FIRST, SECOND]) | change, ROOTS)

    def test_no_changed_bit_of_a_bundle_goes_unseen(self) -> None:
        body = json.dumps(sign_bundle(VENDOR.bundle(), [FIRST, SECOND])).encode()
        for position in range(len(body)):
            _assert_refused_or_the_same(body, position, 1 << position % 8)

    @given(st.data())
    @settings(max_examples=200)
    def test_no_changed_byte_of_a_bundle_with_a_spare_signature_goes_unseen(self, data: st.DataObject) -> None:
        body = json.dumps(sign_bundle(VENDOR.bundle(), [FIRST, SECOND, THIRD])).encode()

        _assert_refused_or_the_same(body, data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(1, 255)))


def _assert_refused_or_the_same(body: bytes, position: int, mask: int) -> None:
    changed = bytearray(body)
    changed[position] ^= mask
    try:
        bundle = read_bundle(read_object(bytes(changed)), ROOTS)
    except (JsonRefused, LicensingError):
        return
    assert bundle == VENDOR.bundle()


class TestContents:
    def signed(self, change: dict[str, Any]) -> dict[str, Any]:
        """Return a bundle that the roots signed although its contents break a rule."""
        claims = VENDOR.bundle().claims() | change
        tokens = [sign(claims, typ=Typ.BUNDLE, key=key).split(".") for key in (FIRST, SECOND)]
        return {"payload": tokens[0][1], "signatures": [{"protected": t[0], "signature": t[2]} for t in tokens]}

    @pytest.mark.parametrize(
        ("claim", "change"),
        [
            ("iss", {"iss": "somebody"}),
            ("aud", {"aud": "something"}),
            ("aud", {"aud": ["narrows"]}),
            ("version", {"version": 0}),
            ("version", {"version": True}),
            ("version", {"version": 2**31}),
            ("iat", {"iat": -1}),
            ("iat", {"iat": "2026"}),
            ("exp", {"exp": 0}),
            ("exp", {"exp": 2**40}),
            ("keys", {"keys": {}}),
            ("keys", {"keys": VENDOR.bundle().claims()["keys"][:1] * 2}),
            ("keys", {"keys": [{}] * (BUNDLE_KEY_COUNT_MAX + 1)}),
            ("keys[0]", {"keys": ["x"]}),
            ("keys[0].key", {"keys": [{"role": "license", "nbf": 0, "exp": 1}]}),
            ("keys[0].key", {"keys": [{"role": "license", "nbf": 0, "exp": 1, "key": "A" * 43}]}),
            ("surprise", {"surprise": 1}),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_signed_contents_outside_the_limits_are_refused_by_name(self, claim: str, change: dict[str, Any]) -> None:
        with pytest.raises(DocumentUnreadable) as caught:
            read_bundle(self.signed(change), ROOTS)

        assert caught.value.claim == claim

    @pytest.mark.parametrize(
        ("member", "value"), [("role", "root"), ("role", 1), ("nbf", 2.5), ("exp", 0), ("extra", 1), ("role", None)]
    )
    def test_the_entry_of_a_key_has_its_four_members_and_no_others(self, member: str, value: object) -> None:
        entry = VENDOR.bundle().claims()["keys"][0] | {member: value}

        with pytest.raises(DocumentUnreadable, match=rf"keys\[0\]\.{member}"):
            TrustBundle.from_claims(VENDOR.bundle().claims() | {"keys": [entry]})

    def test_a_payload_that_is_no_json_object_is_refused_although_signed(self) -> None:
        parts = [sign_detached(b"[]", typ=Typ.BUNDLE, key=key).split(".") for key in (FIRST, SECOND)]
        document = {"payload": "W10", "signatures": [{"protected": p[0], "signature": p[2]} for p in parts]}

        with pytest.raises(DocumentUnreadable, match="payload"):
            read_bundle(document, ROOTS)

    def test_the_largest_bundle_can_be_read(self) -> None:
        keys = [a_key(f"{number}").public_key() for number in range(BUNDLE_KEY_COUNT_MAX)]
        bundle = VENDOR.bundle(
            keys=tuple(VENDOR.trusted_key(Role.REVOCATION, kid=thumbprint(key), public_key=key) for key in keys)
        )

        assert read_bundle(sign_bundle(bundle, [FIRST, SECOND]), ROOTS) == bundle

    def test_a_bundle_that_could_not_be_read_is_not_signed(self) -> None:
        with pytest.raises(DocumentUnreadable, match="exp"):
            sign_bundle(VENDOR.bundle(expires_at=NOW - timedelta(days=30)), [FIRST, SECOND])


class TestKeysFor:
    def test_each_key_serves_its_own_role(self) -> None:
        for role in Role:
            assert VENDOR.bundle().keys_for(role, NOW) == {
                thumbprint(VENDOR.key(role).public_key()): VENDOR.key(role).public_key()
            }

    def test_a_key_is_trusted_from_its_first_moment_to_just_before_its_last(self) -> None:
        key = VENDOR.trusted_key(Role.RECEIPT, not_before=NOW, not_after=NOW + timedelta(days=1))
        bundle = VENDOR.bundle(keys=(key,))
        instant = timedelta(microseconds=1)

        assert not bundle.keys_for(Role.RECEIPT, NOW - instant)
        assert bundle.keys_for(Role.RECEIPT, NOW)
        assert bundle.keys_for(Role.RECEIPT, key.not_after - instant)
        assert not bundle.keys_for(Role.RECEIPT, key.not_after)

    def test_an_expired_bundle_vouches_for_no_key(self) -> None:
        bundle = VENDOR.bundle(expires_at=NOW)

        assert bundle.keys_for(Role.LICENSE, NOW - timedelta(seconds=1))
        assert not bundle.keys_for(Role.LICENSE, NOW)

    def test_two_keys_of_one_role_overlap_while_one_replaces_the_other(self) -> None:
        successor = a_key("successor").public_key()
        entry = VENDOR.trusted_key(Role.LICENSE, kid=thumbprint(successor), public_key=successor)
        bundle = VENDOR.bundle(keys=(VENDOR.trusted_key(Role.LICENSE), entry))

        assert len(read_bundle(sign_bundle(bundle, [FIRST, THIRD]), ROOTS).keys_for(Role.LICENSE, NOW)) == 2

    def test_a_key_under_a_name_that_is_not_its_own_cannot_be_made(self) -> None:
        with pytest.raises(ValueError, match="thumbprint"):
            VENDOR.trusted_key(Role.LICENSE, kid=thumbprint(STRANGER.public_key()))


class TestRoots:
    def test_what_was_written_is_read_back(self) -> None:
        assert Roots.from_json(ROOTS.to_json()) == ROOTS
        assert json.loads(ROOTS.to_json()).keys() == {"format", "threshold", "keys"}

    @pytest.mark.parametrize(
        "change",
        [
            {"format": "narrows-roots/2"},
            {"threshold": 0},
            {"threshold": 4},
            {"threshold": True},
            {"threshold": "2"},
            {"keys": []},
            {"keys": [public_key_to_text(FIRST.public_key())] * 3},
            {"keys": ["A" * 43]},
            {"keys": [None, None]},
            {"keys": "x"},
            {"extra": 1},
        ],
        ids=repr,
    )
    def test_a_roots_file_of_another_form_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(DocumentUnreadable):
            Roots.from_json(json.dumps(json.loads(ROOTS.to_json()) | change))

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"format":1,"format":1}', " " * 5000])
    def test_what_is_no_roots_file_is_refused(self, text: str) -> None:
        with pytest.raises(DocumentUnreadable):
            Roots.from_json(text)

    def test_a_threshold_that_no_signatures_could_reach_cannot_be_made(self) -> None:
        with pytest.raises(ValueError, match="threshold"):
            Roots.of([FIRST.public_key()], threshold=2)
        with pytest.raises(ValueError, match="threshold"):
            Roots.of([FIRST.public_key()], threshold=0)

    def test_a_root_under_another_name_cannot_be_made(self) -> None:
        with pytest.raises(ValueError, match="thumbprint"):
            Roots(threshold=1, keys={thumbprint(STRANGER.public_key()): FIRST.public_key()})
