"""Symbols survive the range coder, whatever they are, and its words never change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from narrows.codec.entropy_model import SCALE_COUNT
from narrows.codec.range_coder import TABLE_TOTAL, StreamReader, StreamWriter, TableSet, symbol_tables
from narrows.errors import CorruptBitstream

TABLES = TableSet(symbol_tables())


def coded(symbols: torch.Tensor, scales: torch.Tensor, mask: torch.Tensor | None = None) -> bytes:
    writer = StreamWriter(TABLES)
    writer.code(symbols, scales, mask)
    return writer.to_bytes()


@given(
    symbols=st.lists(st.integers(-100_000, 100_000) | st.integers(-3, 3), min_size=4, max_size=60),
    seed=st.integers(0, 2**16),
)
def test_every_symbol_survives_with_every_scale(symbols: list[int], seed: int) -> None:
    wanted = torch.tensor(symbols, dtype=torch.float32).view(1, 1, 1, -1)
    scales = torch.from_numpy(np.random.default_rng(seed).integers(0, SCALE_COUNT, wanted.shape).astype(np.float32))

    read = StreamReader(TABLES, coded(wanted, scales)).code(None, scales, None)

    assert torch.equal(read, wanted)


@given(seed=st.integers(0, 2**16))
def test_several_groups_with_masks_come_back_in_order(seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = (1, 6, 4, 5)
    first, second = (torch.from_numpy(random.normal(0, 3, shape).round().astype(np.float32)) for _ in "ab")
    scales = torch.from_numpy(random.integers(0, SCALE_COUNT, shape).astype(np.float32))
    mask = torch.from_numpy(random.integers(0, 2, (1, 6, 4, 5)).astype(np.float32))
    writer = StreamWriter(TABLES)
    writer.code(first, scales, mask)
    writer.code(second, scales, 1 - mask)

    reader = StreamReader(TABLES, writer.to_bytes())

    assert torch.equal(reader.code(None, scales, mask), first * mask)
    assert torch.equal(reader.code(None, scales, 1 - mask), second * (1 - mask))


def test_symbols_are_rounded_values() -> None:
    writer = StreamWriter(TABLES)

    symbols = writer.code(torch.tensor([[[[0.4, -1.6, 2.2]]]]), torch.full((1, 1, 1, 3), 20.0), None)

    assert symbols.flatten().tolist() == [0.0, -2.0, 2.0]


def test_the_words_of_a_known_message_never_change() -> None:
    symbols = torch.tensor([0, 1, -1, 2, -3, 40, 0, 0, 7, -120]).float().view(1, 1, 1, -1)
    scales = torch.tensor([0, 10, 20, 25, 30, 35, 40, 50, 60, 63]).float().view(1, 1, 1, -1)

    assert coded(symbols, scales).hex() == "9be293fe7cec287da6398923"


def test_unlikely_symbols_cost_more_than_likely_ones() -> None:
    scales = torch.full((1, 1, 1, 1000), 10.0)

    assert len(coded(torch.zeros(1, 1, 1, 1000), scales)) < 10 < len(coded(torch.ones(1, 1, 1, 1000), scales))


def test_each_table_is_symmetric_and_sums_to_the_total() -> None:
    tables = symbol_tables()

    assert len(tables) == SCALE_COUNT
    for table in tables:
        assert table.frequencies.sum() == TABLE_TOTAL
        assert (table.frequencies > 0).all()
        assert (table.frequencies == table.frequencies[::-1]).all()


@given(data=st.binary(max_size=64))
def test_any_bytes_decode_to_symbols_or_are_refused(data: bytes) -> None:
    scales = torch.arange(SCALE_COUNT).float().view(1, 1, 8, 8)
    try:
        symbols = StreamReader(TABLES, data).code(None, scales, None)
    except CorruptBitstream:
        return
    assert symbols.shape == scales.shape
    assert torch.isfinite(symbols).all()


def test_a_writer_needs_symbols() -> None:
    with pytest.raises(AssertionError):
        StreamWriter(TABLES).code(None, torch.zeros(1, 1, 1, 1), None)


def test_weighing_the_rate_drops_what_costs_more_than_it_is_worth() -> None:
    unlikely, likely = torch.full((1, 1, 1, 2), 5.0), torch.full((1, 1, 1, 2), 40.0)
    values, everywhere = torch.tensor([[[[0.55, -2.0]]]]), torch.ones(1, 1, 1, 2)

    def weighed(scales: torch.Tensor, price: float) -> list[float]:
        return StreamWriter(TABLES, error_price=price).code(values, scales, everywhere).flatten().tolist()

    assert weighed(unlikely, 20) == [0, -2]
    assert weighed(unlikely, 1) == [0, -1]
    assert weighed(likely, 20) == [1, -2]


def test_hyper_latents_are_never_weighed() -> None:
    scales = torch.full((1, 1, 1, 1), 5.0)

    assert StreamWriter(TABLES, error_price=1).code(torch.full((1, 1, 1, 1), 0.6), scales, None).item() == 1
