"""
A network that loses, repeats, delays, cuts, alters and forges, between the real HTTP client and the real application.

It is a transport of `httpx`, so everything above it is the SDK's own. What goes wrong with a request is drawn from
the seed; what was delayed arrives later, when the world turns its clock.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from narrows_licensing.signature import Typ, sign
from narrows_metering.chain import merkle_root
from narrows_metering.receipt import Receipt
from narrows_metering.record import Record
from narrows_metering.report import Report, decode_report, encode_report, sign_report
from narrows_metering.testing import a_key

from .server import Answer, Server

FAULTS: Final = (
    "request lost",
    "answer lost",
    "request delayed",
    "request repeated at once",
    "request repeated later",
    "older answer",
    "request cut",
    "answer cut",
    "request byte altered",
    "answer byte altered",
    "server unavailable",
    "too many requests",
    "server dies",
    "report forged",
    "report damaged before signing",
    "receipt forged",
)


@dataclass(slots=True)
class _Delayed:
    """A copy of a request that is still on its way."""

    request: httpx.Request
    body: bytes


@dataclass(slots=True)
class Network(httpx.BaseTransport):
    """The way from every machine to *server*; a *fault_rate* of all requests goes wrong."""

    server: Server
    chance: random.Random
    note: Callable[[str], None]  # Told of each fault by name.
    key_of: Callable[[str], Ed25519PrivateKey]  # Of any installation: for a machine that damages its own report.
    fault_rate: float = 0.0
    delayed: list[_Delayed] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)  # Receipts that went over the wire, for mixing them up.

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        if self.chance.random() >= self.fault_rate:
            return self._respond(self._deliver(request, body))
        fault = self.chance.choice(FAULTS)
        if fault in _NEEDS_A_REPORT and request.method != "POST":
            fault = "request lost"
        self.note(fault)
        return self._with(fault, request, body)

    def arrive(self) -> None:
        """Let one delayed request arrive, any of them; nobody waits for its answer any more."""
        if self.delayed:
            late = self.delayed.pop(self.chance.randrange(len(self.delayed)))
            self._deliver(late.request, late.body)

    def _with(self, fault: str, request: httpx.Request, body: bytes) -> httpx.Response:
        match fault:
            case "request lost":
                raise httpx.ConnectTimeout(fault, request=request)
            case "answer lost":
                self._deliver(request, body)
                raise httpx.ReadTimeout(fault, request=request)
            case "request delayed":
                self.delayed.append(_Delayed(request, body))
                raise httpx.ReadTimeout(fault, request=request)
            case "request repeated at once":
                self._deliver(request, body)
                return self._respond(self._deliver(request, body))
            case "request repeated later":
                self.delayed.append(_Delayed(request, body))
                return self._respond(self._deliver(request, body))
            case "older answer":
                answer = self._deliver(request, body)
                return self._respond(self.chance.choice(self.answers) if self.answers else answer)
            case "request cut":
                self._deliver(request, body[: int(self.chance.random() * len(body))])
                raise httpx.WriteError(fault, request=request)
            case "answer cut":
                answer = self._deliver(request, body)
                cut = answer.body[: int(self.chance.random() * len(answer.body))]
                return self._respond(Answer(answer.status, {}, cut))
            case "request byte altered":
                return self._respond(self._deliver(request, self._altered(body)))
            case "answer byte altered":
                answer = self._deliver(request, body)
                return self._respond(Answer(answer.status, {}, self._altered(answer.body)))
            case "server unavailable":
                return self._respond(Answer(503, {"Retry-After": "30"}, b"unavailable"))
            case "too many requests":
                return self._respond(Answer(429, {"Retry-After": "5"}, b"slow down"))
            case "server dies":
                self.server.die_after(self.chance.randrange(20))
                return self._respond(self._deliver(request, body))
            case "report forged":
                return self._respond(self._deliver(request, _forged(decode_report(body))))
            case "report damaged before signing":
                damaged, signature = self._damaged(decode_report(body))
                return self._respond(self._deliver(request, damaged, signature))
            case "receipt forged":
                return self._respond(_forged_receipt(decode_report(body)))
        raise AssertionError(fault)

    def _deliver(self, request: httpx.Request, body: bytes, signature: str | None = None) -> Answer:
        headers = dict(request.headers)
        if signature is not None:
            headers["narrows-signature"] = signature
        answer = self.server.answer(request.method, request.url.raw_path.decode(), headers, body)
        if answer.status == httpx.codes.OK and request.method == "POST":
            self.answers.append(answer)
        return answer

    def _damaged(self, report: Report) -> tuple[bytes, str]:
        """The report as a machine with broken memory would sign it: a number in it is not the one that was hashed."""
        records = list(report.records)
        at = self.chance.randrange(len(records))
        document = records[at].to_dict()
        payload = dict(document["payload"])
        payload["bytes"] = payload.get("bytes", 0) ^ 1 << 20
        records[at] = Record.from_dict({**document, "payload": payload})
        body = encode_report(replace(report, records=tuple(records)))
        return body, sign_report(body, self.key_of(report.installation_id))

    def _altered(self, content: bytes) -> bytes:
        altered = bytearray(content)
        if altered:
            altered[int(self.chance.random() * len(altered))] ^= 1 << self.chance.randrange(8)
        return bytes(altered)

    def _respond(self, answer: Answer) -> httpx.Response:
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
        return httpx.Response(answer.status, headers=headers, content=answer.body)


_NEEDS_A_REPORT: Final = frozenset({"report forged", "report damaged before signing", "receipt forged"})


def _forged(report: Report) -> bytes:
    """The report with other numbers in it, all hashes made to fit, by somebody without the key."""
    prev, records = report.records[0].prev, list[Record]()
    for record in report.records:
        payload = {name: value + 1 if name == "bytes" else value for name, value in record.payload.items()}
        records.append(Record.seal(record.seq, prev, record.time, record.kind, payload))
        prev = records[-1].hash
    return encode_report(replace(report, records=tuple(records)))


def _forged_receipt(report: Report) -> Answer:
    """A receipt that fits the report in everything but the key that it is signed with."""
    receipt = Receipt(
        installation_id=report.installation_id,
        first_seq=report.records[0].seq,
        last_seq=report.records[-1].seq,
        head_hash=report.records[-1].hash,
        merkle_root=merkle_root([record.hash for record in report.records]),
        nonce="nonce-of-nobody-known",
        time=report.records[-1].time,
    )
    token = sign(receipt.claims(), typ=Typ.RECEIPT, key=a_key("somebody else"))
    return Answer(200, {"content-type": "application/json"}, json.dumps({"receipt": token}).encode())
