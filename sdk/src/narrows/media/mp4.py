"""
The little of MP4 (ISO/IEC 14496-12) that PyAV does not do: a private sample entry, its configuration, check boxes.

PyAV muxes our packets as those of a placeholder codec. `brand_movie` turns the placeholder's sample entry into `nrws`
with our configuration in an `nrwC` box, as `avc1` has `avcC` (ISO/IEC 14496-15 §5.4.2). MP4 has no checksums, so ours
come in boxes `nrck` that every other reader skips (§4.2: boxes of unknown type are ignored):

    nrck   FullBox version 0 | flags u24 | sequence u32 | crc32 u32

The CRC covers all bytes since the check box before, or the start of the file, up to itself. A file has one at its end;
a fragmented file has one after `moov`, sequence 0, and one after each fragment, counted from 1. The brand `nrws` in
`ftyp` promises them, so that a lost one is noticed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from narrows.errors import CorruptBitstream, CutOff, NotABitstream
from narrows.media.description import IDENTITY, RANGE_FULL, Colour, Description, as_matrix

SAMPLE_ENTRY = b"nrws"
CONFIGURATION_BOX = b"nrwC"
CHECK_BOX = b"nrck"
_PLACEHOLDER_ENTRY, _PLACEHOLDER_BOX = b"FFV1", b"glbl"

_BRAND = SAMPLE_ENTRY
IS_LAST = 1
IS_OPEN_ENDED = 2
"""Flags of a check box: nothing follows; of the first one: the file may end after any fragment."""
CHECK_BYTES = 20
MOVIE_BYTES_MAX = 1 << 26
"""Of a `moov` that is read into memory: a day of packets takes less."""
_BRANDS_BYTES_MAX = 1024
_READ_BYTES = 1 << 20
_NAME = b"Narrows"
_ENTRY_BYTES = 86
"""A VisualSampleEntry (§12.1.3) before its boxes, its header included."""
_COMPRESSOR = slice(42, 74)
"""Its name of the codec, after the header: a length and 31 characters."""
_TOP_LEVEL = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"sidx", b"mfra", b"uuid", CHECK_BOX} | {
    b"emsg",
    b"prft",
    b"meta",
    b"udta",
    b"wide",
}
_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its type, where it starts, where its content begins, where it ends."""

    type: bytes
    start: int
    data: int
    end: int


def is_mp4(head: bytes) -> bool:
    """Whether the first bytes of a file are those of an MP4 file or segment."""
    return head[4:8] in (b"ftyp", b"styp", b"moov", b"moof")


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes side by side in *data*; raises CorruptBitstream where they do not fit it."""
    end = len(data) if end is None else end
    while start < end:
        box = _box(data[start : min(end, start + 16)], start, end)
        if box.end > end:
            raise CorruptBitstream(f"box {box.type!r} reaches past the end of its parent", byte_offset=start)
        yield box
        start = box.end


def _box(head: bytes, start: int, end: int) -> Box:
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


def _top_level(file: BinaryIO) -> Iterator[Box]:
    """The boxes of a file; the last may end past the end of it."""
    end = file.seek(0, 2)
    start = 0
    while start < end:
        file.seek(start)
        box = _box(file.read(16), start, end)
        yield box
        start = box.end


def check_box(sequence: int, crc: int, *, flags: int) -> bytes:
    """A check box; *crc* is that of all before it since the last one."""
    head = struct.pack(">I4sII", CHECK_BYTES, CHECK_BOX, flags, sequence)
    return head + struct.pack(">I", zlib.crc32(head, crc))


def check_file(path: Path) -> None:
    """
    Verify the order of boxes and every check box; raises BitstreamError that names the damaged place, `CutOff` when
    nothing is wrong but that the end is missing.

    A file without our brand is one that another tool has written; its packets check themselves.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        checked = crc = 0
        last: tuple[int, int] | None = None
        is_open_ended = False
        is_checked = _is_promised(file)
        cut: int | None = None
        for box in _boxes_before_cut(file):
            if box.type not in _TOP_LEVEL:
                raise CorruptBitstream(f"unknown box {box.type!r}", byte_offset=box.start)
            if box.end > size:
                cut = box.start
                break
            if box.type != CHECK_BOX:
                continue
            flags, sequence = _checked(file, box, checked, crc)
            is_open_ended |= bool(flags & IS_OPEN_ENDED)
            is_checked = True
            if last is not None and last[0] and sequence != last[0] + 1:
                raise CorruptBitstream(f"fragment {last[0] + 1} is missing", byte_offset=checked)
            if last is not None and last[1] & IS_LAST:
                raise CorruptBitstream("something follows the last fragment", byte_offset=checked)
            checked, last = box.end, (sequence, flags)
        if cut is not None:
            raise CutOff(byte_offset=cut)
        if is_checked and checked != size:
            raise CutOff(byte_offset=checked)
        if last is not None and not last[1] & IS_LAST and not is_open_ended:
            raise CutOff(byte_offset=size)


def _is_promised(file: BinaryIO) -> bool:
    """Whether the file's brands say that check boxes cover all of it."""
    file.seek(0)
    head = file.read(16)
    if len(head) < 16 or head[4:8] != b"ftyp":
        return False
    file.seek(0)
    brands = file.read(min(int.from_bytes(head[:4], "big"), _BRANDS_BYTES_MAX))[8:]
    return _BRAND in (brands[i : i + 4] for i in range(8, len(brands), 4))


def _branded_type(box: bytes) -> bytes:
    """The `ftyp` box with our brand."""
    return struct.pack(">I4s", len(box) + 4, b"ftyp") + box[8:] + _BRAND


def _boxes_before_cut(file: BinaryIO) -> Iterator[Box]:
    """The boxes of a file; one whose header is cut off ends past the end."""
    size = file.seek(0, 2)
    if size < 8:
        raise NotABitstream("this is not an MP4 file: it is too short")
    start = 0
    while start < size:
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            yield Box(b"free", start, start, size + 1)
            return
        box = _box(head, start, size)
        yield box
        start = box.end


def _checked(file: BinaryIO, box: Box, since: int, crc: int) -> tuple[int, int]:
    """Flags and sequence of the check box, once its CRC was found right."""
    if box.end - box.start != CHECK_BYTES:
        raise CorruptBitstream("a check box has the wrong length", byte_offset=box.start)
    file.seek(since)
    left = box.end - 4 - since
    while left:
        piece = file.read(min(_READ_BYTES, left))
        if not piece:
            raise CorruptBitstream("the file shrinks while it is read", byte_offset=since)
        crc, left = zlib.crc32(piece, crc), left - len(piece)
    file.seek(box.data)
    flags, sequence, stated = struct.unpack(">III", file.read(12))
    if stated != crc:
        raise CorruptBitstream(f"bytes {since}..{box.end} fail their CRC", byte_offset=since)
    return flags, sequence


def read_movie(file: BinaryIO) -> bytes:
    """The `moov` box; raises NotABitstream without one, CorruptBitstream when it is too long or cut off."""
    for box in _boxes_before_cut(file):
        if box.type == b"moov":
            if box.end - box.start > MOVIE_BYTES_MAX:
                raise CorruptBitstream(f"'moov' is longer than {MOVIE_BYTES_MAX} bytes", byte_offset=box.start)
            file.seek(box.start)
            movie = file.read(box.end - box.start)
            if len(movie) != box.end - box.start:
                raise CorruptBitstream("the file is cut off before its index ends", byte_offset=box.start)
            return movie
    raise NotABitstream("this MP4 file has no index ('moov'); a segment needs its init segment before it")


def read_track(path: Path) -> tuple[bytes, Description]:
    """The configuration of the `nrws` track and how to show it; raises NotABitstream without one."""
    with path.open("rb") as file:
        movie = read_movie(file)
    for track in _named(movie, b"moov", b"trak"):
        for entry in _sample_entries(movie, track):
            if entry.type == SAMPLE_ENTRY:
                return _configuration(movie, entry), _description(movie, track, entry)
    raise NotABitstream("this MP4 file has no track coded with Narrows")


def _named(data: bytes, *path: bytes) -> Iterator[Box]:
    """The boxes at *path* from the top of *data*."""
    found = list(boxes(data))
    for depth, kind in enumerate(path):
        found = [box for box in found if box.type == kind]
        if depth + 1 < len(path):
            found = [child for box in found for child in boxes(data, box.data, box.end)]
    yield from found


def find(data: bytes, *path: bytes) -> Box | None:
    """The first box at *path* from the top of *data*."""
    return next(_named(data, *path), None)


def _descend(data: bytes, parent: Box, *path: bytes) -> Box | None:
    """The first box at *path* below *parent*."""
    for kind in path:
        child = next((box for box in boxes(data, parent.data, parent.end) if box.type == kind), None)
        if child is None:
            return None
        parent = child
    return parent


def _sample_entries(movie: bytes, track: Box) -> Iterator[Box]:
    table = _descend(movie, track, b"mdia", b"minf", b"stbl", b"stsd")
    if table is not None:
        yield from boxes(movie, table.data + 8, table.end)


def _configuration(movie: bytes, entry: Box) -> bytes:
    for box in boxes(movie, entry.start + _ENTRY_BYTES, entry.end):
        if box.type == CONFIGURATION_BOX:
            return movie[box.data : box.end]
    raise NotABitstream("the nrws sample entry has no configuration")


def _description(movie: bytes, track: Box, entry: Box) -> Description:
    width, height = struct.unpack_from(">HH", movie, entry.start + 32)
    colour, aspect = Colour(), Fraction(1)
    for box in boxes(movie, entry.start + _ENTRY_BYTES, entry.end):
        content = movie[box.data : box.end]
        if box.type == b"colr" and content[:4] == b"nclx" and len(content) >= 11:
            primaries, transfer, matrix, full = struct.unpack_from(">HHHB", content, 4)
            colour = Colour(primaries=primaries, transfer=transfer, matrix=matrix, range=2 if full & 0x80 else 1)
        if box.type == b"pasp" and len(content) == 8:
            horizontal, vertical = struct.unpack(">II", content)
            aspect = Fraction(horizontal, vertical) if horizontal and vertical else aspect
    return Description(
        width=width,
        height=height,
        colour=colour,
        pixel_aspect=aspect,
        display_matrix=as_matrix(_header_matrix(movie, track)),
    )


def _header_matrix(movie: bytes, track: Box) -> list[int]:
    """Of the track header (§8.3.2), whose times take 32 or 64 bits."""
    header = _descend(movie, track, b"tkhd")
    if header is None or header.end - header.data not in (84, 96):
        return list(IDENTITY)
    return list(struct.unpack_from(">9i", movie, header.end - 44))


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
    fixed = bytearray(movie[entry.data : entry.start + _ENTRY_BYTES])
    fixed[_COMPRESSOR] = bytes([len(_NAME)]) + _NAME.ljust(31, b"\0")
    content = bytes(fixed) + struct.pack(">I4s", 8 + len(configuration), CONFIGURATION_BOX) + configuration
    for box in boxes(movie, entry.start + _ENTRY_BYTES, entry.end):
        if box.type not in (_PLACEHOLDER_BOX, b"colr"):
            content += movie[box.start : box.end]
    if colour.is_stated:
        # FFmpeg writes none where a part is unknown. H.273 has a number for that.
        nclx = (colour.primaries, colour.transfer, colour.matrix, 0x80 if colour.range == RANGE_FULL else 0)
        content += struct.pack(">I4s4sHHHB", 19, b"colr", b"nclx", *nclx)
    return struct.pack(">I4s", 8 + len(content), SAMPLE_ENTRY) + content


def _moved(movie: bytes, by: int) -> bytes:
    """*movie* with its chunk offsets (§8.7.5) grown by *by*."""
    if not by:
        return movie
    moved = bytearray(movie)
    for track in _named(movie, b"moov", b"trak"):
        for kind, width in ((b"stco", 4), (b"co64", 8)):
            table = _descend(movie, track, b"mdia", b"minf", b"stbl", kind)
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

        top = list(_top_level(file))
        movie = read_movie(file)
        grown = len(brand_movie(movie, configuration, colour)) + len(_BRAND)
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
                piece = file.read(min(_READ_BYTES, left))
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
            box = _box(bytes(self._waiting[:16]), 0, 1 << 62)
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
