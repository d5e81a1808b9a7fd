"""Usage of a site without a way out: a relay keeps reports, a file carries them, and receipts come back as one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from narrows_licensing.errors import DocumentUnreadable
from narrows_licensing.license import LeaseTerms
from narrows_licensing.relay.desk import Desk
from narrows_licensing.relay.forwarding import export_lines, import_lines
from narrows_licensing.relay.home import RelayHome
from narrows_licensing.relay.store import Store
from narrows_licensing.request import read_request
from narrows_metering.report_file import read_answers
from narrows_server.licenses import enrolment, service
from narrows_server.office import Office
from narrows_server.usage import repository
from narrows_server.usage.courier import FileNotRead, import_reports

from .builders import NOVEMBER, Clock, Site, an_occasion, some_usage
from .test_leases import a_request


@pytest.fixture
def relay(office: Office, site: Site, clock: Clock, tmp_path: Path) -> Iterator[Desk]:
    """A relay of the customer `kanal` with three of five seats, from request to papers."""
    order = service.LicenseOrder(
        customer_id="kanal", contract_id="kanal-1", max_concurrent_encodes=5, lease=LeaseTerms()
    )
    home = RelayHome.at(tmp_path / "relay")
    with office.database.transaction() as session:
        keyring, occasion = office.keyring, an_occasion(clock())
        license_id = service.issue(session, order, keyring=keyring, occasion=occasion).id
        request = read_request(home.request(license_id=license_id, version="0.1.0", at=clock()))
        certificate = enrolment.certify_relay(
            session, request, license_id=license_id, seats=3, keyring=keyring, occasion=occasion
        )
        response = enrolment.respond(session, certificate, license_id, keyring=keyring, occasion=occasion)
    papers = home.take_in(response.to_json(), roots=office.keyring.roots.to_json(), at=clock())
    store = Store(home.database)
    yield Desk(key=home.key, papers=papers, store=store, clock=clock)
    store.close()


def exported(relay: Desk) -> bytes:
    return "".join(f"{line}\n" for line in export_lines(relay.store)).encode()


def answered(office: Office, reports: bytes) -> list[str]:
    """What the vendor makes of a file of reports."""
    answers = io.BytesIO()
    import_reports(office, io.BytesIO(reports), answers)
    return answers.getvalue().decode().splitlines()


def carry(office: Office, relay: Desk, clock: Clock) -> int:
    """To the vendor and back; how many reports got a receipt."""
    return import_lines(relay.store, relay.papers, answered(office, exported(relay)), at=clock())


def test_a_relay_that_the_vendor_certified_hands_out_leases_of_its_license(
    office: Office, relay: Desk, clock: Clock
) -> None:
    with office.database.snapshot() as session:
        token = service.require_license(session, relay.papers.license_file.license.license_id).token
    leases = [relay.lease(request.sign(key)) for request, key in (a_request(token, name, office) for name in "abcd")]

    assert [isinstance(lease, str) for lease in leases] == [True, True, True, False]


def test_reports_that_were_carried_are_counted_once_and_receipted(
    office: Office, site: Site, relay: Desk, clock: Clock
) -> None:
    site.record(*some_usage(), at=NOVEMBER.start)
    assert relay.keep_report(*site.report()) is None
    file = exported(relay)

    assert carry(office, relay, clock) == 1
    receipt = relay.keep_report(*site.report())  # The same report again, which the relay knows.
    assert receipt is not None
    assert site.acknowledge(receipt, office).last_seq == 3
    assert receipt in answered(office, file)[1]
    answers = list(read_answers(io.BytesIO(relay.receipts_of(site.installation_id))))
    assert answers == [receipt]  # As `narrows usage acknowledge` reads them.
    with office.database.snapshot() as session:
        assert [overview.installation.head_seq for overview in repository.overviews(session)] == [3]


def test_a_report_that_is_refused_keeps_no_other_waiting(office: Office, site: Site, relay: Desk, clock: Clock) -> None:
    relay.keep_report(b"not a report", "a..b")
    site.record(*some_usage(), at=NOVEMBER.start)
    relay.keep_report(*site.report())

    assert carry(office, relay, clock) == 1
    assert relay.store.count_waiting() == 1


def test_a_file_that_is_not_of_reports_or_receipts_is_refused_with_its_line(
    office: Office, relay: Desk, clock: Clock
) -> None:
    with pytest.raises(FileNotRead, match="line 1"):
        answered(office, b"{}\n")
    for line in ("", "{}", '{"format": "narrows-reports/1"}', "[1]"):
        with pytest.raises(DocumentUnreadable, match="line 1"):
            import_lines(relay.store, relay.papers, [line], at=clock())
    for line in ("{}", '{"receipt": "a.b.c"}', '{"receipt": "a.b.c", "reference": "x"}'):
        with pytest.raises(DocumentUnreadable, match="line 2"):
            import_lines(relay.store, relay.papers, ['{"format": "narrows-receipts/1"}', line], at=clock())


def test_a_forged_receipt_leaves_the_report_where_it_is(site: Site, relay: Desk, clock: Clock) -> None:
    site.record(*some_usage(), at=NOVEMBER.start)
    relay.keep_report(*site.report())
    lines = ['{"format": "narrows-receipts/1"}', '{"receipt": "a.b.c", "reference": "1"}']

    assert import_lines(relay.store, relay.papers, lines, at=clock()) == 0
    assert relay.store.count_waiting() == 1
