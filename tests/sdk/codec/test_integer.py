"""The integer network gives the same bits whatever the order of its sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from narrows.codec.condition import DISTANCE_MAX, QUALITY_MAX, Condition
from narrows.codec.entropy_model import ScaleNetwork
from narrows.codec.integer import (
    ACTIVATION_MAX,
    BIAS_MAX,
    FAN_IN_MAX,
    IntegerConv,
    activate,
    magnitudes,
    scale_index,
)
from narrows.codec.model import LATENTS
from narrows.codec.weights import shipped_model


def test_the_largest_sum_stays_below_two_to_the_24() -> None:
    assert FAN_IN_MAX * ACTIVATION_MAX * 127 + BIAS_MAX < 2**24


def test_a_convolution_equals_its_sum_in_64_bit_integers() -> None:
    torch.manual_seed(3)
    layer = IntegerConv(FAN_IN_MAX, 16)
    layer.weight.data.uniform_(-1, 1)
    inputs = torch.randint(0, 256, (1, FAN_IN_MAX, 5, 7)).float()

    with torch.no_grad():
        sums = layer(inputs)

    weight = np.round(layer.weight.detach().numpy()[:, :, 0, 0] * 128).clip(-127, 127).astype(np.int64)
    bias = np.round(layer.bias.detach().numpy() * 8 * 2048).astype(np.int64)
    exact = np.einsum("oi,ihw->ohw", weight, inputs[0].numpy().astype(np.int64)) + bias[:, None, None]
    assert np.array_equal(sums[0].numpy().astype(np.int64), exact)


def test_the_order_of_the_channels_does_not_matter() -> None:
    layer = IntegerConv(256, 64)
    inputs = torch.randint(0, 256, (1, 256, 9, 9)).float()
    order = torch.randperm(256)
    shuffled = IntegerConv(256, 64)
    shuffled.weight.data.copy_(layer.weight.data[:, order])
    shuffled.bias.data.copy_(layer.bias.data)

    with torch.no_grad():
        assert torch.equal(layer(inputs), shuffled(inputs[:, order]))


def test_a_fan_in_that_could_leave_the_exact_range_is_refused() -> None:
    with pytest.raises(ValueError, match="fan-in"):
        IntegerConv(FAN_IN_MAX + 1, 8)


def test_activations_are_unsigned_bytes() -> None:
    with torch.no_grad():
        values = activate(torch.tensor([-5e5, -1.0, 0.0, 63.0, 64.0, 1e6]))

    assert values.tolist() == [0, 0, 0, 0, 1, 255]


def test_scale_indices_stay_in_the_tables() -> None:
    with torch.no_grad():
        assert scale_index(torch.tensor([-1e6, 0.0, 512.0, 1e6]), 64).tolist() == [0, 0, 1, 63]


def test_magnitudes_saturate() -> None:
    assert magnitudes(torch.tensor([0.0, -1.0, 3.0, 400.0])).tolist() == [0, 8, 24, 255]


def test_the_planes_of_every_condition_are_unsigned_bytes() -> None:
    for quality in (0, 63, QUALITY_MAX):
        for distance in range(DISTANCE_MAX + 1):
            condition = Condition.of_frame(quality, visual=True, distance=distance, is_between=True, kin_quality=126)
            planes = condition.planes(2, 3)
            assert torch.equal(planes, planes.round())
            assert 0 <= float(planes.min()) <= float(planes.max()) <= ACTIVATION_MAX


def test_the_scales_of_the_shipped_model_are_integers_on_any_number_of_threads() -> None:
    scales: ScaleNetwork = shipped_model().networks.inter.entropy.scales
    torch.manual_seed(0)
    hyper = torch.randint(-6, 7, (1, 32, 3, 4)).float()
    previous = torch.randint(-9, 10, (1, LATENTS, 12, 16)).float()
    planes = Condition.of_frame(60, visual=True, distance=3, is_between=True, kin_quality=51).planes(12, 16)
    found = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with torch.no_grad():
            features = scales.features(hyper, planes, previous)
            found.append((scales.first_pass(features, planes), scales.second_pass(features, planes, previous)))
    torch.set_num_threads(before)

    for one, two in zip(*found, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, one.round())
