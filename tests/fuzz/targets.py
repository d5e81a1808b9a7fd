"""
What is fuzzed: each target takes any bytes and must end in an error of the SDK's own tree or in pictures that it made.

Time and memory are bounded by libFuzzer's limits in `run`; a crash of FFmpeg inside is found as well.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path

from narrows.codec.bitstream import Configuration, FramePacket, FrameType, StreamHeader, crc_seed
from narrows.codec.weights import shipped_model
from narrows.errors import BitstreamError, NarrowsError
from narrows.media.coded_file import CodedFile
from narrows.media.packets import Container
from narrows.session.decoder import Decoder

from ..sdk.media.streams import a_coded_file, a_packet

PACKETS_MAX = 10_000
"""More than any file of the size that is fuzzed can hold."""


@lru_cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="narrows-fuzz-"))


def container(data: bytes) -> None:
    """A whole file, read as one that may be damaged, from the start and from the middle."""
    path = _folder() / "file"
    path.write_bytes(data)
    with suppress(NarrowsError):
        coded = CodedFile.open(path, tolerates_damage=True)
        packets = list(islice(coded.packets(), PACKETS_MAX + 1))
        assert len(packets) <= PACKETS_MAX
        list(islice(coded.packets(start=Fraction(1, 5)), PACKETS_MAX))
    with suppress(NarrowsError):
        CodedFile.open(path)


def packet(data: bytes) -> None:
    """A packet and a configuration, as parsers see them; the packet with its checksum right as well."""
    crcs = {0: 0, 8: 1}
    for parse in (
        lambda: FramePacket.from_bytes(data, crcs),
        lambda: FramePacket.from_bytes(data + struct.pack(">I", zlib.crc32(data)), crcs),
        lambda: FramePacket.from_bytes(data + struct.pack(">I", zlib.crc32(data, crc_seed(0, 0))), crcs),
        lambda: FramePacket.from_bytes(data + struct.pack(">I", zlib.crc32(data, crc_seed(0, 1))), crcs),
        lambda: Configuration.from_bytes(data),
        lambda: StreamHeader.from_bytes(data),
    ):
        with suppress(BitstreamError):
            parse()


def decoder(data: bytes) -> None:
    """Entropy-coded bytes in packets whose checksums are right: what only somebody with bad intent makes."""
    half = len(data) // 2
    header = StreamHeader(width=32, height=16, model_id=shipped_model().model_id, is_development=True)
    quality = data[0] % 128 if data else 0
    key = FramePacket(
        type=FrameType.INTRA,
        is_visual=bool(half % 2),
        quality_index=quality,
        position=0,
        streams=(data[:half],),
        header=header,
    )
    first, crc = key.to_bytes(0)
    inter = FramePacket(
        type=FrameType.INTER,
        is_visual=False,
        quality_index=quality,
        position=1,
        streams=(data[half : half + half // 2], data[half + half // 2 :]),
        references=(0, 0),
    )
    second, _ = inter.to_bytes(crc_seed(crc, crc))
    reader = Decoder()
    with suppress(BitstreamError):
        pictures = [picture for piece in (first, second) for picture in reader.decode_pictures(piece)]
        assert all((p.width, p.height) == (32, 16) for p in pictures)


TARGETS: dict[str, Callable[[bytes], None]] = {"container": container, "packet": packet, "decoder": decoder}


def seeds(name: str) -> list[bytes]:
    """Valid inputs to begin from."""
    header = StreamHeader(width=32, height=16, model_id=shipped_model().model_id, is_development=True)
    if name == "container":
        return [a_coded_file(_folder(), kind).read_bytes() for kind in Container]
    if name == "packet":
        return [
            header.to_bytes(),
            Configuration(header=header, frame_count=3).to_bytes(),
            a_packet(0, is_key=True),
            b"P" + bytes([9, 0, 4, 4, 4, 3]) + b"abcdef",
            b"p" + bytes([9, 0, 8, 8, 0, 3]) + b"abcdef",
            FramePacket(
                type=FrameType.INTRA, is_visual=True, quality_index=9, position=0, streams=(b"abc",), header=header
            ).to_bytes(0)[0],
        ]
    return [bytes(8), bytes(range(64)), b"\xff" * 100]
