"""
Encoding on many machines: a stream's closed groups of pictures are coded wherever there is room, on Dask distributed.

The machine with the license reads the source, finds the key frames, writes the file and keeps the ledger. Workers get
pictures and give packets back; they need this release of `narrows[cluster]`, and neither license nor ledger nor the
source. A group depends on nothing outside it, so the bytes are those that one machine would write, and a group whose
worker died is coded again by another one. What is recorded is what is in the file, never what was attempted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from narrows.codec import acceleration
from narrows.codec.budget import Budget
from narrows.codec.encoder import FrameEncoder
from narrows.codec.group import depth_of
from narrows.codec.lookahead import SPAN, Lookahead
from narrows.codec.weights import LoadedModel, ready_model
from narrows.errors import ClusterError, VideoError
from narrows.media.picture import Picture
from narrows.media.quality import psnr
from narrows.options import EncodeOptions, Engine
from narrows.version import VERSION

if TYPE_CHECKING:
    from distributed import Future

WAIT_SECONDS_MAX: Final = 30
GROUPS_PER_THREAD: Final = 2  # One that is coded and one that waits, so that no worker waits for this machine.
FLIGHT_BYTES_MAX: Final = 1 << 31  # Of pictures that were sent and not yet coded: they are in the scheduler's memory.


@dataclass(frozen=True, slots=True)
class RemoteFrame:
    """A packet that a worker has made; *psnr* in dB is against the source, as `narrows.media.quality.psnr` has it."""

    data: bytes
    is_key: bool
    index: int
    psnr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedGroup:
    """A key frame and all up to the next one, and everything that a worker must know to code them."""

    pictures: Sequence[Picture]
    options: EncodeOptions
    frame_rate: Fraction
    is_development: bool
    engine: Engine
    version: str
    model_id: bytes

    @property
    def size_bytes(self) -> int:
        first = self.pictures[0]
        return len(self.pictures) * (first.luma.nbytes + first.cb.nbytes + first.cr.nbytes)


def code(group: ClosedGroup) -> list[RemoteFrame]:
    """What a worker does. Raises ClusterError where another release or other weights would make other bytes."""
    model = ready_model(group.engine)
    if (VERSION, model.model_id) != (group.version, group.model_id):
        raise ClusterError(
            f"a worker has narrows {VERSION} with model {model.model_id.hex()}, this machine {group.version} with "
            f"{group.model_id.hex()}. Next step: install the same release on all of them"
        )
    first = group.pictures[0]
    encoder = FrameEncoder(
        first.width,
        first.height,
        model=model,
        options=group.options,
        is_development=group.is_development,
        frame_rate=group.frame_rate,
    )
    try:
        coded = [frame for picture in group.pictures for frame in encoder.encode(picture)] + encoder.flush()
    finally:
        encoder.close()
    return [RemoteFrame(frame.data, frame.is_key, frame.index, psnr(frame.source, frame.picture)) for frame in coded]


class Cluster:
    """
    A connection to a Dask scheduler, for any number of encodes, in several threads at once.

    >>> with narrows.Cluster("tcp://scheduler:8786") as cluster:  # doctest: +SKIP
    ...     narrows.encode("talk.mp4", "talk.mkv", cluster=cluster)

    Raises ClusterError when nobody answers at *address*, or no worker comes within half a minute. TLS is set up as Dask
    does it, in its configuration.
    """

    def __init__(self, address: str) -> None:
        try:
            import dask
            from distributed import Client
        except ImportError as error:
            raise ClusterError("encoding on a cluster needs more: pip install 'narrows[cluster]'") from error
        # Pictures travel with the task, and not beside it: who takes over from a dead worker finds them.
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TiB"})
        try:
            self._client = Client(address, timeout=WAIT_SECONDS_MAX, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"no Dask scheduler answers at {address}: {error}. Next step: `dask scheduler` on that machine"
            ) from error
        try:
            self._client.wait_for_workers(1, timeout=WAIT_SECONDS_MAX)
        except TimeoutError as error:
            self._client.close()
            raise ClusterError(
                f"the scheduler at {address} has no workers. Next step: `dask worker {address} --nthreads 1`"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cluster; the workers stay."""
        self._client.close()

    def thread_count(self) -> int:
        """How many groups can be coded at once now."""
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    def submit(self, group: ClosedGroup) -> Future[Any]:
        """Have *group* coded by somebody."""
        return self._client.submit(code, group, pure=False)


def require_constant_quality(options: EncodeOptions) -> None:
    """Raises VideoError for options that a cluster can't follow."""
    if options.bitrate is not None or options.maxrate is not None:
        raise VideoError(
            "a bit rate is divided by what came before, and a cluster codes all at once: give crf instead of bitrate, "
            "maxrate and bufsize, or leave the cluster out"
        )


class ClusterCoder:
    """Codes pictures of one size on a cluster: what `FrameEncoder` is on this machine, with the same packets."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        model: LoadedModel,
        options: EncodeOptions,
        is_development: bool,
        frame_rate: Fraction,
        pixels: int,
        engine: Engine,
    ) -> None:
        self._cluster, self._options = cluster, options
        self._is_development, self._frame_rate = is_development, frame_rate
        self._model_id = model.model_id
        # What auto is here, workers must be too: engines round differently.
        self._engine = Engine.ONNX if engine is not Engine.TORCH and acceleration.is_available() else Engine.TORCH
        self.budget = Budget(options, frame_rate=frame_rate, pixels=pixels)
        span = 1 if options.low_delay else SPAN
        self._lookahead = Lookahead(keyint=options.keyint, span=span)
        self.delay = depth_of(span)
        """Frames by which coding may run ahead of display."""
        self._open: list[Picture] = []
        self._under_way: deque[tuple[Future[Any], ClosedGroup]] = deque()
        self._done_count = 0

    def encode(self, picture: Picture) -> list[RemoteFrame]:
        """Take one picture and return what is coded by now, in order."""
        if any(group.is_key for group in self._lookahead.push(picture)):
            self._submit()
        self._open.append(picture)
        return list(self._coded(leaving=self._room()))

    def flush(self) -> list[RemoteFrame]:
        """Wait for everything that is not coded yet."""
        self._submit()
        return list(self._coded(leaving=0))

    def cancel(self) -> None:
        """Give up what nobody waits for any more."""
        while self._under_way:
            self._under_way.pop()[0].cancel()

    def _submit(self) -> None:
        if not self._open:
            return
        group = ClosedGroup(
            pictures=tuple(self._open),
            options=self._options,
            frame_rate=self._frame_rate,
            is_development=self._is_development,
            engine=self._engine,
            version=VERSION,
            model_id=self._model_id,
        )
        self._open = []
        self._under_way.append((self._cluster.submit(group), group))

    def _room(self) -> int:
        """Groups that may be under way."""
        largest = max((group.size_bytes for _, group in self._under_way), default=1)
        return max(1, min(GROUPS_PER_THREAD * self._cluster.thread_count(), FLIGHT_BYTES_MAX // largest))

    def _coded(self, *, leaving: int) -> Iterator[RemoteFrame]:
        """The frames of all groups that are done, in order, waiting while more than *leaving* are under way."""
        while self._under_way and (len(self._under_way) > leaving or self._under_way[0][0].done()):
            future, group = self._under_way[0]
            frames = _result(future)
            self._under_way.popleft()
            for frame in frames:
                yield RemoteFrame(frame.data, frame.is_key, self._done_count + frame.index, frame.psnr)
            self._done_count += len(group.pictures)


def _result(future: Future[Any]) -> list[RemoteFrame]:
    from distributed import KilledWorker

    try:
        frames: list[RemoteFrame] = future.result()
    except KilledWorker as error:
        raise ClusterError(
            f"several workers ended while they coded the same group: {error}. Next step: give them more memory, or "
            "the encode a smaller keyint"
        ) from error
    except (CancelledError, OSError) as error:
        raise ClusterError(f"the scheduler went away while it was needed: {error}. Nothing was recorded") from error
    return frames
