"""
The networks of the codec: intra frames and inter frames.

Both are `output = linear path(symbols) + network(symbols, context)`; an inter frame adds what its references predict.
One set of weights serves all rates, both tunes and every place in a group of pictures: see `condition`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from narrows.codec.condition import Condition
from narrows.codec.entropy_model import EntropyModel, SymbolCoder
from narrows.codec.layers import BLOCK_SAMPLES, PLANES, Down, LinearPath, QualityScale, Stage, Up, pack420
from narrows.codec.loop_filter import LoopFilter
from narrows.codec.motion import FLOW_DIVISOR, MOTION_WIDTH, Hints, Motion, MotionCodec, enlarge, forecast, warp_all
from narrows.codec.reference import Reference, rounded_features, settle, settled

INTRA_LATENTS = BLOCK_SAMPLES
"""As many as samples: with fewer, chroma has a ceiling at any rate (34 dB on a colourful clip with two thirds)."""
INTRA_WIDTH8, INTRA_WIDTH16, INTRA_FILTER_WIDTH = 192, 320, 64
"""Wide: there is one intra frame to a hundred others."""
LATENTS = 320
DETAILS = 64
"""Latents of an inter frame that only its linear path knows."""
WIDTH8 = 96
WIDTH16 = 160
INTER_SYNTHESIS_WIDTH16 = 128
INTER_HIDDEN8 = 176
INTER_FILTER_WIDTH = 36
"""Narrower, so that decoding an inter frame stays within 6 kMAC per pixel."""
STEP_LOWEST = 0.5
STEP_HIGHEST = 0.025
"""Quantisation steps of the linear path at quality 0 and `QUALITY_MAX`, for samples in −½..½."""
SAMPLE_GAIN = 4.0
RESIDUAL_GAIN = 16.0
"""Samples and their differences are small numbers: networks see them enlarged and give differences enlarged."""
DETAIL_SHARE = 0.25
"""Of a latent's spread, what the analysis networks speak in."""


class IntraCodec(nn.Module):
    """Codes a picture on its own."""

    def __init__(self) -> None:
        super().__init__()
        width8, width16 = INTRA_WIDTH8, INTRA_WIDTH16
        self.linear = LinearPath(INTRA_LATENTS)
        self.analysis8 = Stage(nn.Conv2d(PLANES, width8, 1), width8, 3)
        self.analysis16 = Stage(Down(width8, width16), width16, 3, nn.Conv2d(width16, INTRA_LATENTS, 1))
        self.synthesis16 = Stage(nn.Conv2d(INTRA_LATENTS, width16, 1), width16, 4, Up(width16, width8))
        self.synthesis8 = Stage(nn.Identity(), width8, 4)
        self.head = nn.Conv2d(width8, PLANES, 1)
        self.filter = LoopFilter(INTRA_FILTER_WIDTH, 3, corrects_chroma=True)
        self.entropy = EntropyModel(INTRA_LATENTS, width=192, hyper_latents=32, has_kin=False, has_steps=True)
        self.gain = QualityScale(INTRA_LATENTS, 1 / STEP_LOWEST, 1 / STEP_HIGHEST)
        self.inverse_gain = QualityScale(INTRA_LATENTS, STEP_LOWEST, STEP_HIGHEST)
        _quieten(self.analysis16.leave, self.head)

    def analyse(self, planes: Tensor, condition: Condition) -> Tensor:
        """Latents `[B, 384, H/16, W/16]` of the packed *planes* `[B, 96, H/8, W/8]`."""
        detail = self.analysis16(self.analysis8(planes * SAMPLE_GAIN, condition), condition)
        latents: Tensor = (self.linear.analysis(planes) + detail * self.linear.spread * DETAIL_SHARE) * self.gain(
            condition
        )
        return latents

    def code(
        self, latents: Tensor | None, coder: SymbolCoder, *, condition: Condition, size: tuple[int, int]
    ) -> Reference:
        """
        Code *latents* (None while decoding) and reconstruct; *size* is (H/16, W/16).

        Before anything predicts from it, `InterCodec.adopt` has to see it.
        """
        coded = self.entropy.code(latents, coder, condition=condition, size=size)
        luma, chroma = self.synthesise(coded.values, condition)
        return settle(luma, chroma, None, coded.symbols[:, :LATENTS], condition.quality_index)

    def synthesise(self, values: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """Luma and chroma of the decoded latents."""
        values = values * self.inverse_gain(condition)
        features = self.synthesis8(self.synthesis16(values / self.linear.spread, condition), condition)
        planes = self.linear.synthesis(values) + self.head(features) / RESIDUAL_GAIN
        luma, chroma = self.filter(planes, condition)
        return settled(luma), settled(chroma)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """
    The two references of an inter frame, and how many frames each lies after it (negative: before).

    A P frame has the same reference twice: two hypotheses of one picture. *kin* is the one that was coded last.
    """

    first: Reference
    second: Reference
    offsets: tuple[int, int]
    kin: Reference

    @property
    def forecasts(self) -> tuple[Tensor, Tensor]:
        """The flows that the references' own motion suggests."""
        like = self.first.luma.new_zeros(
            self.first.luma.shape[0], 2, *(side // FLOW_DIVISOR for side in self.first.luma.shape[-2:])
        )
        references = (self.first,) if self.first is self.second else (self.first, self.second)
        velocities = [r.velocity for r in references]
        return forecast(velocities, self.offsets[0], like), forecast(velocities, self.offsets[1], like)


@dataclass(frozen=True, slots=True)
class Prediction:
    """
    What an inter frame starts from: the blended references and the context, `[B, 96, H/8, W/8]` each.

    *context16* is what the entropy model sees of the context, `[B, 96, H/16, W/16]`.
    """

    planes: Tensor
    context: Tensor
    context16: Tensor
    motion: Motion


class InterCodec(nn.Module):
    """Codes a frame given two others: motion first, then what the prediction misses."""

    def __init__(self) -> None:
        super().__init__()
        self.motion = MotionCodec()
        self.linear = LinearPath(LATENTS)
        self.adapter = Stage(nn.Conv2d(PLANES, WIDTH8, 1), WIDTH8, 2)
        self.context = Stage(nn.Conv2d(PLANES + WIDTH8 + MOTION_WIDTH, WIDTH8, 1), WIDTH8, 1, hidden=INTER_HIDDEN8)
        self.context16 = Down(WIDTH8, WIDTH8)
        self.analysis8 = Stage(nn.Conv2d(PLANES + WIDTH8, WIDTH8, 1), WIDTH8, 2)
        self.analysis16 = Stage(Down(WIDTH8, WIDTH16), WIDTH16, 2, nn.Conv2d(WIDTH16, LATENTS, 1))
        deep = INTER_SYNTHESIS_WIDTH16
        self.synthesis16 = Stage(nn.Conv2d(LATENTS - DETAILS, deep, 1), deep, 2, Up(deep, WIDTH8))
        self.synthesis8 = Stage(nn.Conv2d(2 * WIDTH8, WIDTH8, 1), WIDTH8, 1, hidden=INTER_HIDDEN8)
        self.head = nn.Conv2d(WIDTH8, PLANES, 1)
        self.filter = LoopFilter(INTER_FILTER_WIDTH, 1, corrects_chroma=False)
        self.entropy = EntropyModel(
            LATENTS, width=96, hyper_latents=32, context=WIDTH8, has_kin=True, has_steps=True, details=DETAILS
        )
        self.gain = QualityScale(LATENTS, 1 / STEP_LOWEST, 1 / STEP_HIGHEST)
        self.inverse_gain = QualityScale(LATENTS, STEP_LOWEST, STEP_HIGHEST)
        _quieten(self.analysis16.leave, self.head)

    def adopt(self, intra: Reference, condition: Condition) -> Reference:
        """*intra* with features, seen from its picture alone: the intra networks may change without these."""
        return replace(intra, features=self.adapted(intra.luma, intra.chroma, condition))

    def adapted(self, luma: Tensor, chroma: Tensor, condition: Condition) -> Tensor:
        """Features of a picture alone."""
        return rounded_features(self.adapter(pack420(luma, chroma) * SAMPLE_GAIN, condition))

    def analyse_motion(self, neighbours: Neighbours, hints: Hints, condition: Condition) -> Tensor:
        """Latents `[B, 20, H/16, W/16]` of the motion that the encoder found."""
        return self.motion.analyse(hints, neighbours.forecasts, condition)

    def predict(
        self,
        motion_latents: Tensor | None,
        neighbours: Neighbours,
        coder: SymbolCoder,
        *,
        condition: Condition,
        size: tuple[int, int],
    ) -> Prediction:
        """Code the motion, warp both references by it and blend them."""
        motion = self.motion.code(
            motion_latents,
            coder,
            condition=condition,
            size=size,
            forecasts=neighbours.forecasts,
            kin=neighbours.kin.motion_symbols,
        )
        planes, context, context16 = self.blend(
            *self._fetched(neighbours.first, motion.flows[0]),
            *self._fetched(neighbours.second, motion.flows[1]),
            motion.mask,
            motion.features,
            condition,
        )
        return Prediction(planes=planes, context=context, context16=context16, motion=motion)

    @staticmethod
    def _fetched(reference: Reference, flow: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Luma, chroma and features of *reference*, warped."""
        assert reference.features is not None, "an intra frame that was not adopted"
        return warp_all(reference.luma, reference.chroma, reference.features, flow)

    def blend(
        self,
        luma: Tensor,
        chroma: Tensor,
        features: Tensor,
        other_luma: Tensor,
        other_chroma: Tensor,
        other_features: Tensor,
        mask: Tensor,
        motion_features: Tensor,
        condition: Condition,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Predicted planes, context and what the entropy model sees of it, from both warped references."""
        planes = pack420(
            torch.addcmul(luma, enlarge(mask, 4), other_luma - luma),
            torch.addcmul(chroma, enlarge(mask, 2), other_chroma - chroma),
        )
        blended = features + F.avg_pool2d(mask, 2) * (other_features - features)
        context = self.context(torch.cat([planes * SAMPLE_GAIN, blended, motion_features], 1), condition)
        return planes, context, self.context16(context)

    def analyse(self, planes: Tensor, prediction: Prediction, condition: Condition) -> Tensor:
        """Latents `[B, 320, H/16, W/16]` of what *prediction* leaves open."""
        missing = planes - prediction.planes
        seen = self.analysis8(torch.cat([missing * RESIDUAL_GAIN, prediction.context], 1), condition)
        detail = self.analysis16(seen, condition) * self.linear.spread * DETAIL_SHARE
        latents: Tensor = (self.linear.analysis(missing) + detail) * self.gain(condition)
        return latents

    def code(
        self,
        latents: Tensor | None,
        prediction: Prediction,
        neighbours: Neighbours,
        coder: SymbolCoder,
        *,
        condition: Condition,
        size: tuple[int, int],
    ) -> Reference:
        """Code *latents* (None while decoding) on top of *prediction* and reconstruct."""
        coded = self.entropy.code(
            latents,
            coder,
            condition=condition,
            size=size,
            context=prediction.context16,
            kin=neighbours.kin.symbols,
        )
        luma, chroma, features = self.synthesise(coded.values, prediction.planes, prediction.context, condition)
        return settle(
            luma,
            chroma,
            features,
            coded.symbols,
            condition.quality_index,
            motion=prediction.motion,
            offsets=neighbours.offsets,
        )

    def synthesise(
        self, values: Tensor, planes: Tensor, context: Tensor, condition: Condition
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Luma, chroma and features from the decoded latents, on top of the predicted *planes*."""
        values = values * self.inverse_gain(condition)
        deep = self.synthesis16((values / self.linear.spread)[:, : LATENTS - DETAILS], condition)
        features = self.synthesis8(torch.cat([deep, context], 1), condition)
        planes = planes + self.linear.synthesis(values) + self.head(features) / RESIDUAL_GAIN
        luma, chroma = self.filter(planes, condition)
        return settled(luma), settled(chroma), rounded_features(features)


class Model(nn.Module):
    """Everything that has weights."""

    def __init__(self) -> None:
        super().__init__()
        self.intra = IntraCodec()
        self.inter = InterCodec()


def _quieten(*layers: nn.Module) -> None:
    """Start the networks beside the linear path at zero, so that training improves a transform."""
    for layer in layers:
        assert isinstance(layer, nn.Conv2d) and layer.bias is not None
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
