"""Receipts: only the vendor's, and only whole ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from narrows_licensing.signature import Typ, sign, thumbprint
from narrows_metering.errors import ReceiptRefused
from narrows_metering.receipt import Receipt, read_receipt
from narrows_metering.testing import a_key, a_receipt, a_receipt_token, a_report

RECEIPT = a_receipt(list(a_report().records))
KEYS = {thumbprint(a_key("server").public_key()): a_key("server").public_key()}


def test_a_receipt_survives_its_token() -> None:
    assert read_receipt(a_receipt_token(RECEIPT), KEYS) == RECEIPT


def test_a_receipt_by_an_unknown_key_is_refused() -> None:
    with pytest.raises(ReceiptRefused):
        read_receipt(sign(RECEIPT.claims(), typ=Typ.RECEIPT, key=a_key("stranger")), KEYS)


def test_a_license_cannot_pass_for_a_receipt() -> None:
    with pytest.raises(ReceiptRefused, match="type"):
        read_receipt(sign(RECEIPT.claims(), typ=Typ.LICENSE, key=a_key("server")), KEYS)


def test_every_changed_character_is_refused() -> None:
    token = a_receipt_token(RECEIPT)
    for position, character in enumerate(token):
        other = "A" if character != "A" else "B"
        with pytest.raises(ReceiptRefused):
            read_receipt(token[:position] + other + token[position + 1 :], KEYS)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.pop("nonce"), "nonce: missing"),
        (lambda c: c.update(extra=1), "extra: not a claim"),
        (lambda c: c.update(first_seq=0), "first_seq"),
        (lambda c: c.update(last_seq="3"), "last_seq"),
        (lambda c: c.update(first_seq=4), "before first_seq"),
        (lambda c: c.update(head_hash="x"), "head_hash"),
        (lambda c: c.update(nonce="short"), "nonce"),
        (lambda c: c.update(installation_id=7), "installation_id"),
        (lambda c: c.update(time="yesterday"), "time"),
    ],
)
def test_a_claim_that_is_missing_or_malformed_is_named(change: Callable[[dict[str, Any]], object], named: str) -> None:
    claims = RECEIPT.claims()
    change(claims)
    with pytest.raises(ReceiptRefused, match=named):
        Receipt.from_claims(claims)
