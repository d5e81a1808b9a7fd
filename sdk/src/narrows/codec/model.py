"""
The networks of the codec: intra frames, inter frames, and the reference that links them.

Both codecs are `output = linear path(symbols) + network(symbols, context)`; an inter frame adds the warped reference.
A quality index 0..126 (twice the distance of crf from 63) selects the rate; one set of weights serves all rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from narrows.codec.entropy_model import CodedLatents, EntropyModel, SymbolCoder
from narrows.codec.layers import PLANES, Down, LinearPath, QualityScale, Up, blocks, pack420, round_through, unpack420
from narrows.codec.motion import MOTION_LATENTS, MOTION_WIDTH, Motion, MotionCodec, warp, warp420

LATENTS = 256
WIDTH8 = 96
WIDTH16 = 160
INTER_SYNTHESIS_WIDTH16 = 128
"""Narrower, so that decoding an inter frame stays within 6 kMAC per pixel."""
QUALITY_MAX = 126
STEP_LOWEST = 0.5
STEP_HIGHEST = 0.025
"""Quantisation steps of the linear path at quality 0 and `QUALITY_MAX`, for samples in −½..½."""
REFERENCE_LEVELS = 1023
"""References are rounded to 10 bits, so that a difference between two devices cannot build up."""
FEATURE_UNIT = 64


@dataclass(frozen=True, slots=True)
class Reference:
    """
    What the next frame may predict from: the reconstruction in −½..½, and the decoder's state.

    *luma* `[B, 1, H, W]`, *chroma* `[B, 2, H/2, W/2]`, *features* `[B, 96, H/8, W/8]`.
    """

    luma: Tensor
    chroma: Tensor
    features: Tensor
    latents: CodedLatents
    motion: CodedLatents

    @property
    def planes(self) -> Tensor:
        return pack420(self.luma, self.chroma)


def _settle(planes: Tensor, features: Tensor, latents: CodedLatents, motion: CodedLatents | None) -> Reference:
    """Clamp and round a reconstruction into the reference that encoder and decoder share."""
    luma, chroma = (
        round_through(p.clamp(-0.5, 0.5) * REFERENCE_LEVELS + REFERENCE_LEVELS / 2) / REFERENCE_LEVELS - 0.5
        for p in unpack420(planes)
    )
    features = round_through(features * FEATURE_UNIT) / FEATURE_UNIT
    if motion is None:
        still = latents.values.new_zeros(latents.values.shape[0], MOTION_LATENTS, *latents.values.shape[-2:])
        motion = CodedLatents(values=still, symbols=still)
    return Reference(luma=luma, chroma=chroma, features=features, latents=latents, motion=motion)


def _quality(quality_index: Tensor) -> Tensor:
    return quality_index / QUALITY_MAX


class IntraCodec(nn.Module):
    """Codes a picture on its own."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = LinearPath(LATENTS)
        self.analysis8 = nn.Sequential(nn.Conv2d(PLANES, WIDTH8, 1), blocks(WIDTH8, 3))
        self.analysis16 = nn.Sequential(Down(WIDTH8, WIDTH16), blocks(WIDTH16, 2), nn.Conv2d(WIDTH16, LATENTS, 1))
        self.synthesis16 = nn.Sequential(nn.Conv2d(LATENTS, WIDTH16, 1), blocks(WIDTH16, 2), Up(WIDTH16, WIDTH8))
        self.synthesis8 = blocks(WIDTH8, 3)
        self.head = nn.Conv2d(WIDTH8, PLANES, 1)
        self.entropy = EntropyModel(LATENTS, width=128, hyper_latents=32, uses_previous=False)
        self.gain = QualityScale(LATENTS, 1 / STEP_LOWEST, 1 / STEP_HIGHEST)
        self.inverse_gain = QualityScale(LATENTS, STEP_LOWEST, STEP_HIGHEST)
        _quieten(self.analysis16[-1], self.head)

    def analyse(self, planes: Tensor, quality_index: Tensor) -> Tensor:
        """Latents `[B, 256, H/16, W/16]` of the packed *planes* `[B, 96, H/8, W/8]`."""
        latents: Tensor = self.linear.analysis(planes) + self.analysis16(self.analysis8(planes))
        scaled: Tensor = latents * self.gain(_quality(quality_index))
        return scaled

    def code(
        self, latents: Tensor | None, coder: SymbolCoder, *, quality_index: Tensor, size: tuple[int, int]
    ) -> Reference:
        """Code *latents* (None while decoding) and reconstruct; *size* is (H/16, W/16)."""
        coded = self.entropy.code(latents, coder, quality_index=quality_index, size=size)
        values = coded.values * self.inverse_gain(_quality(quality_index))
        features = self.synthesis8(self.synthesis16(values))
        return _settle(self.linear.synthesis(values) + self.head(features), features, coded, None)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What an inter frame starts from: the warped reference and the context `[B, 96, H/8, W/8]` each."""

    planes: Tensor
    context: Tensor
    motion: Motion


class InterCodec(nn.Module):
    """Codes a frame given the one before: motion first, then what the prediction misses."""

    def __init__(self) -> None:
        super().__init__()
        self.motion = MotionCodec()
        self.linear = LinearPath(LATENTS)
        self.context = nn.Sequential(nn.Conv2d(PLANES + WIDTH8 + MOTION_WIDTH, WIDTH8, 1), blocks(WIDTH8, 1))
        self.context16 = Down(WIDTH8, WIDTH8)
        self.analysis8 = nn.Sequential(nn.Conv2d(PLANES + WIDTH8, WIDTH8, 1), blocks(WIDTH8, 2))
        self.analysis16 = nn.Sequential(Down(WIDTH8, WIDTH16), blocks(WIDTH16, 2), nn.Conv2d(WIDTH16, LATENTS, 1))
        deep = INTER_SYNTHESIS_WIDTH16
        self.synthesis16 = nn.Sequential(nn.Conv2d(LATENTS, deep, 1), blocks(deep, 2), Up(deep, WIDTH8))
        self.synthesis8 = nn.Sequential(nn.Conv2d(2 * WIDTH8, WIDTH8, 1), blocks(WIDTH8, 2))
        self.head = nn.Conv2d(WIDTH8, PLANES, 1)
        self.entropy = EntropyModel(LATENTS, width=96, hyper_latents=32, context=WIDTH8, uses_previous=True)
        self.gain = QualityScale(LATENTS, 1 / STEP_LOWEST, 1 / STEP_HIGHEST)
        self.inverse_gain = QualityScale(LATENTS, STEP_LOWEST, STEP_HIGHEST)
        _quieten(self.analysis16[-1], self.head)

    def analyse_motion(self, planes: Tensor, reference: Reference, hint: Tensor, quality_index: Tensor) -> Tensor:
        return self.motion.analyse(planes, reference.luma, hint, _quality(quality_index))

    def predict(
        self,
        motion_latents: Tensor | None,
        reference: Reference,
        coder: SymbolCoder,
        *,
        quality_index: Tensor,
        size: tuple[int, int],
    ) -> Prediction:
        """Code the motion and warp the *reference* by it."""
        motion = self.motion.code(
            motion_latents,
            coder,
            quality=_quality(quality_index),
            quality_index=quality_index,
            size=size,
            previous=reference.motion,
        )
        planes = warp420(reference.luma, reference.chroma, motion.flow)
        features = warp(reference.features, F.avg_pool2d(motion.flow, 2) / 8, "bilinear")
        context = self.context(torch.cat([planes, features, motion.features], 1))
        return Prediction(planes=planes, context=context, motion=motion)

    def analyse(self, planes: Tensor, prediction: Prediction, quality_index: Tensor) -> Tensor:
        """Latents `[B, 256, H/16, W/16]` of what *prediction* leaves open."""
        detail = self.analysis16(self.analysis8(torch.cat([planes, prediction.context], 1)))
        latents: Tensor = self.linear.analysis(planes - prediction.planes) + detail
        scaled: Tensor = latents * self.gain(_quality(quality_index))
        return scaled

    def code(
        self,
        latents: Tensor | None,
        prediction: Prediction,
        reference: Reference,
        coder: SymbolCoder,
        *,
        quality_index: Tensor,
        size: tuple[int, int],
    ) -> Reference:
        """Code *latents* (None while decoding) on top of *prediction* and reconstruct."""
        coded = self.entropy.code(
            latents,
            coder,
            quality_index=quality_index,
            size=size,
            context=self.context16(prediction.context),
            previous=reference.latents,
        )
        values = coded.values * self.inverse_gain(_quality(quality_index))
        features = self.synthesis8(torch.cat([self.synthesis16(values), prediction.context], 1))
        planes = prediction.planes + self.linear.synthesis(values) + self.head(features)
        return _settle(planes, features, coded, prediction.motion.coded)


class Model(nn.Module):
    """Everything that has weights."""

    def __init__(self) -> None:
        super().__init__()
        self.intra = IntraCodec()
        self.inter = InterCodec()


def _quieten(*layers: nn.Module) -> None:
    """Start the networks beside the linear path near zero, so that training improves a transform."""
    for layer in layers:
        assert isinstance(layer, nn.Conv2d) and layer.bias is not None
        layer.weight.data.mul_(0.1)
        layer.bias.data.zero_()
