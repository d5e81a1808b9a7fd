"""
The shared vectors: three implementations agree on what is good, and ours refuses everything that is not.

Another language is `make vectors`, which installs npm `jose`; where it is installed, it is asked here as well.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from narrows_licensing.errors import LicensingError
from narrows_licensing.signature import Typ, public_key_from_text, verify

from .vectors.documents import SignedDocument, documents
from .vectors.make import PATH, to_text

FOLDER = Path(__file__).parent / "vectors"
VECTORS: dict[str, Any] = json.loads(PATH.read_text())
CASES: list[dict[str, Any]] = VECTORS["cases"]
DOCUMENTS = documents()


def accepted_by_us(case: dict[str, Any]) -> bool:
    keys = {kid: public_key_from_text(jwk["x"]) for kid, jwk in VECTORS["keys"].items()}
    try:
        verify(case["jws"], typ=Typ(case["typ"]), keys=keys)
    except LicensingError:
        return False
    return True


def accepted_by_joserfc(case: dict[str, Any]) -> bool:
    keys = {kid: OKPKey.import_key(jwk) for kid, jwk in VECTORS["keys"].items()}
    try:
        found = jws.deserialize_compact(case["jws"], lambda part: keys[part.headers()["kid"]], algorithms=["Ed25519"])
    except (JoseError, ValueError, KeyError):
        return False
    return bool(found.headers().get("typ") == case["typ"])


def test_the_file_is_what_the_script_writes() -> None:
    assert PATH.read_text() == to_text(), "run: python -m tests.licensing.vectors.make"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_ours_takes_the_good_and_refuses_the_rest(case: dict[str, Any]) -> None:
    assert accepted_by_us(case) is case["good"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_joserfc_agrees_wherever_jose_leaves_no_choice(case: dict[str, Any]) -> None:
    if not case["strict"]:
        assert accepted_by_joserfc(case) is case["good"]


def test_npm_jose_agrees_wherever_jose_leaves_no_choice() -> None:
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / "jose").exists():
        pytest.skip("npm jose is not installed here: `make vectors` does it, and needs Node 20")
    done = subprocess.run([node, "check.mjs", "vectors.json"], cwd=FOLDER, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("typ", Typ)
def test_there_is_a_document_of_every_type(typ: Typ) -> None:
    assert any(document.typ is typ for document in DOCUMENTS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_no_document_stands_in_for_another(document: SignedDocument) -> None:
    assert document.read(document.text)
    for other in DOCUMENTS:
        if other.typ is not document.typ:
            with pytest.raises((LicensingError, ValueError)):
                document.read(other.text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_changed_bit_of_every_signed_document_is_refused(document: SignedDocument) -> None:
    """Every position, each of its seven bits. `make vectors` tries every other value of every byte."""
    text = document.text
    accepted = [
        (position, bit)
        for position in range(len(text))
        for bit in range(7)
        if _is_read(document, text[:position] + chr(ord(text[position]) ^ 1 << bit) + text[position + 1 :])
    ]

    assert accepted == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_removed_or_doubled_byte_is_refused(document: SignedDocument) -> None:
    text = document.text
    for position in range(len(text)):
        assert not _is_read(document, text[:position] + text[position + 1 :])
        assert not _is_read(document, text[: position + 1] + text[position:])


def _is_read(document: SignedDocument, changed: str) -> bool:
    try:
        document.read(changed)
    except (LicensingError, ValueError):  # JsonRefused is a ValueError: the bundle's outer form is read by its file.
        return False
    return True
