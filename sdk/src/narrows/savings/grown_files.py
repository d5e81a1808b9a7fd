"""
Log files that have grown since they were imported: only what is new in them counts.

A file is known by the digest of its bytes, so a longer one would be another file and all of it would count again. Each
delivery record says how long its file was; a file whose beginning has that digest is the same one, grown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from narrows_metering.importers.delivery_log import DeliveryTotal
from narrows_metering.record import time_to_text

from narrows.errors import UsageError

CHUNK_BYTES = 2**20
_Cell = tuple[str, str, str, str]


def only_new(
    totals: Sequence[DeliveryTotal], logs: Sequence[Path], recorded: Iterable[Mapping[str, Any]]
) -> list[DeliveryTotal]:
    """*totals* of *logs* without what the *recorded* delivery payloads already say of shorter versions of them."""
    by_digest: dict[str, list[Mapping[str, Any]]] = {}
    for payload in recorded:
        if payload.get("source_bytes"):
            by_digest.setdefault(payload["source_digest"], []).append(payload)
    lengths = {digest: int(payloads[0]["source_bytes"]) for digest, payloads in by_digest.items()}
    told: dict[str, dict[_Cell, list[int]]] = {}  # By the digest of the grown file.
    for path in logs:
        digest, earlier = _earlier_versions(path, lengths)
        for name in earlier:
            for payload in by_digest[name]:
                sums = told.setdefault(digest, {}).setdefault(_cell(payload), [0, 0, 0])
                for index, member in enumerate(("bytes", "requests", "played_ms")):
                    sums[index] += int(payload.get(member, 0))
    fresh = []
    for total in totals:
        sums = told.get(total.source_digest, {}).get(_cell(total.payload()), [0, 0, 0])
        left = [
            max(0, now - then) for now, then in zip((total.bytes, total.requests, total.played_ms), sums, strict=True)
        ]
        if total.source_digest not in told or any(left):
            fresh.append(replace(total, bytes=left[0], requests=left[1], played_ms=left[2]))
    return fresh


def _earlier_versions(path: Path, lengths: Mapping[str, int]) -> tuple[str, list[str]]:
    """The digest of *path*, and those of *lengths* that are its beginning. Read once."""
    try:
        size = path.stat().st_size
        wanted = sorted({length for length in lengths.values() if length < size})
        digest, reached, found = hashlib.sha256(), 0, set[str]()
        with path.open("rb") as file:
            for length in [*wanted, size]:
                while reached < length and (chunk := file.read(min(CHUNK_BYTES, length - reached))):
                    digest.update(chunk)
                    reached += len(chunk)
                if length < size:
                    found.add(digest.hexdigest())
    except OSError as error:
        raise UsageError(f"{path}: {error}") from error
    return digest.hexdigest(), [name for name in lengths if name in found]


def _cell(payload: Mapping[str, Any]) -> _Cell:
    start = payload["window_start"]
    return (
        str(payload["rendition"]),
        start if isinstance(start, str) else time_to_text(start),
        str(payload.get("region", "")),
        str(payload.get("arm", "")),
    )
