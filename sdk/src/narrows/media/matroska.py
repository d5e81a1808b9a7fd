"""
The little of Matroska that PyAV does not do: a private codec id, its configuration, and the check of the CRCs.

PyAV muxes our packets under a placeholder id; afterwards the track entry is renamed to `V_NARROWS` in place, and its
name element, written to size on purpose, becomes the CodecPrivate. The muxer protects every top-level element by a
CRC-32 (RFC 9559 §9.1, §5.1); `check_file` verifies them all, so that damage is found before anything is decoded.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from narrows.errors import CorruptBitstream, NotABitstream

CODEC_ID = b"V_NARROWS"
PLACEHOLDER_CODEC = "mpeg4"
_PLACEHOLDER_ID = b"V_MPEG4/ISO/ASP"

_EBML, _SEGMENT, _TRACKS, _TRACK_ENTRY = 0x1A45DFA3, 0x18538067, 0x1654AE6B, 0xAE
_CODEC_ID, _CODEC_PRIVATE, _NAME, _VOID, _CRC = 0x86, 0x63A2, 0x536E, 0xEC, 0xBF
_HEADER_RULES: dict[int, Callable[[bytes], bool]] = {
    0x4286: lambda value: value == b"\1",  # EBMLVersion
    0x42F7: lambda value: value == b"\1",  # EBMLReadVersion
    0x42F2: lambda value: value == b"\4",  # EBMLMaxIDLength
    0x42F3: lambda value: value == b"\x08",  # EBMLMaxSizeLength
    0x4282: lambda value: value.rstrip(b"\0") == b"matroska",  # DocType
    0x4287: lambda value: b"\1" <= value <= b"\4",  # DocTypeVersion
    0x4285: lambda value: value in (b"\1", b"\2"),  # DocTypeReadVersion
}
"""What the EBML header says in every Matroska file of today; it has no checksum of its own."""
_TOP_LEVEL = {0x114D9B74, 0x1549A966, _TRACKS, 0x1254C367, 0x1F43B675, 0x1C53BB6B, 0x1043A770, 0x1941A469, _VOID, _CRC}
_CRC_ELEMENT_BYTES = 6
_READ_BYTES = 1 << 20
ELEMENT_BYTES_MAX = 1 << 31
CONTENT_BYTES_MAX = 1 << 16
"""Of an element that is read into memory."""


@dataclass(frozen=True, slots=True)
class Element:
    """One EBML element: its id, where its data begins, and how long that is."""

    id: int
    start: int
    data: int
    size: int

    @property
    def end(self) -> int:
        return self.data + self.size


def _read_number(file: BinaryIO, *, keep_marker: bool) -> int:
    """An EBML variable-length integer (RFC 8794 §4) at the file's position."""
    position = file.tell()
    first = file.read(1)
    if not first or first[0] == 0:
        raise CorruptBitstream("an EBML number is missing or too long", byte_offset=position)
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    if len(rest) != length - 1:
        raise CorruptBitstream("an EBML number is cut off", byte_offset=position)
    value = int.from_bytes(first + rest, "big")
    return value if keep_marker else value & ((1 << (7 * length)) - 1)


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    """The elements side by side in a stretch of the file; raises CorruptBitstream where they do not fit it."""
    while start < end:
        file.seek(start)
        identifier = _read_number(file, keep_marker=True)
        size = _read_number(file, keep_marker=False)
        element = Element(id=identifier, start=start, data=file.tell(), size=size)
        if element.end > end or size > ELEMENT_BYTES_MAX:
            raise CorruptBitstream(f"element {identifier:#x} reaches past the end of its parent", byte_offset=start)
        yield element
        start = element.end


def _file_size(file: BinaryIO) -> int:
    return file.seek(0, 2)


def _segment(file: BinaryIO) -> Element:
    size = _file_size(file)
    file.seek(0)
    if file.read(4) != _EBML.to_bytes(4, "big"):
        raise NotABitstream("this is not a Matroska file: it does not begin with an EBML header")
    top = list(_elements(file, 0, size))
    if [e.id for e in top] != [_EBML, _SEGMENT]:
        raise CorruptBitstream("a file holds one EBML header and one segment", byte_offset=0)
    stated = {e.id: _content(file, e) for e in _elements(file, top[0].data, top[0].end)}
    if stated.keys() != _HEADER_RULES.keys() or not all(rule(stated[i]) for i, rule in _HEADER_RULES.items()):
        raise NotABitstream("this is not a Matroska file of a known kind: its EBML header says so")
    return top[1]


def _content(file: BinaryIO, element: Element) -> bytes:
    if element.size > CONTENT_BYTES_MAX:
        raise CorruptBitstream(f"element {element.id:#x} is too long", byte_offset=element.start)
    file.seek(element.data)
    return file.read(element.size)


def _checksum(file: BinaryIO, start: int, end: int) -> int:
    file.seek(start)
    crc, left = 0, end - start
    while left:
        piece = file.read(min(_READ_BYTES, left))
        if not piece:
            raise CorruptBitstream("the file is cut off", byte_offset=end - left)
        crc = zlib.crc32(piece, crc)
        left -= len(piece)
    return crc


def check_file(path: Path) -> None:
    """
    Verify the structure and every CRC-32; raises BitstreamError that names the damaged place.

    A muxer protects all top-level elements or none; one without among others with a CRC has lost it.
    """
    with path.open("rb") as file:
        segment = _segment(file)
        unprotected: Element | None = None
        is_protected = False
        for element in _elements(file, segment.data, segment.end):
            if element.id not in _TOP_LEVEL:
                raise CorruptBitstream(f"unknown element {element.id:#x}", byte_offset=element.start)
            if element.id == _VOID:
                if element.size <= CONTENT_BYTES_MAX and _content(file, element).strip(b"\0"):
                    raise CorruptBitstream("padding that is not empty", byte_offset=element.start)
                continue
            stated = _stated_checksum(file, element)
            if stated is None:
                unprotected = unprotected or element
                continue
            is_protected = True
            if _checksum(file, element.data + _CRC_ELEMENT_BYTES, element.end) != stated:
                raise CorruptBitstream(f"element {element.id:#x} fails its CRC", byte_offset=element.start)
        if is_protected and unprotected is not None:
            raise CorruptBitstream(f"element {unprotected.id:#x} has lost its CRC", byte_offset=unprotected.start)


def _stated_checksum(file: BinaryIO, element: Element) -> int | None:
    """What the CRC-32 element says that stands first in *element*, None without one."""
    file.seek(element.data)
    head = file.read(_CRC_ELEMENT_BYTES)
    if element.size < _CRC_ELEMENT_BYTES or head[:2] != bytes([_CRC, 0x84]):
        return None
    return int.from_bytes(head[2:], "little")


def _video_entry(file: BinaryIO, codec_id: bytes) -> tuple[Element, dict[int, Element]]:
    """The tracks, and the children of the first track entry with *codec_id*."""
    segment = _segment(file)
    for tracks in _elements(file, segment.data, segment.end):
        if tracks.id != _TRACKS:
            continue
        for entry in _elements(file, tracks.data, tracks.end):
            if entry.id != _TRACK_ENTRY:
                continue
            children = {e.id: e for e in _elements(file, entry.data, entry.end)}
            codec = children.get(_CODEC_ID)
            if codec is None:
                continue
            file.seek(codec.data)
            if file.read(codec.size) == codec_id:
                return tracks, children
    raise NotABitstream("this Matroska file has no track coded with Narrows")


def read_codec_private(path: Path) -> bytes:
    """The configuration of the `V_NARROWS` track; raises NotABitstream without one."""
    with path.open("rb") as file:
        _, children = _video_entry(file, CODEC_ID)
        private = children.get(_CODEC_PRIVATE)
        if private is None:
            raise NotABitstream("the V_NARROWS track has no configuration")
        file.seek(private.data)
        return file.read(private.size)


def placeholder_name(codec_private_bytes: int) -> str:
    """A track name of the length that the configuration will need."""
    return "n" * codec_private_bytes


def rename_track(path: Path, codec_private: bytes) -> None:
    """Turn the placeholder track into `V_NARROWS` with its configuration, in place, and renew the CRC of the tracks."""
    with path.open("r+b") as file:
        tracks, children = _video_entry(file, _PLACEHOLDER_ID)
        codec, name = children[_CODEC_ID], children.get(_NAME)
        if name is None or name.size != len(codec_private):
            raise ValueError("the placeholder track was not written with placeholder_name()")
        # The shorter id leaves room, which a Void element fills.
        room = len(_PLACEHOLDER_ID) - len(CODEC_ID) - 2
        file.seek(codec.start)
        file.write(bytes([_CODEC_ID, 0x80 | len(CODEC_ID)]) + CODEC_ID + bytes([_VOID, 0x80 | room]) + bytes(room))
        file.seek(name.start)
        file.write(_CODEC_PRIVATE.to_bytes(2, "big"))
        file.seek(name.data)
        file.write(codec_private)
        crc = _checksum(file, tracks.data + _CRC_ELEMENT_BYTES, tracks.end)
        file.seek(tracks.data + 2)
        file.write(crc.to_bytes(4, "little"))
