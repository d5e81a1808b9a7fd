"""
A clip coded by Narrows and by others at several rates, decoded again and measured; and one picture of each at the same
rate.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from narrows.comparing.anchors import Anchor
from narrows.comparing.bench import OURS, Bench, Point, Still
from narrows.comparing.curves import Curve, bd_rate, setting_at_rate
from narrows.errors import VideoError
from narrows.media.excerpt import excerpt
from narrows.options import Preset, Tune
from narrows.settings import Settings
from narrows.shown import Shown

CRFS = (8, 20, 32, 44, 56)
FRAMES = 64

Step = Callable[[str, int, int], None]
"""Called with what begins, and how many of how many steps are done."""


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
        reference = excerpt(clip, folder / "reference.y4m", frames)
        bench = Bench(reference, folder, settings=settings, license=license, preset=preset, tune=tune)
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
