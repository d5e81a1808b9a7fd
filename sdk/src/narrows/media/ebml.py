"""
EBML (RFC 8794), the binary XML that Matroska is written in: elements with an id, a size and contents.

What a file states is checked before anything is read into memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, Final

from narrows.errors import CorruptBitstream

VOID: Final = 0xEC
ELEMENT_BYTES_MAX: Final = 1 << 31
CONTENT_BYTES_MAX: Final = 1 << 16
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


def read_number(file: BinaryIO, *, keep_marker: bool) -> int:
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


def elements(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    """The elements side by side in a stretch of the file; raises CorruptBitstream where they do not fit it."""
    while start < end:
        file.seek(start)
        identifier = read_number(file, keep_marker=True)
        size = read_number(file, keep_marker=False)
        element = Element(id=identifier, start=start, data=file.tell(), size=size)
        if element.end > end or size > ELEMENT_BYTES_MAX:
            raise CorruptBitstream(f"element {identifier:#x} reaches past the end of its parent", byte_offset=start)
        yield element
        start = element.end


def content(file: BinaryIO, element: Element) -> bytes:
    """What *element* holds, read into memory."""
    if element.size > CONTENT_BYTES_MAX:
        raise CorruptBitstream(f"element {element.id:#x} is too long", byte_offset=element.start)
    file.seek(element.data)
    return file.read(element.size)


def children_of(file: BinaryIO, parent: Element) -> dict[int, bytes]:
    """The contents of the elements in *parent*, each of which comes once."""
    if parent.size > CONTENT_BYTES_MAX:
        raise CorruptBitstream(f"element {parent.id:#x} is too long", byte_offset=parent.start)
    return {e.id: content(file, e) for e in elements(file, parent.data, parent.end)}


def parsed(data: bytes) -> dict[int, bytes]:
    """The elements of a master element that was read into memory; what does not fit is left out."""
    file = BytesIO(data)
    try:
        return {e.id: data[e.data : e.end] for e in elements(file, 0, len(data))}
    except CorruptBitstream:
        return {}


def unsigned(data: bytes | None, default: int = 0) -> int:
    """An unsigned integer of up to eight bytes; *default* where there is none."""
    return default if data is None else int.from_bytes(data[:8], "big")


def real(data: bytes | None) -> float:
    """An angle in degrees as a float; 0 where there is none, or none that makes sense."""
    if data is None or len(data) not in (4, 8):
        return 0.0
    (value,) = struct.unpack(">f" if len(data) == 4 else ">d", data)
    return float(value) if -360 <= value <= 360 else 0.0


def to_element(identifier: int, data: bytes) -> bytes:
    """One element, its size in as few bytes as it takes."""
    length = 1
    while len(data) >= (1 << (7 * length)) - 1:
        length += 1
    size = (len(data) | 1 << (7 * length)).to_bytes(length, "big")
    return identifier.to_bytes((identifier.bit_length() + 7) // 8, "big") + size + data


def void(room: int) -> bytes:
    """A Void element of *room* bytes in all, which are not 1."""
    if room == 0:
        return b""
    if room < 10:
        return bytes([VOID, 0x80 | room - 2]) + bytes(room - 2)
    return bytes([VOID]) + (room - 9 | 1 << 56).to_bytes(8, "big") + bytes(room - 9)
