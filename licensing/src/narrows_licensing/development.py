"""
The development license: everybody has the key to it, and that is fine.

Trying the product, running its tests and building against it need no account and no vendor. So the private key is
published right here, and every program can make itself a license of the kind ``development``. What that kind is
worth is limited elsewhere, not by secrecy: what is encoded under it is marked as such in its own bytes, its
usage is never billed and never counts as savings, and this key can sign no other kind (see `document`).
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from narrows_licensing.document import LicenseFile
from narrows_licensing.entitlement import PIXELS_MAX, Entitlements
from narrows_licensing.license import Kind, License, MeteringMode, MeteringTerms
from narrows_licensing.signature import Typ, sign

# Published on purpose; derived from a sentence so that nobody mistakes it for a secret that leaked.
DEVELOPMENT_KEY: Final = Ed25519PrivateKey.from_private_bytes(
    hashlib.sha256(b"The Narrows development key, number 1. It is public.").digest()
)
DEVELOPMENT_PERIOD: Final = timedelta(days=365)
DEVELOPMENT_PRESETS: Final = ("fast", "medium", "slow")


def development_license(now: datetime) -> License:
    """Return a license to encode with every preset, for a year from *now*."""
    issued_at = now.replace(microsecond=0)
    return License(
        license_id="development",
        customer_id="development",
        kind=Kind.DEVELOPMENT,
        issued_at=issued_at,
        not_before=issued_at,
        expires_at=issued_at + DEVELOPMENT_PERIOD,
        grace=timedelta(0),
        maintenance_until=None,
        entitlements=Entitlements(encode=True, presets=DEVELOPMENT_PRESETS, max_pixels=PIXELS_MAX),
        metering=MeteringTerms(
            mode=MeteringMode.OPTIONAL, report_url=None, contract_id="development", baseline_id="development"
        ),
        bundle_min=0,
        sdk_min="0.1.0",
    )


def development_license_file(now: datetime) -> str:
    """Return the text of a license file for development. It needs no trust bundle."""
    token = sign(development_license(now).claims(), typ=Typ.LICENSE, key=DEVELOPMENT_KEY)
    return LicenseFile(token=token, bundle=None, revocations=None).to_json()
