"""Tokens as Kubernetes projects them, signed by a cluster of our own: taken offline, and every forgery refused."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey
from narrows_licensing.binding import Identity, Workloads
from narrows_licensing.claims import seconds_of
from narrows_licensing.errors import LicenseUnreadable, SignatureRefused
from narrows_licensing.license import License
from narrows_licensing.policy import Circumstances, evaluate
from narrows_licensing.signature import TOKEN_BYTES_MAX, Typ, sign
from narrows_licensing.testing import NOW, a_key, a_license
from narrows_licensing.verdict import Granted, Reason, Refused
from narrows_licensing.workload import Issuer, Workload, verify_workload

URL = "https://kubernetes.default.svc.cluster.local"
SUBJECT = "system:serviceaccount:media:encoder"


@cache
def rsa_key() -> RSAKey:
    return RSAKey.import_key(rsa.generate_private_key(65537, 2048), {"kid": "rsa-1"})


@cache
def ec_key() -> ECKey:
    return ECKey.import_key(ec.generate_private_key(ec.SECP256R1()), {"kid": "ec-1"})


def public(key: RSAKey | ECKey) -> dict[str, str]:
    jwk = key.as_dict(private=False)
    return {name: str(jwk[name]) for name in ("kty", "kid", "n", "e", "crv", "x", "y") if name in jwk}


def the_issuer(*keys: RSAKey | ECKey) -> Issuer:
    return Issuer(url=URL, audience="narrows", keys=tuple(public(key) for key in keys or (rsa_key(), ec_key())))


def claims_of_a_pod(at: datetime = NOW, **changes: Any) -> dict[str, Any]:
    """The claims of a projected service account token, Kubernetes 1.29 and later."""
    return {
        "aud": ["narrows"],
        "exp": seconds_of(at) + 3607,
        "iat": seconds_of(at),
        "iss": URL,
        "jti": "0f1a…",
        "kubernetes.io": {
            "namespace": "media",
            "pod": {"name": "encoder-7d9f", "uid": "c5b7"},
            "serviceaccount": {"name": "encoder", "uid": "a0d2"},
        },
        "nbf": seconds_of(at),
        "sub": SUBJECT,
    } | changes


def a_token(key: RSAKey | ECKey | None = None, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
    chosen = key or rsa_key()
    algorithm = "ES256" if isinstance(chosen, ECKey) else "RS256"
    head = {"alg": algorithm, "kid": chosen.kid} | (header or {})
    return jws.serialize_compact(head, json.dumps(claims_of_a_pod(**changes)), chosen, algorithms=[head["alg"]])


@pytest.mark.parametrize("key", [rsa_key(), ec_key()], ids=["RS256", "ES256"])
def test_a_pod_is_known_by_its_service_account(key: RSAKey | ECKey) -> None:
    assert verify_workload(a_token(key), the_issuer(), at=NOW) == Workload(
        issuer=URL, subject=SUBJECT, expires_at=NOW + timedelta(seconds=3607)
    )


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"iss": "https://another.cluster"}, "another issuer"),
        ({"aud": ["vault"]}, "not meant for narrows"),
        ({"aud": None}, "not meant for narrows"),
        ({"sub": ""}, "names nobody"),
        ({"sub": 7}, "names nobody"),
        ({"exp": seconds_of(NOW) - 120}, "good from"),
        ({"nbf": seconds_of(NOW) + 120}, "good from"),
        ({"exp": "tomorrow"}, "exp is not a time"),
        ({"exp": 2**60}, "exp is not a time"),
    ],
)
def test_a_token_for_something_else_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SignatureRefused, match=complaint):
        verify_workload(a_token(**changes), the_issuer(), at=NOW)


class TestForgeries:
    def test_a_key_that_the_license_does_not_know(self) -> None:
        with pytest.raises(SignatureRefused, match="does not know"):
            verify_workload(a_token(ec_key()), the_issuer(rsa_key()), at=NOW)

    @pytest.mark.parametrize("part", [0, 1, 2])
    def test_a_changed_part(self, part: int) -> None:
        parts = a_token().split(".")
        parts[part] = parts[part][:-4] + ("AAAA" if parts[part][-4:] != "AAAA" else "BBBB")

        with pytest.raises(SignatureRefused):
            verify_workload(".".join(parts), the_issuer(), at=NOW)

    def test_no_algorithm_and_the_public_key_as_a_secret(self) -> None:
        header, payload, signature = a_token().split(".")
        secret = OctKey.import_key(json.dumps(public(rsa_key())))
        symmetric = jws.serialize_compact(
            {"alg": "HS256", "kid": rsa_key().kid}, json.dumps(claims_of_a_pod()), secret, algorithms=["HS256"]
        )
        for forged in (symmetric, f"{header}.{payload}.", f"{header}.{payload}", "", "a.b.c", "é.é.é"):
            with pytest.raises(SignatureRefused):
                verify_workload(forged, the_issuer(), at=NOW)
        assert signature

    def test_an_algorithm_that_is_not_the_keys(self) -> None:
        token = jws.serialize_compact(
            {"alg": "RS512", "kid": rsa_key().kid}, json.dumps(claims_of_a_pod()), rsa_key(), algorithms=["RS512"]
        )
        with pytest.raises(SignatureRefused, match="RS256"):
            verify_workload(token, the_issuer(), at=NOW)

    def test_more_than_its_limit(self) -> None:
        with pytest.raises(SignatureRefused, match="more than"):
            verify_workload(a_token(padding="x" * 20_000), the_issuer(), at=NOW)


class TestLicenses:
    def test_a_license_carries_two_keys_of_a_cluster_and_comes_back_from_its_claims(self) -> None:
        license = a_license(binding=Workloads(issuer=the_issuer(), subjects=(SUBJECT,)))

        assert License.from_claims(license.claims()) == license
        assert len(sign(license.claims(), typ=Typ.LICENSE, key=a_key("any"))) <= TOKEN_BYTES_MAX

    def test_the_named_service_account_is_granted_and_others_are_not(self) -> None:
        license = a_license(binding=Workloads(issuer=the_issuer(), subjects=(SUBJECT,)))
        workload = verify_workload(a_token(), the_issuer(), at=NOW)
        other = verify_workload(a_token(sub="system:serviceaccount:media:intern"), the_issuer(), at=NOW)

        assert isinstance(evaluate(license, Circumstances(now=NOW, identity=Identity(workload=workload))), Granted)
        for identity in (Identity(workload=other), Identity(), Identity(workload_fault="expired an hour ago")):
            refused = evaluate(license, Circumstances(now=NOW, identity=identity))
            assert isinstance(refused, Refused)
            assert refused.reason is Reason.WRONG_BINDING

    @pytest.mark.parametrize(
        "keys",
        [
            [],
            [{"kty": "oct", "kid": "1", "k": "AAAA"}],
            [public(rsa_key()) | {"n": "v" * 171}],
            [public(rsa_key()), public(rsa_key())],
            [public(ec_key()) | {"x": "AAAA"}],
            [public(rsa_key()) | {"e": "AQ"}],
            [public(rsa_key()) | {"d": "AAAA"}],
        ],
        ids=["none", "a secret", "1,024 bits", "twice", "not on the curve", "exponent 1", "a private key"],
    )
    def test_keys_that_should_not_be_trusted_are_refused(self, keys: list[dict[str, str]]) -> None:
        binding = {"kind": "workload", "issuer": URL, "audience": "narrows", "keys": keys, "subjects": [SUBJECT]}

        with pytest.raises(LicenseUnreadable, match=r"binding\.keys"):
            License.from_claims(a_license().claims() | {"binding": binding})
