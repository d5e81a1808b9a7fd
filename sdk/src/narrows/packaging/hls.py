"""
HLS with fragmented MP4: one variant per coded file, the sound once beside them, segments that begin at the same key
frames in all of them.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av

from narrows.errors import VideoError
from narrows.media.coded_file import CodedFile, TimedPacket
from narrows.media.packets import Container, PacketTarget
from narrows.media.video import translated
from narrows.packaging.fragments import Fragment, FragmentedFile
from narrows.packaging.playlist import (
    INIT_NAME,
    NAME,
    Segment,
    Sound,
    Variant,
    boundaries,
    master_playlist,
    media_playlist,
)
from narrows.shown import Shown

SEGMENT_SECONDS = 6
"""What Apple's authoring specification asks for."""
MASTER_NAME = "master.m3u8"
_SOUND_FRAGMENTS = {
    "movflags": "empty_moov+default_base_moof+delay_moov+skip_trailer",
    "frag_duration": "200000",  # Microseconds: short, so that segments of sound begin near those of pictures.
}
_SOUND_CODECS = {"opus": "Opus", "ac3": "ac-3", "eac3": "ec-3", "flac": "fLaC", "alac": "alac"}
_AAC_OBJECT_TYPES = {"LC": 2, "HE-AAC": 5, "HE-AACv2": 29}


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageResult(Shown):
    """What `package_hls` made; *notices* say what is not in it."""

    folder: Path
    master: Path
    variants: tuple[Variant, ...]
    sounds: tuple[Sound, ...]
    segment_count: int
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Rendition:
    """A coded file with its packets, timed from its first frame: *start* on the clock of the file."""

    coded: CodedFile
    packets: tuple[TimedPacket, ...]
    start: Fraction

    @property
    def keys(self) -> list[Fraction]:
        return [packet.time for packet in self.packets if packet.is_key]

    @property
    def end(self) -> Fraction:
        """Until when its last frame is shown."""
        times = sorted(packet.time for packet in self.packets)
        last = times[-1] - times[-2] if len(times) > 1 else 1 / self.coded.frame_rate
        return times[-1] + last


def package_hls(
    sources: Sequence[Path | str],
    folder: Path | str,
    *,
    segment_seconds: float = SEGMENT_SECONDS,
    on_step: Callable[[str], None] | None = None,
) -> PackageResult:
    """
    Put the coded files *sources* into *folder* as HLS: `master.m3u8`, and a folder for each track.

    *sources* are encodes of one video at several rates or sizes, with key frames at the same times; the sound is that
    of the first. *folder* appears when it is whole. Raises BitstreamError when a source is damaged, VideoError when
    they do not go together or *folder* is there.
    """
    paths, folder, tell = [Path(source) for source in sources], Path(folder), on_step or (lambda _: None)
    if not paths:
        raise VideoError("nothing to package: name one coded file or more")
    if segment_seconds <= 0:
        raise VideoError(f"segments of {segment_seconds} s are none; 2 to 10 seconds are usual")
    if folder.exists() and any(folder.iterdir()):
        raise VideoError(f"{folder} is there and not empty; remove it, or choose another name")
    target = Fraction(segment_seconds).limit_denominator(1000)
    renditions = [_read(path) for path in paths]
    starts = boundaries([r.keys for r in renditions], renditions[0].end, target=target)
    _check_alignment(renditions, starts, target)
    work = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    with translated(f"can't write {folder}"):
        try:
            variants = []
            for number, rendition in enumerate(renditions, 1):
                tell(f"variant {number} of {len(renditions)}")
                variants.append(_package_variant(rendition, work / f"video-{number}", starts))
            tell("sound")
            sounds, notices = _package_sounds(renditions[0], work, starts)
            (work / MASTER_NAME).write_text(master_playlist(variants, sounds), "utf-8")
            if folder.exists():
                folder.rmdir()
            work.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return PackageResult(
        folder=folder,
        master=folder / MASTER_NAME,
        variants=tuple(variants),
        sounds=tuple(sounds),
        segment_count=len(starts) - 1,
        notices=tuple(notices),
    )


def _read(path: Path) -> _Rendition:
    coded = CodedFile.open(path)
    packets = tuple(coded.packets())
    if not packets:
        raise VideoError(f"{path} has no frames")
    start = min(packet.time for packet in packets)
    return _Rendition(coded, tuple(replace(p, time=p.time - start) for p in packets), start)


def _check_alignment(renditions: list[_Rendition], starts: list[Fraction], target: Fraction) -> None:
    first = renditions[0]
    for other in renditions[1:]:
        if len(other.packets) != len(first.packets):
            raise VideoError(
                f"{first.coded.path} has {len(first.packets)} frames and {other.coded.path} has {len(other.packets)}; "
                "variants are encodes of one video"
            )
    longest = max(end - start for start, end in pairwise(starts))
    if longest > 2 * target:
        raise VideoError(
            f"a segment would take {float(longest):.1f} s instead of {float(target):g} s: the files have no common key "
            "frame in between. Encode them from the same source with the same keyint, of at most "
            f"{int(target * first.coded.frame_rate)} frames"
        )


def _package_variant(rendition: _Rendition, folder: Path, starts: list[Fraction]) -> Variant:
    folder.mkdir(parents=True)
    coded, muxed = rendition.coded, folder / "muxed.mp4"
    target = PacketTarget(
        muxed,
        container=Container.FRAGMENTED_MP4,
        configuration=coded.open_configuration,
        description=coded.description,
        frame_rate=coded.frame_rate,
        time_base=coded.time_base,
        is_open_ended=True,
    )
    times = sorted(packet.time for packet in rendition.packets)
    until = dict(zip(times, [*times[1:], rendition.end], strict=True))
    ahead = _reordering(rendition.packets, times)
    try:
        for place, packet in enumerate(rendition.packets):
            early = times[place - ahead] if place >= ahead else times[0] - (ahead - place) / coded.frame_rate
            target.write(
                packet.data,
                shown=packet.time,
                coded=early,
                is_key=packet.is_key,
                duration=until[packet.time] - packet.time,
            )
        target.finish(coded.configuration)
    except BaseException:
        target.discard()
        raise
    file = FragmentedFile.read(muxed)
    groups = _grouped(list(zip(rendition.keys, file.fragments, strict=True)), starts)
    durations = [end - start for start, end in pairwise(starts)]
    variant = Variant(
        folder=folder.name,
        codecs=coded.codecs,
        segments=_write_segments(file, folder, groups, durations),
        width=coded.configuration.header.width,
        height=coded.configuration.header.height,
        frame_rate=coded.frame_rate,
    )
    muxed.unlink()
    (folder / NAME).write_text(media_playlist(variant), "utf-8")
    return variant


def _reordering(packets: Sequence[TimedPacket], times: list[Fraction]) -> int:
    """By how many frames coding runs ahead of display at most."""
    place = {time: index for index, time in enumerate(times)}
    return max(0, *(index - place[packet.time] for index, packet in enumerate(packets)))


def _grouped(fragments: list[tuple[Fraction, Fragment]], starts: list[Fraction]) -> list[tuple[Fragment, ...]]:
    """The fragments of each segment; those before the first boundary belong to the first."""
    slack = Fraction(1, 1000)
    groups: list[list[Fragment]] = [[] for _ in starts[1:]]
    for time, fragment in fragments:
        index = sum(1 for start in starts[1:-1] if time >= start - slack)
        groups[index].append(fragment)
    return [tuple(group) for group in groups]


def _write_segments(
    file: FragmentedFile, folder: Path, groups: list[tuple[Fragment, ...]], durations: list[Fraction]
) -> tuple[Segment, ...]:
    (folder / INIT_NAME).write_bytes(file.init())
    segments = []
    for number, (group, duration) in enumerate(zip(groups, durations, strict=True), 1):
        name = f"segment-{number:05}.m4s"
        with (folder / name).open("wb") as out:
            size = sum(out.write(piece) for piece in file.contents(group))
        segments.append(Segment(name=name, duration=duration, size=size))
    return tuple(segments)


def _package_sounds(rendition: _Rendition, work: Path, starts: list[Fraction]) -> tuple[list[Sound], list[str]]:
    """The audio tracks of the first file as renditions of their own, and what could not be taken."""
    path = rendition.coded.path
    sounds: list[Sound] = []
    notices: list[str] = []
    with av.open(str(path), "r", metadata_errors="replace") as source:
        for number, stream in enumerate(source.streams.audio, 1):
            codecs = _sound_codecs(stream)
            if codecs is None:
                notices.append(f"audio track {stream.index} ({stream.codec_context.name}) is not in HLS: use AAC")
                continue
            folder = work / f"audio-{number}"
            folder.mkdir(parents=True)
            file, end = _mux_sound(rendition, stream.index, folder / "muxed.mp4")
            groups = _grouped([(f.time, f) for f in file.fragments], starts)
            groups = [group for group in groups if group]
            begins = [group[0].time for group in groups]
            durations = [after - before for before, after in zip(begins, [*begins[1:], end], strict=True)]
            language = _language(stream)
            sound = Sound(
                folder=folder.name,
                codecs=codecs,
                segments=_write_segments(file, folder, groups, durations),
                name=_name(stream, number, taken={sound.name for sound in sounds}),
                language=language,
                channels=stream.codec_context.layout.nb_channels,
            )
            file.path.unlink()
            (folder / NAME).write_text(media_playlist(sound), "utf-8")
            sounds.append(sound)
        if source.streams.subtitles:
            notices.append("subtitles are not in the package")
    return sounds, notices


def _language(stream: av.AudioStream) -> str | None:
    language = stream.metadata.get("language")
    return None if language == "und" else language


def _name(stream: av.AudioStream, number: int, *, taken: set[str]) -> str:
    """What a viewer chooses by; names within a group differ (RFC 8216 §4.3.4.1.1)."""
    name = stream.metadata.get("title") or _language(stream) or f"audio {number}"
    return name if name not in taken else f"{name} {number}"


def _sound_codecs(stream: av.AudioStream) -> str | None:
    """The `codecs` of a track that HLS carries in fragmented MP4, None for others."""
    name = stream.codec_context.name
    if name == "aac":
        return f"mp4a.40.{_AAC_OBJECT_TYPES.get(stream.profile or 'LC', 2)}"
    return _SOUND_CODECS.get(name)


def _mux_sound(rendition: _Rendition, index: int, target: Path) -> tuple[FragmentedFile, Fraction]:
    """One audio track in short fragments, timed from the first picture, and when it ends."""
    end = Fraction(0)
    with (
        av.open(str(rendition.coded.path), "r", metadata_errors="replace") as source,
        av.open(str(target), "w", format="mp4", options=_SOUND_FRAGMENTS) as container,
    ):
        stream = source.streams[index]
        copy = container.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is None or packet.pts is None:
                continue
            shift = round(rendition.start / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            end = max(end, Fraction(packet.pts + (packet.duration or 0)) * packet.time_base)
            packet.stream = copy
            container.mux(packet)
    return FragmentedFile.read(target), end
