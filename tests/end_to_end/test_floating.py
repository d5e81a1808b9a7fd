"""A site without a way out: a real relay hands out seats to real encoders, and then is gone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import narrows
import pytest
from narrows.errors import LicenseRefused
from narrows.session.packet import Packet
from narrows.settings import Settings
from narrows_licensing.certificate import Pool, RelayCertificate
from narrows_licensing.document import LicenseFile
from narrows_licensing.license import LeaseTerms
from narrows_licensing.relay.desk import Desk
from narrows_licensing.relay.home import RelayHome
from narrows_licensing.relay.store import Store
from narrows_licensing.relay.web import RelayServer
from narrows_licensing.response import Response
from narrows_licensing.signature import Typ, sign
from narrows_licensing.testing import Vendor, a_license
from narrows_licensing.trust import Role
from narrows_licensing.verdict import Reason

from tests.sdk.builders import a_picture

VENDOR = Vendor()


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def license_file() -> str:
    """A floating license of today with two seats."""
    license = a_license(issued_at=now(), not_before=now(), expires_at=now() + timedelta(days=365), sdk_min="0.0.1")
    entitlements = replace(license.entitlements, max_concurrent_encodes=2)
    return VENDOR.license_file(replace(license, entitlements=entitlements, lease=LeaseTerms()))


@pytest.fixture
def relay(tmp_path: Path, license_file: str) -> Iterator[Desk]:
    """A relay with one of the two seats, certified by the vendor."""
    home = RelayHome.at(tmp_path / "relay")
    certificate = RelayCertificate(
        certificate_id="CRT-1",
        customer_id="CUS-0001",
        key=home.key.public_key(),
        issued_at=now(),
        expires_at=now() + timedelta(days=30),
        status_index=9,
        pools=(Pool(license_id="LIC-0001", seats=1),),
    )
    token = sign(certificate.claims(), typ=Typ.RELAY, key=VENDOR.key(Role.LEASE))
    response = Response(certificate=token, license=LicenseFile.from_json(license_file)).to_json()
    papers = home.take_in(response, roots=VENDOR.roots.to_json(), at=now())
    store = Store(home.database)
    yield Desk(key=home.key, papers=papers, store=store, clock=lambda: datetime.now(UTC))
    store.close()


@contextmanager
def serving(relay: Desk) -> Iterator[str]:
    with RelayServer(("127.0.0.1", 0), relay) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def a_machine(folder: Path, license_file: str, url: str) -> Settings:
    folder.mkdir()
    (folder / "license.json").write_text(license_file)
    (folder / "roots.json").write_text(VENDOR.roots.to_json())
    return Settings.read(
        {
            "NARROWS_LICENSE": str(folder / "license.json"),
            "NARROWS_ROOTS": str(folder / "roots.json"),
            "NARROWS_STATE": str(folder / "state"),
            "NARROWS_RELAY": url,
        }
    )


def an_encoder(settings: Settings) -> narrows.Encoder:
    return narrows.Encoder(width=64, height=48, preset="fast", low_delay=True, settings=settings)


def test_encodes_take_seats_of_a_relay_and_none_stops_when_it_is_gone(
    tmp_path: Path, license_file: str, relay: Desk
) -> None:
    packets: list[Packet] = []
    with serving(relay) as url:
        settings, other = (a_machine(tmp_path / name, license_file, url) for name in "ab")
        encoder = an_encoder(settings)
        packets += encoder.encode(a_picture(shift=0))
        with pytest.raises(LicenseRefused) as refused:
            an_encoder(other)
        assert refused.value.reason is Reason.NO_SEAT

    # The relay is gone. What runs goes on, whoever had a seat starts again, and everybody decodes.
    packets += encoder.encode(a_picture(shift=1))
    packets += encoder.flush()
    summary = encoder.close()
    assert summary is not None
    assert summary.frame_count == 2
    an_encoder(settings).close()
    with pytest.raises(LicenseRefused):
        an_encoder(other)
    decoder = narrows.Decoder()
    assert len([frame for packet in packets for frame in decoder.decode(packet)]) == 2


def test_a_seat_given_back_at_the_end_of_an_encode_goes_to_the_next_machine(
    tmp_path: Path, license_file: str, relay: Desk
) -> None:
    with serving(relay) as url:
        for name in "abc":
            with an_encoder(a_machine(tmp_path / name, license_file, url)):
                seats = relay.store.count_seats(expires_after=datetime.now(UTC))
                assert seats == 1

    lease = json.loads((tmp_path / "a" / "state" / "lease.json").read_text())
    assert lease["relay"] == relay.papers.certificate_token
