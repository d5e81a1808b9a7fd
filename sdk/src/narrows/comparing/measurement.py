"""
A clip coded by Narrows and by others at several rates, decoded again and measured; and one picture of each at the same
rate.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

from narrows import files
from narrows.comparing.anchors import Anchor, decode_with, encode_with
from narrows.comparing.curves import Curve, bd_rate, setting_at_rate
from narrows.errors import VideoError
from narrows.media.picture import Picture
from narrows.media.quality import MICRO, Metric, QualityMeter, available_metrics
from narrows.media.raw import Y4MTarget
from narrows.media.similarity import SIDE_MIN
from narrows.media.video import Source
from narrows.options import Preset, Tune
from narrows.settings import Settings
from narrows.shown import Shown

CRFS = (8, 20, 32, 44, 56)
FRAMES = 64
OURS = "narrows"

Step = Callable[[str, int, int], None]
"""Called with what begins, and how many of how many steps are done."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BdRate:
    """Per cent of bytes that Narrows needs more than *anchor* at equal quality; None where curves can't be compared."""

    anchor: str
    psnr: float | None
    ms_ssim: float | None
    vmaf_neg: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Shown):
    """Everything that the page shows. *stills* begin with the source; *labels* name the codecs."""

    clip: str
    width: int
    height: int
    frame_rate: Fraction
    frame_count: int
    preset: str
    tune: str
    labels: dict[str, str]
    points: tuple[Point, ...]
    bd_rates: tuple[BdRate, ...]
    still_frame: int
    stills: tuple[Still, ...]
    notices: tuple[str, ...]


def compare(
    clip: Path,
    *,
    anchors: Sequence[Anchor],
    crfs: Sequence[int] = CRFS,
    frames: int | None = FRAMES,
    preset: Preset = Preset.MEDIUM,
    tune: Tune = Tune.VISUAL,
    settings: Settings | None = None,
    license: Path | None = None,
    on_step: Step | None = None,
) -> Comparison:
    """
    Measure the first *frames* of *clip*, all without a number. Raises VideoError and LicenseRefused as `encode` does.

    Our encodes are in the ledger as every encode is.
    """
    steps = _Steps(on_step, len(crfs) + sum(len(anchor.crfs) for anchor in anchors) + len(anchors) + 1)
    with tempfile.TemporaryDirectory(prefix="narrows-compare-") as name:
        folder = Path(name)
        steps.begin("reading the clip")
        reference = _excerpt(clip, folder / "reference.y4m", frames)
        bench = _Bench(reference, folder, settings=settings, license=license, preset=preset, tune=tune)
        points: list[Point] = []
        for crf in crfs:
            steps.begin(f"Narrows at crf {crf}")
            points.append(bench.ours(crf))
        middle = sorted(points, key=lambda p: p.kbps)[len(points) // 2]
        stills = [bench.source_still(), bench.still(middle, "Narrows")]
        labels, notices = {OURS: f"Narrows {preset.value}, tune {tune.value}"}, list(bench.notices)
        for anchor in anchors:
            try:
                made = []
                for crf in anchor.crfs:
                    steps.begin(f"{anchor.label} at crf {crf}")
                    made.append(bench.anchor(anchor, crf))
                steps.begin(f"{anchor.label} at the rate of Narrows")
                equal = setting_at_rate([(p.crf, p.kbps) for p in made], middle.kbps)
                at_rate = bench.anchor(anchor, max(0, min(anchor.crf_max, round(equal, 1))))
            except VideoError as error:
                notices.append(str(error))
                continue
            labels[anchor.name] = anchor.label
            points += made
            stills.append(bench.still(at_rate, anchor.label))
        steps.done()
    return Comparison(
        clip=clip.name,
        width=bench.width,
        height=bench.height,
        frame_rate=bench.frame_rate,
        frame_count=bench.frame_count,
        preset=preset.value,
        tune=tune.value,
        labels=labels,
        points=tuple(points),
        bd_rates=tuple(_bd_rate(points, name) for name in labels if name != OURS),
        still_frame=bench.still_frame,
        stills=tuple(stills),
        notices=tuple(notices),
    )


def _bd_rate(points: Sequence[Point], anchor: str) -> BdRate:
    def distance(quality: Callable[[Point], float | None]) -> float | None:
        theirs, ours = (
            Curve.of([(p.kbps, quality(p)) for p in points if p.codec == codec]) for codec in (anchor, OURS)
        )
        return bd_rate(theirs, ours)

    return BdRate(
        anchor=anchor,
        psnr=distance(lambda p: p.psnr),
        ms_ssim=distance(lambda p: p.ms_ssim),
        vmaf_neg=distance(lambda p: p.vmaf_neg),
    )


class _Steps:
    """Tells how far it is."""

    def __init__(self, tell: Step | None, total: int) -> None:
        self._tell, self._total, self._begun = tell, total, 0

    def begin(self, what: str) -> None:
        if self._tell:
            self._tell(what, self._begun, self._total)
        self._begun += 1

    def done(self) -> None:
        if self._tell:
            self._tell("done", self._total, self._total)


def _excerpt(clip: Path, target: Path, frames: int | None) -> Path:
    """The first *frames* of *clip* as Y4M, so that every encoder gets the same samples."""
    with Source(clip) as source:
        pictures = (timed.picture for timed in source.pictures())
        chosen = islice(pictures, frames)
        first = next(chosen, None)
        if first is None:
            raise VideoError(f"can't read {clip}: it has no frames")
        output = Y4MTarget(target, width=first.width, height=first.height, frame_rate=source.frame_rate)
        output.write(first)
        for picture in chosen:
            output.write(picture)
        output.finish()
    return target


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


class _Bench:
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
