"""Decoding frame by frame: packets in, frames out, and nobody is asked."""

from __future__ import annotations

from concurrent.futures import Future

import av

from narrows.codec.bitstream import StreamHeader, is_key_packet
from narrows.codec.decoder import FrameDecoder
from narrows.errors import BitstreamError, CorruptBitstream
from narrows.media.frames import to_frame
from narrows.media.picture import Picture
from narrows.options import Device, Engine
from narrows.session.one_caller import OneCaller
from narrows.session.packet import Packet


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
        self._turn = OneCaller("Decoder")
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


def _done(picture: Picture) -> Future[Picture]:
    future: Future[Picture] = Future()
    future.set_result(picture)
    return future
