"""
How good a decoded picture is: PSNR, MS-SSIM and, where there is a libvmaf, VMAF NEG.

MS-SSIM (Wang et al., 2003) is computed on luma and given in dB, −10·log₁₀(1 − MS-SSIM). Scores that go into the ledger
are integers in 10⁻⁶ dB, for VMAF in 10⁻⁶ of its points.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from enum import StrEnum

import numpy as np
import torch

from narrows.media import similarity
from narrows.media.picture import Picture, Plane
from narrows.media.vmaf import VmafMeter, find_ffmpeg

PSNR_MAX = 100.0
"""What identical pictures are given."""
MICRO = 1_000_000


class Metric(StrEnum):
    """A measure of quality that a contract can name."""

    MS_SSIM = "ms_ssim"
    PSNR = "psnr"
    VMAF_NEG = "vmaf_neg_v0.6.1"

    def accepts(self, width: int, height: int) -> bool:
        """MS-SSIM needs five scales of an 11×11 window."""
        return self is not Metric.MS_SSIM or min(width, height) >= similarity.SIDE_MIN


def available_metrics() -> tuple[Metric, ...]:
    """MS-SSIM and PSNR always; VMAF NEG where there is an ffmpeg with libvmaf."""
    return (Metric.MS_SSIM, Metric.PSNR, *([Metric.VMAF_NEG] if find_ffmpeg() else []))


def _plane_psnr(one: Plane, other: Plane) -> float:
    error = float(np.mean(np.square(one.astype(np.float32) - other.astype(np.float32)), dtype=np.float64))
    return PSNR_MAX if error == 0 else min(PSNR_MAX, 10 * math.log10(255**2 / error))


def psnr(source: Picture, decoded: Picture) -> float:
    """PSNR in dB of one frame, Y, Cb and Cr weighted 6:1:1."""
    luma, cb, cr = (
        _plane_psnr(a, b) for a, b in ((source.luma, decoded.luma), (source.cb, decoded.cb), (source.cr, decoded.cr))
    )
    return (6 * luma + cb + cr) / 8


def ms_ssim_index(source: Picture, decoded: Picture) -> float:
    """MS-SSIM of one frame's luma, 0..1; raises ValueError when a side is below what `Metric.accepts`."""
    if not Metric.MS_SSIM.accepts(source.width, source.height):
        raise ValueError(f"MS-SSIM needs sides of {similarity.SIDE_MIN} pixels, not {source.width}×{source.height}")
    return similarity.ms_ssim(torch.from_numpy(source.luma), torch.from_numpy(decoded.luma))


def to_decibels(index: float) -> float:
    """An MS-SSIM index in dB."""
    return -10 * math.log10(max(1e-10, 1 - index))


class QualityMeter:
    """Averages the quality of the frames shown to it. VMAF costs a process and is measured if *metrics* asks for it."""

    def __init__(self, width: int, height: int, metrics: Collection[Metric] = ()) -> None:
        ffmpeg = find_ffmpeg() if Metric.VMAF_NEG in metrics else None
        self._vmaf = None if ffmpeg is None else VmafMeter(ffmpeg, width, height)
        self._measures_ms_ssim = Metric.MS_SSIM.accepts(width, height)
        self._psnr: list[float] = []
        self._ms_ssim: list[float] = []

    def add(self, source: Picture, decoded: Picture) -> None:
        self._psnr.append(psnr(source, decoded))
        if self._measures_ms_ssim:
            self._ms_ssim.append(ms_ssim_index(source, decoded))
        if self._vmaf is not None:
            self._vmaf.add(source, decoded)

    def close(self) -> None:
        """Remove what was kept for VMAF."""
        if self._vmaf is not None:
            self._vmaf.close()

    def decibels(self, metric: Metric) -> float | None:
        """The mean over frames in dB; None where the metric can't be computed."""
        if metric is Metric.VMAF_NEG:
            return None  # It has no decibels.
        if metric is Metric.PSNR:
            return float(np.mean(self._psnr))
        return to_decibels(float(np.mean(self._ms_ssim))) if self._ms_ssim else None

    def score(self, metric: Metric) -> int | None:
        """The mean as the ledger keeps it; None where the metric can't be computed."""
        if metric is Metric.VMAF_NEG:
            return None if self._vmaf is None else self._vmaf.score()
        decibels = self.decibels(metric)
        return None if decibels is None else round(decibels * MICRO)
