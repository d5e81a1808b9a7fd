"""
Encoding and decoding frame by frame: gate → codec → ledger, in that order.

An encoder asks the license once, when it opens. When it closes it writes one record of what it coded;
`close` returns after the record is on the disk. Reporting it is the background's business.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import av
import numpy as np
from narrows_metering.record import Kind

from narrows.codec.bitstream import Configuration, StreamHeader, is_key_packet
from narrows.codec.budget import PlannedGroup
from narrows.codec.decoder import FrameDecoder
from narrows.codec.encoder import FrameEncoder
from narrows.codec.frame_coder import CodedFrame
from narrows.codec.pool import usual_threads
from narrows.codec.weights import LoadedModel, ready_model
from narrows.errors import BitstreamError, CorruptBitstream, VideoError
from narrows.license.gate import Permission, require_permission
from narrows.media.frames import Frame, to_frame, to_picture
from narrows.media.picture import Picture
from narrows.media.quality import psnr
from narrows.options import (
    CRF_DEFAULT,
    KEYINT_DEFAULT,
    Device,
    EncodeOptions,
    Engine,
    Preset,
    Tune,
    check_content_class,
    check_size,
)
from narrows.reporting.background import report_in_background
from narrows.settings import Settings
from narrows.shown import Shown
from narrows.usage.machine import Meter, open_meter
from narrows.usage.machine import translated as translated_usage

if TYPE_CHECKING:
    from narrows.cluster import Cluster, ClusterCoder, RemoteFrame


@dataclass(frozen=True, slots=True)
class Packet:
    """
    One coded frame, in coding order. *pts* and *dts* count frames; *dts* of the first few may be negative, as other
    encoders' are.
    """

    data: bytes
    pts: int
    dts: int
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class EncodeSummary(Shown):
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


class _Turn:
    """Lets one thread in at a time and refuses the others, for what keeps a state from frame to frame."""

    def __init__(self, whose: str) -> None:
        self._whose, self._lock = whose, threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(f"this {self._whose} is busy in another thread; give each thread one of its own")
        try:
            yield
        finally:
            self._lock.release()


class Encoder:
    """
    Encodes frames of one size.

    >>> with narrows.Encoder(width=1280, height=720, rate=30, crf=32) as encoder:
    ...     for frame in frames:
    ...         for packet in encoder.encode(frame):
    ...             send(packet.data)
    ...     for packet in encoder.flush():
    ...         send(packet.data)

    Frames are `av.VideoFrame`, NumPy arrays or torch tensors: RGB `[H, W, 3]` or `[3, H, W]`, or three planes, uint8.
    Frames that do not predict from each other are coded side by side on *threads* threads; *engine* runs the networks
    on *device*, on a cluster always the CPU.
    With a *cluster* its workers code; `close` drops what they have not given back.

    Raises LicenseRefused when the license does not permit it, LedgerDamaged and UsageError when usage can't be
    recorded: all before the first frame, none after it. One thread at a time; RuntimeError for the others.
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
        low_delay: bool = False,
        bitrate: int | None = None,
        maxrate: int | None = None,
        bufsize: int | None = None,
        content_class: str = "",
        threads: int | None = None,
        engine: Engine | str = Engine.AUTO,
        device: Device | str = Device.CPU,
        license: Path | None = None,
        settings: Settings | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        check_size(width, height)
        check_content_class(content_class)
        self.options: EncodeOptions = EncodeOptions(
            crf=crf,
            preset=Preset(preset),
            tune=Tune(tune),
            keyint=keyint,
            low_delay=low_delay,
            bitrate=bitrate,
            maxrate=maxrate,
            bufsize=bufsize,
        )
        if cluster is not None:
            from narrows.cluster import require_constant_quality

            require_constant_quality(self.options)
        self._content_class = content_class
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
                ledger=self._meter.ledger,
            )
            stack.callback(self.permission.release)
            self._meter.require_room()
            self._model: LoadedModel = ready_model(Engine(engine), Device(device))
            self._resources = stack.pop_all()
        self._wake_reporter = report_in_background(self._settings, self.permission.license)
        self._coder = self._local_coder(threads) if cluster is None else self._coder_on(cluster, Engine(engine))
        self._source_digest, self._coded_digest = hashlib.sha256(), hashlib.sha256()
        self._frame_count = self._key_frame_count = self._payload_bytes = 0
        self._psnr_sum = 0.0
        self._summary: EncodeSummary | None = None
        self._turn = _Turn("Encoder")
        self.notices: list[str] = []
        """What was done to frames that a caller should know, each once."""

    def _local_coder(self, threads: int | None) -> FrameEncoder:
        width, height = self._size
        coder = FrameEncoder(
            width,
            height,
            model=self._model,
            options=self.options,
            is_development=self.permission.granted.is_development,
            frame_rate=self._rate,
            threads=threads or usual_threads(width, height),
        )
        self._resources.callback(coder.close)
        return coder

    def _coder_on(self, cluster: Cluster, engine: Engine) -> ClusterCoder:
        from narrows.cluster import ClusterCoder

        width, height = self._size
        coder = ClusterCoder(
            cluster,
            model=self._model,
            options=self.options,
            is_development=self.permission.granted.is_development,
            frame_rate=self._rate,
            pixels=width * height,
            engine=engine,
        )
        self._resources.callback(coder.cancel)
        return coder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def follow(self, plan: Sequence[PlannedGroup]) -> None:
        """Divide *bitrate* by the `plan` of a first pass over the same frames; before the first frame."""
        self._coder.budget.follow(plan)

    @property
    def plan(self) -> list[PlannedGroup]:
        """What each group of frames took, for a second pass to `follow`."""
        return list(self._coder.budget.groups)

    def expect(self, frame_count: int | None) -> None:
        """Say how many frames will come, about: *bitrate* is then met at the end; before the first frame."""
        self._coder.budget.expect(frame_count)

    def encode(self, frame: Frame) -> list[Packet]:
        """
        Take one frame and return the packets that are ready; most frames wait for those that follow.

        Raises VideoError for a frame of another size, HDR, interlaced fields, or arrays of the wrong type.
        """
        with self._turn.taken():
            picture = to_picture(frame, self._notice)
            if (picture.width, picture.height) != self._size:
                width, height = self._size
                raise VideoError(
                    f"a frame of {picture.width}×{picture.height} in a stream of {width}×{height}: scale it, or open "
                    "another encoder"
                )
            coded = self._coder.encode(picture)
            for plane in (picture.luma, picture.cb, picture.cr):
                self._source_digest.update(np.ascontiguousarray(plane).data)
            return [self._packet(frame) for frame in coded]

    def _notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)

    def flush(self) -> list[Packet]:
        """Code the frames that still wait, and return their packets. Call it once, before `close`."""
        with self._turn.taken():
            return [self._packet(frame) for frame in self._coder.flush()]

    def _packet(self, frame: CodedFrame | RemoteFrame) -> Packet:
        self._coded_digest.update(frame.data)
        self._psnr_sum += psnr(frame.source, frame.picture) if isinstance(frame, CodedFrame) else frame.psnr
        dts, self._frame_count = self._frame_count - self._coder.delay, self._frame_count + 1
        self._key_frame_count += frame.is_key
        self._payload_bytes += len(frame.data)
        return Packet(data=frame.data, pts=frame.index, dts=dts, is_keyframe=frame.is_key)

    def close(self) -> EncodeSummary | None:
        """
        Record the usage durably and release everything; None if nothing was encoded. Again is harmless.

        Frames that still wait are dropped: `flush` first.
        """
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
        payload: dict[str, object] = {
            "asset": summary.asset,
            "rendition": summary.rendition,
            "frames": summary.frame_count,
            "duration_ms": int(1000 * summary.frame_count / self._rate),
            "width": width,
            "height": height,
            "bytes": summary.payload_bytes,
            "crf": self.options.crf if self.options.bitrate is None else self._coder.budget.mean_crf,
            "preset": self.options.preset.value,
            "tune": self.options.tune.value,
            "model": self._model.model_id.hex(),
            "license_id": self.permission.license.license_id,
            "development": self.permission.granted.is_development,
        }
        if self._content_class:
            payload["content_class"] = self._content_class
        with translated_usage():
            self._meter.append(Kind.ENCODE, payload, time=datetime.now(UTC))
        self._wake_reporter()
        return summary


def _done(picture: Picture) -> Future[Picture]:
    future: Future[Picture] = Future()
    future.set_result(picture)
    return future


class Decoder:
    """
    Decodes packets in coding order, from any key frame on, to frames in display order.

    Needs no license, no network and no state folder. With *conceal*, a frame that can't be decoded is shown as the one
    before it until the next key frame. *engine* runs the networks on *device*. With several *threads*, `begin` decodes
    frames side by side. One caller at a time; RuntimeError for the others.

    >>> decoder = narrows.Decoder()
    >>> frames = [frame for packet in packets for frame in decoder.decode(packet)]
    """

    def __init__(
        self,
        *,
        conceal: bool = False,
        threads: int = 1,
        engine: Engine | str = Engine.AUTO,
        device: Device | str = Device.CPU,
    ) -> None:
        if conceal and threads > 1:
            raise ValueError("what is concealed depends on the frame before: conceal needs a single thread")
        self._engine, self._device = Engine(engine), Device(device)
        self._coder = FrameDecoder(threads=threads, engine=self._engine, device=self._device)
        self._conceals = conceal
        self._is_broken = False
        self._waiting = 0
        self._last: Picture | None = None
        self._turn = _Turn("Decoder")
        self.concealed_count: int = 0
        """Frames that were not decoded: shown as the one before, or left out before the first."""

    def decode(self, packet: Packet | bytes) -> list[av.VideoFrame]:
        """Decode one packet to the yuv420p frames that can be shown now; raises BitstreamError when it is damaged."""
        return [to_frame(picture) for picture in self.decode_pictures(packet)]

    def decode_pictures(self, packet: Packet | bytes) -> list[Picture]:
        """Decode one packet to the planes of the frames that can be shown now, in order."""
        return [picture.result() for picture in self.begin(packet)]

    def begin(self, packet: Packet | bytes) -> list[Future[Picture]]:
        """
        `decode_pictures` without waiting for them: their `result` waits, or raises BitstreamError.

        Begin `ahead` more packets before you ask for the oldest picture, so that no thread stands idle.
        """
        data = packet.data if isinstance(packet, Packet) else packet
        with self._turn.taken():
            if not self._conceals:
                return self._coder.begin(data)
            return [_done(picture) for picture in self._decode_or_conceal(data)]

    @property
    def ahead(self) -> int:
        """Pictures that may be under way; 0 with one thread."""
        return self._coder.ahead

    def close(self) -> None:
        """Decode nothing more of what was begun; only of use with several threads."""
        self._coder.close()

    def _decode_or_conceal(self, data: bytes) -> list[Picture]:
        repeated: list[Picture] = []
        if is_key_packet(data):
            repeated = self._repeat()
            self._coder, self._is_broken = FrameDecoder(engine=self._engine, device=self._device), False
        self._waiting += 1
        if self._is_broken:
            return repeated
        try:
            pictures = self._coder.decode(data)
        except BitstreamError:
            self._is_broken = True
            return repeated
        self._waiting -= len(pictures)
        self._last = pictures[-1] if pictures else self._last
        return repeated + pictures

    def _repeat(self) -> list[Picture]:
        """The last picture in place of all that could not be shown."""
        count, self._waiting = self._waiting, 0
        self.concealed_count += count
        return [] if self._last is None else [self._last] * count

    def finish(self) -> list[Picture]:
        """
        Check that every decoded frame was shown; raises CorruptBitstream when some before it are missing.

        With *conceal*, what takes their place; nothing otherwise.
        """
        with self._turn.taken():
            if self._conceals:
                return self._repeat()
            if not self._coder.is_complete:
                raise CorruptBitstream("the stream ends before all frames of its last group are there", byte_offset=0)
            return []

    @property
    def header(self) -> StreamHeader:
        """Of the stream; raises CorruptBitstream before the first packet."""
        if self._coder.header is None:
            raise CorruptBitstream("nothing was decoded yet", byte_offset=0)
        return self._coder.header
