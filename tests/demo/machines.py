"""Installations of the demo's customers: keys that are the same in every run, and reports that they sign."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from narrows_licensing.signature import public_key_to_text
from narrows_metering.record import Kind, Record, genesis
from narrows_metering.report import Report, encode_report, sign_report
from narrows_metering.testing import a_key, an_installation_id
from narrows_server.office import Office
from narrows_server.usage.service import Accepted, Conflict, Gap, receive


@dataclass(slots=True)
class Machine:
    """One installation: its chain of records, and how much of it was reported."""

    name: str
    license_token: str
    sdk: str = "narrows 0.1.0"
    records: list[Record] = field(default_factory=list)
    reported: int = 0

    @property
    def id(self) -> str:
        """Its id, by the thumbprint of its key."""
        return an_installation_id(self.name)

    def write(self, entries: Iterable[tuple[Kind, Mapping[str, object]]], *, at: datetime) -> None:
        """Append records, a second apart."""
        for count, (kind, payload) in enumerate(entries):
            prev = self.records[-1].hash if self.records else genesis(self.id)
            record = Record.seal(len(self.records) + 1, prev, at + timedelta(seconds=count), kind, payload)
            self.records.append(record)

    def report(self, office: Office, *, at: datetime) -> Accepted | Conflict | Gap:
        """Report what was not reported yet."""
        return self._send(office, self.records[self.reported :], at=at)

    def report_later(self, office: Office, *, missing: int, at: datetime) -> Accepted | Conflict | Gap:
        """Report, and leave out the next *missing* records: they were lost on the way."""
        return self._send(office, self.records[self.reported + missing :], at=at)

    def copy(self) -> Machine:
        """What a snapshot of the whole machine would be: the same key, the same chain, and then its own life."""
        return Machine(self.name, self.license_token, self.sdk, list(self.records), self.reported)

    def _send(self, office: Office, records: list[Record], *, at: datetime) -> Accepted | Conflict | Gap:
        key = a_key(self.name)
        report = Report(
            installation_id=self.id,
            public_key=public_key_to_text(key.public_key()),
            license_token=self.license_token,
            sdk=self.sdk,
            nonce_previous=None,
            records=tuple(records),
        )
        body = encode_report(report)
        outcome = receive(office.database, body, sign_report(body, key), keyring=office.keyring, at=at)
        if isinstance(outcome, Accepted):
            self.reported = len(self.records)
        return outcome
