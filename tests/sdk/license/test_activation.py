"""Requests out and responses in: what this machine would refuse never takes the place of a license."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from narrows.errors import LicenseNotWritten, LicenseRefused
from narrows.installation import Installation
from narrows.license.activation import activate, certificate_file, import_response, make_request
from narrows.license.gate import judge
from narrows.settings import Settings
from narrows_licensing.binding import Components
from narrows_licensing.binding import Installation as InstallationBinding
from narrows_licensing.certificate import InstallationCertificate
from narrows_licensing.document import LicenseFile
from narrows_licensing.license import LeaseTerms, License
from narrows_licensing.qr import to_qr_text
from narrows_licensing.request import Purpose, read_request
from narrows_licensing.response import Response
from narrows_licensing.signature import Typ, sign
from narrows_licensing.testing import NOW, Vendor, a_key, a_license
from narrows_licensing.trust import Role
from narrows_licensing.verdict import Reason, Refused

VENDOR = Vendor()
LAST_YEAR = NOW - timedelta(days=365)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "roots.json").write_text(VENDOR.roots.to_json())
    return Settings(
        license_path=tmp_path / "config" / "license.json",
        roots_path=tmp_path / "roots.json",
        state_folder=tmp_path / "state",
    )


def a_response(request_token: str, license: License, **changes: Any) -> Response:
    """What a vendor answers to a request."""
    request = read_request(request_token)
    certificate = InstallationCertificate(
        certificate_id="CRT-1",
        customer_id="CUS-0001",
        key=request.key,
        issued_at=NOW,
        expires_at=NOW + timedelta(days=365),
        status_index=7,
    )
    token = sign(certificate.claims(), typ=Typ.INSTALLATION, key=VENDOR.key(Role.INSTALLATION))
    made = Response(certificate=token, license=LicenseFile.from_json(VENDOR.license_file(license)))
    return replace(made, **changes)


def a_request(settings: Settings, *, with_machine: bool = False) -> str:
    request = make_request(settings, Purpose.ENROL, with_machine=with_machine, at=NOW)
    return request.sign(Installation.open(settings.state_folder).key)


def test_a_site_without_a_network_is_enrolled_and_licensed_by_two_qr_codes(settings: Settings) -> None:
    # Given a machine that has nothing, and a request that leaves it.
    request = a_request(settings)
    binding = InstallationBinding(thumbprint=read_request(request).installation_id)

    # When the answer comes back as the text of a QR code.
    answer = to_qr_text(a_response(request, a_license(binding=binding)).to_json(indent=None))
    activated = import_response(settings, answer, at=NOW)

    # Then it encodes, and holds its certificate.
    assert activated.license is not None
    assert not isinstance(judge(settings, now=NOW, latest_time_seen=None, preset=None, pixels=None), Refused)
    assert certificate_file(settings).exists()


def test_a_renewal_by_qr_code_leaves_out_the_bundle_that_is_here(settings: Settings) -> None:
    activate(settings, VENDOR.license_file(a_license(), revoked=[9]), at=NOW)
    judge(settings, now=NOW, latest_time_seen=None, preset=None, pixels=None)  # What the gate sees, it remembers.
    renewed = a_license(license_id="LIC-0002")
    full = a_response(a_request(settings), renewed)
    answer = to_qr_text(full.without_bundle().to_json(indent=None))

    assert len(answer) < len(to_qr_text(full.to_json(indent=None))) - 500
    assert import_response(settings, answer, at=NOW).license == renewed
    assert not isinstance(judge(settings, now=NOW, latest_time_seen=None, preset=None, pixels=None), Refused)


def test_without_any_bundle_a_response_that_has_none_is_refused(settings: Settings) -> None:
    response = a_response(a_request(settings), a_license()).without_bundle()

    with pytest.raises((LicenseNotWritten, LicenseRefused)):
        import_response(settings, response.to_json(), at=NOW)
    assert not settings.license_path.exists()


def test_a_request_names_the_license_and_the_bundle_that_are_here(settings: Settings) -> None:
    activate(settings, VENDOR.license_file(a_license(), bundle=VENDOR.bundle(version=4)), at=NOW)
    request = read_request(a_request(settings, with_machine=True))

    assert (request.license_id, request.bundle_version) == ("LIC-0001", 4)
    assert isinstance(request.machine, Components)


def test_a_response_to_another_installation_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    other = replace(settings, state_folder=tmp_path / "other")
    response = a_response(a_request(other), a_license())

    with pytest.raises(LicenseNotWritten, match="this is"):
        import_response(settings, response.to_json(), at=NOW)
    assert not settings.license_path.exists()
    assert not certificate_file(settings).exists()


def test_a_certificate_that_the_vendor_did_not_sign_is_refused(settings: Settings) -> None:
    request = a_request(settings)
    claims = {"iss": "narrows"}
    forged = sign(claims, typ=Typ.INSTALLATION, key=a_key("stranger"))

    with pytest.raises(LicenseNotWritten, match="not to be believed"):
        import_response(settings, a_response(request, a_license(), certificate=forged).to_json(), at=NOW)


@pytest.mark.parametrize(
    ("license", "reason"),
    [
        (
            a_license(
                issued_at=NOW - timedelta(days=800),
                not_before=NOW - timedelta(days=800),
                expires_at=NOW - timedelta(days=400),
            ),
            Reason.EXPIRED,
        ),
        (a_license(binding=InstallationBinding(thumbprint="x" * 43)), Reason.WRONG_BINDING),
        (a_license(sdk_min="9.0"), Reason.SDK_TOO_OLD),
    ],
    ids=["expired", "bound elsewhere", "for a newer release"],
)
def test_a_license_that_would_be_refused_does_not_replace_one_that_works(
    settings: Settings, license: License, reason: Reason
) -> None:
    activate(settings, VENDOR.license_file(a_license()), at=NOW)
    before = settings.license_path.read_text()

    with pytest.raises(LicenseRefused) as refused:
        activate(settings, VENDOR.license_file(license), at=NOW)

    assert refused.value.reason is reason
    assert settings.license_path.read_text() == before


def test_a_floating_license_is_activated_before_there_is_a_lease(settings: Settings) -> None:
    entitlements = replace(a_license().entitlements, max_concurrent_encodes=5)
    floating = a_license(entitlements=entitlements, lease=LeaseTerms())

    assert activate(settings, VENDOR.license_file(floating), at=NOW).license == floating
    elsewhere = replace(floating, binding=InstallationBinding(thumbprint="x" * 43))
    with pytest.raises(LicenseRefused):
        activate(settings, VENDOR.license_file(elsewhere), at=NOW)


@pytest.mark.parametrize("text", ["", "{}", "NR1:", "NR1:BB8"])
def test_what_is_no_response_is_refused(settings: Settings, text: str) -> None:
    with pytest.raises(LicenseNotWritten, match="not a response"):
        import_response(settings, text, at=NOW)
