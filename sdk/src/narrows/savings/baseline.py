"""
What the baseline codec needs for the same quality: the evidence behind every byte that is called saved.

The coded file and the baseline's encodes of the same frames are measured with the same metric. The baseline is encoded
at several rates around our quality (`ladder`); its rate at exactly our quality is interpolated
(`narrows_metering.savings`). Quality is averaged over evenly spaced frames, the same ones on both sides; rates are of
all measured frames. Of a long file, drawn segments stand for the whole (`segmentation`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
from narrows_metering.baseline_spec import BaselineSpec
from narrows_metering.savings import QualityPoint, Unmatched, bytes_at_equal_quality
from narrows_metering.segments import MeasuredSegments, Part, extrapolate

from narrows.errors import VideoError
from narrows.media.coded_file import CodedFile
from narrows.media.picture import Picture
from narrows.media.quality import Metric, QualityMeter
from narrows.media.video import Source
from narrows.savings.ladder import Ladder, Scene
from narrows.savings.segmentation import SegmentDraw, Selection, select
from narrows.session.decoder import Decoder
from narrows.shown import Shown
from narrows.usage.machine import Meter
from narrows.version import VERSION

SCORED_PIXELS_MAX = 45_000_000
MEASURED = "measured"
DEFAULT_METRICS = (Metric.MS_SSIM, Metric.PSNR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    Our bytes beside the baseline's at equal quality, of what was measured. *score* in 10⁻⁶ dB.

    *status* is `measured`, or the reason why there is no pair; *baseline_bytes* is None then.
    """

    baseline: str
    metric: Metric
    status: str
    payload_bytes: int
    baseline_bytes: int | None
    score: int
    points: tuple[QualityPoint, ...]
    segments: MeasuredSegments | None
    baseline_sha256: str

    @property
    def saved_percent(self) -> float | None:
        """For people to read; negative where we need more."""
        return None if not self.baseline_bytes else 100 * (1 - self.payload_bytes / self.baseline_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Shown):
    """A coded file against its source and its baselines."""

    frame_count: int
    psnr: float
    ms_ssim: float | None
    asset_digest: bytes
    coded_digest: bytes
    payload_bytes: int  # Of the whole file.
    evidence: tuple[Evidence, ...]


def compare(
    source: Path,
    coded: Path,
    *,
    baselines: Sequence[BaselineSpec],
    metrics: tuple[Metric, ...] = DEFAULT_METRICS,
    draw: SegmentDraw | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Comparison:
    """
    Measure *coded* and each of *baselines* against *source*: all of it, or the segments that *draw* gives.

    Raises VideoError when the frames of *source* and *coded* are not the same in number and size.
    """
    tell = on_step or (lambda _: None)
    tell("measuring the coded file")
    opened = CodedFile.open(coded)
    selection = select(opened, max((spec.gop_frames_max for spec in baselines), default=1), draw)
    ours = _measure_ours(source, opened, selection, baselines, metrics)
    evidence: list[Evidence] = []
    for spec in baselines:
        scene = Scene(
            source=source, rate=ours.scene.rate, selection=selection, scored=ours.scene.scored, metrics=metrics
        )
        ladder = Ladder(spec, scene, tell)
        evidence += [_evidence(ladder, metric, ours, draw) for metric in metrics]
    assert ours.psnr is not None
    return Comparison(
        frame_count=opened.frame_count,
        psnr=ours.psnr,
        ms_ssim=ours.ms_ssim,
        asset_digest=ours.asset_digest,
        coded_digest=ours.coded_digest,
        payload_bytes=ours.payload_bytes,
        evidence=tuple(evidence),
    )


def evidence_payload(meter: Meter, comparison: Comparison, evidence: Evidence) -> dict[str, object]:
    """The ledger's record of one piece of evidence."""
    payload: dict[str, object] = {
        "asset": meter.installation.pseudonym(b"asset:" + comparison.asset_digest),
        "rendition": meter.installation.pseudonym(b"rendition:" + comparison.coded_digest),
        **evidence_to_dict(evidence, whole_bytes=None),
        "frames": comparison.frame_count,
        "tools": tools(),
    }
    return payload


def evidence_to_dict(item: Evidence, *, whole_bytes: int | None) -> dict[str, object]:
    """One piece of evidence in integers and text; with *whole_bytes*, what it says of the whole file, too."""
    document: dict[str, object] = {
        "baseline": item.baseline,
        "baseline_sha256": item.baseline_sha256,
        "metric": item.metric.value,
        "status": item.status,
        "bytes": item.payload_bytes,
        "baseline_bytes": item.baseline_bytes,
        "score": item.score,
        "points": [{"bytes": point.payload_bytes, "score": point.score} for point in item.points],
    }
    if item.segments is not None:
        document["segments"] = {
            "period": item.segments.period,
            "seed": item.segments.seed,
            "count": item.segments.count,
            "parts": [
                {"index": part.index, "bytes": part.bytes_ours, "baseline_bytes": part.bytes_baseline}
                for part in item.segments.parts
            ],
        }
    if whole_bytes is not None:
        found = item.baseline_bytes
        document["extrapolated"] = {
            "bytes": whole_bytes,
            "baseline_bytes": found and extrapolate(item.payload_bytes, found, whole_ours=whole_bytes),
        }
    return document


def tools() -> dict[str, str]:
    """The builds that measured."""
    return {"av": av.__version__, "ffmpeg": av.ffmpeg_version_info, "narrows": VERSION}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ours:
    """The coded file as it was measured."""

    scene: Scene
    asset_digest: bytes
    coded_digest: bytes
    payload_bytes: int
    segment_bytes: tuple[int, ...]
    scores: dict[Metric, int | None]
    psnr: float | None
    ms_ssim: float | None


def _measure_ours(
    source: Path,
    coded: CodedFile,
    selection: Selection,
    baselines: Sequence[BaselineSpec],
    metrics: tuple[Metric, ...],
) -> _Ours:
    header, count = coded.configuration.header, coded.frame_count
    scored = _scored_frames(selection, header.width * header.height, baselines)
    starts = {segment.first: number for number, segment in enumerate(selection.segments)}
    wanted = set(selection.frames())
    asset, digest = hashlib.sha256(), hashlib.sha256()
    meter = QualityMeter(header.width, header.height, metrics)
    sizes = [0] * len(selection.segments)
    payload = frames = 0
    kept: dict[int, Picture] = {}
    decoder, shown, at = Decoder(), 0, 0
    packets = coded.packets()
    with Source(source) as video:
        rate = video.frame_rate
        for timed in video.pictures():
            packet = next(packets, None)
            if packet is None:
                raise VideoError(f"{source} has more frames than the {count} of {coded.path}; is it the source?")
            if (header.width, header.height) != (timed.picture.width, timed.picture.height):
                raise VideoError(f"{source} and {coded.path} differ in size; is it the source?")
            for plane in (timed.picture.luma, timed.picture.cb, timed.picture.cr):
                asset.update(plane.data)
            digest.update(packet.data)
            payload += len(packet.data)
            if frames in scored:
                kept[frames] = timed.picture
            if frames in wanted:
                if frames in starts:
                    decoder, shown, at = Decoder(), frames, starts[frames]
                sizes[at] += len(packet.data)
                for decoded in decoder.decode_pictures(packet.data):
                    if shown in scored:
                        meter.add(kept[shown], decoded)
                    shown += 1
            frames += 1
    if frames != count or next(packets, None) is not None:
        raise VideoError(f"{source} has {frames} frames and {coded.path} has {count}; is it the source?")
    scores = {metric: meter.score(metric) for metric in metrics}
    meter.close()
    return _Ours(
        scene=Scene(source=source, rate=rate, selection=selection, scored=kept, metrics=metrics),
        asset_digest=asset.digest(),
        coded_digest=digest.digest(),
        payload_bytes=payload,
        segment_bytes=tuple(sizes),
        scores=scores,
        psnr=meter.decibels(Metric.PSNR),
        ms_ssim=meter.decibels(Metric.MS_SSIM),
    )


def _scored_frames(selection: Selection, pixels: int, baselines: Sequence[BaselineSpec]) -> frozenset[int]:
    """Evenly spaced frames: enough for a mean, few enough to keep in memory; those of the strictest baseline."""
    fewest = max((spec.scored_frames_min for spec in baselines), default=1)
    most = max((spec.scored_frames_max for spec in baselines), default=1)
    wanted = max(fewest, min(most, SCORED_PIXELS_MAX // pixels))
    frames = list(selection.frames())
    count = len(frames)
    return frozenset(frames if count <= wanted else (frames[i * count // wanted] for i in range(wanted)))


def _evidence(ladder: Ladder, metric: Metric, ours: _Ours, draw: SegmentDraw | None) -> Evidence:
    points: tuple[QualityPoint, ...] = ()
    score = ours.scores[metric]
    found: int | Unmatched | str = "no_libvmaf" if metric is Metric.VMAF_NEG else "metric_needs_larger_pictures"
    if score is not None:
        points = ladder.points_around(metric, score)
        found = bytes_at_equal_quality(points, score)
    if isinstance(found, Unmatched):
        found = found.reason.value
    selection, segments = ours.scene.selection, None
    if draw is not None and not selection.is_whole and not isinstance(found, str) and score is not None:
        nearest = ladder.nearest(metric, score)
        segments = MeasuredSegments(
            period=draw.period,
            seed=draw.seed.hex(),
            count=selection.count,
            parts=tuple(
                Part(index=one.index, bytes_ours=mine, bytes_baseline=theirs)
                for one, mine, theirs in zip(selection.segments, ours.segment_bytes, nearest.segment_bytes, strict=True)
            ),
        )
    return Evidence(
        baseline=ladder.spec.baseline_id,
        metric=metric,
        status=found if isinstance(found, str) else MEASURED,
        payload_bytes=sum(ours.segment_bytes),
        baseline_bytes=None if isinstance(found, str) else found,
        score=score or 0,
        points=points,
        segments=segments,
        baseline_sha256=ladder.spec.digest(),
    )
