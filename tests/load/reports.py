"""
Reports that are signed before the clock starts: what many installations of one customer would send.

Each installation has its own key and its own chain of deliveries, so the server has everything to check that it ever
has. The numbers of bytes are odd enough for a lost or doubled record to show in their sum.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final

from narrows_licensing.signature import public_key_to_text
from narrows_metering.record import Kind, Record, genesis
from narrows_metering.report import Report, encode_report, sign_report
from narrows_metering.testing import NOW, a_delivery, a_key, an_installation_id

JOBS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReport:
    """One report as it is sent, and what is in it."""

    body: bytes
    signature: str
    records: int
    delivered_bytes: int


def sign_chains(
    *, chains: int, reports: int, records: int, license_token: str, prefix: str
) -> list[list[SignedReport]]:
    """*chains* installations with *reports* each of *records* each, in the order in which each has to be sent."""
    work = [(f"{prefix}-{number}", reports, records, license_token) for number in range(chains)]
    if chains * reports * records < 20_000:
        return [_sign_chain(*one) for one in work]
    with ProcessPoolExecutor(JOBS, mp_context=get_context("spawn")) as workers:
        return list(workers.map(_sign_chain, *zip(*work, strict=True)))


def _sign_chain(name: str, reports: int, records: int, license_token: str) -> list[SignedReport]:
    key, installation = a_key(name), an_installation_id(name)
    public_key = public_key_to_text(key.public_key())
    prev, seq, signed = genesis(installation), 0, []
    template = a_delivery(source_digest="")
    for _ in range(reports):
        sealed, total = [], 0
        for _ in range(records):
            seq += 1
            amount = 1_000_003 + 7 * seq
            sealed.append(Record.seal(seq, prev, NOW, Kind.DELIVERY, template | {"bytes": amount}))
            prev, total = sealed[-1].hash, total + amount
        body = encode_report(
            Report(
                installation_id=installation,
                public_key=public_key,
                license_token=license_token,
                sdk="narrows 0.1.0",
                nonce_previous=None,
                records=tuple(sealed),
            )
        )
        signed.append(SignedReport(body=body, signature=sign_report(body, key), records=records, delivered_bytes=total))
    return signed
