"""Boxes of ISO/IEC 14496-12: found, and found in each other. Nothing of what is in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from narrows.errors import CorruptBitstream


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its type, where it starts, where its content begins, where it ends."""

    type: bytes
    start: int
    data: int
    end: int


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes side by side in *data*; raises CorruptBitstream where they do not fit it."""
    end = len(data) if end is None else end
    while start < end:
        box = box_at(data[start : min(end, start + 16)], start, end)
        if box.end > end:
            raise CorruptBitstream(f"box {box.type!r} reaches past the end of its parent", byte_offset=start)
        yield box
        start = box.end


def box_at(head: bytes, start: int, end: int) -> Box:
    """The box at *start*, of which *head* is the first 16 bytes; it may end past *end*."""
    if len(head) < 8:
        raise CorruptBitstream("a box header is cut off", byte_offset=start)
    size, kind = struct.unpack_from(">I4s", head)
    length = 8
    if size == 1:
        if len(head) < 16:
            raise CorruptBitstream("a box header is cut off", byte_offset=start)
        (size,) = struct.unpack_from(">Q", head, 8)
        length = 16
    elif size == 0:
        size = end - start  # Up to the end of the file.
    if size < length:
        raise CorruptBitstream(f"box {kind!r} is shorter than its header", byte_offset=start)
    return Box(kind, start, start + length, start + size)


def top_level(file: BinaryIO) -> Iterator[Box]:
    """The boxes of a file; the last may end past the end of it."""
    end = file.seek(0, 2)
    start = 0
    while start < end:
        file.seek(start)
        box = box_at(file.read(16), start, end)
        yield box
        start = box.end


def boxes_at(data: bytes, *path: bytes) -> Iterator[Box]:
    """The boxes at *path* from the top of *data*."""
    found = list(boxes(data))
    for depth, kind in enumerate(path):
        found = [box for box in found if box.type == kind]
        if depth + 1 < len(path):
            found = [child for box in found for child in boxes(data, box.data, box.end)]
    yield from found


def find(data: bytes, *path: bytes) -> Box | None:
    """The first box at *path* from the top of *data*."""
    return next(boxes_at(data, *path), None)


def descend(data: bytes, parent: Box, *path: bytes) -> Box | None:
    """The first box at *path* below *parent*."""
    for kind in path:
        child = next((box for box in boxes(data, parent.data, parent.end) if box.type == kind), None)
        if child is None:
            return None
        parent = child
    return parent
