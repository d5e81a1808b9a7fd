"""
Writes `vectors.json`: what other implementations of the verifier are tested with.

    python -m tests.licensing.vectors.make

Each case is a compact JWS, or one signature of the bundle as one, with the type it must have and whether it is good.
A case that is *strict* breaks a rule of ours that JOSE leaves open, so other libraries may accept it.
"""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

from narrows_licensing.signature import Typ, encode_base64url, public_key_to_text, sign, thumbprint
from narrows_licensing.testing import a_key, a_license
from narrows_licensing.trust import Role, sign_bundle

from .documents import BENCH, INSTALLATION, RELAY, REPORT, STATEMENT, VENDOR, documents

BODIES = {Typ.REPORT: REPORT, Typ.STATEMENT: STATEMENT, Typ.BENCH: BENCH}
PATH = Path(__file__).with_name("vectors.json")


def vectors() -> dict[str, Any]:
    """The keys by thumbprint, and the cases."""
    signers = [VENDOR.key(role) for role in Role] + [INSTALLATION, RELAY, *VENDOR.root_keys]
    keys = {
        thumbprint(key.public_key()): {"kty": "OKP", "crv": "Ed25519", "x": public_key_to_text(key.public_key())}
        for key in signers
    }
    return {"keys": keys, "cases": [*_good(), *_bad()]}


def to_text() -> str:
    """The file."""
    return json.dumps(vectors(), indent=1, sort_keys=True) + "\n"


def _case(name: str, typ: Typ, jws: str, *, good: bool, strict: bool = False) -> dict[str, Any]:
    return {"name": name, "typ": typ.value, "jws": jws, "good": good, "strict": strict}


def _good() -> list[dict[str, Any]]:
    cases = []
    for document in documents():
        if document.typ is Typ.BUNDLE:
            continue
        jws = document.text
        if document.typ in BODIES:  # Detached: the body travels beside it.
            header, _, signature = jws.split(".")
            jws = f"{header}.{encode_base64url(BODIES[document.typ])}.{signature}"
        cases.append(_case(document.name, document.typ, jws, good=True))
    bundle = sign_bundle(VENDOR.bundle(), VENDOR.root_keys)
    for number, entry in enumerate(bundle["signatures"], start=1):
        jws = f"{entry['protected']}.{bundle['payload']}.{entry['signature']}"
        cases.append(_case(f"bundle, root {number}", Typ.BUNDLE, jws, good=True))
    return cases


def _bad() -> list[dict[str, Any]]:
    key = VENDOR.key(Role.LICENSE)
    claims = a_license().claims()
    good = sign(claims, typ=Typ.LICENSE, key=key)
    header, payload, signature = good.split(".")
    kid = thumbprint(key.public_key())
    usual = {"alg": "Ed25519", "kid": kid, "typ": Typ.LICENSE.value}

    def forged(members: dict[str, Any] | str, body: str = payload) -> str:
        text = members if isinstance(members, str) else json.dumps(members, separators=(",", ":"))
        signing_input = f"{encode_base64url(text.encode())}.{body}"
        return f"{signing_input}.{encode_base64url(key.sign(signing_input.encode()))}"

    stranger, public_bytes = a_key("stranger"), key.public_key().public_bytes_raw()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": public_key_to_text(stranger.public_key())}
    doubled = f'{{"alg":"Ed25519","kid":"{kid}","typ":"x","typ":"{Typ.LICENSE}"}}'
    twice = json.dumps(claims, separators=(",", ":"))[:-1] + ',"exp":4102444800}'
    last = "BCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_A"
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other_spelling = good[:-1] + last[alphabet.index(good[-1])]
    none = encode_base64url(b'{"alg":"none","typ":"narrows-license+jwt"}')
    symmetric = {**usual, "alg": "HS256"}
    named = [
        ("no signature", f"{header}.{payload}.", False),
        ("alg none", f"{none}.{payload}.", False),
        (
            "alg HS256 with the public key as secret",
            _hmac(symmetric, payload, public_bytes),
            False,
        ),
        ("alg EdDSA instead of Ed25519", forged({**usual, "alg": "EdDSA"}), True),
        ("a changed payload", f"{header}.{encode_base64url(b'{}')}.{signature}", False),
        ("a key that nobody knows", sign(claims, typ=Typ.LICENSE, key=stranger), False),
        ("a stranger's signature under a known kid", _under(usual, payload, stranger), False),
        ("the key in the header (jwk)", _under({**usual, "jwk": jwk}, payload, stranger), False),
        ("an unknown critical member", forged({**usual, "crit": ["x"], "x": 1}), False),
        ("a URL for keys (jku)", forged({**usual, "jku": "https://attacker.example/keys"}), True),
        ("a certificate chain (x5c)", forged({**usual, "x5c": ["AAAA"]}), True),
        ("a receipt for a license", sign(claims, typ=Typ.RECEIPT, key=key), True),
        ("no typ", forged({"alg": "Ed25519", "kid": kid}), True),
        ("a member of the header twice", forged(doubled), True),
        ("a claim twice", forged(usual, encode_base64url(twice.encode())), True),
        ("a time that is not an integer", forged(usual, encode_base64url(b'{"exp":1.5}')), True),
        ("another spelling of base64url", other_spelling, True),
        ("padding", good + "==", True),
        ("white space at the end", good + "\n", True),
        ("four parts", good + ".AAAA", False),
        ("more than 8 KiB", sign({"x": "x" * 7000}, typ=Typ.LICENSE, key=key), True),
    ]
    return [_case(name, Typ.LICENSE, jws, good=False, strict=strict) for name, jws, strict in named]


def _under(header: dict[str, Any], payload: str, key: Any) -> str:
    signing_input = f"{encode_base64url(json.dumps(header, separators=(',', ':')).encode())}.{payload}"
    return f"{signing_input}.{encode_base64url(key.sign(signing_input.encode()))}"


def _hmac(header: dict[str, Any], payload: str, secret: bytes) -> str:
    signing_input = f"{encode_base64url(json.dumps(header, separators=(',', ':')).encode())}.{payload}"
    return f"{signing_input}.{encode_base64url(hmac.digest(secret, signing_input.encode(), 'sha256'))}"


if __name__ == "__main__":
    PATH.write_text(to_text())
