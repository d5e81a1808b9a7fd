"""Reports: deterministic, bounded, and true or refused."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from narrows_metering.canonical import canonical_json
from narrows_metering.errors import MeteringError, ReportRefused, ReportUnreadable
from narrows_metering.ledger import Entry, Ledger
from narrows_metering.record import Kind, Record
from narrows_metering.report import (
    REPORT_BYTES_MAX,
    REPORT_JSON_BYTES_MAX,
    REPORT_RECORDS_MAX,
    check_report,
    decode_report,
    encode_report,
    next_report,
    sign_report,
)
from narrows_metering.testing import (
    NOW,
    a_key,
    a_receipt,
    a_receipt_token,
    a_report,
    an_encode,
    an_installation_id,
)


def gzipped(text: bytes) -> bytes:
    """The same bytes at any time, so that a test has the same name in every process."""
    return gzip.compress(text, mtime=0)


def altered(change: Callable[[dict[str, Any]], object]) -> bytes:
    """The body of a report whose JSON was changed by *change*."""
    document = json.loads(gzip.decompress(encode_report(a_report())))
    change(document)
    return gzipped(canonical_json(document))


class TestEncoding:
    def test_the_same_report_gives_the_same_bytes_and_survives(self) -> None:
        body = encode_report(a_report())
        assert body == encode_report(a_report())
        assert decode_report(body) == a_report()

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (lambda d: d.update(format="narrows-report/2"), "format"),
            (lambda d: d.update(extra=1), "format"),
            (lambda d: d.pop("sdk"), "format"),
            (lambda d: d.update(sdk="x" * 65), "sdk"),
            (lambda d: d.update(license_token=""), "license_token"),
            (lambda d: d.update(license_token="x" * 8193), "license_token"),
            (lambda d: d.update(nonce_previous="short"), "nonce_previous"),
            (lambda d: d.update(installation_id="x"), "installation_id"),
            (lambda d: d.update(records=[]), "records"),
            (lambda d: d.update(records={}), "records"),
            (lambda d: d.update(records=d["records"] * (REPORT_RECORDS_MAX // 3 + 1)), "records"),
            (lambda d: d["records"][1].update(seq=0), r"records\[1\]\.seq"),
            (lambda d: d["records"][2]["payload"].update(deep=[[[[[[[[[1]]]]]]]]]), r"records\[2\]\.deep"),
        ],
    )
    def test_what_breaks_a_limit_is_named(self, change: Callable[[dict[str, Any]], object], named: str) -> None:
        with pytest.raises(ReportUnreadable, match=named):
            decode_report(altered(change))

    @pytest.mark.parametrize(
        "body",
        [b"", b"\x1f\x8b", b"not gzip", gzipped(b"{"), gzipped(b"[]"), gzipped(b'{"a":1.5}'),
         gzipped(b"[" * 10**6), encode_report(a_report()) + b"\0", encode_report(a_report())[:-1],
         encode_report(a_report()) * 2, zlib.compress(b"{}"), bytes(REPORT_BYTES_MAX + 1)],
    )  # fmt: skip
    def test_bytes_that_are_no_report_are_refused(self, body: bytes) -> None:
        with pytest.raises(ReportUnreadable):
            decode_report(body)

    def test_a_small_body_cannot_grow_without_bound(self) -> None:
        bomb = gzip.compress(b" " * (REPORT_JSON_BYTES_MAX * 4))
        assert len(bomb) < REPORT_BYTES_MAX
        with pytest.raises(ReportUnreadable, match=f"more than {REPORT_JSON_BYTES_MAX} bytes of JSON"):
            decode_report(bomb)

    @pytest.mark.parametrize("spelling", [b'{"format":"narrows-report/1",', b'{ "installation_id"', b'{"sdk":"x","'])
    def test_a_second_spelling_of_the_same_report_is_refused(self, spelling: bytes) -> None:
        text = gzip.decompress(encode_report(a_report()))
        assert text.startswith(b'{"format":"narrows-report/1","installation_id"')
        start = {
            b'{"f': b'{"format":"narrows-report/1","format"',
            b'{ "': b'{ "format"',
            b'{"s': b'{"sdk":"x","format"',
        }
        with pytest.raises(ReportUnreadable, match="canonical"):
            decode_report(gzip.compress(text.replace(b'{"format"', start[spelling[:3]], 1)))


class TestChecking:
    def test_a_signed_report_is_what_it_says(self) -> None:
        body = encode_report(a_report())
        assert check_report(body, sign_report(body, a_key())) == a_report()

    def test_another_key_cannot_sign_for_an_installation(self) -> None:
        body = encode_report(a_report())
        with pytest.raises(ReportRefused, match="signature"):
            check_report(body, sign_report(body, a_key("another")))

    def test_another_key_cannot_take_an_installations_name(self) -> None:
        body = encode_report(replace(a_report(name="another"), installation_id=an_installation_id()))
        with pytest.raises(ReportRefused, match="thumbprint"):
            check_report(body, sign_report(body, a_key("another")))

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (lambda records: (records[0], records[2]), "record 2"),
            (lambda records: records[::-1], "record 4"),
            (lambda records: (records[0], records[0]), "record 2"),
            (lambda records: (replace(records[0], prev="0" * 64), *records[1:]), "record 1"),
            (lambda records: (records[0], replace(records[1], payload={}), records[2]), "record 2"),
        ],
    )
    def test_a_broken_chain_is_refused_although_it_is_signed(
        self, change: Callable[[tuple[Any, ...]], tuple[Any, ...]], named: str
    ) -> None:
        body = encode_report(replace(a_report(), records=change(a_report().records)))
        with pytest.raises(ReportRefused, match=named):
            check_report(body, sign_report(body, a_key()))

    def test_a_report_may_begin_in_the_middle_of_a_chain(self) -> None:
        body = encode_report(replace(a_report(), records=a_report().records[1:]))
        assert [record.seq for record in check_report(body, sign_report(body, a_key())).records] == [2, 3]

    def test_every_flipped_byte_of_a_report_is_refused(self) -> None:
        body = encode_report(a_report())
        signature = sign_report(body, a_key())
        for position in range(len(body)):
            flipped = bytearray(body)
            flipped[position] ^= 1 << position % 8
            with pytest.raises(MeteringError):
                check_report(bytes(flipped), signature)

    def test_every_changed_character_of_the_signature_is_refused(self) -> None:
        body = encode_report(a_report())
        signature = sign_report(body, a_key())
        for position, character in enumerate(signature):
            other = "A" if character != "A" else "B"
            with pytest.raises(MeteringError):
                check_report(body, signature[:position] + other + signature[position + 1 :])


class TestNextReport:
    def test_reports_cover_the_ledger_once_and_in_order(self, tmp_path: Path) -> None:
        with Ledger.open(tmp_path / "ledger", installation_id=an_installation_id()) as ledger:
            ledger.append_all([Entry(kind=Kind.ENCODE, payload=an_encode(), time=NOW)] * 7)
            sent: list[Record] = []
            nonces: list[str | None] = []
            while sending := next_report(ledger, key=a_key(), license_token="token", sdk="0.1.0", limit=3):
                report = check_report(*sending)
                # Without a receipt the same report comes again.
                assert sending == next_report(ledger, key=a_key(), license_token="token", sdk="0.1.0", limit=3)
                nonces.append(report.nonce_previous)
                sent += report.records
                receipt = a_receipt(list(report.records), nonce=f"nonce-after-record-{sent[-1].seq}")
                ledger.acknowledge(a_receipt_token(receipt), receipt)
            assert sent == list(ledger.records())
            assert nonces == [None, "nonce-after-record-3", "nonce-after-record-6"]

    def test_large_records_make_reports_with_fewer_of_them(self, tmp_path: Path) -> None:
        rng = random.Random(1)
        with Ledger.open(tmp_path / "ledger", installation_id=an_installation_id()) as ledger:
            ledger.append_all(
                Entry(kind=Kind.GAP, payload={"noise": rng.randbytes(32_000).hex()}, time=NOW) for _ in range(140)
            )
            sending = next_report(ledger, key=a_key(), license_token="token", sdk="0.1.0")
            assert sending is not None
            count = len(check_report(*sending).records)
        assert 0 < count < 140
        assert (count + 2) * 64_000 > REPORT_JSON_BYTES_MAX  # As many as fit, give or take one.
