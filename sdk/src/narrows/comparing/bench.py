"""
One clip, coded by one codec after the other, decoded again and measured against the same samples.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from narrows import files
from narrows.comparing.anchors import Anchor, decode_with, encode_with
from narrows.errors import VideoError
from narrows.media.picture import Picture
from narrows.media.quality import MICRO, Metric, QualityMeter, available_metrics
from narrows.media.similarity import SIDE_MIN
from narrows.media.video import Source
from narrows.options import Preset, Tune
from narrows.settings import Settings

OURS = "narrows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One encode. Qualities are means over frames: dB, dB, and points of VMAF; None where they can't be measured."""

    codec: str
    crf: float
    payload_bytes: int
    kbps: float
    psnr: float | None
    ms_ssim: float | None
    vmaf_neg: float | None
    encode_fps: float
    decode_fps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """One frame of one encode."""

    codec: str
    label: str
    kbps: float
    picture: Picture


class _Timed:
    """Pictures, and the seconds that were waited for them."""

    def __init__(self, pictures: Iterator[Picture]) -> None:
        self._pictures, self.seconds = pictures, 0.0

    def __iter__(self) -> Iterator[Picture]:
        return self

    def __next__(self) -> Picture:
        started = time.perf_counter()
        try:
            return next(self._pictures)
        finally:
            self.seconds += time.perf_counter() - started


class Bench:
    """Encodes, decodes and measures against one reference; remembers one frame of the last encode of each codec."""

    def __init__(
        self,
        reference: Path,
        folder: Path,
        *,
        settings: Settings | None,
        license: Path | None,
        preset: Preset,
        tune: Tune,
    ) -> None:
        self._reference, self._folder = reference, folder
        self._settings, self._license, self._preset, self._tune = settings, license, preset, tune
        self.notices: list[str] = []
        with Source(reference) as source:
            self.frame_rate = source.frame_rate
            self.frame_count = 0
            for timed in source.pictures():
                self.width, self.height = timed.picture.width, timed.picture.height
                self.frame_count += 1
        self._metrics = tuple(m for m in available_metrics() if m.accepts(self.width, self.height))
        if Metric.VMAF_NEG not in self._metrics:
            self.notices.append("VMAF NEG was not measured: pip install narrows[vmaf]")
        if Metric.MS_SSIM not in self._metrics:
            self.notices.append(f"MS-SSIM was not measured: it needs pictures of {SIDE_MIN} pixels or more")
        self.still_frame = self.frame_count // 2
        self._stills: dict[tuple[str, float], Picture] = {}

    def ours(self, crf: int) -> Point:
        coded, decoded = self._folder / "coded.mkv", self._folder / "decoded.y4m"
        result = files.encode(
            self._reference,
            coded,
            crf=crf,
            preset=self._preset,
            tune=self._tune,
            settings=self._settings,
            license=self._license,
        )
        decoding = files.decode(coded, decoded)
        with Source(decoded) as shown:
            pictures = (timed.picture for timed in shown.pictures())
            return self._point(
                OURS, crf, result.payload_bytes, result.seconds, pictures, decode_seconds=decoding.seconds
            )

    def anchor(self, anchor: Anchor, crf: float) -> Point:
        made = encode_with(anchor, self._reference, crf)
        decoding = _Timed(decode_with(anchor, made))
        return self._point(anchor.name, crf, made.payload_bytes, made.seconds, decoding)

    def _point(
        self,
        codec: str,
        crf: float,
        payload: int,
        encode_seconds: float,
        decoded: Iterable[Picture],
        *,
        decode_seconds: float | None = None,
    ) -> Point:
        meter = QualityMeter(self.width, self.height, self._metrics)
        with Source(self._reference) as source:
            before = (timed.picture for timed in source.pictures())
            for index, (one, other) in enumerate(zip(before, self._counted(codec, decoded), strict=True)):
                meter.add(one, other)
                if index == self.still_frame:
                    self._stills[codec, crf] = other
        if decode_seconds is None:
            decode_seconds = decoded.seconds if isinstance(decoded, _Timed) else 0.0
        vmaf = meter.score(Metric.VMAF_NEG) if Metric.VMAF_NEG in self._metrics else None
        psnr, ms_ssim = meter.decibels(Metric.PSNR), meter.decibels(Metric.MS_SSIM)
        meter.close()
        return Point(
            codec=codec,
            crf=crf,
            payload_bytes=payload,
            kbps=float(8 * payload * self.frame_rate / self.frame_count / 1000),
            psnr=psnr,
            ms_ssim=ms_ssim,
            vmaf_neg=None if vmaf is None else vmaf / MICRO,
            encode_fps=self.frame_count / max(encode_seconds, 1e-9),
            decode_fps=self.frame_count / max(decode_seconds, 1e-9),
        )

    def _counted(self, codec: str, pictures: Iterable[Picture]) -> Iterator[Picture]:
        count = 0
        for picture in pictures:
            count += 1
            yield picture
        if count != self.frame_count:
            raise VideoError(f"{codec} gave back {count} of {self.frame_count} frames")

    def still(self, point: Point, label: str) -> Still:
        return Still(codec=point.codec, label=label, kbps=point.kbps, picture=self._stills[point.codec, point.crf])

    def source_still(self) -> Still:
        with Source(self._reference) as source:
            picture = next(islice((t.picture for t in source.pictures()), self.still_frame, None))
        size = self.width * self.height * 3 // 2
        return Still(codec="source", label="Source", kbps=float(8 * size * self.frame_rate / 1000), picture=picture)
