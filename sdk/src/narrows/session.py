"""
Encoding and decoding frame by frame: gate → codec → ledger, in that order.

An encoder asks the license once, when it opens. When it closes it writes one record of what it coded;
`close` returns after the record is on the disk.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from narrows_metering.record import Kind

from narrows.codec.bitstream import Configuration, StreamHeader
from narrows.codec.coder import FrameDecoder, FrameEncoder
from narrows.codec.weights import LoadedModel, shipped_model
from narrows.errors import CorruptBitstream
from narrows.gate import Permission, require_permission
from narrows.options import CRF_DEFAULT, KEYINT_DEFAULT, EncodeOptions, Preset, Tune, check_size
from narrows.picture import Picture
from narrows.quality import psnr
from narrows.settings import Settings
from narrows.usage import Meter, open_meter
from narrows.usage import translated as translated_usage
from narrows.video import to_frame, to_picture


@dataclass(frozen=True, slots=True)
class Packet:
    """One coded frame. *pts* and *dts* count frames."""

    data: bytes
    pts: int
    dts: int
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class EncodeSummary:
    """
    What an encoder coded. *payload_bytes* are the packets' bytes without the container's.

    *psnr* is in dB, luma and chroma weighted 6:1:1, averaged over frames. *asset* and *rendition* are the ledger's ids.
    """

    frame_count: int
    key_frame_count: int
    payload_bytes: int
    psnr: float
    asset: str
    rendition: str


def rendition_id(meter: Meter, digest: bytes) -> str:
    """The id of the coded bytes whose SHA-256 is *digest*."""
    return meter.installation.pseudonym(b"rendition:" + digest)


class Encoder:
    """
    Encodes frames of one size.

    >>> with narrows.Encoder(width=1280, height=720, rate=30, crf=32) as encoder:
    ...     for frame in frames:
    ...         for packet in encoder.encode(frame):
    ...             send(packet.data)

    Raises LicenseRefused when the license does not permit it, LedgerDamaged and UsageError when usage can't be
    recorded: all before the first frame, none after it.
    """

    def __init__(
        self,
        *,
        width: int,
        height: int,
        rate: Fraction | int = 25,
        crf: int = CRF_DEFAULT,
        preset: Preset | str = Preset.MEDIUM,
        tune: Tune | str = Tune.VISUAL,
        keyint: int = KEYINT_DEFAULT,
        license: Path | None = None,
        settings: Settings | None = None,
    ) -> None:
        check_size(width, height)
        self.options = EncodeOptions(crf=crf, preset=Preset(preset), tune=Tune(tune), keyint=keyint)
        self._settings = settings or Settings.read(license_path=license)
        self._rate = Fraction(rate)
        self._size = (width, height)
        with ExitStack() as stack:
            self._meter = stack.enter_context(open_meter(self._settings))
            self.permission: Permission = require_permission(
                self._settings,
                now=datetime.now(UTC),
                latest_time_seen=self._meter.latest_time_seen(),
                preset=self.options.preset,
                pixels=width * height,
            )
            self._model: LoadedModel = shipped_model()
            self._resources = stack.pop_all()
        self._coder = FrameEncoder(
            width,
            height,
            model=self._model,
            options=self.options,
            is_development=self.permission.granted.is_development,
        )
        self._source_digest, self._coded_digest = hashlib.sha256(), hashlib.sha256()
        self._frame_count = self._key_frame_count = self._payload_bytes = 0
        self._psnr_sum = 0.0
        self._summary: EncodeSummary | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def encode(self, frame: av.VideoFrame | Picture) -> list[Packet]:
        """Code one frame and return the packets that are ready."""
        picture = frame if isinstance(frame, Picture) else to_picture(frame)
        coded = self._coder.encode(picture)
        for plane in (picture.luma, picture.cb, picture.cr):
            self._source_digest.update(plane.data)
        self._coded_digest.update(coded.data)
        self._psnr_sum += psnr(picture, coded.picture)
        index, self._frame_count = self._frame_count, self._frame_count + 1
        self._key_frame_count += coded.is_key
        self._payload_bytes += len(coded.data)
        return [Packet(data=coded.data, pts=index, dts=index, is_keyframe=coded.is_key)]

    def close(self) -> EncodeSummary | None:
        """Record the usage durably and release everything; None if nothing was encoded. Again is harmless."""
        resources, self._resources = self._resources, ExitStack()
        with resources:
            if self._summary is None and self._frame_count:
                self._summary = self._record()
        return self._summary

    def configuration(self) -> Configuration:
        """What a container keeps beside the packets, once all are coded."""
        width, height = self._size
        header = StreamHeader(
            width=width,
            height=height,
            model_id=self._model.model_id,
            is_development=self.permission.granted.is_development,
        )
        return Configuration(header=header, frame_count=self._frame_count)

    def _record(self) -> EncodeSummary:
        summary = EncodeSummary(
            frame_count=self._frame_count,
            key_frame_count=self._key_frame_count,
            payload_bytes=self._payload_bytes,
            psnr=self._psnr_sum / self._frame_count,
            asset=self._meter.installation.pseudonym(b"asset:" + self._source_digest.digest()),
            rendition=rendition_id(self._meter, self._coded_digest.digest()),
        )
        width, height = self._size
        payload = {
            "asset": summary.asset,
            "rendition": summary.rendition,
            "frames": summary.frame_count,
            "duration_ms": int(1000 * summary.frame_count / self._rate),
            "width": width,
            "height": height,
            "bytes": summary.payload_bytes,
            "crf": self.options.crf,
            "preset": self.options.preset.value,
            "tune": self.options.tune.value,
            "model": self._model.model_id.hex(),
            "license_id": self.permission.license.license_id,
            "development": self.permission.granted.is_development,
        }
        with translated_usage():
            self._meter.ledger.append(Kind.ENCODE, payload, time=datetime.now(UTC))
        return summary


class Decoder:
    """
    Decodes packets in order, from any key frame on. Needs no license, no network and no state folder.

    >>> decoder = narrows.Decoder()
    >>> frames = [decoder.decode(packet) for packet in packets]
    """

    def __init__(self) -> None:
        self._coder = FrameDecoder()

    def decode(self, packet: Packet | bytes) -> av.VideoFrame:
        """Decode one packet to a yuv420p frame; raises BitstreamError when it is damaged."""
        return to_frame(self.decode_picture(packet))

    def decode_picture(self, packet: Packet | bytes) -> Picture:
        """Decode one packet to its planes."""
        return self._coder.decode(packet.data if isinstance(packet, Packet) else packet)

    @property
    def header(self) -> StreamHeader:
        """Of the stream; raises CorruptBitstream before the first packet."""
        if self._coder.header is None:
            raise CorruptBitstream("nothing was decoded yet", byte_offset=0)
        return self._coder.header
