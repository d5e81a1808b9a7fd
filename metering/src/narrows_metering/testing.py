"""
Builders of valid things, for tests here and in the distributions that use this one.

Each takes what the test is about and fills in the rest. Nothing in production imports this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from narrows_licensing.signature import Typ, public_key_to_text, sign, thumbprint

from narrows_metering.bench import Bench, BenchClip, sign_bench
from narrows_metering.chain import merkle_root
from narrows_metering.payload import MEASURED
from narrows_metering.receipt import Receipt
from narrows_metering.record import Kind, Record, genesis, time_to_text
from narrows_metering.report import Report
from narrows_metering.savings import QualityPoint, Unmatched, bytes_at_equal_quality
from narrows_metering.share import SharePart, ShareTier
from narrows_metering.tariff import Tariff, Tier
from narrows_metering.terms import Period, Terms

NOW: Final = datetime(2026, 11, 23, 8, tzinfo=UTC)
NOVEMBER: Final = Period(year=2026, month=11)
GB: Final = 10**9
_A_TOKEN: Final = "header.claims.signature"  # noqa: S105  (opaque to reports, and worth nothing)


def a_key(name: str = "installation") -> Ed25519PrivateKey:
    """A key that is the same whenever the name is."""
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


def an_installation_id(name: str = "installation") -> str:
    """The id of the installation that holds `a_key(name)`."""
    return thumbprint(a_key(name).public_key())


def an_id(name: str) -> str:
    """What the SDK would call an asset or a rendition: 32 hex digits."""
    return sha256(name.encode()).hexdigest()[:32]


def an_encode(
    rendition: str = "film-1080", *, asset: str = "film", development: bool = False, content_class: str = ""
) -> dict[str, Any]:
    """The payload of an encode record."""
    said = {"content_class": content_class} if content_class else {}
    return said | {
        "asset": an_id(asset),
        "rendition": an_id(rendition),
        "frames": 240,
        "duration_ms": 10_000,
        "width": 1920,
        "height": 1080,
        "bytes": 800_000,
        "crf": 30,
        "preset": "medium",
        "tune": "ms_ssim",
        "model": "m1",
        "license_id": "license-1",
        "development": development,
    }


def an_evidence(
    rendition: str = "film-1080",
    *,
    asset: str = "film",
    ours: int = 800_000,
    baseline: int = 1_000_000,
    baseline_id: str = "libx265-medium",
    metric: str = "ms_ssim",
    status: str = MEASURED,
) -> dict[str, Any]:
    """The payload of an evidence record whose ladder gives exactly *baseline* bytes at our score."""
    score = 15_000_000
    ladder = [(baseline // 2 + 1, score - 3_000_000), (baseline, score), (baseline * 2, score + 3_000_000)]
    points = [QualityPoint(payload_bytes=size, score=at) for size, at in ladder]
    matched = bytes_at_equal_quality(points, score)
    assert not isinstance(matched, Unmatched)
    return {
        "asset": an_id(asset),
        "rendition": an_id(rendition),
        "baseline": baseline_id,
        "metric": metric,
        "bytes": ours,
        "baseline_bytes": matched if status == MEASURED else None,
        "score": score,
        "points": [{"bytes": point.payload_bytes, "score": point.score} for point in points],
        "status": status,
        "frames": 240,
        "tools": {"av": "16.0.0", "ffmpeg": "7.1", "narrows": "0.1.0"},
    }


def a_delivery(
    rendition: str = "film-1080",
    *,
    delivered: int = 800 * GB,
    start: datetime = datetime(2026, 11, 10, tzinfo=UTC),
    source_digest: str | None = None,
    arm: str = "",
    played_ms: int = 0,
) -> dict[str, Any]:
    """The payload of a delivery record for one day; without *source_digest*, one that fits the rest."""
    digest = sha256(f"{rendition} {delivered} {start}".encode()).hexdigest()
    said = {name: value for name, value in (("arm", arm), ("played_ms", played_ms)) if value}
    return said | {
        "rendition": an_id(rendition),
        "window_start": time_to_text(start),
        "window_end": time_to_text(start + timedelta(days=1)),
        "bytes": delivered,
        "requests": 100_000,
        "source": "cloudfront",
        "source_digest": digest if source_digest is None else source_digest,
    }


def some_records(
    entries: Iterable[tuple[Kind, Mapping[str, object]]], *, installation_id: str | None = None, time: datetime = NOW
) -> list[Record]:
    """A chain from record 1, a second apart."""
    prev, records = genesis(installation_id or an_installation_id()), list[Record]()
    for index, (kind, payload) in enumerate(entries):
        records.append(Record.seal(index + 1, prev, time + timedelta(seconds=index), kind, payload))
        prev = records[-1].hash
    return records


def a_report(*, name: str = "installation", count: int = 3) -> Report:
    """A report of the first *count* records of the installation *name*."""
    return Report(
        installation_id=an_installation_id(name),
        public_key=public_key_to_text(a_key(name).public_key()),
        license_token=_A_TOKEN,
        sdk="narrows 0.1.0",
        nonce_previous=None,
        records=tuple(some_records([(Kind.ENCODE, an_encode())] * count, installation_id=an_installation_id(name))),
    )


def a_receipt(records: list[Record], *, name: str = "installation", nonce: str = "nonce-of-the-server-1") -> Receipt:
    """The receipt that a server would give for *records*."""
    return Receipt(
        installation_id=an_installation_id(name),
        first_seq=records[0].seq,
        last_seq=records[-1].seq,
        head_hash=records[-1].hash,
        merkle_root=merkle_root([record.hash for record in records]),
        nonce=nonce,
        time=NOW,
    )


def a_receipt_token(receipt: Receipt) -> str:
    """*receipt*, signed by the server key `a_key("server")`."""
    return sign(receipt.claims(), typ=Typ.RECEIPT, key=a_key("server"))


def a_share(percent: str, *, from_day: int = 1) -> SharePart:
    """The same part of whatever is saved."""
    return SharePart(from_day=from_day, tiers=(ShareTier(up_to_minor=None, percent=Decimal(percent)),))


def a_bench(classes: Mapping[str, tuple[int, int]], *, key: str = "vendor") -> Bench:
    """A bench with one clip of each class: our bytes, and the baseline's."""
    clips = [
        BenchClip(name=f"{name}-1", content_class=name, bytes_ours=ours, bytes_baseline=baseline)
        for name, (ours, baseline) in classes.items()
    ]
    return sign_bench("bench-1", baseline_id="libx265-medium", metric="ms_ssim", clips=clips, key=a_key(key))


def some_terms(
    *, share_percent: str = "20", currency: str = "EUR", tiers: tuple[tuple[int | None, str], ...] = ((None, "0.05"),)
) -> Terms:
    """Terms over libx265-medium at equal MS-SSIM; *tiers* are (up to GB, price per GB)."""
    return Terms(
        contract_id="contract-1",
        customer_id="customer-1",
        baseline_id="libx265-medium",
        metric="ms_ssim",
        share=(a_share(share_percent),),
        currency=currency,
        tariff=Tariff(
            tariff_id="tariff-1",
            tiers=tuple(
                Tier(up_to_bytes=None if limit is None else limit * GB, price_per_gb=Decimal(price))
                for limit, price in tiers
            ),
        ),
    )
