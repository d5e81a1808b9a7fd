"""The optional ML-DSA-65 root: where it is known, both kinds of signature must be there, and neither is enough."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import pytest
from narrows_licensing import post_quantum
from narrows_licensing.errors import DocumentUnreadable, SignatureRefused, TooFewRoots
from narrows_licensing.signature import Typ
from narrows_licensing.testing import Vendor
from narrows_licensing.trust import Roots, TrustBundle, read_bundle, sign_bundle

if not post_quantum.is_available():
    pytest.skip("ML-DSA-65 needs cryptography 50: pip install 'cryptography>=50'", allow_module_level=True)

VENDOR = Vendor()
KEY = post_quantum.key_from_seed(hashlib.sha256(b"narrows test key: post-quantum root").digest())
PUBLIC = KEY.public_key().public_bytes_raw()
NAME = post_quantum.thumbprint(PUBLIC)
ROOTS = Roots.of([key.public_key() for key in VENDOR.root_keys], threshold=2, post_quantum=PUBLIC)


def signed(bundle: TrustBundle | None = None, *, roots: int = 2, key: Any = KEY) -> dict[str, Any]:
    return sign_bundle(bundle or VENDOR.bundle(post_quantum=NAME), VENDOR.root_keys[:roots], key)


SIGNED = signed()


def test_a_bundle_with_both_kinds_of_signature_is_read() -> None:
    assert read_bundle(signed(), ROOTS) == VENDOR.bundle(post_quantum=NAME)


def test_a_bundle_without_the_second_kind_is_refused() -> None:
    with pytest.raises(SignatureRefused, match="lacks the signature"):
        read_bundle(signed(key=None), ROOTS)


def test_leaving_out_the_declaration_too_does_not_help() -> None:
    with pytest.raises(SignatureRefused, match="lacks the signature"):
        read_bundle(signed(VENDOR.bundle(), key=None), ROOTS)


def test_the_second_kind_does_not_stand_in_for_a_root() -> None:
    with pytest.raises(TooFewRoots):
        read_bundle(signed(roots=1), ROOTS)


def test_another_key_of_the_second_kind_is_refused() -> None:
    with pytest.raises(SignatureRefused, match="post-quantum"):
        read_bundle(signed(key=post_quantum.key_from_seed(bytes(32))), ROOTS)


def test_a_signature_of_another_type_is_refused() -> None:
    document = signed()
    header = post_quantum.protected_header(PUBLIC, Typ.LICENSE)

    with pytest.raises(SignatureRefused, match="post-quantum"):
        read_bundle(document | {"post_quantum": document["post_quantum"] | {"protected": header}}, ROOTS)


def test_whoever_does_not_know_the_key_refuses_a_bundle_that_declares_it() -> None:
    with pytest.raises(SignatureRefused, match="not known here"):
        read_bundle(signed(), VENDOR.roots)


def test_an_undeclared_second_signature_does_not_hurt_those_who_do_not_know_the_key() -> None:
    assert read_bundle(signed(VENDOR.bundle()), VENDOR.roots) == VENDOR.bundle()


@pytest.mark.parametrize("position", range(0, 4412, 401))
def test_a_changed_signature_is_refused(position: int) -> None:
    document = signed()
    text = document["post_quantum"]["signature"]
    changed = text[:position] + ("A" if text[position] != "A" else "B") + text[position + 1 :]

    with pytest.raises(SignatureRefused):
        read_bundle(document | {"post_quantum": document["post_quantum"] | {"signature": changed}}, ROOTS)


def test_the_roots_file_carries_the_key() -> None:
    assert Roots.from_json(ROOTS.to_json()) == ROOTS
    for strange in ('"AAAA"', "1", '"%"'):
        text = ROOTS.to_json().replace('"' + ROOTS.to_json().split('"post_quantum": "')[1].split('"')[0] + '"', strange)
        with pytest.raises(DocumentUnreadable, match="post_quantum"):
            Roots.from_json(text)


def test_without_the_algorithm_the_refusal_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    # An older `cryptography` has no such module; None in sys.modules makes the import fail in the same way.
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mldsa", None)
    with pytest.raises(SignatureRefused, match="cryptography 50"):
        read_bundle(SIGNED, ROOTS)
