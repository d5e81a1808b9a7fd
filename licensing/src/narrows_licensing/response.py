"""
The vendor's answer to a request: a certificate for the installation, a license file, or both.

The outer form is not signed; each part answers for itself, and is checked where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from narrows_licensing.claims import ClaimReader
from narrows_licensing.document import FILE_BYTES_MAX, LicenseFile
from narrows_licensing.errors import DocumentUnreadable
from narrows_licensing.memory import Known
from narrows_licensing.qr import from_qr_text, is_qr_text
from narrows_licensing.signature import TOKEN_BYTES_MAX
from narrows_licensing.strict_json import JsonRefused, read_object, write_object

RESPONSE_FORMAT: Final = "narrows-response/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back, none of it checked."""

    certificate: str | None  # Of the installation or the relay that asked.
    license: LicenseFile | None

    def without_bundle(self) -> Response:
        """Return the same for somebody who has the trust bundle already: with an ML-DSA-65 root it fills a QR code."""
        return self if self.license is None else replace(self, license=replace(self.license, bundle=None))

    def with_known(self, known: Known) -> Response:
        """Return the same with the bundle that is known here, if it came without one."""
        if self.license is None or self.license.bundle is not None or known.bundle is None:
            return self
        newest = self.license.revocations or known.revocations
        return replace(self, license=replace(self.license, bundle=known.bundle, revocations=newest))

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the response as a file, or without *indent* as short as it goes."""
        license = self.license
        members = {
            "format": RESPONSE_FORMAT,
            "certificate": self.certificate,
            "license": None
            if license is None
            else {"token": license.token, "bundle": license.bundle, "revocations": license.revocations},
        }
        return write_object(members, indent=indent) + ("\n" if indent else "")

    @classmethod
    def from_text(cls, text: str) -> Response:
        """Read a response from its file or from the text of its QR code. Raises `DocumentUnreadable`."""
        if len(text) > FILE_BYTES_MAX:
            raise DocumentUnreadable("document", f"has more than {FILE_BYTES_MAX} characters")
        try:
            reader = ClaimReader(
                read_object(from_qr_text(text) if is_qr_text(text) else text), error=DocumentUnreadable
            )
        except JsonRefused as error:
            raise DocumentUnreadable("document", str(error)) from error
        reader.constant("format", RESPONSE_FORMAT)
        has_license = reader.object_or_none("license") is not None
        response = cls(
            certificate=reader.text_or_none("certificate", characters_max=TOKEN_BYTES_MAX),
            license=LicenseFile.read(reader.object("license")) if has_license else None,
        )
        reader.done()
        return response
