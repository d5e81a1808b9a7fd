"""What a coded file says of itself. Nothing is decoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from narrows.media.coded_file import CodedFile
from narrows.media.description import Colour
from narrows.media.packets import Container
from narrows.shown import Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo(Shown):
    """
    What a coded file says of itself. *bits_per_pixel* counts the payload over luma pixels; *codecs* is for playlists
    and `Content-Type` (RFC 6381).
    """

    path: Path
    container: Container
    codecs: str
    width: int
    height: int
    pixel_aspect: Fraction
    rotation: int
    colour: Colour
    frame_count: int
    key_frame_count: int
    frame_rate: Fraction
    payload_bytes: int
    bits_per_pixel: float
    model_id: str
    is_development: bool


def probe(path: Path | str) -> FileInfo:
    """Read what a coded file says of itself, and check all of it; nothing is decoded."""
    coded = CodedFile.open(Path(path))
    header, description = coded.configuration.header, coded.description
    sizes = [(len(packet.data), packet.is_key) for packet in coded.packets()]
    payload = sum(size for size, _ in sizes)
    return FileInfo(
        path=coded.path,
        container=coded.container,
        codecs=coded.codecs,
        width=header.width,
        height=header.height,
        pixel_aspect=description.pixel_aspect,
        rotation=description.rotation,
        colour=description.colour,
        frame_count=len(sizes),
        key_frame_count=sum(is_key for _, is_key in sizes),
        frame_rate=coded.frame_rate,
        payload_bytes=payload,
        bits_per_pixel=8 * payload / max(1, len(sizes) * header.width * header.height),
        model_id=header.model_id.hex(),
        is_development=header.is_development,
    )


def coded_digest(path: Path) -> bytes:
    """The SHA-256 of the packets of a coded file: what its rendition id is made of."""
    digest = hashlib.sha256()
    for packet in CodedFile.open(path).packets():
        digest.update(packet.data)
    return digest.digest()
