"""Playlists of HTTP Live Streaming (RFC 8216), as text. Pure: no files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

VERSION = 7
"""The first with fragmented MP4 in all kinds of playlists (RFC 8216 §7)."""
NAME = "playlist.m3u8"
INIT_NAME = "init.mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One segment: its file, its seconds, its bytes."""

    name: str
    duration: Fraction
    size: int

    @property
    def bits_per_second(self) -> int:
        return math.ceil(8 * self.size / self.duration)


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A media playlist: the folder that it stands in, and what it lists. *codecs* as in RFC 6381."""

    folder: str
    codecs: str
    segments: tuple[Segment, ...]

    @property
    def peak(self) -> int:
        """Bits a second of the segment that takes most."""
        return max(segment.bits_per_second for segment in self.segments)

    @property
    def average(self) -> int:
        """Bits a second over all of it."""
        return math.ceil(8 * sum(s.size for s in self.segments) / sum(s.duration for s in self.segments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant(Track):
    """A video track at one rate and size."""

    width: int
    height: int
    frame_rate: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound(Track):
    """An audio track that goes with every variant."""

    name: str
    language: str | None
    channels: int


def media_playlist(track: Track) -> str:
    """The list of the segments of *track*."""
    longest = max(segment.duration for segment in track.segments)
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION}",
        # Every duration, rounded to whole seconds, is at most this (§4.3.3.1).
        f"#EXT-X-TARGETDURATION:{math.ceil(longest)}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="{INIT_NAME}"',
    ]
    for segment in track.segments:
        lines += [f"#EXTINF:{float(segment.duration):.6f},", segment.name]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def master_playlist(variants: Sequence[Variant], sounds: Sequence[Sound]) -> str:
    """The list of what a player may choose from, the highest rate first."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for index, sound in enumerate(sounds):
        attributes = ["TYPE=AUDIO", 'GROUP-ID="audio"', f'NAME="{_quoted(sound.name)}"']
        if sound.language:
            attributes.append(f'LANGUAGE="{_quoted(sound.language)}"')
        attributes += [f"DEFAULT={'NO' if index else 'YES'}", "AUTOSELECT=YES", f'CHANNELS="{sound.channels}"']
        attributes.append(f'URI="{sound.folder}/{NAME}"')
        lines.append("#EXT-X-MEDIA:" + ",".join(attributes))
    peak = max((sound.peak for sound in sounds), default=0)
    average = max((sound.average for sound in sounds), default=0)
    for variant in sorted(variants, key=lambda v: -v.average):
        codecs = ",".join([variant.codecs, *dict.fromkeys(sound.codecs for sound in sounds)])
        attributes = [
            f"BANDWIDTH={variant.peak + peak}",
            f"AVERAGE-BANDWIDTH={variant.average + average}",
            f'CODECS="{codecs}"',
            f"RESOLUTION={variant.width}x{variant.height}",
            f"FRAME-RATE={float(variant.frame_rate):.3f}",
        ]
        if sounds:
            attributes.append('AUDIO="audio"')
        lines += ["#EXT-X-STREAM-INF:" + ",".join(attributes), f"{variant.folder}/{NAME}"]
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    """A quoted-string holds neither line ends nor quotes (§4.2)."""
    return text.replace('"', "'").replace("\n", " ").replace("\r", " ")


def boundaries(keys: Sequence[Sequence[Fraction]], end: Fraction, *, target: Fraction) -> list[Fraction]:
    """
    Where segments begin, and the end: at key frames that all of *keys* have, as near below *target* seconds apart as
    there are. The first is that of the first frame.
    """
    common = [key for key in keys[0] if all(any(_is_same(key, other) for other in others) for others in keys[1:])]
    chosen = common[:1]
    for key, following in pairwise([*common[1:], end]):
        if following - chosen[-1] > target:
            chosen.append(key)
    return [*chosen, end]


def _is_same(one: Fraction, other: Fraction) -> bool:
    """Matroska rounds to milliseconds."""
    return abs(one - other) <= Fraction(1, 1000)
