"""The license is asked once, before an encode, and every refusal says what to do."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from narrows.errors import LicenseRefused, LicenseUnreadable
from narrows.installation import Installation
from narrows.license.gate import Permission, judge, require_permission
from narrows.license.lease import keep_lease
from narrows.options import Preset
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_licensing.binding import Installation as InstallationBinding
from narrows_licensing.development import DEVELOPMENT_KEY, development_license, development_license_file
from narrows_licensing.document import LicenseFile
from narrows_licensing.entitlement import Overage
from narrows_licensing.lease import Lease, lease_document
from narrows_licensing.lease_request import holder_of
from narrows_licensing.license import Kind, LeaseTerms, License
from narrows_licensing.signature import Typ, sign
from narrows_licensing.testing import Vendor, a_license
from narrows_licensing.trust import Role
from narrows_licensing.verdict import Reason, Refused
from narrows_metering.record import Kind as RecordKind
from narrows_metering.testing import an_encode

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def permission(
    settings: Settings, *, now: datetime = NOW, seen: datetime | None = None, pixels: int = 4096
) -> Permission:
    return require_permission(settings, now=now, latest_time_seen=seen, preset=Preset.MEDIUM, pixels=pixels)


def write(settings: Settings, license: License, typ: Typ = Typ.LICENSE) -> None:
    token = sign(license.claims(), typ=typ, key=DEVELOPMENT_KEY)
    settings.license_path.write_text(LicenseFile(token=token, bundle=None, revocations=None).to_json())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(license_path=tmp_path / "license.json", roots_path=None, state_folder=tmp_path / "state")
    made.license_path.write_text(development_license_file(NOW))
    return made


def reason_of(settings: Settings, *, now: datetime = NOW, seen: datetime | None = None, pixels: int = 4096) -> Reason:
    with pytest.raises(LicenseRefused) as refused:
        permission(settings, now=now, seen=seen, pixels=pixels)
    assert refused.value.next_step in str(refused.value)
    return refused.value.reason


def test_a_development_license_permits(settings: Settings) -> None:
    assert permission(settings).granted.is_development


def test_an_expired_license_is_refused(settings: Settings) -> None:
    assert reason_of(settings, now=NOW + timedelta(days=366)) is Reason.EXPIRED


def test_a_clock_wound_back_is_refused(settings: Settings) -> None:
    assert reason_of(settings, seen=NOW + timedelta(days=2)) is Reason.CLOCK_WOUND_BACK
    assert permission(settings, seen=NOW + timedelta(hours=20))


def test_a_picture_above_the_limit_is_refused(settings: Settings) -> None:
    small = development_license(NOW)
    write(settings, replace(small, entitlements=replace(small.entitlements, max_pixels=1000)))

    assert reason_of(settings) is Reason.OVER_LIMIT


def test_a_document_of_another_type_is_not_a_license(settings: Settings) -> None:
    write(settings, development_license(NOW), Typ.REPORT)

    assert reason_of(settings) is Reason.UNREADABLE


def test_the_public_key_signs_no_production_license(settings: Settings) -> None:
    write(settings, replace(development_license(NOW), kind=Kind.PRODUCTION))

    assert reason_of(settings) is Reason.UNTRUSTED_KEY


def test_binary_rubbish_is_unreadable(settings: Settings) -> None:
    settings.license_path.write_bytes(bytes(range(256)))
    with pytest.raises(LicenseUnreadable):
        permission(settings)


def test_unreadable_root_keys_are_explained(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(LicenseUnreadable, match="NARROWS_ROOTS"):
        permission(replace(settings, roots_path=tmp_path / "nowhere.json"))


class TestVendorLicenses:
    """With the root keys of a vendor, as `NARROWS_ROOTS` names them."""

    vendor = Vendor()

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        roots = tmp_path / "roots.json"
        roots.write_text(self.vendor.roots.to_json())
        return Settings(license_path=tmp_path / "license.json", roots_path=roots, state_folder=tmp_path / "state")

    def put(self, settings: Settings, license: License, **file: Any) -> None:
        settings.license_path.write_text(self.vendor.license_file(license, **file))

    def test_a_revocation_is_remembered_when_the_list_is_taken_out_of_the_file(self, settings: Settings) -> None:
        self.put(settings, a_license(), revoked=[1], list_version=2)
        assert reason_of(settings) is Reason.REVOKED
        self.put(settings, a_license())
        assert reason_of(settings) is Reason.REVOKED
        self.put(settings, a_license(), revoked=[], list_version=1)
        assert reason_of(settings) is Reason.REVOKED

    def test_a_suspension_ends_with_the_next_list(self, settings: Settings) -> None:
        self.put(settings, a_license(), revoked=[], suspended=[1], list_version=2)
        assert reason_of(settings) is Reason.SUSPENDED
        self.put(settings, a_license(), revoked=[], list_version=3)
        assert permission(settings)

    def test_a_key_that_has_ended_is_not_trusted_again_by_setting_the_clock_back(self, settings: Settings) -> None:
        ended = NOW + timedelta(days=30)
        keys = tuple(replace(key, not_after=ended) for key in self.vendor.bundle().keys)
        self.put(settings, a_license(), bundle=self.vendor.bundle(keys=keys))
        assert permission(settings, now=ended - timedelta(hours=1))
        assert reason_of(settings, now=ended - timedelta(hours=1), seen=ended) is Reason.UNTRUSTED_KEY

    def test_a_time_that_the_vendor_signed_has_passed(self, settings: Settings) -> None:
        signed = NOW + timedelta(days=3)
        self.put(settings, a_license(), bundle=self.vendor.bundle(issued_at=signed))

        assert reason_of(settings) is Reason.CLOCK_WOUND_BACK

    def test_a_license_for_another_installation_is_refused(self, settings: Settings) -> None:
        own = Installation.open(settings.state_folder).id
        self.put(settings, a_license(binding=InstallationBinding(thumbprint=own)))
        assert permission(settings)
        self.put(settings, a_license(binding=InstallationBinding(thumbprint="x" * 43)))
        assert reason_of(settings) is Reason.WRONG_BINDING

    def test_encodes_beyond_the_agreed_number_are_refused_until_one_ends(self, settings: Settings) -> None:
        entitlements = replace(a_license().entitlements, max_concurrent_encodes=2, overage=Overage.HALF)
        self.put(settings, a_license(entitlements=entitlements))
        running = [permission(settings) for _ in range(3)]

        assert [each.granted.is_over_limit for each in running] == [False, False, True]
        assert reason_of(settings) is Reason.OVER_LIMIT
        running[0].release()
        running.append(permission(settings))
        for each in running:
            each.release()

    def test_usage_that_waits_too_long_refuses_the_next_encode_and_a_receipt_would_lift_it(
        self, settings: Settings
    ) -> None:
        terms = replace(a_license().metering, max_unreported=timedelta(days=7))
        self.put(settings, a_license(metering=terms))
        with open_meter(settings, clock=lambda: NOW) as meter:
            meter.append(RecordKind.ENCODE, an_encode(), time=NOW)

            def ask(now: datetime) -> Permission:
                return require_permission(
                    settings, now=now, latest_time_seen=None, preset=Preset.MEDIUM, pixels=1, ledger=meter.ledger
                )

            assert ask(NOW + timedelta(days=7))
            with pytest.raises(LicenseRefused) as refused:
                ask(NOW + timedelta(days=7, seconds=1))
        assert refused.value.reason is Reason.UNREPORTED_TOO_LONG

    def test_a_vendor_that_is_gone_for_thirty_days_stops_nobody(self, settings: Settings) -> None:
        """Metered, with a server that nobody answers at, and usage that piles up: an encode starts on every day."""
        terms = replace(a_license().metering, max_unreported=timedelta(days=45))
        self.put(settings, a_license(metering=terms, expires_at=NOW + timedelta(days=365)))
        with open_meter(settings, clock=lambda: NOW) as meter:
            for day in range(31):
                now = NOW + timedelta(days=day)
                granted = require_permission(
                    settings,
                    now=now,
                    latest_time_seen=meter.latest_time_seen(),
                    preset=Preset.MEDIUM,
                    pixels=1,
                    ledger=meter.ledger,
                )
                assert granted.granted.state == "valid"
                meter.append(RecordKind.ENCODE, an_encode(), time=now)

    def test_a_floating_license_needs_a_lease_of_this_installation(self, settings: Settings) -> None:
        entitlements = replace(a_license().entitlements, max_concurrent_encodes=50)
        self.put(settings, a_license(entitlements=entitlements, lease=LeaseTerms()))
        assert self.reason_without_asking(settings, NOW) is Reason.NO_SEAT
        lease = Lease(
            lease_id="LEA-1",
            license_id="LIC-0001",
            customer_id="CUS-0001",
            holder=holder_of(Installation.open(settings.state_folder).id, 0),
            issued_at=NOW,
            expires_at=NOW + timedelta(seconds=600),
            is_borrowed=False,
        )
        for held, now, is_permitted in (
            (lease, NOW, True),
            (lease, NOW + timedelta(seconds=600), False),
            (replace(lease, holder="another"), NOW, False),
            (replace(lease, license_id="LIC-0002"), NOW, False),
        ):
            token = sign(held.claims(), typ=Typ.LEASE, key=self.vendor.key(Role.LEASE))
            keep_lease(settings, lease_document(token, None))
            assert self.reason_without_asking(settings, now) is (None if is_permitted else Reason.NO_SEAT)

    def reason_without_asking(self, settings: Settings, now: datetime) -> Reason | None:
        """What the license and the lease in the state folder permit by themselves; `test_seat` has those who ask."""
        verdict = judge(settings, now=now, latest_time_seen=None, preset=Preset.MEDIUM, pixels=4096)
        return verdict.reason if isinstance(verdict, Refused) else None


def test_loading_and_checking_a_license_opens_no_socket(settings: Settings) -> None:
    """In a process of its own, where making a socket or asking for an address ends it."""
    program = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise SystemExit('a socket was opened')\n"
        "socket.socket.__init__ = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from pathlib import Path\n"
        "from datetime import UTC, datetime\n"
        "from narrows.license.gate import require_permission\n"
        "from narrows.license.diagnosis import diagnose\n"
        "from narrows.options import Preset\n"
        "from narrows.settings import Settings\n"
        "settings = Settings(license_path=Path(sys.argv[1]), roots_path=None, state_folder=Path(sys.argv[2]))\n"
        "now = datetime.fromisoformat(sys.argv[3])\n"
        "require_permission(settings, now=now, latest_time_seen=None, preset=Preset.MEDIUM, pixels=1)\n"
        "print(diagnose(settings, at=now).code)\n"
    )
    arguments = [str(settings.license_path), str(settings.state_folder), NOW.isoformat()]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.strip()) == (0, "valid"), done.stderr
