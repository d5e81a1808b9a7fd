"""Pictures to packets and back: the state that goes from one frame to the next, and nothing of files or licenses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from narrows.codec.bitstream import FramePacket, FrameType, StreamHeader
from narrows.codec.hints import FlowHints
from narrows.codec.layers import PICTURE_MULTIPLE
from narrows.codec.model import Reference
from narrows.codec.range_coder import StreamReader, StreamWriter
from narrows.codec.rate_control import ERROR_PRICE, quality_index
from narrows.codec.weights import LoadedModel, require_model
from narrows.errors import CorruptBitstream
from narrows.options import EncodeOptions
from narrows.picture import Picture

_THUMBNAIL_DIVISOR = 16
_SCENE_CUT_LEVELS = 28.0
"""Mean change of the 16×16 averages above which nothing of the last frame is worth keeping."""


def _latent_size(width: int, height: int) -> tuple[int, int]:
    return -(-height // PICTURE_MULTIPLE), -(-width // PICTURE_MULTIPLE)


def _thumbnail(luma: NDArray[np.uint8]) -> NDArray[np.float64]:
    n = _THUMBNAIL_DIVISOR
    means: NDArray[np.float64] = luma.reshape(luma.shape[0] // n, n, luma.shape[1] // n, n).mean((1, 3))
    return means


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """A packet's bytes and what the decoder will make of them."""

    data: bytes
    is_key: bool
    picture: Picture


class FrameEncoder:
    """Codes pictures of one size in display order; each key frame starts a closed group."""

    def __init__(
        self, width: int, height: int, *, model: LoadedModel, options: EncodeOptions, is_development: bool
    ) -> None:
        self._model = model
        self._options = options
        self._header = StreamHeader(width=width, height=height, model_id=model.model_id, is_development=is_development)
        self._size = _latent_size(width, height)
        self._hints = FlowHints(options.preset)
        self._reference: Reference | None = None
        self._crc = 0
        self._last_luma: NDArray[np.uint8] | None = None
        self._since_key = 0

    @torch.inference_mode()
    def encode(self, picture: Picture) -> CodedFrame:
        """Code one picture; raises ValueError when its size is not the stream's."""
        if (picture.width, picture.height) != (self._header.width, self._header.height):
            raise ValueError(
                f"a picture of {picture.width}×{picture.height} "
                f"in a stream of {self._header.width}×{self._header.height}"
            )
        luma = picture.padded_luma()
        packet, reference = (
            self._encode_inter(picture, luma) if self._continues_group(luma) else self._encode_intra(picture)
        )
        self._since_key = 1 if packet.is_key else self._since_key + 1
        self._reference, self._last_luma = reference, luma
        data, self._crc = packet.to_bytes(0 if packet.is_key else self._crc)
        decoded = Picture.from_reference(reference.luma, reference.chroma, picture.width, picture.height)
        return CodedFrame(data=data, is_key=packet.is_key, picture=decoded)

    def _continues_group(self, luma: NDArray[np.uint8]) -> bool:
        if self._last_luma is None or self._since_key >= self._options.keyint:
            return False
        change = np.abs(_thumbnail(luma) - _thumbnail(self._last_luma)).mean()
        return bool(change < _SCENE_CUT_LEVELS)

    def _latent_writer(self) -> StreamWriter:
        return StreamWriter(self._model.tables, error_price=ERROR_PRICE)

    def _encode_intra(self, picture: Picture) -> tuple[FramePacket, Reference]:
        quality = quality_index(self._options.crf, 0)
        index = torch.full((1, 1, 1, 1), float(quality))
        intra = self._model.networks.intra
        writer = self._latent_writer()
        latents = intra.analyse(picture.to_planes(), index)
        reference = intra.code(latents, writer, quality_index=index, size=self._size)
        packet = FramePacket(
            type=FrameType.INTRA, quality_index=quality, header=self._header, streams=(writer.to_bytes(),)
        )
        return packet, reference

    def _encode_inter(self, picture: Picture, luma: NDArray[np.uint8]) -> tuple[FramePacket, Reference]:
        assert self._reference is not None and self._last_luma is not None
        quality = quality_index(self._options.crf, self._since_key)
        index = torch.full((1, 1, 1, 1), float(quality))
        inter, before, planes = self._model.networks.inter, self._reference, picture.to_planes()
        hint = self._hints.between(luma, self._last_luma)
        motion_writer, writer = StreamWriter(self._model.tables), self._latent_writer()
        motion = inter.analyse_motion(planes, before, hint, index)
        prediction = inter.predict(motion, before, motion_writer, quality_index=index, size=self._size)
        latents = inter.analyse(planes, prediction, index)
        reference = inter.code(latents, prediction, before, writer, quality_index=index, size=self._size)
        streams = (motion_writer.to_bytes(), writer.to_bytes())
        return FramePacket(type=FrameType.INTER, quality_index=quality, header=None, streams=streams), reference


class FrameDecoder:
    """Decodes packets in order; may start at any key frame."""

    def __init__(self) -> None:
        self._model: LoadedModel | None = None
        self._header: StreamHeader | None = None
        self._reference: Reference | None = None
        self._crc = 0

    @property
    def header(self) -> StreamHeader | None:
        """Of the last key frame, None before the first."""
        return self._header

    @torch.inference_mode()
    def decode(self, data: bytes) -> Picture:
        """Decode one packet; raises BitstreamError when it is damaged or nothing precedes it."""
        packet, crc = FramePacket.from_bytes(data, self._crc)
        if packet.header is not None:
            self._model, self._header = require_model(packet.header.model_id), packet.header
        if self._model is None or self._header is None:
            raise CorruptBitstream("the stream does not start with a key frame", byte_offset=0)
        if len(packet.streams) != (1 if packet.is_key else 2):
            raise CorruptBitstream(f"{len(packet.streams)} streams do not make a frame", byte_offset=2)
        self._reference = self._decode_intra(packet) if packet.is_key else self._decode_inter(packet)
        self._crc = crc
        width, height = self._header.width, self._header.height
        return Picture.from_reference(self._reference.luma, self._reference.chroma, width, height)

    def _decode_intra(self, packet: FramePacket) -> Reference:
        assert self._model is not None and self._header is not None
        index = torch.full((1, 1, 1, 1), float(packet.quality_index))
        reader = StreamReader(self._model.tables, packet.streams[0])
        size = _latent_size(self._header.width, self._header.height)
        return self._model.networks.intra.code(None, reader, quality_index=index, size=size)

    def _decode_inter(self, packet: FramePacket) -> Reference:
        assert self._model is not None and self._header is not None
        if self._reference is None:
            raise CorruptBitstream("an inter frame without the frame before it", byte_offset=0)
        inter, before = self._model.networks.inter, self._reference
        index = torch.full((1, 1, 1, 1), float(packet.quality_index))
        size = _latent_size(self._header.width, self._header.height)
        motion_reader, reader = (StreamReader(self._model.tables, s) for s in packet.streams)
        prediction = inter.predict(None, before, motion_reader, quality_index=index, size=size)
        return inter.code(None, prediction, before, reader, quality_index=index, size=size)
