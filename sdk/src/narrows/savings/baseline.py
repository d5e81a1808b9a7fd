"""
What the baseline codec needs for the same quality: the evidence behind every byte that is called saved.

The coded file and the baseline's encodes of the same frames are measured with the same metric. The baseline is encoded
at several rates around our quality; its rate at exactly our quality is interpolated (`narrows_metering.savings`).
Quality is averaged over evenly spaced frames, the same ones on both sides; rates are of the whole clip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import av.codec
import av.error
from narrows_metering.savings import QualityPoint, Unmatched, bytes_at_equal_quality

from narrows.errors import VideoError
from narrows.media.coded_file import CodedFile
from narrows.media.frames import to_frame, to_picture
from narrows.media.picture import Picture
from narrows.media.quality import Metric, QualityMeter
from narrows.media.video import Source
from narrows.session import Decoder
from narrows.usage.machine import Meter
from narrows.version import VERSION

CRF_START = 28
CRF_STEP = 4
CRF_LOWEST, CRF_HIGHEST = 12, 48
POINTS_MIN = 4
SCORED_PIXELS_MAX = 45_000_000
SCORED_FRAMES_MIN, SCORED_FRAMES_MAX = 8, 60
MEASURED = "measured"


class Baseline(StrEnum):
    """A codec, preset and rate control that a contract can name; all else as the encoder has it by default."""

    X264_MEDIUM = "libx264-medium"
    X265_MEDIUM = "libx265-medium"

    @property
    def encoder(self) -> str:
        return self.value.rsplit("-", 1)[0]

    @property
    def preset(self) -> str:
        return self.value.rsplit("-", 1)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    Our bytes beside the baseline's at equal quality. *score* in 10⁻⁶ dB.

    *status* is `measured`, or the reason why there is no pair; *baseline_bytes* is None then.
    """

    baseline: Baseline
    metric: Metric
    status: str
    payload_bytes: int
    baseline_bytes: int | None
    score: int
    points: tuple[QualityPoint, ...]

    @property
    def saved_percent(self) -> float | None:
        """For people to read; negative where we need more."""
        return None if not self.baseline_bytes else 100 * (1 - self.payload_bytes / self.baseline_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A coded file against its source and its baselines."""

    frame_count: int
    psnr: float
    ms_ssim: float | None
    asset_digest: bytes
    coded_digest: bytes
    payload_bytes: int
    evidence: tuple[Evidence, ...]


def compare(
    source: Path,
    coded: Path,
    *,
    baselines: tuple[Baseline, ...],
    metrics: tuple[Metric, ...] = (Metric.MS_SSIM, Metric.PSNR),
    on_step: Callable[[str], None] | None = None,
) -> Comparison:
    """
    Measure *coded* and each of *baselines* against *source*.

    Raises VideoError when the frames of *source* and *coded* are not the same in number and size.
    """
    tell = on_step or (lambda _: None)
    tell("measuring the coded file")
    opened = CodedFile.open(coded)
    header, count = opened.configuration.header, opened.frame_count
    scored = _scored_frames(count, header.width * header.height)
    decoder, asset, ours = Decoder(), hashlib.sha256(), hashlib.sha256()
    meter = QualityMeter(header.width, header.height, metrics)
    payload = frames = shown = 0
    kept: dict[int, Picture] = {}
    packets = opened.packets()
    with Source(source) as video:
        rate = video.frame_rate
        for timed in video.pictures():
            packet = next(packets, None)
            if packet is None:
                raise VideoError(f"{source} has more frames than the {count} of {coded}; is it the source?")
            for plane in (timed.picture.luma, timed.picture.cb, timed.picture.cr):
                asset.update(plane.data)
            if (header.width, header.height) != (timed.picture.width, timed.picture.height):
                raise VideoError(f"{source} and {coded} differ in size; is it the source?")
            ours.update(packet.data)
            payload += len(packet.data)
            if frames in scored:
                kept[frames] = timed.picture
            frames += 1
            for decoded in decoder.decode_pictures(packet.data):
                if shown in scored:
                    meter.add(kept[shown], decoded)
                shown += 1
    if frames != count or next(packets, None) is not None:
        raise VideoError(f"{source} has {frames} frames and {coded} has {count}; is it the source?")
    scores = {metric: meter.score(metric) for metric in metrics}
    meter.close()
    evidence: list[Evidence] = []
    for baseline in baselines:
        ladder = _Ladder(source, baseline, rate, kept, tell, metrics)
        evidence += [_evidence(ladder, metric, payload, scores[metric]) for metric in metrics]
    psnr = meter.decibels(Metric.PSNR)
    assert psnr is not None
    return Comparison(
        frame_count=count,
        psnr=psnr,
        ms_ssim=meter.decibels(Metric.MS_SSIM),
        asset_digest=asset.digest(),
        coded_digest=ours.digest(),
        payload_bytes=payload,
        evidence=tuple(evidence),
    )


def evidence_payload(meter: Meter, comparison: Comparison, evidence: Evidence) -> dict[str, object]:
    """The ledger's record of one piece of evidence."""
    return {
        "asset": meter.installation.pseudonym(b"asset:" + comparison.asset_digest),
        "rendition": meter.installation.pseudonym(b"rendition:" + comparison.coded_digest),
        "baseline": evidence.baseline.value,
        "metric": evidence.metric.value,
        "status": evidence.status,
        "bytes": evidence.payload_bytes,
        "baseline_bytes": evidence.baseline_bytes,
        "score": evidence.score,
        "points": [{"bytes": p.payload_bytes, "score": p.score} for p in evidence.points],
        "frames": comparison.frame_count,
        "tools": {"av": av.__version__, "ffmpeg": av.ffmpeg_version_info, "narrows": VERSION},
    }


def _scored_frames(count: int, pixels: int) -> frozenset[int]:
    """Evenly spaced frames: enough for a mean, few enough to keep in memory."""
    wanted = max(SCORED_FRAMES_MIN, min(SCORED_FRAMES_MAX, SCORED_PIXELS_MAX // pixels))
    return frozenset(range(count)) if count <= wanted else frozenset(i * count // wanted for i in range(wanted))


def _evidence(ladder: _Ladder, metric: Metric, payload: int, score: int | None) -> Evidence:
    points: tuple[QualityPoint, ...] = ()
    found: int | Unmatched | str = "no_libvmaf" if metric is Metric.VMAF_NEG else "metric_needs_larger_pictures"
    if score is not None:
        points = ladder.points_around(metric, score)
        found = bytes_at_equal_quality(points, score)
    if isinstance(found, Unmatched):
        found = found.reason.value
    return Evidence(
        baseline=ladder.baseline,
        metric=metric,
        status=found if isinstance(found, str) else MEASURED,
        payload_bytes=payload,
        baseline_bytes=None if isinstance(found, str) else found,
        score=score or 0,
        points=points,
    )


@dataclass(frozen=True, slots=True)
class _Rung:
    """One encode of the baseline: bytes of the whole clip, scores of the scored frames."""

    payload_bytes: int
    scores: dict[Metric, int | None]


class _Ladder:
    """The baseline's encodes, made where they are needed and shared by the metrics."""

    def __init__(
        self,
        source: Path,
        baseline: Baseline,
        rate: Fraction,
        kept: dict[int, Picture],
        tell: Callable[[str], None],
        metrics: tuple[Metric, ...],
    ) -> None:
        self._metrics = metrics
        self.baseline = baseline
        self._source, self._rate, self._kept, self._tell = source, rate, kept, tell
        self._rungs: dict[int, _Rung] = {}

    def points_around(self, metric: Metric, score: int) -> tuple[QualityPoint, ...]:
        """At least `POINTS_MIN` points, with *score* between them if the ladder reaches it; best quality last."""
        crf = CRF_START
        self._rung(crf)
        while not self._brackets(metric, score):
            lowest, highest = min(self._rungs), max(self._rungs)
            crf = lowest - CRF_STEP if self._score(metric, lowest) < score else highest + CRF_STEP
            if not CRF_LOWEST <= crf <= CRF_HIGHEST:
                break
            self._rung(crf)
        while len(self._rungs) < POINTS_MIN:
            lowest, highest = min(self._rungs), max(self._rungs)
            is_near_low = score - self._score(metric, highest) < self._score(metric, lowest) - score
            crf = highest + CRF_STEP if is_near_low and highest < CRF_HIGHEST else lowest - CRF_STEP
            self._rung(crf)
        points = [
            QualityPoint(payload_bytes=r.payload_bytes, score=s)
            for r in self._rungs.values()
            if (s := r.scores[metric])
        ]
        return tuple(sorted(points, key=lambda p: p.payload_bytes))

    def _brackets(self, metric: Metric, score: int) -> bool:
        scores = [self._score(metric, crf) for crf in self._rungs]
        return min(scores) <= score <= max(scores)

    def _score(self, metric: Metric, crf: int) -> int:
        return self._rungs[crf].scores[metric] or 0

    def _rung(self, crf: int) -> _Rung:
        if crf not in self._rungs:
            self._tell(f"{self.baseline} at crf {crf}")
            self._rungs[crf] = _Rung(
                *measure_rung(self._source, self.baseline, crf, self._rate, self._kept, self._metrics)
            )
        return self._rungs[crf]


def measure_rung(
    source: Path,
    baseline: Baseline,
    crf: int,
    rate: Fraction,
    scored: Mapping[int, Picture],
    metrics: tuple[Metric, ...] = (Metric.MS_SSIM, Metric.PSNR),
) -> tuple[int, dict[Metric, int | None]]:
    """
    Encode *source* with *baseline* and decode it again: payload bytes of the whole clip, and the scores in 10⁻⁶ dB over
    the frames *scored*, source pictures by frame number. Raises VideoError when the encoder is missing or fails.
    """
    first = next(iter(scored.values()))
    meter = QualityMeter(first.width, first.height, metrics)
    payload = index = 0
    try:
        encoder = _open_encoder(baseline, crf, first, rate)
        decoder = av.CodecContext.create(encoder.codec.canonical_name, "r")
        assert isinstance(decoder, av.VideoCodecContext)
        for packet in chain(encoder_packets(encoder, source), [None]):
            payload += packet.size if packet else 0
            for frame in decoder.decode(packet):
                if index in scored:
                    meter.add(scored[index], to_picture(frame))
                index += 1
    except av.error.FFmpegError as error:
        raise VideoError(f"the baseline {baseline} failed: {error}") from error
    scores = {metric: meter.score(metric) for metric in metrics}
    meter.close()
    return payload, scores


def _open_encoder(baseline: Baseline, crf: int, picture: Picture, rate: Fraction) -> av.VideoCodecContext:
    try:
        encoder = av.CodecContext.create(baseline.encoder, "w")
    except av.codec.codec.UnknownCodecError as error:
        raise VideoError(f"this build of PyAV has no {baseline.encoder}; install one that carries it") from error
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "yuv420p"
    encoder.framerate, encoder.time_base = rate, 1 / rate
    encoder.options = {"preset": baseline.preset, "crf": str(crf)}
    if baseline is Baseline.X265_MEDIUM:
        encoder.options |= {"x265-params": "log-level=error:info=0"}
    return encoder


def encoder_packets(encoder: av.VideoCodecContext, source: Path) -> Iterator[av.Packet[av.VideoStream]]:
    """The packets of *source* coded by *encoder*."""
    with Source(source) as video:
        for index, timed in enumerate(video.pictures()):
            frame = to_frame(timed.picture)
            frame.pts, frame.time_base = index, encoder.time_base
            yield from encoder.encode(frame)
        yield from encoder.encode(None)
