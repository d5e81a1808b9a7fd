"""Whether the receipts in a ledger are the vendor's: their signatures, under every receipt key that a license names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from narrows_licensing.errors import SignatureRefused, UnknownKey
from narrows_licensing.signature import Typ, verify
from narrows_licensing.trust import Role
from narrows_licensing.verdict import Refused
from narrows_metering.errors import ReceiptRefused
from narrows_metering.ledger_reader import KeptReceipt

from narrows.license.gate import read_license
from narrows.settings import Settings


@dataclass(frozen=True, slots=True)
class ReceiptSignatures:
    """
    How many receipts the vendor signed, and how many no present key can tell: their key was replaced since, or there is
    no license here that names any.
    """

    verified_receipts: int
    receipts_of_unknown_keys: int


def check_signatures(receipts: Iterable[KeptReceipt], settings: Settings, at: datetime) -> ReceiptSignatures:
    """Check each of *receipts*. Raises ReceiptRefused for one whose signature is wrong."""
    read = read_license(settings, at)
    bundle = None if isinstance(read, Refused) else read[1].bundle
    # Also keys that are not used any more: what they signed while they were remains signed.
    keys = {key.kid: key.public_key for key in bundle.keys if key.role is Role.RECEIPT} if bundle else {}
    verified = unknown = 0
    for kept in receipts:
        try:
            verify(kept.token, typ=Typ.RECEIPT, keys=keys)
        except UnknownKey:
            unknown += 1
        except SignatureRefused as refused:
            receipt = kept.receipt
            raise ReceiptRefused(
                f"the receipt for records {receipt.first_seq}–{receipt.last_seq} is not signed by the vendor: {refused}"
            ) from refused
        else:
            verified += 1
    return ReceiptSignatures(verified, unknown)
