"""Our tokens are ordinary JWS: joserfc reads and writes the same ones, and refuses the same forgeries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from narrows_licensing.errors import SignatureRefused
from narrows_licensing.signature import Typ, sign, sign_detached, thumbprint, verify, verify_detached
from narrows_licensing.testing import NOW, Vendor, a_key, a_license
from narrows_licensing.trust import Role, read_bundle, sign_bundle

ALGORITHMS = ["Ed25519"]
KEY = a_key("signer")
KID = thumbprint(KEY.public_key())
KEYS = {KID: KEY.public_key()}
THEIR_KEY = OKPKey.import_key(KEY)
HEADER = {"alg": "Ed25519", "kid": KID, "typ": Typ.LICENSE.value}

claims = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.integers(-(2**53) + 1, 2**53 - 1)
)


def test_a_key_has_the_same_thumbprint() -> None:
    assert THEIR_KEY.thumbprint() == KID


@given(claims)
def test_they_read_what_we_sign(members: dict[str, Any]) -> None:
    token = jws.deserialize_compact(sign(members, typ=Typ.LICENSE, key=KEY), THEIR_KEY, algorithms=ALGORITHMS)

    assert json.loads(token.payload) == members
    assert token.headers() == HEADER


@given(claims)
def test_we_read_what_they_sign(members: dict[str, Any]) -> None:
    token = jws.serialize_compact(dict(HEADER), json.dumps(members), THEIR_KEY, algorithms=ALGORITHMS)

    assert verify(token, typ=Typ.LICENSE, keys=KEYS) == members


def test_both_sign_a_license_with_the_same_bytes() -> None:
    ours = sign(a_license().claims(), typ=Typ.LICENSE, key=KEY)
    payload = json.dumps(a_license().claims(), sort_keys=True, separators=(",", ":"))

    assert jws.serialize_compact(dict(HEADER), payload, THEIR_KEY, algorithms=ALGORITHMS) == ours


@given(st.binary(min_size=1, max_size=100))
def test_detached_signatures_are_those_of_appendix_f(body: bytes) -> None:
    header = HEADER | {"typ": Typ.REPORT.value}
    theirs = jws.detach_content(jws.serialize_compact(dict(header), body, THEIR_KEY, algorithms=ALGORITHMS))

    assert sign_detached(body, typ=Typ.REPORT, key=KEY) == theirs
    assert verify_detached(theirs, body, typ=Typ.REPORT, keys=KEYS) == KID
    assert jws.deserialize_compact(theirs, THEIR_KEY, algorithms=ALGORITHMS, payload=body).payload == body


class TestBundles:
    vendor = Vendor()

    def test_they_read_the_bundle_that_our_roots_sign(self) -> None:
        document: Any = sign_bundle(self.vendor.bundle(), self.vendor.root_keys)
        by_kid = {thumbprint(key.public_key()): OKPKey.import_key(key) for key in self.vendor.root_keys}
        read = jws.deserialize_json(document, lambda part: by_kid[part.headers()["kid"]], algorithms=ALGORITHMS)

        assert json.loads(read.payload) == self.vendor.bundle().claims()

    def test_we_read_the_bundle_that_they_sign(self) -> None:
        by_kid = {thumbprint(key.public_key()): OKPKey.import_key(key) for key in self.vendor.root_keys}
        members: list[Any] = [{"protected": HEADER | {"kid": kid, "typ": Typ.BUNDLE.value}} for kid in by_kid]
        document: Any = jws.serialize_json(
            members,
            json.dumps(self.vendor.bundle().claims()),
            lambda part: by_kid[part.headers()["kid"]],
            algorithms=ALGORITHMS,
        )

        assert read_bundle(document, self.vendor.roots) == self.vendor.bundle()
        assert len(self.vendor.bundle().keys_for(Role.LICENSE, NOW)) == 1


@pytest.mark.parametrize("position", range(0, 300, 7))
def test_both_refuse_a_changed_token(position: int) -> None:
    token = sign(a_license().claims(), typ=Typ.LICENSE, key=KEY)
    changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]

    with pytest.raises(SignatureRefused):
        verify(changed, typ=Typ.LICENSE, keys=KEYS)
    with pytest.raises((JoseError, ValueError)):
        jws.deserialize_compact(changed, THEIR_KEY, algorithms=ALGORITHMS)
