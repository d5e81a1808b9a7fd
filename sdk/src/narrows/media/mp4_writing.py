"""
MP4 as PyAV has muxed it under a placeholder codec, made ours: whole files at their end, fragmented ones as they go by.

What the boxes are is in `mp4`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from narrows.media.boxes import Box, box_at, boxes, boxes_at, descend, top_level
from narrows.media.description import RANGE_FULL, Colour
from narrows.media.mp4 import (
    BRAND,
    CONFIGURATION_BOX,
    ENTRY_BYTES,
    IS_LAST,
    IS_OPEN_ENDED,
    READ_BYTES,
    SAMPLE_ENTRY,
    check_box,
    read_movie,
)

_PLACEHOLDER_ENTRY, _PLACEHOLDER_BOX = b"FFV1", b"glbl"
_NAME = b"Narrows"
_COMPRESSOR = slice(42, 74)
"""The name of the codec in a VisualSampleEntry, after the header: a length and 31 characters."""
_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}


def brand_movie(movie: bytes, configuration: bytes, colour: Colour, *, offset_added: int = 0) -> bytes:
    """
    The `moov` box *movie* with the placeholder's sample entry turned into ours.

    *offset_added* is how much further the media lies than the muxer thought.
    """
    (box,) = boxes(movie)

    def rewrite(box: Box) -> bytes:
        if box.type in _PARENTS:
            content = b"".join(rewrite(child) for child in boxes(movie, box.data, box.end))
        elif box.type == b"stsd":
            content = movie[box.data : box.data + 8]
            entries = boxes(movie, box.data + 8, box.end)
            content += b"".join(_branded(movie, entry, configuration, colour) for entry in entries)
        else:
            content = movie[box.data : box.end]
        return struct.pack(">I4s", 8 + len(content), box.type) + content

    return _moved(rewrite(box), offset_added)


def _branded(movie: bytes, entry: Box, configuration: bytes, colour: Colour) -> bytes:
    if entry.type != _PLACEHOLDER_ENTRY:
        return movie[entry.start : entry.end]
    fixed = bytearray(movie[entry.data : entry.start + ENTRY_BYTES])
    fixed[_COMPRESSOR] = bytes([len(_NAME)]) + _NAME.ljust(31, b"\0")
    content = bytes(fixed) + struct.pack(">I4s", 8 + len(configuration), CONFIGURATION_BOX) + configuration
    for box in boxes(movie, entry.start + ENTRY_BYTES, entry.end):
        if box.type not in (_PLACEHOLDER_BOX, b"colr"):
            content += movie[box.start : box.end]
    if colour.is_stated:
        # FFmpeg writes none where a part is unknown. H.273 has a number for that.
        nclx = (colour.primaries, colour.transfer, colour.matrix, 0x80 if colour.range == RANGE_FULL else 0)
        content += struct.pack(">I4s4sHHHB", 19, b"colr", b"nclx", *nclx)
    return struct.pack(">I4s", 8 + len(content), SAMPLE_ENTRY) + content


def _branded_type(box: bytes) -> bytes:
    """The `ftyp` box with our brand."""
    return struct.pack(">I4s", len(box) + 4, b"ftyp") + box[8:] + BRAND


def _moved(movie: bytes, by: int) -> bytes:
    """*movie* with its chunk offsets (§8.7.5) grown by *by*."""
    if not by:
        return movie
    moved = bytearray(movie)
    for track in boxes_at(movie, b"moov", b"trak"):
        for kind, width in ((b"stco", 4), (b"co64", 8)):
            table = descend(movie, track, b"mdia", b"minf", b"stbl", kind)
            if table is None:
                continue
            (count,) = struct.unpack_from(">I", movie, table.data + 4)
            for i in range(count):
                at = table.data + 8 + width * i
                moved[at : at + width] = (int.from_bytes(movie[at : at + width], "big") + by).to_bytes(width, "big")
    return bytes(moved)


def finish_file(muxed: Path, target: Path, configuration: bytes, colour: Colour) -> None:
    """
    Write *muxed*, whose `moov` comes last, to *target* with `moov` in front, our sample entry, and a check box.

    So a player may begin before it has all of the file.
    """
    crc = 0
    with muxed.open("rb") as file, target.open("wb") as out:

        def put(data: bytes) -> None:
            nonlocal crc
            crc = zlib.crc32(data, crc)
            out.write(data)

        top = list(top_level(file))
        movie = read_movie(file)
        grown = len(brand_movie(movie, configuration, colour)) + len(BRAND)
        for box in top:
            if box.type == b"moov":
                continue
            file.seek(box.start)
            if box.type == b"ftyp":
                put(_branded_type(file.read(box.end - box.start)))
                put(brand_movie(movie, configuration, colour, offset_added=grown))
                continue
            left = box.end - box.start
            while left:
                piece = file.read(min(READ_BYTES, left))
                put(piece)
                left -= len(piece)
        out.write(check_box(0, crc, flags=IS_LAST))


class FragmentStream:
    """
    What a muxer writes of a fragmented file, passed on box by box, branded and with check boxes.

    *put* takes the bytes; *is_open_ended* says that readers may stop after any fragment.
    """

    def __init__(
        self, put: Callable[[bytes], object], configuration: bytes, colour: Colour, *, is_open_ended: bool = False
    ) -> None:
        self._put, self._configuration, self._colour = put, configuration, colour
        self._is_open_ended = is_open_ended
        self._waiting = bytearray()
        self._crc = 0
        self._sequence = 0
        self._check_is_due = False

    def write(self, data: bytes) -> int:
        """Take what the muxer gives."""
        self._waiting += data
        while len(self._waiting) >= 16:
            box = box_at(bytes(self._waiting[:16]), 0, 1 << 62)
            if box.end > len(self._waiting):
                break
            self._pass(box.type, bytes(self._waiting[: box.end]))
            del self._waiting[: box.end]
        return len(data)

    def _pass(self, kind: bytes, data: bytes) -> None:
        if self._check_is_due:
            self._check(flags=0)
        if kind == b"ftyp":
            data = _branded_type(data)
        if kind == b"moov":
            data = brand_movie(data, self._configuration, self._colour)
        self._send(data)
        if kind == b"moov":
            self._check(flags=IS_OPEN_ENDED if self._is_open_ended else 0)
        self._check_is_due = kind == b"mdat"

    def _send(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._put(data)

    def _check(self, *, flags: int) -> None:
        self._put(check_box(self._sequence, self._crc, flags=flags))
        self._sequence, self._crc, self._check_is_due = self._sequence + 1, 0, False

    def finish(self) -> None:
        """Say that nothing follows."""
        if self._waiting:
            raise ValueError("the muxer ended within a box")
        if self._check_is_due:
            self._check(flags=IS_LAST)
