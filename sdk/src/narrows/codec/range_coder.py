"""
Symbols to bytes and back: `constriction`'s range coder over the shared integer tables.

Symbols are grouped by scale index and coded group by group, each with one table. A table covers −reach..reach; its two
ends stand for "this far or farther" and are followed by the excess as an Elias-gamma code.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp
from typing import Any

import constriction
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from narrows.codec.entropy_model import SCALE_COUNT, SCALE_LOG_STEP, SCALE_LOWEST, upper_tail
from narrows.errors import CorruptBitstream

TABLE_TOTAL = 1 << 20
EXCESS_BITS_MAX = 18
REACH_DEVIATIONS = 7
SYMBOL_MAX = 1 << 17
COSTED_MAX = 24
"""Larger magnitudes are rounded plainly: one more or less costs next to nothing."""

Integers = NDArray[np.int32]
Places = NDArray[np.int64]
_MODELS = constriction.stream.model


@dataclass(frozen=True, slots=True)
class Table:
    """Integer frequencies of the symbols −reach..reach that sum to `TABLE_TOTAL`."""

    frequencies: Integers

    @property
    def reach(self) -> int:
        return len(self.frequencies) // 2

    def model(self) -> Any:
        return _MODELS.Categorical(self.frequencies.astype(np.float64) / TABLE_TOTAL, perfect=False)


def symbol_tables() -> list[Table]:
    """The tables that ship with the weights: the distribution of `symbol_bits` at `SCALE_COUNT` deviations."""

    tables = []
    for index in range(SCALE_COUNT):
        deviation = SCALE_LOWEST * exp(SCALE_LOG_STEP * index)
        reach = max(2, ceil(REACH_DEVIATIONS * deviation))
        starts = [(k - 0.5) / deviation for k in range(1, reach + 1)]
        tail = upper_tail(torch.tensor(starts, dtype=torch.double)).tolist()
        masses = [tail[k] - tail[k + 1] for k in range(reach - 1)] + [tail[-1]]
        counts = [max(1, round(m * TABLE_TOTAL)) for m in masses]
        centre = TABLE_TOTAL - 2 * sum(counts)
        tables.append(Table(np.array([*counts[::-1], centre, *counts], np.int32)))
    return tables


class TableSet:
    """Ready models of all tables; build once, share."""

    def __init__(self, tables: list[Table]) -> None:
        self.tables = tables
        self.models = [t.model() for t in tables]
        self.reaches = np.array([t.reach for t in tables], np.int32)
        self.costs = self._costs(tables)

    @staticmethod
    def _costs(tables: list[Table]) -> Tensor:
        """Bits of each magnitude 0..`COSTED_MAX` per table; beyond a table's reach what its end costs."""
        costs = np.zeros((len(tables), COSTED_MAX + 1), np.float32)
        for row, table in zip(costs, tables, strict=True):
            bits = -np.log2(table.frequencies[table.reach :] / TABLE_TOTAL)
            row[:] = bits[np.minimum(np.arange(COSTED_MAX + 1), table.reach)]
        return torch.from_numpy(costs)


_PLACES = WeakIdKeyDictionary()


def _places(mask: Tensor | None, shape: torch.Size) -> Places:
    """Where in a flattened tensor of *shape* the symbols are; masks are few and come again with every frame."""
    if mask is None:
        return np.arange(shape.numel())
    known: Places | None = _PLACES.get(mask)  # type: ignore[no-untyped-call]
    if known is None:
        known = _PLACES[mask] = np.flatnonzero(np.broadcast_to(mask.numpy() > 0, shape))
    return known


def _grouping(scales: Tensor, mask: Tensor | None) -> tuple[Places, NDArray[np.int64]]:
    """Places of the symbols in the flattened *scales*, equal scales together and else in order; where groups end."""
    places = _places(mask, scales.shape)
    chosen = scales.to(torch.uint8).contiguous().numpy().reshape(-1)[places]
    order = np.argsort(chosen, kind="stable")
    return places[order], np.cumsum(np.bincount(chosen, minlength=SCALE_COUNT))


class StreamWriter:
    """
    The `SymbolCoder` of the encoder; `to_bytes` when all is coded.

    With an *error_price* a latent may be rounded towards zero instead of to the nearest integer, where that saves
    more bits than the error costs: so many per squared step (rate–distortion optimised quantisation; Karczewicz et
    al., 2008). Hyper-latents, the ones without a mask, steer all others and are always rounded to the nearest.
    """

    def __init__(self, tables: TableSet, *, error_price: float | None = None) -> None:
        self._tables = tables
        self._error_price = error_price
        self._coder = constriction.stream.queue.RangeEncoder()

    def code(self, wanted: Tensor | None, scales: Tensor, mask: Tensor | None) -> Tensor:
        assert wanted is not None
        symbols = torch.round(wanted).clamp(-SYMBOL_MAX, SYMBOL_MAX)
        if mask is not None:
            symbols = symbols * mask
            if self._error_price is not None:
                symbols = self._weighed(wanted, symbols, scales, self._error_price)
        places, ends = _grouping(scales, mask)
        self._write(symbols.contiguous().numpy().reshape(-1)[places].astype(np.int32), ends)
        return symbols

    def _weighed(self, wanted: Tensor, nearest: Tensor, scales: Tensor, error_price: float) -> Tensor:
        """*nearest*, one less in magnitude where that is the better bargain."""
        magnitudes = nearest.abs()
        weighed = ((magnitudes > 0) & (magnitudes <= COSTED_MAX)).nonzero(as_tuple=True)  # Few are not zero.
        exact, symbol, magnitude = wanted[weighed], nearest[weighed], magnitudes[weighed].long()
        smaller = symbol - torch.sign(symbol)
        costs = self._tables.costs[scales[weighed].long()]
        saved = costs.gather(-1, magnitude[..., None]) - costs.gather(-1, magnitude[..., None] - 1)
        error = (exact - smaller).square() - (exact - symbol).square()
        nearest[weighed] = torch.where(saved[..., 0] > error_price * error, smaller, symbol)
        return nearest

    def _write(self, values: Integers, ends: NDArray[np.int64]) -> None:
        start = 0
        for index, end in enumerate(ends):
            group = values[start:end]
            start = int(end)
            if not len(group):
                continue
            reach = int(self._tables.reaches[index])
            self._coder.encode(np.clip(group, -reach, reach) + reach, self._tables.models[index])
            excess = np.abs(group) - reach
            excess = excess[excess >= 0] + 1
            if len(excess):
                self._write_excess(excess)

    def _write_excess(self, excess: Integers) -> None:
        bits = np.frexp(excess.astype(np.float64))[1].astype(np.int32)
        self._coder.encode(bits - 1, _MODELS.Uniform(EXCESS_BITS_MAX))
        for count in range(2, EXCESS_BITS_MAX + 1):
            some = excess[bits == count]
            if len(some):
                self._coder.encode(some - (1 << (count - 1)), _MODELS.Uniform(1 << (count - 1)))

    def to_bytes(self) -> bytes:
        """Little-endian 32-bit words without trailing zero bytes, which the reader puts back."""
        words: bytes = self._coder.get_compressed().astype("<u4").tobytes()
        return words.rstrip(b"\0")


class StreamReader:
    """The `SymbolCoder` of the decoder."""

    def __init__(self, tables: TableSet, data: bytes) -> None:
        self._tables = tables
        padded = data + b"\0" * (-len(data) % 4)
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, "<u4").astype(np.uint32))

    def code(self, wanted: Tensor | None, scales: Tensor, mask: Tensor | None) -> Tensor:
        places, ends = _grouping(scales, mask)
        symbols = np.zeros(scales.numel(), np.float32)
        try:
            symbols[places] = self._read(ends)
        except AssertionError as error:  # constriction's way of saying that the bytes are impossible.
            raise CorruptBitstream("the entropy-coded symbols are impossible", byte_offset=0) from error
        return torch.from_numpy(symbols.reshape(scales.shape))

    def _read(self, ends: NDArray[np.int64]) -> NDArray[np.float32]:
        """Symbols in order of the groups that end at *ends*."""
        ordered = np.empty(ends[-1], np.float32)
        start = 0
        for index, end in enumerate(ends):
            count = int(end) - start
            if count:
                reach = int(self._tables.reaches[index])
                group = self._coder.decode(self._tables.models[index], count).astype(np.int32) - reach
                far = np.flatnonzero(np.abs(group) == reach)
                if len(far):
                    group[far] += np.sign(group[far]) * (self._read_excess(len(far)) - 1)
                ordered[start:end] = group
            start = int(end)
        return ordered

    def _read_excess(self, count: int) -> Integers:
        bits = self._coder.decode(_MODELS.Uniform(EXCESS_BITS_MAX), count).astype(np.int32) + 1
        excess = np.ones(count, np.int32)
        for size in range(2, EXCESS_BITS_MAX + 1):
            some = np.flatnonzero(bits == size)
            if len(some):
                low = self._coder.decode(_MODELS.Uniform(1 << (size - 1)), len(some)).astype(np.int32)
                excess[some] = low + (1 << (size - 1))
        return excess
