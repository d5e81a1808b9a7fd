"""
Which installation a report is of: one that is known, under the contract that it was enrolled under, or a new one.

A ledger that begins by saying which other ledger it continues is linked to it: the machine was told to take a new name.
"""

from __future__ import annotations

import orjson
from narrows_licensing.license import License
from narrows_metering.receipt import INSTALLATION_ID
from narrows_metering.record import Kind, genesis
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.customers.repository import lock_customer
from narrows_server.errors import ReportNotTrusted
from narrows_server.licenses.repository import get_license
from narrows_server.usage import repository
from narrows_server.usage.arrival import Arrival
from narrows_server.usage.models import Installation

REIDENTIFIED = "reidentified"  # The event of a first record that continues another installation's ledger.


def find_installation(session: Session, arrival: Arrival, license: License) -> Installation | None:
    """The installation, its row locked; None if this is its first report. Raises `ReportNotTrusted`."""
    installation = repository.lock_installation(session, arrival.installation_id)
    # The license that it showed last is in our books, or the row could not refer to it.
    if (installation is None or installation.license_id != license.license_id) and (
        get_license(session, license.license_id) is None
    ):
        raise ReportNotTrusted(f"license {license.license_id} is signed by us but not in our books")
    if installation is None:
        # Two first reports at once: the second waits here, and then finds what the first has enrolled.
        lock_customer(session, license.customer_id)
        installation = repository.lock_installation(session, arrival.installation_id)
    if installation is None:
        return None
    if (installation.customer_id, installation.contract_id) != (license.customer_id, license.metering.contract_id):
        raise ReportNotTrusted(
            f"installation {installation.id} belongs to contract {installation.contract_id}; the license in the "
            f"report is for {license.metering.contract_id}. Use a new installation for another contract"
        )
    return installation


def enrol(session: Session, arrival: Arrival, license: License, occasion: Occasion) -> Installation:
    """A new installation, which has no record yet."""
    previous_id, previous_seq = _origin(arrival)
    installation = Installation(
        id=arrival.installation_id,
        customer_id=license.customer_id,
        contract_id=license.metering.contract_id,
        license_id=license.license_id,
        public_key=arrival.public_key,
        sdk=arrival.sdk,
        enrolled_at=occasion.at,
        reported_at=occasion.at,
        head_seq=0,
        head_hash=genesis(arrival.installation_id),
        encode_count=0,
        delivered_bytes=0,
        previous_id=previous_id,
        previous_seq=previous_seq,
    )
    session.add(installation)
    session.flush()
    audit.write(
        session,
        occasion,
        "installation.enrolled",
        installation.id,
        customer=installation.customer_id,
        license=license.license_id,
    )
    return installation


def _origin(arrival: Arrival) -> tuple[str | None, int | None]:
    """The installation and its last record that a ledger says it continues, in its first record; else nothing."""
    nothing = (None, None)
    if arrival.kinds[0] != Kind.LIFECYCLE:
        return nothing
    payload = orjson.loads(arrival.documents[0])["payload"]
    previous_id, previous_seq = payload.get("previous_installation"), payload.get("previous_seq")
    if payload.get("event") != REIDENTIFIED or type(previous_seq) is not int or not isinstance(previous_id, str):
        return nothing
    return (previous_id, previous_seq) if INSTALLATION_ID.fullmatch(previous_id) else nothing
