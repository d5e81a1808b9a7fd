"""The verifier accepts what `sign` makes and nothing else; each rule is shown against the forgery that it stops."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from narrows_licensing.errors import SignatureRefused, UnknownKey
from narrows_licensing.signature import (
    TOKEN_BYTES_MAX,
    Typ,
    public_key_from_text,
    public_key_to_text,
    sign,
    sign_detached,
    thumbprint,
    verify,
    verify_detached,
)
from narrows_licensing.testing import a_key

RFC8037_PRIVATE = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
RFC8037_PUBLIC = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
RFC8037_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"

ORDER = 2**252 + 27742317777372353535851937790883648493  # Of the group of Ed25519 (RFC 8032 §5.1).
PRIME = 2**255 - 19

ORDER_EIGHT_Y = 2707385501144840649318225287225658788936804267575313519463743609750303402022
SMALL_ORDER_Y = [0, 1, PRIME - 1, ORDER_EIGHT_Y, PRIME - ORDER_EIGHT_Y]

KEY = a_key("signer")
KID = thumbprint(KEY.public_key())
KEYS = {KID: KEY.public_key()}
HEADER = {"alg": "Ed25519", "kid": KID, "typ": Typ.LICENSE.value}


def rfc8037_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(urlsafe_b64decode(RFC8037_PRIVATE + "="))


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(header: dict[str, Any] | str | bytes, payload: str | bytes = b'{"n":1}') -> str:
    """Return a token with any header and payload, correctly signed by a trusted key."""
    if isinstance(header, dict):
        header = json.dumps(header)
    signing_input = ".".join(b64(part.encode() if isinstance(part, str) else part) for part in (header, payload))
    return f"{signing_input}.{b64(KEY.sign(signing_input.encode()))}"


def accepts(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def refusal(token: str, *, typ: Typ = Typ.LICENSE, keys: dict[str, Ed25519PublicKey] = KEYS) -> str:
    with pytest.raises(SignatureRefused) as caught:
        verify(token, typ=typ, keys=keys)
    return caught.value.detail


class TestKeys:
    def test_a_key_has_the_text_and_the_thumbprint_of_rfc_8037(self) -> None:
        key = rfc8037_key().public_key()

        assert public_key_to_text(key) == RFC8037_PUBLIC
        assert thumbprint(key) == RFC8037_THUMBPRINT
        assert public_key_from_text(RFC8037_PUBLIC) == key

    @pytest.mark.parametrize(
        "text",
        [
            "",
            RFC8037_PUBLIC[:-1],
            RFC8037_PUBLIC + "=",
            RFC8037_PUBLIC[:-1] + "p",
            RFC8037_PUBLIC[:-1] + "\n",
            "é" * 43,
        ],
        ids=["empty", "short", "padded", "other spelling", "newline", "not ASCII"],
    )
    def test_a_key_has_one_spelling(self, text: str) -> None:
        with pytest.raises(SignatureRefused):
            public_key_from_text(text)

    @pytest.mark.parametrize("y", SMALL_ORDER_Y)
    def test_a_key_of_small_order_accepts_signatures_that_nobody_made_and_is_refused(self, y: int) -> None:
        """With R the identity and S zero, S·B = R + h·A holds whenever h is a multiple of the order of A: 1 to 8."""
        raw = y.to_bytes(32, "little")
        weak_key = Ed25519PublicKey.from_public_bytes(raw)
        signature = (1).to_bytes(32, "little") + bytes(32)

        assert any(accepts(weak_key, signature, b"message %d" % number) for number in range(200))
        for sign_bit in (0, 1):
            with pytest.raises(SignatureRefused, match="not a usable"):
                public_key_from_text(b64((y | sign_bit << 255).to_bytes(32, "little")))

    @pytest.mark.parametrize("y", [PRIME, PRIME + 1, PRIME + 3, 2**255 - 1])
    def test_a_coordinate_outside_the_field_is_refused(self, y: int) -> None:
        with pytest.raises(SignatureRefused, match="not a usable"):
            public_key_from_text(b64(y.to_bytes(32, "little")))


class TestTokens:
    def test_a_token_is_the_same_to_the_last_character_on_every_machine(self) -> None:
        token = sign({"sub": "CUS-0001", "exp": 1795420800}, typ=Typ.LICENSE, key=rfc8037_key())

        assert token == (
            "eyJhbGciOiJFZDI1NTE5Iiwia2lkIjoia1ByS19xbXhWV2FZVkE5d3dCRjZJdW8zdlZ6ejdUeEhDVHdYQnlnclM0ayIsInR5cCI6Im5hcnJvd3MtbGljZW5zZStqd3QifQ."
            "eyJleHAiOjE3OTU0MjA4MDAsInN1YiI6IkNVUy0wMDAxIn0."
            "uxxuD4ISqKEWvXPK4U202OrHNMatzTeb5v3QD3QuwtXVCBw7DWvSxSuLn73of87D-j4cMAI1tx4xhL1CDyboDg"
        )

    @given(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
            st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(exclude_categories=["Cs"])) | st.booleans(),
            max_size=5,
        ),
        st.sampled_from(Typ),
    )
    def test_verified_claims_are_the_signed_claims(self, claims: dict[str, Any], typ: Typ) -> None:
        assert verify(sign(claims, typ=typ, key=KEY), typ=typ, keys=KEYS) == claims

    def test_every_other_character_at_every_place_is_refused(self) -> None:
        token = sign({"n": 1}, typ=Typ.LICENSE, key=KEY)
        for position, original in enumerate(token):
            for character in "ABQZaz019-_.=+/ \n\x00é":
                if character != original:
                    refusal(token[:position] + character + token[position + 1 :])

    @given(st.data())
    @settings(max_examples=300)
    def test_no_insertion_removal_or_exchange_of_characters_goes_unseen(self, data: st.DataObject) -> None:
        token = sign({"sub": "CUS-0001", "exp": 1795420800}, typ=Typ.LICENSE, key=KEY)
        start = data.draw(st.integers(0, len(token)))
        end = data.draw(st.integers(start, min(start + 3, len(token))))
        changed = token[:start] + data.draw(st.text(max_size=3)) + token[end:]

        if changed != token:
            refusal(changed)

    def test_a_token_may_have_as_many_bytes_as_the_limit_and_not_one_more(self) -> None:
        shortest = len(sign({"n": ""}, typ=Typ.LICENSE, key=KEY))
        filler = "x" * ((TOKEN_BYTES_MAX - shortest) // 4 * 3)
        token = sign({"n": filler}, typ=Typ.LICENSE, key=KEY)

        assert verify(token, typ=Typ.LICENSE, keys=KEYS, size_max=len(token)) == {"n": filler}
        with pytest.raises(SignatureRefused, match="more than"):
            verify(token, typ=Typ.LICENSE, keys=KEYS, size_max=len(token) - 1)
        assert "8192" in refusal("x" * (TOKEN_BYTES_MAX + 1))

    def test_a_signature_by_another_key_names_that_key(self) -> None:
        stranger = a_key("stranger")
        with pytest.raises(UnknownKey) as caught:
            verify(sign({"n": 1}, typ=Typ.LICENSE, key=stranger), typ=Typ.LICENSE, keys=KEYS)

        assert caught.value.kid == thumbprint(stranger.public_key())

    def test_a_stranger_cannot_sign_in_the_name_of_a_trusted_key(self) -> None:
        header, payload, _ = forged(HEADER).split(".")
        signature = b64(a_key("stranger").sign(f"{header}.{payload}".encode()))

        assert "does not belong" in refusal(f"{header}.{payload}.{signature}")

    @pytest.mark.parametrize("typ", Typ)
    @pytest.mark.parametrize("other", Typ)
    def test_no_kind_of_document_stands_in_for_another(self, typ: Typ, other: Typ) -> None:
        token = sign({"n": 1}, typ=typ, key=KEY)
        if typ is other:
            assert verify(token, typ=other, keys=KEYS) == {"n": 1}
        else:
            assert "the type must be" in refusal(token, typ=other)

    def test_the_second_form_of_a_signature_is_refused(self) -> None:
        """Adding the order of the group to S gives numbers that satisfy a careless verifier (RFC 8032 §8.4)."""
        header, payload, signature = forged(HEADER).split(".")
        raw = urlsafe_b64decode(signature + "==")
        malleated = raw[:32] + (int.from_bytes(raw[32:], "little") + ORDER).to_bytes(32, "little")

        assert "does not belong" in refusal(f"{header}.{payload}.{b64(malleated)}")

    @pytest.mark.parametrize("claims", [{"n": 1.0}, {"n": 2**53}, {"n": (1,)}, {"n": b""}, {"n": "\ud800"}, {1: 2}])
    def test_claims_that_could_not_be_verified_are_not_signed(self, claims: Any) -> None:
        with pytest.raises(ValueError, match=r"integer|read back|JSON|surrogate"):
            sign(claims, typ=Typ.LICENSE, key=KEY)


class TestHeader:
    def test_a_token_forged_with_the_usual_header_would_be_accepted(self) -> None:
        assert verify(forged(HEADER), typ=Typ.LICENSE, keys=KEYS) == {"n": 1}

    @pytest.mark.parametrize(
        "algorithm", ["none", "None", "EdDSA", "Ed448", "ed25519", "HS256", "ES256", "", None, ["Ed25519"]]
    )
    def test_every_other_algorithm_is_refused_even_with_a_good_signature(self, algorithm: object) -> None:
        assert "algorithm must be Ed25519" in refusal(forged(HEADER | {"alg": algorithm}))

    def test_an_unsigned_token_is_refused(self) -> None:
        header, payload, _ = forged(HEADER | {"alg": "none"}).split(".")

        assert "algorithm" in refusal(f"{header}.{payload}.")

    def test_the_public_key_is_never_used_as_a_shared_secret(self) -> None:
        header, payload, _ = forged(HEADER | {"alg": "HS256"}).split(".")
        for secret in (KEY.public_key().public_bytes_raw(), public_key_to_text(KEY.public_key()).encode()):
            mac = hmac.new(secret, f"{header}.{payload}".encode(), hashlib.sha256).digest()
            assert "algorithm" in refusal(f"{header}.{payload}.{b64(mac)}")

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("jwk", {"kty": "OKP", "crv": "Ed25519", "x": public_key_to_text(a_key("stranger").public_key())}),
            ("jku", "https://attacker.example/keys"),
            ("x5u", "https://attacker.example/certificate"),
            ("x5c", ["MIIB"]),
            ("x5t", "AAAA"),
            ("crit", ["exp"]),
            ("crit", []),
            ("b64", False),
            ("zip", "DEF"),
            ("cty", "JWT"),
            ("exp", 1),
            ("anything", None),
        ],
    )
    def test_a_member_that_is_not_understood_is_refused(self, member: str, value: object) -> None:
        assert "no others" in refusal(forged(HEADER | {member: value}))

    @pytest.mark.parametrize("member", ["alg", "kid", "typ"])
    def test_no_member_may_be_missing(self, member: str) -> None:
        assert "must have the members" in refusal(forged({k: v for k, v in HEADER.items() if k != member}))

    @pytest.mark.parametrize("kid", ["", KID[:-1], KID + "A", KID[:-1] + "=", None, 1, {"a": 1}])
    def test_a_key_id_is_a_thumbprint(self, kid: object) -> None:
        assert "key id" in refusal(forged(HEADER | {"kid": kid}))

    def test_a_member_that_occurs_twice_is_refused(self) -> None:
        text = json.dumps(HEADER)

        assert "twice" in refusal(forged('{"alg":"none",' + text[1:]))
        assert "twice" in refusal(forged(text[:-1] + ',"a\\u006cg":"Ed25519"}'))

    @pytest.mark.parametrize("header", [b"", b"[]", b"null", b"\xff", b"{}", json.dumps(HEADER).encode("utf-16")])
    def test_a_header_that_is_no_object_is_refused(self, header: bytes) -> None:
        assert "header" in refusal(forged(header))

    def test_a_long_header_is_not_parsed(self) -> None:
        assert "more than 512" in refusal(forged("[" * 2000))

    def test_the_order_of_members_does_not_matter(self) -> None:
        assert verify(forged(dict(reversed(HEADER.items()))), typ=Typ.LICENSE, keys=KEYS) == {"n": 1}


class TestPayload:
    @pytest.mark.parametrize(
        "payload",
        [
            '{"exp":1,"exp":9}',
            '{"exp":1.0}',
            '{"exp":1e9}',
            '{"exp":NaN}',
            '{"exp":9007199254740992}',
            '{"a":"\\ud800"}',
            "[]",
            "1",
            "",
            b"\xff",
            "\ufeff{}",
            '{"a":' + "[" * 2000 + "]" * 2000 + "}",
        ],
        ids=lambda payload: repr(payload[:20]),
    )
    def test_signed_claims_that_could_be_misread_are_refused(self, payload: str | bytes) -> None:
        assert "claims are refused" in refusal(forged(HEADER, payload))

    def test_claims_are_not_parsed_before_the_signature_is_found_good(self) -> None:
        header, _, signature = forged(HEADER).split(".")

        assert "does not belong" in refusal(f"{header}.{b64(b'not JSON')}.{signature}")


class TestSpelling:
    def test_unused_bits_in_the_last_character_are_zero(self) -> None:
        """64 bytes end in a character with four unused bits; many decoders ignore them."""
        token = forged(HEADER)
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        respelled = token[:-1] + alphabet[alphabet.index(token[-1]) + 1]
        assert urlsafe_b64decode(token.split(".")[2] + "==") == urlsafe_b64decode(respelled.split(".")[2] + "==")

        assert "canonical" in refusal(respelled)

    @pytest.mark.parametrize("suffix", ["=", "==", " ", "\n", "\r\n", "\x00", "."])
    def test_nothing_may_follow_the_signature(self, suffix: str) -> None:
        refusal(forged(HEADER) + suffix)

    @pytest.mark.parametrize("token", ["", ".", "..", "a.b", "a.b.c.d", "....", "{}", "é.é.é"])
    def test_what_has_not_three_parts_of_base64url_is_refused(self, token: str) -> None:
        refusal(token)

    def test_the_standard_alphabet_is_refused(self) -> None:
        token = sign({"n": "\u00ff\u00fe\u00ff???>>>"}, typ=Typ.LICENSE, key=KEY)
        translated = token.translate(str.maketrans("-_", "+/"))
        assert translated != token

        assert "base64url" in refusal(translated)


class TestDetached:
    @given(st.binary(max_size=200))
    def test_a_body_is_verified_beside_its_signature(self, body: bytes) -> None:
        signature = sign_detached(body, typ=Typ.REPORT, key=KEY)

        assert verify_detached(signature, body, typ=Typ.REPORT, keys=KEYS) == KID

    @given(st.binary(min_size=1, max_size=60), st.data())
    def test_no_changed_bit_of_the_body_goes_unseen(self, body: bytes, data: st.DataObject) -> None:
        signature = sign_detached(body, typ=Typ.REPORT, key=KEY)
        changed = bytearray(body)
        changed[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))

        with pytest.raises(SignatureRefused):
            verify_detached(signature, bytes(changed), typ=Typ.REPORT, keys=KEYS)

    def test_every_other_character_at_every_place_of_the_signature_is_refused(self) -> None:
        signature = sign_detached(b"body", typ=Typ.REPORT, key=KEY)
        for position, original in enumerate(signature):
            for character in "AQaz09-_.= \né":
                if character == original:
                    continue
                changed = signature[:position] + character + signature[position + 1 :]
                with pytest.raises(SignatureRefused):
                    verify_detached(changed, b"body", typ=Typ.REPORT, keys=KEYS)

    def test_a_signature_that_carries_a_payload_of_its_own_is_refused(self) -> None:
        header, _, signature = sign_detached(b"body", typ=Typ.REPORT, key=KEY).split(".")
        with pytest.raises(SignatureRefused, match=r"header\.\.signature"):
            verify_detached(f"{header}.{b64(b'body')}.{signature}", b"body", typ=Typ.REPORT, keys=KEYS)

    def test_a_signature_of_another_type_or_by_another_key_is_refused(self) -> None:
        with pytest.raises(SignatureRefused, match="type must be"):
            verify_detached(sign_detached(b"body", typ=Typ.RECEIPT, key=KEY), b"body", typ=Typ.REPORT, keys=KEYS)
        with pytest.raises(UnknownKey):
            verify_detached(sign_detached(b"body", typ=Typ.REPORT, key=a_key("x")), b"body", typ=Typ.REPORT, keys=KEYS)

    def test_an_overlong_signature_is_refused_unread(self) -> None:
        with pytest.raises(SignatureRefused, match="more than 8192"):
            verify_detached("x" * (TOKEN_BYTES_MAX + 1), b"", typ=Typ.REPORT, keys=KEYS)
