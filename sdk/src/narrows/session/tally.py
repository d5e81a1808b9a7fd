"""What an encoder has coded so far, added up."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.frame_coder import CodedFrame
from narrows.media.picture import Picture
from narrows.media.quality import psnr
from narrows.shown import Shown
from narrows.usage.machine import Meter

if TYPE_CHECKING:
    from narrows.cluster import RemoteFrame


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


class Tally:
    """Adds up pictures as they come and packets as they go."""

    def __init__(self) -> None:
        self.frame_count = self.key_frame_count = self.payload_bytes = 0
        self._psnr_sum = 0.0
        self._source_digest, self._coded_digest = hashlib.sha256(), hashlib.sha256()

    def take(self, picture: Picture) -> None:
        for plane in (picture.luma, picture.cb, picture.cr):
            self._source_digest.update(np.ascontiguousarray(plane).data)

    def give(self, frame: CodedFrame | RemoteFrame) -> None:
        self._coded_digest.update(frame.data)
        self._psnr_sum += psnr(frame.source, frame.picture) if isinstance(frame, CodedFrame) else frame.psnr
        self.frame_count += 1
        self.key_frame_count += frame.is_key
        self.payload_bytes += len(frame.data)

    def summary(self, meter: Meter) -> EncodeSummary:
        """What was coded, with the ids that *meter* gives it; at least one frame was."""
        return EncodeSummary(
            frame_count=self.frame_count,
            key_frame_count=self.key_frame_count,
            payload_bytes=self.payload_bytes,
            psnr=self._psnr_sum / self.frame_count,
            asset=meter.installation.pseudonym(b"asset:" + self._source_digest.digest()),
            rendition=rendition_id(meter, self._coded_digest.digest()),
        )
