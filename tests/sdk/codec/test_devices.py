"""
Nothing but the device changes: checked without one, on the device `meta`, whose tensors have no content.

It refuses operations that mix devices, as CUDA does.
"""

from __future__ import annotations

import pytest
import torch
from narrows.codec.condition import Condition
from narrows.codec.model import Model, Neighbours
from narrows.codec.motion import Hints
from narrows.codec.weights import moved, ready_model
from narrows.errors import VideoError
from narrows.options import Device, Engine
from torch import Tensor

SIZE = 3, 4


class CpuCoder:
    """Gives zeros, and is asked for the CPU's only."""

    def code(self, wanted: Tensor | None, scales: Tensor, mask: Tensor | None) -> Tensor:
        for tensor in (wanted, scales, mask):
            assert tensor is None or tensor.device.type == "cpu"
        return torch.zeros(scales.shape)


def test_all_but_symbols_and_scales_goes_to_the_device() -> None:
    place = torch.device("meta")
    networks = moved(Model(), place)
    alone = Condition.of_frame(60, visual=True)
    after = Condition.of_frame(40, visual=True, distance=1, kin_quality=60)
    planes, hint = torch.zeros(1, 96, 6, 8, device=place), torch.zeros(1, 2, 6, 8, device=place)
    choice = torch.zeros(1, 1, 6, 8, device=place)
    with torch.no_grad():
        key = networks.inter.adopt(networks.intra.code(None, CpuCoder(), condition=alone, size=SIZE), alone)
        neighbours = Neighbours(key, key, (-1, -1), key)
        prediction = networks.inter.predict(None, neighbours, CpuCoder(), condition=after, size=SIZE)
        frame = networks.inter.code(None, prediction, neighbours, CpuCoder(), condition=after, size=SIZE)
        analysed = [
            networks.intra.analyse(planes, alone),
            networks.inter.analyse_motion(neighbours, Hints((hint, hint), choice), after),
            networks.inter.analyse(planes, prediction, after),
        ]

    assert frame.features is not None
    assert {t.device.type for t in (frame.luma, frame.chroma, frame.features, *analysed)} == {"meta"}
    assert {t.device.type for t in (frame.symbols, frame.motion_symbols)} == {"cpu"}
    assert {p.device.type for p in networks.inter.entropy.scales.parameters()} == {"cpu"}


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(VideoError, match="no device mps"):
        ready_model(device=Device.MPS)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has another")
def test_without_a_gpu_auto_is_the_cpu() -> None:
    assert ready_model(Engine.TORCH, Device.AUTO).device.type == "cpu"
