"""
The bytes of a stream: a header in front of each key frame, and one self-checking packet per frame.

    configuration   header | frame count u32 | crc32 u32                    (once, in the container)
    header   "NRWS" | version u8 | flags u8 | width u16 | height u16 | model id 16 bytes | crc32 u32
    packet   type u8 | quality u8 | position u16 | [header, if key | frames to the references u8 u8, if inter]
             | length of every stream but the last | streams | crc32 u32

Integers are big-endian; a length has seven bits a byte, lowest first, and the high bit says that more follow. The
frames that nothing predicts from take a hundred bytes each, so every byte here counts. Packets come in coding order;
*position* is the order of display, counted from the key frame. The CRC of a packet covers everything before it and is
seeded with those of the packets that it predicts from, so that a lost or exchanged packet is noticed as well. Normative
text: `docs/reference/bitstream.md`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from narrows.codec.condition import DISTANCE_MAX, QUALITY_MAX
from narrows.errors import CorruptBitstream, NotABitstream, UnsupportedBitstream
from narrows.options import SIDE_MAX, SIDE_MIN

MAGIC = b"NRWS"
VERSION = 0
"""Until the networks have their final shape, version 0 may change with every release."""
MODEL_ID_BYTES = 16
_HEADER = struct.Struct(f">4sBBHH{MODEL_ID_BYTES}s")
HEADER_BYTES = _HEADER.size + 4
CONFIGURATION_BYTES = HEADER_BYTES + 8
PACKET_BYTES_MAX = 1 << 28
POSITION_MAX = (1 << 16) - 1
_FRAME = struct.Struct(">BBH")
_REFERENCES = struct.Struct(">BB")
_VISUAL = 0x20
"""Added to the type under the tune `visual`: the small letter."""
_LENGTH_BYTES_MAX = 5
_FLAG_DEVELOPMENT = 1


class FrameType(IntEnum):
    """How a frame is coded."""

    INTRA = 0x49
    INTER = 0x50

    @property
    def stream_count(self) -> int:
        """Latents; motion before them in inter frames."""
        return 1 if self is FrameType.INTRA else 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHeader:
    """What a decoder must know before the first frame. *model_id* is the start of the SHA-256 of the weights."""

    width: int
    height: int
    model_id: bytes
    is_development: bool

    def to_bytes(self) -> bytes:
        flags = _FLAG_DEVELOPMENT if self.is_development else 0
        body = _HEADER.pack(MAGIC, VERSION, flags, self.width, self.height, self.model_id)
        return body + struct.pack(">I", zlib.crc32(body))

    @classmethod
    def from_bytes(cls, data: bytes, byte_offset: int = 0) -> StreamHeader:
        """Parse and check; sizes are refused here, before anything is allocated for them."""
        if data[:4] != MAGIC:
            raise NotABitstream("this is not a Narrows stream: its header does not begin with 'NRWS'")
        if len(data) < HEADER_BYTES:
            raise CorruptBitstream("the stream header is cut off", byte_offset=byte_offset + len(data))
        body, (crc,) = data[: _HEADER.size], struct.unpack(">I", data[_HEADER.size : HEADER_BYTES])
        _, version, flags, width, height, model_id = _HEADER.unpack(body)
        if version != VERSION:
            raise UnsupportedBitstream(f"the stream has version {version}; this release decodes version {VERSION}")
        if zlib.crc32(body) != crc:
            raise CorruptBitstream("the stream header fails its CRC", byte_offset=byte_offset)
        if not (SIDE_MIN <= width <= SIDE_MAX and SIDE_MIN <= height <= SIDE_MAX):
            raise CorruptBitstream(f"the size {width}×{height} is outside the limits", byte_offset=byte_offset + 6)
        if flags & ~_FLAG_DEVELOPMENT:
            raise UnsupportedBitstream(f"the stream uses unknown flags {flags:#04x}; a newer release may decode it")
        return cls(width=width, height=height, model_id=model_id, is_development=bool(flags & _FLAG_DEVELOPMENT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """
    What a container keeps beside the packets: the header, and how many frames there are, so that none is missed.

    *frame_count* 0 states no number: a fragmented file is sent before its end is known.
    """

    header: StreamHeader
    frame_count: int

    def to_bytes(self) -> bytes:
        body = self.header.to_bytes() + struct.pack(">I", self.frame_count)
        return body + struct.pack(">I", zlib.crc32(body))

    @classmethod
    def from_bytes(cls, data: bytes) -> Configuration:
        header = StreamHeader.from_bytes(data)
        if len(data) != CONFIGURATION_BYTES:
            raise CorruptBitstream("the configuration has the wrong length", byte_offset=len(data))
        frame_count, crc = struct.unpack(">II", data[HEADER_BYTES:])
        if zlib.crc32(data[:-4]) != crc:
            raise CorruptBitstream("the configuration fails its CRC", byte_offset=HEADER_BYTES)
        return cls(header=header, frame_count=frame_count)


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePacket:
    """
    One coded frame. *streams* are entropy-coded independently.

    *position* counts displayed frames from the key frame. *header* stands in key frames only, *references* (positions)
    in all others; a frame with the same reference twice predicts from one.
    """

    type: FrameType
    is_visual: bool
    quality_index: int
    position: int
    streams: tuple[bytes, ...]
    header: StreamHeader | None = None
    references: tuple[int, int] | None = None

    @property
    def is_key(self) -> bool:
        return self.type is FrameType.INTRA

    def to_bytes(self, seed: int) -> tuple[bytes, int]:
        """Serialise; returns the packet and its CRC. *seed* is `crc_seed` of the references' packets."""
        kind = self.type + _VISUAL * self.is_visual
        parts = [_FRAME.pack(kind, self.quality_index, self.position)]
        if self.header is not None:
            parts.append(self.header.to_bytes())
        if self.references is not None:
            first, second = self.references
            parts.append(_REFERENCES.pack(self.position - first, 0 if first == second else second - self.position))
        parts += [_length(len(s)) for s in self.streams[:-1]]
        parts += self.streams
        body = b"".join(parts)
        crc = zlib.crc32(body, seed)
        return body + struct.pack(">I", crc), crc

    @classmethod
    def from_bytes(cls, data: bytes, crcs: Mapping[int, int]) -> tuple[FramePacket, int]:
        """
        Parse and check one packet; returns it with its CRC. *crcs* are those of the decoded packets by position.

        Everything that decides how much memory a frame takes is checked here.
        """
        if len(data) > PACKET_BYTES_MAX:
            raise CorruptBitstream(f"a packet of {len(data)} bytes is above the limit", byte_offset=0)
        if len(data) < _FRAME.size + 5:
            raise CorruptBitstream("the packet is cut off", byte_offset=len(data))
        if data[0] & ~_VISUAL not in (FrameType.INTRA, FrameType.INTER):
            raise NotABitstream(f"this is not a Narrows packet: unknown frame type {data[0]:#04x}")
        letter, quality_index, position = _FRAME.unpack_from(data)
        kind = FrameType(letter & ~_VISUAL)
        at = _FRAME.size
        header = references = None
        seed = 0
        if kind is FrameType.INTRA:
            header = StreamHeader.from_bytes(data[at:], byte_offset=at)
            at += HEADER_BYTES
        else:
            if len(data) < at + _REFERENCES.size + 4:
                raise CorruptBitstream("the packet is cut off", byte_offset=len(data))
            back, forth = _REFERENCES.unpack_from(data, at)
            references = (position - back, position + forth if forth else position - back)
            at += _REFERENCES.size
            if not all(r in crcs for r in references):
                raise CorruptBitstream("an inter frame without the frames it predicts from", byte_offset=at)
            seed = crc_seed(crcs[references[0]], crcs[references[1]])
        (crc,) = struct.unpack(">I", data[-4:])
        if zlib.crc32(data[:-4], seed) != crc:
            raise CorruptBitstream(
                "the packet fails its CRC: it is damaged, or one that it predicts from is missing", byte_offset=0
            )
        if quality_index > QUALITY_MAX:
            raise CorruptBitstream(f"quality index {quality_index} is above its limit", byte_offset=1)
        if position != 0 if references is None else not _is_placed(position, references):
            raise CorruptBitstream(f"a frame can't stand at {position} and predict from {references}", byte_offset=2)
        return (
            cls(
                type=kind,
                is_visual=bool(letter & _VISUAL),
                quality_index=quality_index,
                position=position,
                header=header,
                references=references,
                streams=_read_streams(data, at, kind.stream_count),
            ),
            crc,
        )


def is_key_packet(data: bytes) -> bool:
    """Whether *data* begins as the packet of a key frame does."""
    return bool(data) and data[0] & ~_VISUAL == FrameType.INTRA


def crc_seed(first: int, second: int) -> int:
    """What a packet's CRC continues from: those of its references' packets."""
    return zlib.crc32(struct.pack(">I", second), first)


def _is_placed(position: int, references: tuple[int, int]) -> bool:
    first, second = references
    is_anchor = first == second < position <= first + DISTANCE_MAX
    return is_anchor or first < position < second <= first + DISTANCE_MAX


def _length(count: int) -> bytes:
    """Seven bits a byte, lowest first."""
    out = bytearray()
    while count >= 0x80:
        out.append(count & 0x7F | 0x80)
        count >>= 7
    return bytes([*out, count])


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    """A length and where it ends."""
    value = 0
    for i, byte in enumerate(data[at : at + _LENGTH_BYTES_MAX]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise CorruptBitstream("a stream's length does not end", byte_offset=at)


def _read_streams(data: bytes, at: int, count: int) -> tuple[bytes, ...]:
    """The *count* streams whose lengths begin at *at* and which end before the CRC."""
    lengths = []
    for _ in range(count - 1):
        length, at = _read_length(data, at)
        lengths.append(length)
    end = len(data) - 4
    if at + sum(lengths) > end:
        raise CorruptBitstream("the stream lengths are longer than the packet", byte_offset=at)
    streams = []
    for length in lengths:
        streams.append(data[at : at + length])
        at += length
    return (*streams, data[at:end])
