"""
The baseline's encodes of the measured frames, at several rates: what its document says, and nothing else.

Each rung is encoded, decoded again and scored on the same frames as ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path

import av
import av.codec
import av.error
from narrows_metering.baseline_spec import BaselineSpec
from narrows_metering.savings import QualityPoint

from narrows.errors import VideoError
from narrows.media.conventional import open_encoder
from narrows.media.frames import to_frame, to_picture
from narrows.media.picture import Picture
from narrows.media.quality import Metric, QualityMeter
from narrows.media.video import Source
from narrows.savings.segmentation import Segment, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One encode of the baseline: bytes of each measured segment, scores in 10⁻⁶ over the scored frames."""

    segment_bytes: tuple[int, ...]
    scores: Mapping[Metric, int | None]

    @property
    def payload_bytes(self) -> int:
        """Of all that was measured."""
        return sum(self.segment_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What every encode is made of, and scored on."""

    source: Path
    rate: Fraction
    selection: Selection
    scored: Mapping[int, Picture]  # Source pictures by frame number.
    metrics: tuple[Metric, ...]


class Ladder:
    """The rungs of one baseline, made where they are needed and shared by the metrics."""

    def __init__(self, spec: BaselineSpec, scene: Scene, tell: Callable[[str], None]) -> None:
        self.spec = spec
        self._scene, self._tell = scene, tell
        self._rungs: dict[int, Rung] = {}

    def points_around(self, metric: Metric, score: int) -> tuple[QualityPoint, ...]:
        """As many points as the document asks for, with *score* between them if it can be; best quality last."""
        spec = self.spec
        self._rung(spec.crf_start)
        while not self._brackets(metric, score):
            lowest, highest = min(self._rungs), max(self._rungs)
            crf = lowest - spec.crf_step if self._score(metric, lowest) < score else highest + spec.crf_step
            if not spec.crf_lowest <= crf <= spec.crf_highest:
                break
            self._rung(crf)
        while len(self._rungs) < spec.points_min:
            lowest, highest = min(self._rungs), max(self._rungs)
            is_near_low = score - self._score(metric, highest) < self._score(metric, lowest) - score
            up, down = highest + spec.crf_step <= spec.crf_highest, lowest - spec.crf_step >= spec.crf_lowest
            if not up and not down:
                break
            self._rung(highest + spec.crf_step if up and (is_near_low or not down) else lowest - spec.crf_step)
        points = [
            QualityPoint(payload_bytes=rung.payload_bytes, score=s)
            for rung in self._rungs.values()
            if (s := rung.scores[metric])
        ]
        return tuple(sorted(points, key=lambda p: p.payload_bytes))

    def nearest(self, metric: Metric, score: int) -> Rung:
        """The rung whose quality is nearest to *score*."""
        return min(self._rungs.values(), key=lambda rung: (abs((rung.scores[metric] or 0) - score), rung.payload_bytes))

    def _brackets(self, metric: Metric, score: int) -> bool:
        scores = [self._score(metric, crf) for crf in self._rungs]
        return min(scores) <= score <= max(scores)

    def _score(self, metric: Metric, crf: int) -> int:
        return self._rungs[crf].scores[metric] or 0

    def _rung(self, crf: int) -> Rung:
        if crf not in self._rungs:
            self._tell(f"{self.spec.baseline_id} at crf {crf}")
            self._rungs[crf] = measure_rung(self.spec, crf, self._scene)
        return self._rungs[crf]


def measure_rung(spec: BaselineSpec, crf: int, scene: Scene) -> Rung:
    """
    Encode the measured frames of *scene* at *crf* and decode them again. Raises VideoError when the encoder is missing,
    is not the build that the document asks for, or fails.
    """
    first = next(iter(scene.scored.values()))
    meter = QualityMeter(first.width, first.height, scene.metrics)
    try:
        with Source(scene.source) as video:
            pictures = enumerate(timed.picture for timed in video.pictures())
            # A new encoder for every segment, so that nothing of a segment depends on which others were drawn.
            sizes = [
                _measure_segment(_open_encoder(spec, crf, first, scene.rate), segment, pictures, scene, meter)
                for segment in scene.selection.segments
            ]
    except av.error.FFmpegError as error:
        raise VideoError(f"the baseline {spec.baseline_id} failed: {error}") from error
    scores = {metric: meter.score(metric) for metric in scene.metrics}
    meter.close()
    return Rung(segment_bytes=tuple(sizes), scores=scores)


def _measure_segment(
    encoder: av.VideoCodecContext,
    segment: Segment,
    pictures: Iterator[tuple[int, Picture]],
    scene: Scene,
    meter: QualityMeter,
) -> int:
    """Encode *segment* and show its scored frames to *meter*; returns its payload bytes."""
    # The decoder may have another name: AV1 is coded by libsvtav1 and decoded by libdav1d.
    decoder = av.CodecContext.create(_DECODERS.get(encoder.codec.name, encoder.codec.canonical_name), "r")
    assert isinstance(decoder, av.VideoCodecContext)
    payload, shown = 0, segment.first
    for packet in chain(_packets(encoder, _within(pictures, segment)), [None]):
        payload += 0 if packet is None else _picture_bytes(bytes(packet), encoder.codec.name)
        for frame in decoder.decode(packet):
            if shown in scene.scored:
                meter.add(scene.scored[shown], to_picture(frame))
            shown += 1
    if shown != segment.last + 1:
        raise VideoError(f"{encoder.codec.name} gave {shown - segment.first} frames of a segment back, not all")
    return payload


_DECODERS = {"libsvtav1": "libdav1d"}
_NAL_SEI = 6


def encoder_build() -> str:
    """The build that carries the encoders here."""
    codec = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return f"ffmpeg {av.ffmpeg_version_info}, libavcodec {codec}"


def _open_encoder(spec: BaselineSpec, crf: int, picture: Picture, rate: Fraction) -> av.VideoCodecContext:
    if spec.build is not None and spec.build != encoder_build():
        raise VideoError(
            f"the baseline {spec.baseline_id} asks for {spec.build}, and this is {encoder_build()}; install the PyAV "
            "that carries it"
        )
    return open_encoder(
        spec.encoder,
        size=(picture.width, picture.height),
        pixel_format=spec.pixel_format,
        rate=rate,
        options={"preset": spec.preset, "crf": str(crf), **spec.options},
        gop_frames_max=spec.gop_frames_max,
    )


def _packets(encoder: av.VideoCodecContext, pictures: Iterable[Picture]) -> Iterator[av.Packet[av.VideoStream]]:
    for number, picture in enumerate(pictures):
        frame = to_frame(picture)
        frame.pts, frame.time_base = number, encoder.time_base
        yield from encoder.encode(frame)
    yield from encoder.encode(None)


def _within(pictures: Iterator[tuple[int, Picture]], segment: Segment) -> Iterator[Picture]:
    """The pictures of *segment*; those before it are passed over."""
    for number, picture in pictures:
        if number >= segment.first:
            yield picture
        if number == segment.last:
            return


def _picture_bytes(packet: bytes, encoder: str) -> int:
    """
    The bytes of *packet* without what x264 writes about itself: 700 bytes at every start, which a stream has once.

    Supplemental enhancement information, NAL unit type 6: ITU-T H.264, 7.3.1 and Annex B.
    """
    if encoder != "libx264":
        return len(packet)
    starts = [found.start() for found in re.finditer(rb"\x00?\x00\x00\x01", packet)] + [len(packet)]
    units = (packet[start:end] for start, end in pairwise(starts))
    return sum(len(unit) for unit in units if unit.lstrip(b"\x00")[1] & 0x1F != _NAL_SEI)
