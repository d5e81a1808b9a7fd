"""
Evidence in a file of its own, and the same measurement made again: equal to the byte, or the first value that differs.

The file names the clip and the coded file by their digests, so that nobody measures something else by accident.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from narrows_metering.baseline_spec import BaselineSpec

from narrows.errors import UsageError
from narrows.media.quality import Metric
from narrows.savings.baseline import DEFAULT_METRICS, Comparison, compare, evidence_to_dict, tools
from narrows.savings.ladder import encoder_build
from narrows.savings.segmentation import SegmentDraw

FORMAT = "narrows-evidence/1"
EVIDENCE_BYTES_MAX = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """What measuring again gave. *difference* names the first value that is not the same."""

    values_compared: int
    difference: str | None
    same_tools: bool  # Another build of an encoder may need other bytes: then a difference proves nothing.


def measure(
    source: Path,
    coded: Path,
    baselines: Sequence[BaselineSpec],
    *,
    metrics: tuple[Metric, ...] = DEFAULT_METRICS,
    draw: SegmentDraw | None = None,
    on_step: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """The evidence on *coded* as a document of integers and text; nothing is recorded."""
    comparison = compare(source, coded, baselines=baselines, metrics=metrics, draw=draw, on_step=on_step)
    return to_document(comparison, source, coded, baselines, draw)


def to_document(
    comparison: Comparison, source: Path, coded: Path, baselines: Sequence[BaselineSpec], draw: SegmentDraw | None
) -> dict[str, Any]:
    """What was measured, with all that is needed to measure it again."""
    return {
        "format": FORMAT,
        "source": {"path": str(source), "sha256": _digest(source)},
        "coded": {"path": str(coded), "sha256": _digest(coded)},
        "frames": comparison.frame_count,
        "tools": tools() | {"encoders": encoder_build()},
        "baselines": [spec.to_dict() for spec in baselines],
        "draw": draw
        and {"period": draw.period, "seed": draw.seed.hex(), "wanted": draw.wanted, "rendition": draw.rendition},
        "evidence": [evidence_to_dict(item, whole_bytes=comparison.payload_bytes) for item in comparison.evidence],
        "within_tolerance": {spec.baseline_id: within_tolerance(spec, comparison) for spec in baselines},
    }


def reproduce(
    path: Path,
    *,
    source: Path | None = None,
    coded: Path | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Reproduced:
    """
    Measure again what the evidence in *path* says, from the files that it names or from *source* and *coded*.

    Raises UsageError if it is no evidence, or if the files are not those that were measured.
    """
    stated = _read(path)
    try:
        named = [Path(stated[name]["path"]) for name in ("source", "coded")]
        digests = [stated[name]["sha256"] for name in ("source", "coded")]
        baselines = [BaselineSpec.from_dict(document) for document in stated["baselines"]]
        draw = None if stated["draw"] is None else _draw(stated["draw"])
        metrics = tuple(dict.fromkeys(Metric(item["metric"]) for item in stated["evidence"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: not evidence: {error}") from error
    files = [source or named[0], coded or named[1]]
    for file, digest in zip(files, digests, strict=True):
        if _digest(file) != digest:
            raise UsageError(f"{file} is not the file that was measured: its SHA-256 differs")
    again = measure(files[0], files[1], baselines, metrics=metrics, draw=draw, on_step=on_step)
    compared, difference = _first_difference(stated["evidence"], again["evidence"])
    return Reproduced(
        values_compared=compared,
        difference=difference,
        same_tools=stated.get("tools") == again["tools"],
    )


def within_tolerance(spec: BaselineSpec, comparison: Comparison) -> bool | None:
    """Whether equal PSNR asks for about as many bytes as equal metric; None where the document has no tolerance."""
    if spec.psnr_tolerance_percent is None:
        return None
    found = {
        item.metric.value: item.baseline_bytes for item in comparison.evidence if item.baseline == spec.baseline_id
    }
    metric, psnr = found.get(spec.metric), found.get(Metric.PSNR.value)
    return bool(metric and psnr) and 100 * abs((metric or 0) - (psnr or 0)) <= spec.psnr_tolerance_percent * (psnr or 0)


def _draw(stated: Mapping[str, Any]) -> SegmentDraw:
    return SegmentDraw(
        period=str(stated["period"]),
        seed=bytes.fromhex(stated["seed"]),
        wanted=int(stated["wanted"]),
        rendition=str(stated["rendition"]),
    )


def _first_difference(stated: object, again: object, pointer: str = "/evidence") -> tuple[int, str | None]:
    if isinstance(stated, dict) and isinstance(again, dict):
        pairs = [(name, stated.get(name), again.get(name)) for name in sorted({*stated, *again})]
    elif isinstance(stated, list) and isinstance(again, list) and len(stated) == len(again):
        pairs = [(str(n), one, other) for n, (one, other) in enumerate(zip(stated, again, strict=True))]
    else:
        same = type(stated) is type(again) and stated == again
        return 1, None if same else f"{pointer}: stated {stated!r}, measured {again!r}"
    compared = 0
    for name, one, other in pairs:
        count, difference = _first_difference(one, other, f"{pointer}/{name}")
        compared += count
        if difference is not None:
            return compared, difference
    return compared, None


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > EVIDENCE_BYTES_MAX:
            raise UsageError(f"{path}: more than {EVIDENCE_BYTES_MAX} bytes")
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f"{path}: format: not {FORMAT}")
    return document


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: {error}") from error
