"""
The little of MP4 (ISO/IEC 14496-12) that PyAV does not do: a private sample entry, its configuration, check boxes.

The sample entry is `nrws`, with our configuration in an `nrwC` box, as `avc1` has `avcC` (ISO/IEC 14496-15 §5.4.2); how
they come into a file says `mp4_writing`. MP4 has no checksums, so ours come in boxes `nrck` that every other reader
skips (§4.2: boxes of unknown type are ignored):

    nrck   FullBox version 0 | flags u24 | sequence u32 | crc32 u32

The CRC covers all bytes since the check box before, or the start of the file, up to itself. A file has one at its end;
a fragmented file has one after `moov`, sequence 0, and one after each fragment, counted from 1. The brand `nrws` in
`ftyp` promises them, so that a lost one is noticed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from narrows.errors import CorruptBitstream, CutOff, NotABitstream
from narrows.media.boxes import Box, box_at, boxes, boxes_at, descend
from narrows.media.description import IDENTITY, Colour, Description, as_matrix

SAMPLE_ENTRY = b"nrws"
CONFIGURATION_BOX = b"nrwC"
CHECK_BOX = b"nrck"

BRAND = SAMPLE_ENTRY
IS_LAST = 1
IS_OPEN_ENDED = 2
"""Flags of a check box: nothing follows; of the first one: the file may end after any fragment."""
CHECK_BYTES = 20
MOVIE_BYTES_MAX = 1 << 26
"""Of a `moov` that is read into memory: a day of packets takes less."""
_BRANDS_BYTES_MAX = 1024
READ_BYTES = 1 << 20
ENTRY_BYTES = 86
"""A VisualSampleEntry (§12.1.3) before its boxes, its header included."""
_TOP_LEVEL = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx", b"mfra", CHECK_BOX}
_TOP_LEVEL |= {b"uuid", b"emsg", b"prft", b"meta", b"udta"}


def is_mp4(head: bytes) -> bool:
    """Whether the first bytes of a file are those of an MP4 file or segment."""
    return head[4:8] in (b"ftyp", b"styp", b"moov", b"moof")


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
    return BRAND in (brands[i : i + 4] for i in range(8, len(brands), 4))


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
        box = box_at(head, start, size)
        yield box
        start = box.end


def _checked(file: BinaryIO, box: Box, since: int, crc: int) -> tuple[int, int]:
    """Flags and sequence of the check box, once its CRC was found right."""
    if box.end - box.start != CHECK_BYTES:
        raise CorruptBitstream("a check box has the wrong length", byte_offset=box.start)
    file.seek(since)
    left = box.end - 4 - since
    while left:
        piece = file.read(min(READ_BYTES, left))
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
    for track in boxes_at(movie, b"moov", b"trak"):
        for entry in _sample_entries(movie, track):
            if entry.type == SAMPLE_ENTRY:
                return _configuration(movie, entry), _description(movie, track, entry)
    raise NotABitstream("this MP4 file has no track coded with Narrows")


def _sample_entries(movie: bytes, track: Box) -> Iterator[Box]:
    table = descend(movie, track, b"mdia", b"minf", b"stbl", b"stsd")
    if table is not None:
        yield from boxes(movie, table.data + 8, table.end)


def _configuration(movie: bytes, entry: Box) -> bytes:
    for box in boxes(movie, entry.start + ENTRY_BYTES, entry.end):
        if box.type == CONFIGURATION_BOX:
            return movie[box.data : box.end]
    raise NotABitstream("the nrws sample entry has no configuration")


def configuration_of(entry: bytes) -> bytes | None:
    """Our configuration in a sample entry that stands alone, None in those of others."""
    kind = Box(entry[4:8], 0, 8, len(entry))
    return _configuration(entry, kind) if kind.type == SAMPLE_ENTRY else None


def _description(movie: bytes, track: Box, entry: Box) -> Description:
    width, height = struct.unpack_from(">HH", movie, entry.start + 32)
    colour, aspect = Colour(), Fraction(1)
    for box in boxes(movie, entry.start + ENTRY_BYTES, entry.end):
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
    header = descend(movie, track, b"tkhd")
    if header is None or header.end - header.data not in (84, 96):
        return list(IDENTITY)
    return list(struct.unpack_from(">9i", movie, header.end - 44))
