"""
The license file: what a customer receives, and how it becomes a license that can be believed.

One JSON file carries the token, the trust bundle that vouches for the key that signed it, and the vendor's
revocation list, so that a machine without a network learns everything from it. Reading never raises for what is in
the file: a file that can't be used is an ordinary outcome. Whether the license permits anything today is `policy`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from narrows_licensing.claims import ClaimReader
from narrows_licensing.errors import DocumentUnreadable, LicenseUnreadable, SignatureRefused, TooFewRoots, UnknownKey
from narrows_licensing.license import Kind, License
from narrows_licensing.memory import NOTHING, Known
from narrows_licensing.revocation import REVOCATIONS_BYTES_MAX, RevocationList, Status, read_revocations
from narrows_licensing.signature import TOKEN_BYTES_MAX, Typ, public_key_from_text, thumbprint, verify
from narrows_licensing.strict_json import JsonRefused, read_object, write_object
from narrows_licensing.trust import Role, Roots, TrustBundle, read_bundle
from narrows_licensing.verdict import Reason, Refused

FILE_FORMAT: Final = "narrows-license/1"
FILE_BYTES_MAX: Final = 4 * 1024 * 1024

# The public half of the published key in `development`; it vouches for development licenses and nothing else.
DEVELOPMENT_PUBLIC_KEY: Final = public_key_from_text("OEMfXgrqTQa7xEiFdk1VnTd5fhsfvs_hTzK7nHytyGA")
DEVELOPMENT_KID: Final = thumbprint(DEVELOPMENT_PUBLIC_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseFile:
    """The parts of a license file, none of them checked."""

    token: str
    bundle: dict[str, Any] | None  # As `sign_bundle` returns it; None in a development license file.
    revocations: str | None  # A signed revocation list.

    def to_json(self) -> str:
        """Write the file."""
        members = {
            "format": FILE_FORMAT,
            "token": self.token,
            "bundle": self.bundle,
            "revocations": self.revocations,
        }
        return write_object(members, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> LicenseFile:
        """Read the file's outer form. Raises `LicenseUnreadable`, naming the member; no signature is looked at."""
        # A character takes at least one byte; the first test spares the copy that the second one makes.
        if len(text) > FILE_BYTES_MAX or len(text.encode("utf-8", "surrogatepass")) > FILE_BYTES_MAX:
            raise LicenseUnreadable("document", f"has more than {FILE_BYTES_MAX} bytes")
        try:
            reader = ClaimReader(read_object(text), error=LicenseUnreadable)
        except JsonRefused as error:
            raise LicenseUnreadable("document", str(error)) from error
        reader.constant("format", FILE_FORMAT)
        return cls.read(reader)

    @classmethod
    def read(cls, reader: ClaimReader) -> LicenseFile:
        """Read the parts from an object that holds them and nothing else; faults are raised as the reader's error."""
        file = cls(
            token=reader.text("token", characters_max=TOKEN_BYTES_MAX),
            bundle=reader.object_or_none("bundle"),
            revocations=reader.text_or_none("revocations", characters_max=REVOCATIONS_BYTES_MAX),
        )
        reader.done()
        return file


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedFile:
    """A license file of which every part has been checked against the roots."""

    license: License
    bundle: TrustBundle | None  # The newest that is known; None for a development license.
    revocations: RevocationList | None  # The newest that is known; not yet applied to the license.
    known: Known  # What to remember from now on.

    @property
    def status(self) -> Status:
        """How the license stands, for `Circumstances.status`."""
        return self.revocations.status_of(self.license.status_index) if self.revocations else Status.GOOD

    @property
    def latest_time(self) -> datetime | None:
        """The latest time that the vendor has signed: it has certainly passed."""
        signed = [part.issued_at for part in (self.bundle, self.revocations) if part is not None]
        return max(signed, default=None)


def open_license(text: str, *, roots: Roots | None, at: datetime, known: Known = NOTHING) -> License | Refused:
    """
    Return the license in the license file *text* if somebody signed it who is trusted *at* this time (aware).

    Without *roots* no vendor is trusted and only development licenses open. Refuses as UNREADABLE or UNTRUSTED_KEY
    and never raises for what the text says. Expiry is not looked at.
    """
    opened = open_file(text, roots=roots, at=at, known=known)
    return opened if isinstance(opened, Refused) else opened.license


def open_file(text: str, *, roots: Roots | None, at: datetime, known: Known = NOTHING) -> OpenedFile | Refused:
    """
    Do what `open_license` does, and return the trust bundle and the revocation list that hold here as well.

    Of the file's and the *known* ones the higher versions hold: an old file can't bring back a key that was withdrawn
    or a license that was revoked.
    """
    try:
        return _open(LicenseFile.from_json(text), roots, at, known)
    except _Untrusted as untrusted:
        return Refused(reason=Reason.UNTRUSTED_KEY, detail=untrusted.detail, license_id=untrusted.license_id)
    except (UnknownKey, TooFewRoots) as untrusted:
        return Refused(reason=Reason.UNTRUSTED_KEY, detail=untrusted.detail)
    except (SignatureRefused, DocumentUnreadable) as unreadable:
        return Refused(reason=Reason.UNREADABLE, detail=unreadable.detail)


class _Untrusted(SignatureRefused):
    """The signature is good, but whoever made it may not vouch for this license."""

    def __init__(self, detail: str, license_id: str | None = None) -> None:
        super().__init__(detail)
        self.license_id = license_id


def _open(file: LicenseFile, roots: Roots | None, at: datetime, known: Known) -> OpenedFile:
    development = _development_license(file.token)
    if development is not None and file.bundle is None and file.revocations is None:
        return OpenedFile(license=development, bundle=None, revocations=None, known=known)
    if file.bundle is None and file.revocations is not None:
        raise LicenseUnreadable("revocations", "is there without a trust bundle to check it against")
    bundle, revocations, newest = _newest(file, roots, at, known)
    license = development or _vendor_license(file.token, bundle, at)
    return OpenedFile(license=license, bundle=bundle, revocations=revocations, known=newest)


def _newest(
    file: LicenseFile, roots: Roots | None, at: datetime, known: Known
) -> tuple[TrustBundle | None, RevocationList | None, Known]:
    """Return the bundle and the list that hold, of the file's and the known ones, and both as documents."""
    if file.bundle is None:
        return None, None, known
    if roots is None:
        raise _Untrusted("the file needs a vendor's root keys to check it against, and none are known here")
    bundle, document = read_bundle(file.bundle, roots), file.bundle
    remembered = _remembered_bundle(known, roots)
    is_rollback = remembered is not None and remembered.version > bundle.version
    if remembered is not None and remembered.version == bundle.version and remembered != bundle:
        raise _Untrusted(f"this is another trust bundle {bundle.version} than the one known here")
    if remembered is not None and known.bundle is not None and is_rollback:
        bundle, document = remembered, known.bundle
    if at >= bundle.expires_at:
        raise _Untrusted(f"the trust bundle {bundle.version} expired on {bundle.expires_at.isoformat()}")
    keys = bundle.keys_for(Role.REVOCATION, at)
    lists: list[tuple[RevocationList, str]] = []
    if file.revocations is not None:
        try:
            lists.append((read_revocations(file.revocations, keys), file.revocations))
        except UnknownKey:
            if not is_rollback:  # Otherwise the list is as old as the bundle beside it, and its key was withdrawn.
                raise
    if known.revocations is not None:
        with suppress(SignatureRefused, DocumentUnreadable):  # Of another vendor, or of a key withdrawn since.
            lists.append((read_revocations(known.revocations, keys), known.revocations))
    newest, token = max(lists, key=lambda entry: entry[0].version, default=(None, None))
    return bundle, newest, Known(bundle=document, revocations=token)


def _remembered_bundle(known: Known, roots: Roots) -> TrustBundle | None:
    if known.bundle is None:
        return None
    try:
        return read_bundle(known.bundle, roots)
    except (SignatureRefused, DocumentUnreadable):  # Of another vendor's roots, or damaged.
        return None


def _development_license(token: str) -> License | None:
    """Return the license if the published key signed it; None if another key did."""
    try:
        claims = verify(token, typ=Typ.LICENSE, keys={DEVELOPMENT_KID: DEVELOPMENT_PUBLIC_KEY})
    except UnknownKey:
        return None
    license = License.from_claims(claims)
    if license.kind is not Kind.DEVELOPMENT:
        # Anybody can sign with this key, so the id that the license claims is not worth repeating.
        raise _Untrusted(f"the public development key signed a license of kind {license.kind}")
    return license


def _vendor_license(token: str, bundle: TrustBundle | None, at: datetime) -> License:
    keys = {} if bundle is None else bundle.keys_for(Role.LICENSE, at)
    try:
        license = License.from_claims(verify(token, typ=Typ.LICENSE, keys=keys))
    except UnknownKey as unknown:
        raise _Untrusted(_why_untrusted(unknown.kid, bundle)) from unknown
    if license.kind is Kind.DEVELOPMENT:
        raise _Untrusted("only the public development key signs licenses for development", license.license_id)
    if bundle is not None and bundle.version < license.bundle_min:
        raise _Untrusted(
            f"the license needs trust bundle {license.bundle_min}, {bundle.version} is the newest known here",
            license.license_id,
        )
    return license


def _why_untrusted(kid: str, bundle: TrustBundle | None) -> str:
    if bundle is None:
        return f"the file carries no trust bundle to vouch for the signing key {kid}"
    for key in bundle.keys:
        if key.kid == kid and key.role is Role.LICENSE:
            return (
                f"the signing key {kid} is trusted from {key.not_before.isoformat()} "
                f"to {key.not_after.isoformat()} only"
            )
        if key.kid == kid:
            return f"the signing key {kid} is for signing a {key.role}, not a license"
    return f"trust bundle {bundle.version} does not vouch for the signing key {kid}"
