"""
Encoding frame by frame: gate → codec → ledger, in that order.

An encoder asks the license once, when it opens. When it closes it writes one record of what it coded;
`close` returns after the record is on the disk. Reporting it is the background's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from narrows_metering.record import Kind

from narrows.codec.bitstream import Configuration, StreamHeader
from narrows.codec.budget import PlannedGroup
from narrows.codec.encoder import FrameEncoder
from narrows.codec.frame_coder import CodedFrame
from narrows.codec.pool import usual_threads
from narrows.codec.weights import LoadedModel, ready_model
from narrows.errors import VideoError
from narrows.license.gate import Permission, require_permission
from narrows.media.frames import Frame, to_picture
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
from narrows.session.one_caller import OneCaller
from narrows.session.packet import Packet
from narrows.session.tally import EncodeSummary, Tally
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows.usage.machine import translated as translated_usage

if TYPE_CHECKING:
    from narrows.cluster import Cluster, ClusterCoder, RemoteFrame


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
        self._tally = Tally()
        self._summary: EncodeSummary | None = None
        self._turn = OneCaller("Encoder")
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
            self._tally.take(picture)
            return [self._packet(frame) for frame in coded]

    def _notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)

    def flush(self) -> list[Packet]:
        """Code the frames that still wait, and return their packets. Call it once, before `close`."""
        with self._turn.taken():
            return [self._packet(frame) for frame in self._coder.flush()]

    def _packet(self, frame: CodedFrame | RemoteFrame) -> Packet:
        dts = self._tally.frame_count - self._coder.delay
        self._tally.give(frame)
        return Packet(data=frame.data, pts=frame.index, dts=dts, is_keyframe=frame.is_key)

    def close(self) -> EncodeSummary | None:
        """
        Record the usage durably and release everything; None if nothing was encoded. Again is harmless.

        Frames that still wait are dropped: `flush` first.
        """
        resources, self._resources = self._resources, ExitStack()
        with resources:
            if self._summary is None and self._tally.frame_count:
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
        return Configuration(header=header, frame_count=self._tally.frame_count)

    def _record(self) -> EncodeSummary:
        summary = self._tally.summary(self._meter)
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
