"""
Builders for the tests of programs that use licenses: a vendor of one's own, and a valid license to alter.

A vendor made here has its own roots, so nothing that it signs is worth anything to a program that embeds the real
ones. Every value is the same on every run; no clock is read. Not for production: the keys derive from a name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from narrows_licensing.document import LicenseFile
from narrows_licensing.entitlement import Entitlements
from narrows_licensing.license import Kind, License, MeteringMode, MeteringTerms
from narrows_licensing.revocation import RevocationList, sign_revocations
from narrows_licensing.signature import Typ, sign, thumbprint
from narrows_licensing.trust import Role, Roots, TrustBundle, TrustedKey, sign_bundle

NOW: Final = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
ROOT_COUNT: Final = 3
ROOT_THRESHOLD: Final = 2


def a_key(name: str) -> Ed25519PrivateKey:
    """Return the private key that belongs to *name*."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"narrows test key: {name}".encode()).digest())


def a_license(**changes: Any) -> License:
    """Return a production license of a year from `NOW`, valid but for *changes* to its fields."""
    return replace(
        License(
            license_id="LIC-0001",
            customer_id="CUS-0001",
            kind=Kind.PRODUCTION,
            issued_at=NOW,
            not_before=NOW,
            expires_at=NOW + timedelta(days=365),
            grace=timedelta(days=14),
            maintenance_until=None,
            entitlements=Entitlements(encode=True, presets=("fast", "medium", "slow"), max_pixels=3840 * 2160),
            metering=MeteringTerms(
                mode=MeteringMode.REQUIRED,
                report_url="https://metering.example",
                contract_id="CON-0001",
                baseline_id="libx265-medium",
            ),
            bundle_min=1,
            sdk_min="0.1.0",
            status_index=1,
        ),
        **changes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A vendor with three roots, of which two must sign, and one key for each role."""

    name: str = "vendor"

    @property
    def root_keys(self) -> tuple[Ed25519PrivateKey, ...]:
        """The private root keys."""
        return tuple(a_key(f"{self.name} root {number}") for number in range(1, ROOT_COUNT + 1))

    @property
    def roots(self) -> Roots:
        """What a program that trusts this vendor embeds."""
        return Roots.of([key.public_key() for key in self.root_keys], threshold=ROOT_THRESHOLD)

    def key(self, role: Role) -> Ed25519PrivateKey:
        """Return the private key for *role*."""
        return a_key(f"{self.name} {role.value}")

    def trusted_key(self, role: Role, **changes: Any) -> TrustedKey:
        """Return the entry of the bundle for *role*: trusted for ten years around `NOW`, but for *changes*."""
        public_key = self.key(role).public_key()
        entry = TrustedKey(
            kid=thumbprint(public_key),
            role=role,
            public_key=public_key,
            not_before=NOW - timedelta(days=365),
            not_after=NOW + timedelta(days=9 * 365),
        )
        return replace(entry, **changes)

    def bundle(self, **changes: Any) -> TrustBundle:
        """Return trust bundle 1 with a key for each role, but for *changes* to its fields."""
        bundle = TrustBundle(
            version=1,
            issued_at=NOW - timedelta(days=1),
            expires_at=NOW + timedelta(days=5 * 365),
            keys=tuple(self.trusted_key(role) for role in Role),
        )
        return replace(bundle, **changes)

    def license_file(
        self,
        license: License,
        *,
        bundle: TrustBundle | None = None,
        root_keys: Sequence[Ed25519PrivateKey] | None = None,
        revoked: Collection[int] | None = None,
        suspended: Collection[int] = (),
        list_version: int = 1,
        key: Ed25519PrivateKey | None = None,
    ) -> str:
        """
        Return the text of a license file with *license*.

        Unless told otherwise it carries the usual bundle, signed by two roots, and no revocation list, and the
        license is signed by the key for that role.
        """
        revocations = None
        if revoked is not None:
            revocation_list = RevocationList.of(
                version=list_version, issued_at=NOW, revoked=revoked, suspended=suspended
            )
            revocations = sign_revocations(revocation_list, key=self.key(Role.REVOCATION))
        return LicenseFile(
            token=sign(license.claims(), typ=Typ.LICENSE, key=key or self.key(Role.LICENSE)),
            bundle=sign_bundle(bundle or self.bundle(), root_keys or self.root_keys[:ROOT_THRESHOLD]),
            revocations=revocations,
        ).to_json()
