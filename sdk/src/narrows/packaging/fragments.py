"""Fragmented MP4 taken apart: the init segment, and each fragment with the time at which it begins."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from narrows.errors import CorruptBitstream
from narrows.media.boxes import Box, boxes, find


@dataclass(frozen=True, slots=True)
class Fragment:
    """A `moof` and what belongs to it: where it stands in the file, and its decode time in seconds."""

    start: int
    end: int
    time: Fraction


@dataclass(frozen=True, slots=True)
class FragmentedFile:
    """A fragmented file on disk, of one track."""

    path: Path
    init_end: int
    fragments: tuple[Fragment, ...]

    @classmethod
    def read(cls, path: Path) -> FragmentedFile:
        """Find the fragments; raises CorruptBitstream where boxes do not fit."""
        data = path.read_bytes()
        timescale, starts, times = 1, [], []
        for box in boxes(data):
            if box.type == b"moov":
                timescale = _timescale(data[box.start : box.end])
            if box.type == b"moof":
                starts.append(box.start)
                times.append(Fraction(_decode_time(data[box.start : box.end]), timescale))
        ends = [*starts[1:], len(data)]
        fragments = tuple(Fragment(*place) for place in zip(starts, ends, times, strict=True))
        return cls(path, starts[0] if starts else len(data), fragments)

    def init(self) -> bytes:
        return self.path.read_bytes()[: self.init_end]

    def contents(self, fragments: tuple[Fragment, ...]) -> Iterator[bytes]:
        """The bytes of *fragments*."""
        with self.path.open("rb") as file:
            for fragment in fragments:
                file.seek(fragment.start)
                yield file.read(fragment.end - fragment.start)


def _find(data: bytes, *path: bytes) -> Box:
    found = find(data, *path)
    if found is None:
        raise CorruptBitstream(f"box {b'/'.join(path)!r} is missing", byte_offset=0)
    return found


def _timescale(movie: bytes) -> int:
    header = _find(movie, b"moov", b"trak", b"mdia", b"mdhd")
    offset = 12 if movie[header.data] == 0 else 20
    return max(1, int(struct.unpack_from(">I", movie, header.data + offset)[0]))


def _decode_time(fragment: bytes) -> int:
    time = _find(fragment, b"moof", b"traf", b"tfdt")
    return int(struct.unpack_from(">I" if fragment[time.data] == 0 else ">Q", fragment, time.data + 4)[0])
