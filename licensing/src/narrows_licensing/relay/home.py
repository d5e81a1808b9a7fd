"""
A relay's folder: its key, and what the vendor has sent it.

The key is made at first use and never leaves; the certificate says which seats it may hand out. What comes from the
vendor is checked when it comes in and again whenever it is opened: a file may be older than what withdrew it.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from narrows_licensing.certificate import RelayCertificate, read_relay_certificate
from narrows_licensing.document import OpenedFile, open_file
from narrows_licensing.errors import DocumentUnreadable, LicensingError
from narrows_licensing.memory import NOTHING, Known
from narrows_licensing.request import Purpose, Request
from narrows_licensing.response import Response
from narrows_licensing.revocation import Status
from narrows_licensing.signature import encode_base64url, thumbprint
from narrows_licensing.trust import Role, Roots, TrustBundle
from narrows_licensing.verdict import Refused

KEY_BYTES: Final = 32


class NotReady(Exception):
    """Raised when a relay can't work yet, or no longer. `str()` says what is missing and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """What the vendor has given a relay, checked."""

    certificate_token: str
    certificate: RelayCertificate
    license_file: OpenedFile

    @property
    def bundle(self) -> TrustBundle:
        assert self.license_file.bundle is not None  # `RelayHome.open` lets nothing else through.
        return self.license_file.bundle

    def status_of(self, status_index: int | None) -> Status:
        """Return how a license or certificate stands as far as is known here."""
        revocations = self.license_file.revocations
        return revocations.status_of(status_index) if revocations else Status.GOOD


@dataclass(frozen=True, slots=True)
class RelayHome:
    """The folder."""

    folder: Path
    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def at(cls, folder: Path) -> RelayHome:
        """Use *folder*, and make the key if there is none. Raises `NotReady`."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder / "relay.key"
            if not path.exists():
                _write(path, secrets.token_bytes(KEY_BYTES), mode=0o600)
            return cls(folder, Ed25519PrivateKey.from_private_bytes(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise NotReady(f"the relay's key in {folder} cannot be kept: {error}") from error

    @property
    def key(self) -> Ed25519PrivateKey:
        """What leases are signed with."""
        return self._key

    @property
    def relay_id(self) -> str:
        """The thumbprint of the key."""
        return thumbprint(self._key.public_key())

    @property
    def database(self) -> Path:
        """Where seats and reports are."""
        return self.folder / "relay.sqlite"

    def request(self, *, license_id: str | None, version: str, at: datetime) -> str:
        """Return the signed request for a certificate."""
        return Request(
            purpose=Purpose.RELAY,
            key=self._key.public_key(),
            license_id=license_id,
            machine=None,
            sdk_version=version,
            bundle_version=0,
            asked_at=at,
            nonce=encode_base64url(secrets.token_bytes(17))[:22],
        ).sign(self._key)

    def take_in(self, text: str, *, roots: str, at: datetime) -> Papers:
        """
        Keep the vendor's response to a request, with the vendor's root keys.

        Raises `NotReady`, and keeps what is there, if it is not a good answer to this relay.
        """
        try:
            response = Response.from_text(text.strip())
            if response.certificate is None or response.license is None:
                raise DocumentUnreadable("document", "lacks the certificate or the license file of a relay")
            license_text = response.license.to_json()
            papers = self._check(response.certificate, license_text, roots, self._known(), at)
        except LicensingError as error:
            raise NotReady(f"this is not a response for this relay: {error}") from error
        for name, content in (
            ("roots.json", roots),
            ("license.json", license_text),
            ("relay.cert", response.certificate),
            ("trust.json", papers.license_file.known.to_json()),
        ):
            _write(self.folder / name, content.encode(), mode=0o644)
        return papers

    def open(self, *, at: datetime) -> Papers:
        """Return what was taken in, if it still holds. Raises `NotReady`."""
        try:
            roots, license_text, certificate = (
                (self.folder / name).read_text() for name in ("roots.json", "license.json", "relay.cert")
            )
            return self._check(certificate, license_text, roots, self._known(), at)
        except FileNotFoundError as error:
            raise NotReady("the relay has no certificate yet; run: narrows-relay request, then import") from error
        except (OSError, LicensingError) as error:
            raise NotReady(f"the relay's certificate cannot be used: {error}") from error

    def _known(self) -> Known:
        path = self.folder / "trust.json"
        return Known.from_json(path.read_text()) if path.exists() else NOTHING

    def _check(self, certificate_token: str, license_text: str, roots: str, known: Known, at: datetime) -> Papers:
        opened = open_file(license_text, roots=Roots.from_json(roots), at=at, known=known)
        if isinstance(opened, Refused):
            raise DocumentUnreadable("license", opened.detail)
        if opened.bundle is None:
            raise DocumentUnreadable("license", "comes without a trust bundle")
        certificate = read_relay_certificate(certificate_token, opened.bundle.keys_for(Role.LEASE, at))
        if certificate.relay_id != self.relay_id:
            raise DocumentUnreadable("certificate", f"is for the relay {certificate.relay_id}, not {self.relay_id}")
        return Papers(certificate_token=certificate_token, certificate=certificate, license_file=opened)


def _write(path: Path, content: bytes, *, mode: int) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
