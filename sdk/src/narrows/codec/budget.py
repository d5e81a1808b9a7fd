"""
How good each group of pictures may be, so that a stream keeps to a bit rate and to a receiver's buffer.

Rates are modelled as exponential in the quality index, one level for key frames and one for the rest, learned as the
stream goes on. Without a plan (one pass) the budget pays back what was spent too much over the next two seconds, as ABR
of x264 does (Merritt & Vanam, 2007). With the plan of a first pass it divides what is left over what is to come. The
buffer is a leaky bucket (ISO/IEC 14496-10 annex C, type NAL HRD): a group that would overflow it is coded again.

Pure: sizes in, quality out. Bits are integers, time is counted in frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from narrows.codec.condition import QUALITY_MAX
from narrows.errors import VideoError
from narrows.options import CRF_MAX, EncodeOptions

RATE_DEFAULT = Fraction(25)
"""Frames a second where nobody says."""
SLOPE = 0.021
"""Of the logarithm of the rate over the quality index: measured 0.020 to 0.023 over crf 8–56."""
_KEY_BITS_PER_PIXEL, _INTER_BITS_PER_PIXEL, _AT = 0.5, 0.055, 62
"""What clips of 0.1 megapixel took at crf 32: where a stream begins that nothing is known of."""
_LEARNING = 0.6
_WINDOW_SECONDS = 2
_STEP_MAX = 20
"""How much the quality index may change from group to group; sudden changes are seen."""
_GROUP = 8
"""Frames that a group usually has: debts can't be paid back in fewer."""
_STEPS_FREE = 3
"""Groups in the beginning, key frames included, for which it may change by any amount."""
_ANCHOR_SHARE = 0.7
"""Of a group's bits, in its first packet, at most: for guesses; sizes decide."""
_MARGIN = 0.85
_KEY_ROOM = 0.5
"""Of the buffer, kept free by other groups for a key frame that may come."""
_RETRY_STEP = 4
"""By which a group that does not fit is worse the first time; twice as much each time after."""


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """What a group took in the first pass, at *base*."""

    frame_count: int
    bits: int
    base: int


@dataclass(slots=True)
class LeakyBucket:
    """
    A receiver's buffer seen from the sender: filled by packets, drained at *maxrate*, never above *bufsize* bits.

    So any stretch of the stream of *t* seconds has at most *bufsize* + *maxrate*·*t* bits.
    """

    bufsize: int
    maxrate: int
    frame_rate: Fraction
    level: Fraction = field(default_factory=Fraction)

    @property
    def drained(self) -> Fraction:
        """Bits in the time of a frame."""
        return self.maxrate / self.frame_rate

    def after(self, sizes: Sequence[int]) -> Fraction | None:
        """The level when packets of *sizes* bytes have gone through; None if one would overflow it."""
        level = self.level
        for size in sizes:
            level += 8 * size
            if level > self.bufsize:
                return None
            level = max(Fraction(0), level - self.drained)
        return level

    def room(self, frame_count: int, *, is_key: bool) -> float:
        """Bits that a group may take, by what is known before it is coded."""
        free = float(self.bufsize - self.level)
        if is_key:
            return free
        drained = float(self.drained) * frame_count
        return max(0.0, min(free / _ANCHOR_SHARE, free - _KEY_ROOM * self.bufsize + drained, free + drained))


class _Model:
    """The logarithm of the bits at quality index 0: of a key frame, and of one other frame on average."""

    def __init__(self, pixels: int) -> None:
        self._levels = {
            True: math.log(_KEY_BITS_PER_PIXEL * pixels) - SLOPE * _AT,
            False: math.log(_INTER_BITS_PER_PIXEL * pixels) - SLOPE * _AT,
        }
        self._is_known = {True: False, False: False}

    def bits(self, base: float, *, is_key: bool) -> float:
        """Of one frame."""
        return math.exp(self._levels[is_key] + SLOPE * base)

    def base_for(self, bits: float, *, is_key: bool) -> float:
        """The quality at which one frame takes *bits*."""
        return (math.log(max(bits, 1e-9)) - self._levels[is_key]) / SLOPE

    def learn(self, base: int, bits: float, *, is_key: bool) -> None:
        seen = math.log(max(bits, 1)) - SLOPE * base
        if not self._is_known[is_key]:
            # The guess was wrong for both alike, as far as one can tell.
            if is_key and not self._is_known[False]:
                self._levels[False] += seen - self._levels[True]
            self._levels[is_key], self._is_known[is_key] = seen, True
            return
        self._levels[is_key] += _LEARNING * (seen - self._levels[is_key])


class Budget:
    """Chooses the quality of each group; told what it took, it says whether that can stay."""

    def __init__(self, options: EncodeOptions, *, frame_rate: Fraction, pixels: int) -> None:
        self._options, self._frame_rate = options, frame_rate
        self._model = _Model(pixels)
        self.bucket: LeakyBucket | None = None
        if options.maxrate is not None:
            self.bucket = LeakyBucket(options.bufsize or options.maxrate, options.maxrate, frame_rate)
        self._plan: tuple[PlannedGroup, ...] = ()
        self._scale = 0.0
        """Logarithm of what groups take here over what the plan says."""
        self._frames_expected: int | None = None
        self._base: int | None = None
        self._ceiling, self._retry_step = QUALITY_MAX, _RETRY_STEP
        self._keys = self._frames = self._bits = 0
        self._unpaid = 0.0
        """Bits of key frames that are spread over the window after them."""
        self._base_sum = 0
        self.groups: list[PlannedGroup] = []
        """What each group took, in order."""

    def follow(self, plan: Sequence[PlannedGroup]) -> None:
        """Divide the bits by what a first pass has seen; before the first group."""
        self._plan = tuple(plan)

    def expect(self, frame_count: int | None) -> None:
        """Settle accounts by the end of a stream that will have about *frame_count* frames; before the first group."""
        self._frames_expected = frame_count

    @property
    def mean_crf(self) -> int:
        """The crf that was used on average."""
        return CRF_MAX - round(self._base_sum / max(1, len(self.groups)) / 2)

    def base(self, frame_count: int, *, is_key: bool) -> int:
        """The quality index of an anchor in the next group of *frame_count* frames."""
        wanted = float(2 * (CRF_MAX - self._options.crf))
        if self._options.bitrate is not None:
            wanted = self._planned(self._options.bitrate) if self._plan else self._paced(self._options.bitrate)
            if self._base is not None and len(self.groups) >= _STEPS_FREE:
                wanted = max(self._base - _STEP_MAX, min(self._base + _STEP_MAX, wanted))
        if self.bucket is not None:
            room = _MARGIN * self.bucket.room(frame_count, is_key=is_key) / frame_count
            wanted = min(wanted, self._model.base_for(room, is_key=is_key))
        return max(0, min(QUALITY_MAX, self._ceiling, math.floor(wanted)))

    def _paced(self, bitrate: int) -> float:
        """One pass: the quality whose mean rate pays back in the window what was spent too much."""
        per_frame = float(bitrate / self._frame_rate)
        window = float(_WINDOW_SECONDS * self._frame_rate)
        left = window if self._frames_expected is None else max(0, self._frames_expected - self._frames)
        unpaid = self._unpaid * min(1.0, left / window)
        debt = self._bits - unpaid - per_frame * self._frames
        wanted = max(0.1 * per_frame, per_frame - debt / max(_GROUP, min(window, left)))
        period = min(self._options.keyint, self._frames / self._keys) if self._keys > 1 else self._options.keyint
        at_zero = self._model.bits(0, is_key=False) + self._model.bits(0, is_key=True) / period
        return math.log(wanted / at_zero) / SLOPE

    def _planned(self, bitrate: int) -> float:
        """Two passes: the quality at which what is to come takes what is left."""
        coming = self._plan[len(self.groups) :]
        if not coming:
            return float(self._base or 0)
        frames = sum(group.frame_count for group in self._plan)
        left = max(1.0, float(bitrate / self._frame_rate) * frames - self._bits)
        at_zero = sum(group.bits * math.exp(-SLOPE * group.base) for group in coming)
        return (math.log(left / max(at_zero, 1e-9)) - self._scale) / SLOPE

    def accepts(self, sizes: Sequence[int], *, base: int, is_key: bool) -> bool:
        """
        Take note of a group's packets, *sizes* in bytes; False if they can't stay, and `base` then says a lower one.

        Raises VideoError when even the lowest quality does not fit the buffer.
        """
        bits = 8 * sum(sizes)
        self._model.learn(base, bits / len(sizes), is_key=is_key)
        if self.bucket is not None:
            level = self.bucket.after(sizes)
            if level is None:
                self._retry(base, sizes)
                return False
            self.bucket.level = level
        return self._taken(bits, len(sizes), base, is_key=is_key)

    def _retry(self, base: int, sizes: Sequence[int]) -> None:
        assert self.bucket is not None
        if base == 0:
            raise VideoError(
                f"a frame of {8 * max(sizes)} bits does not fit a buffer of {self.bucket.bufsize} bits at the lowest "
                "quality; give a larger bufsize or maxrate, or a smaller picture"
            )
        self._ceiling, self._retry_step = max(0, base - self._retry_step), 2 * self._retry_step

    def _taken(self, bits: int, frame_count: int, base: int, *, is_key: bool) -> bool:
        window = float(_WINDOW_SECONDS * self._frame_rate)
        self._unpaid *= max(0.0, 1 - frame_count / window)
        if is_key:
            self._unpaid, self._keys = self._unpaid + bits, self._keys + 1
        if self._plan and len(self.groups) < len(self._plan):
            planned = self._plan[len(self.groups)]
            seen = math.log(max(1, bits) / max(1, planned.bits)) - SLOPE * (base - planned.base)
            self._scale += (seen - self._scale) / min(len(self.groups) + 1, 8)
        self._frames, self._bits = self._frames + frame_count, self._bits + bits
        self._ceiling, self._retry_step = QUALITY_MAX, _RETRY_STEP
        self._base, self._base_sum = base, self._base_sum + base
        self.groups.append(PlannedGroup(frame_count, bits, base))
        return True
