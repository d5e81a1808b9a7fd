"""
The little of Matroska (RFC 9559) that PyAV does not do: a private codec id, its configuration, the check of the CRCs.

PyAV muxes our packets as those of a placeholder codec; afterwards the track entry is written anew in the room that it
has, as `V_NARROWS` with our configuration as CodecPrivate. A track name, long on purpose, makes room. The muxer
protects every top-level element by a CRC-32 (RFC 9559 §9.1, §5.1); `check_file` verifies them all, so that damage is
found before anything is decoded.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from narrows.errors import CorruptBitstream, CutOff, NotABitstream
from narrows.media.description import Colour, Description, matrix_of_rotation
from narrows.media.ebml import (
    CONTENT_BYTES_MAX,
    VOID,
    Element,
    children_of,
    content,
    elements,
    parsed,
    read_number,
    real,
    to_element,
    unsigned,
    void,
)
from narrows.media.mp4 import configuration_of

CODEC_ID = b"V_NARROWS"
_PLACEHOLDER_ID = b"V_FFV1"
_QUICKTIME_ID = b"V_QUICKTIME"
_PLACEHOLDER_NAME = "n" * 96

MAGIC = bytes.fromhex("1a45dfa3")
_EBML, _SEGMENT, _TRACKS, _TRACK_ENTRY = 0x1A45DFA3, 0x18538067, 0x1654AE6B, 0xAE
_CODEC_ID, _CODEC_PRIVATE, _NAME, _CRC = 0x86, 0x63A2, 0x536E, 0xBF
_DEFAULT_DURATION, _VIDEO = 0x23E383, 0xE0
_WIDTH, _HEIGHT, _DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0xB0, 0xBA, 0x54B0, 0x54BA, 0x54B2
_COLOUR, _MATRIX, _RANGE, _TRANSFER, _PRIMARIES = 0x55B0, 0x55B1, 0x55B9, 0x55BA, 0x55BB
_PROJECTION, _ROLL = 0x7670, 0x7675
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
_TOP_LEVEL = {0x114D9B74, 0x1549A966, _TRACKS, 0x1254C367, 0x1F43B675, 0x1C53BB6B, 0x1043A770, 0x1941A469, VOID, _CRC}
_CRC_ELEMENT_BYTES = 6
_READ_BYTES = 1 << 20


def _file_size(file: BinaryIO) -> int:
    return file.seek(0, 2)


def _segment(file: BinaryIO) -> tuple[Element, bool]:
    """The segment, as much of it as is there, and whether it is whole."""
    size = _file_size(file)
    file.seek(0)
    if file.read(4) != MAGIC:
        raise NotABitstream("this is not a Matroska file: it does not begin with an EBML header")
    header = next(elements(file, 0, size))
    stated = {e.id: content(file, e) for e in elements(file, header.data, header.end)}
    if stated.keys() != _HEADER_RULES.keys() or not all(rule(stated[i]) for i, rule in _HEADER_RULES.items()):
        raise NotABitstream("this is not a Matroska file of a known kind: its EBML header says so")
    file.seek(header.end)
    identifier, length = read_number(file, keep_marker=True), read_number(file, keep_marker=False)
    segment = Element(id=identifier, start=header.end, data=file.tell(), size=length)
    if identifier != _SEGMENT or segment.end < size:
        raise CorruptBitstream("a file holds one EBML header and one segment", byte_offset=header.end)
    return replace(segment, size=size - segment.data), segment.end == size


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
    Verify the structure and every CRC-32; raises BitstreamError that names the damaged place, `CutOff` when nothing is
    wrong but that the end is missing.

    A muxer protects all top-level elements or none; one without among others with a CRC has lost it.
    """
    with path.open("rb") as file:
        segment, is_whole = _segment(file)
        unprotected: Element | None = None
        is_protected = False
        for element in _whole_elements(file, segment, is_whole=is_whole):
            if element.id not in _TOP_LEVEL:
                raise CorruptBitstream(f"unknown element {element.id:#x}", byte_offset=element.start)
            if element.id == VOID:
                if element.size <= CONTENT_BYTES_MAX and content(file, element).strip(b"\0"):
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
        if not is_whole:
            raise CutOff(byte_offset=segment.end)


def _whole_elements(file: BinaryIO, parent: Element, *, is_whole: bool) -> Iterator[Element]:
    """The elements in *parent*; if it is not whole, those before the cut."""
    try:
        yield from elements(file, parent.data, parent.end)
    except CorruptBitstream:
        if is_whole:
            raise


def _stated_checksum(file: BinaryIO, element: Element) -> int | None:
    """What the CRC-32 element says that stands first in *element*, None without one."""
    file.seek(element.data)
    head = file.read(_CRC_ELEMENT_BYTES)
    if element.size < _CRC_ELEMENT_BYTES or head[:2] != bytes([_CRC, 0x84]):
        return None
    return int.from_bytes(head[2:], "little")


def _video_entry(file: BinaryIO, is_wanted: Callable[[dict[int, bytes]], bool]) -> tuple[Element, Element]:
    """The tracks, and the first track entry whose children are wanted."""
    segment, _ = _segment(file)
    for tracks in elements(file, segment.data, segment.end):
        if tracks.id != _TRACKS:
            continue
        for entry in elements(file, tracks.data, tracks.end):
            if entry.id != _TRACK_ENTRY:
                continue
            children = children_of(file, entry)
            if is_wanted(children):
                return tracks, entry
        break
    raise NotABitstream("this Matroska file has no track coded with Narrows")


def read_track(path: Path) -> tuple[bytes, Description]:
    """The configuration of our track and how to show it; raises NotABitstream without one."""
    with path.open("rb") as file:
        _, entry = _video_entry(file, lambda children: _private(children) is not None)
        children = children_of(file, entry)
        private = _private(children)
        assert private is not None
        return private, _description(children.get(_VIDEO, b""))


def _private(children: dict[int, bytes]) -> bytes | None:
    """
    Our configuration in a track entry, None in those of others.

    A tool that takes a track out of MP4 keeps its sample entry (RFC 9559 §A.4: V_QUICKTIME), and our box in it.
    """
    private = children.get(_CODEC_PRIVATE)
    if private is None or children.get(_CODEC_ID) == CODEC_ID:
        return private
    return configuration_of(private) if children.get(_CODEC_ID) == _QUICKTIME_ID else None


def _description(video: bytes) -> Description:
    members = parsed(video)
    colours, projection = parsed(members.get(_COLOUR, b"")), parsed(members.get(_PROJECTION, b""))
    width, height = unsigned(members.get(_WIDTH)), unsigned(members.get(_HEIGHT))
    shown = unsigned(members.get(_DISPLAY_WIDTH)), unsigned(members.get(_DISPLAY_HEIGHT))
    aspect = Fraction(1)
    if all(shown) and width and height:
        aspect = Fraction(shown[0] * height, shown[1] * width)
    return Description(
        width=width,
        height=height,
        colour=Colour(
            primaries=unsigned(colours.get(_PRIMARIES), 2),
            transfer=unsigned(colours.get(_TRANSFER), 2),
            matrix=unsigned(colours.get(_MATRIX), 2),
            range=unsigned(colours.get(_RANGE), 0),
        ),
        pixel_aspect=aspect,
        # Projection turns the other way round from a display matrix, as FFmpeg writes and reads it.
        display_matrix=matrix_of_rotation(real(projection.get(_ROLL))),
    )


def placeholder_name(title: str = "") -> str:
    """The name of the track while it is written; *title* remains."""
    return _PLACEHOLDER_NAME + title


def brand_track(path: Path, configuration: bytes, description: Description, *, has_one_rate: bool) -> None:
    """
    Turn the placeholder track into `V_NARROWS` with its configuration, in place, and renew the CRC of the tracks.

    Without one rate the default duration of a frame goes: it would be a guess.
    """

    def brand(children: dict[int, bytes]) -> None:
        children[_CODEC_ID], children[_CODEC_PRIVATE] = CODEC_ID, configuration
        if not has_one_rate:
            children.pop(_DEFAULT_DURATION, None)

    _rewrite_track(path, description, brand)


def shape_track(path: Path, description: Description) -> None:
    """Tell the shape of a pixel of a track that stays FFV1, which PyAV does not pass on to the muxer."""
    _rewrite_track(path, description, lambda _: None)


def _rewrite_track(path: Path, description: Description, change: Callable[[dict[int, bytes]], None]) -> None:
    """Write the placeholder's track entry anew, in the room that its name made."""
    with path.open("r+b") as file:
        tracks, entry = _video_entry(file, lambda children: children.get(_CODEC_ID) == _PLACEHOLDER_ID)
        children = children_of(file, entry)
        title = children.pop(_NAME, b"").decode()
        if not title.startswith(_PLACEHOLDER_NAME):
            raise ValueError("the placeholder track was not written with placeholder_name()")
        if title != _PLACEHOLDER_NAME:
            children[_NAME] = title.removeprefix(_PLACEHOLDER_NAME).encode()
        children.pop(VOID, None)
        children[_VIDEO] = _shaped(children[_VIDEO], description)
        change(children)
        body = b"".join(to_element(identifier, data) for identifier, data in children.items())
        room = entry.size - len(body)
        if room < 0 or room == 1:
            raise ValueError("the track entry does not fit the room that its placeholder made")
        file.seek(entry.data)
        file.write(body + void(room))
        crc = _checksum(file, tracks.data + _CRC_ELEMENT_BYTES, tracks.end)
        file.seek(tracks.data + 2)
        file.write(crc.to_bytes(4, "little"))


def _shaped(video: bytes, description: Description) -> bytes:
    """The Video element with the size at which pixels are square."""
    members = parsed(video)
    members.pop(_DISPLAY_UNIT, None)
    if description.pixel_aspect != 1:
        # Whole numbers that keep the aspect exactly: scaled up together, which players divide out again.
        aspect = description.pixel_aspect * description.width / description.height
        scale = max(1, -(-description.height // aspect.denominator))
        members[_DISPLAY_WIDTH] = (aspect.numerator * scale).to_bytes(4, "big")
        members[_DISPLAY_HEIGHT] = (aspect.denominator * scale).to_bytes(4, "big")
    else:
        members.pop(_DISPLAY_WIDTH, None)
        members.pop(_DISPLAY_HEIGHT, None)
    return b"".join(to_element(identifier, data) for identifier, data in members.items())
