"""
Getting a license onto this machine, also without a network: requests that leave it, and responses that come back.

Each travels as a file or as one QR code. Nothing that this machine would refuse takes the place of a license.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from narrows_licensing.binding import bind_components
from narrows_licensing.certificate import read_installation_certificate
from narrows_licensing.document import open_file
from narrows_licensing.errors import LicensingError
from narrows_licensing.license import License
from narrows_licensing.policy import Circumstances, evaluate
from narrows_licensing.request import Purpose, Request
from narrows_licensing.response import Response
from narrows_licensing.signature import encode_base64url
from narrows_licensing.trust import Role, TrustBundle
from narrows_licensing.verdict import Refused

from narrows.errors import LicenseNotWritten
from narrows.installation import Installation
from narrows.license.gate import read_license, read_roots, refusal
from narrows.license.identity import identify, machine_facts
from narrows.license.known import read_known
from narrows.settings import Settings
from narrows.version import VERSION

RESPONSE_BYTES_MAX = 4 * 1024 * 1024
COMPONENTS_REQUIRED_SHARE = 2 / 3  # Of the facts that can be read here; the vendor may ask for another number.


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated:
    """What took its place on this machine."""

    license: License | None
    license_path: Path | None
    certificate_path: Path | None


def make_request(settings: Settings, purpose: Purpose, *, with_machine: bool, at: datetime) -> Request:
    """What this installation asks for; `sign` it with its key. Raises UsageError when that can't be kept."""
    installation = Installation.open(settings.state_folder)
    read = read_license(settings, at)
    opened = None if isinstance(read, Refused) else read[1]
    machine = None
    if with_machine:
        facts = machine_facts()
        if not facts:
            raise LicenseNotWritten("this system tells no facts about the machine that a license could be bound to")
        required = max(1, int(len(facts) * COMPONENTS_REQUIRED_SHARE))
        machine = bind_components(facts, required=required, salt=encode_base64url(secrets.token_bytes(17))[:22])
    return Request(
        purpose=purpose,
        key=installation.key.public_key(),
        license_id=opened.license.license_id if opened else None,
        machine=machine,
        sdk_version=VERSION,
        bundle_version=opened.bundle.version if opened and opened.bundle else 0,
        asked_at=at,
        nonce=encode_base64url(secrets.token_bytes(17))[:22],
    )


def activate(settings: Settings, text: str, *, at: datetime) -> Activated:
    """
    Put the license file *text* in the place where licenses are looked for.

    Raises LicenseRefused if it would not permit an encode here, and leaves what is there as it is.
    """
    opened = open_file(text, roots=read_roots(settings), at=at, known=read_known(settings.state_folder))
    if isinstance(opened, Refused):
        raise refusal(opened, settings.license_path)
    circumstances = Circumstances(
        now=at,
        status=opened.status,
        latest_time_seen=opened.latest_time,
        sdk_version=VERSION,
        identity=identify(opened.license.binding, settings, at=at),
        lease_until=at + timedelta(days=1),  # A lease comes after the license, so its absence is no reason here.
    )
    verdict = evaluate(opened.license, circumstances)
    if isinstance(verdict, Refused):
        raise refusal(verdict, settings.license_path)
    _replace(settings.license_path, text)
    return Activated(license=opened.license, license_path=settings.license_path, certificate_path=None)


def import_response(settings: Settings, text: str, *, at: datetime) -> Activated:
    """
    Put what a vendor's response brings in its place.

    Raises LicenseNotWritten if it is not a response to this installation, LicenseRefused as `activate` does.
    """
    try:
        response = Response.from_text(text.strip()).with_known(read_known(settings.state_folder))
    except LicensingError as error:
        raise LicenseNotWritten(f"this is not a response from a vendor: {error}") from error
    license_text = response.license.to_json() if response.license else None
    bundle = _bundle(settings, license_text, at)
    certificate_path = None
    if response.certificate is not None:
        _check_certificate(settings, response.certificate, bundle, at)
    activated = activate(settings, license_text, at=at) if license_text else None
    if response.certificate is not None:
        certificate_path = certificate_file(settings)
        _replace(certificate_path, response.certificate + "\n")
    return Activated(
        license=activated.license if activated else None,
        license_path=activated.license_path if activated else None,
        certificate_path=certificate_path,
    )


def certificate_file(settings: Settings) -> Path:
    """Where the certificate of this installation is kept. It is public."""
    return settings.state_folder / "installation.cert"


def _bundle(settings: Settings, license_text: str | None, at: datetime) -> TrustBundle | None:
    """The newest trust bundle: of the response, or of the license that is here."""
    if license_text is None:
        read = read_license(settings, at)
        return None if isinstance(read, Refused) else read[1].bundle
    known = read_known(settings.state_folder)
    opened = open_file(license_text, roots=read_roots(settings), at=at, known=known)
    return None if isinstance(opened, Refused) else opened.bundle


def _check_certificate(settings: Settings, token: str, bundle: TrustBundle | None, at: datetime) -> None:
    if bundle is None:
        raise LicenseNotWritten("there is no trust bundle to check the certificate against; import the license first")
    try:
        certificate = read_installation_certificate(token, bundle.keys_for(Role.INSTALLATION, at))
    except LicensingError as error:
        raise LicenseNotWritten(f"the certificate is not to be believed: {error}") from error
    own = Installation.open(settings.state_folder).id
    if certificate.installation_id != own:
        raise LicenseNotWritten(f"the certificate is for {certificate.installation_id}, this is {own}")


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise LicenseNotWritten(f"can't write {path}: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
