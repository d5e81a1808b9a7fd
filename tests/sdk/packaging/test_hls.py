"""HLS: playlists that an independent parser accepts, segments that our decoder decodes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import m3u8
import pytest
from narrows import files
from narrows.errors import BitstreamError, VideoError
from narrows.media.coded_file import CodedFile
from narrows.media.frames import to_frame
from narrows.media.packets import Container
from narrows.packaging.hls import PackageResult, package_hls
from narrows.packaging.playlist import boundaries
from narrows.settings import Settings

from ..builders import a_picture
from ..media.streams import a_coded_file

RATE = 25
FRAMES = 20


def a_talk(path: Path) -> Path:
    """A panning texture with AAC sound."""
    with av.open(str(path), "w", format="matroska") as container:
        video = container.add_stream("mpeg4", rate=RATE, width=64, height=48)
        sound = container.add_stream("aac", rate=16000, layout="mono")
        sound.metadata["language"] = "eng"
        for i in range(FRAMES):
            frame = to_frame(a_picture(shift=i))
            frame.pts = i
            container.mux(video.encode(frame))
        for i in range(13):
            silence = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            silence.planes[0].update(bytes(4096))
            silence.sample_rate, silence.pts = 16000, 1024 * i
            container.mux(sound.encode(silence))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return path


@pytest.fixture
def package(tmp_path: Path, settings: Settings) -> PackageResult:
    source = a_talk(tmp_path / "talk.mkv")
    for name, crf in (("high.mkv", 20), ("low.mp4", 50)):
        files.encode(source, tmp_path / name, crf=crf, keyint=5, settings=settings)
    return package_hls([tmp_path / "high.mkv", tmp_path / "low.mp4"], tmp_path / "hls", segment_seconds=0.4)


def test_an_independent_parser_accepts_the_playlists(package: PackageResult) -> None:
    master = m3u8.load(str(package.master))
    assert master.is_variant
    assert master.is_independent_segments
    high, low = master.playlists
    assert high.stream_info.bandwidth > low.stream_info.bandwidth > 0
    assert high.stream_info.average_bandwidth <= high.stream_info.bandwidth
    assert high.stream_info.resolution == (64, 48)
    assert high.stream_info.frame_rate == RATE
    ours, sound = high.stream_info.codecs.split(",")
    assert (ours.split(".")[0], sound) == ("nrws", "mp4a.40.2")
    assert [(m.type, m.language, m.channels) for m in high.media] == [("AUDIO", "eng", "1")]
    for uri in (high.uri, low.uri, high.media[0].uri):
        playlist = m3u8.load(str(package.folder / uri))
        assert playlist.is_endlist
        assert playlist.playlist_type == "vod"
        assert all(segment.duration <= playlist.target_duration for segment in playlist.segments)
        names = [playlist.segment_map[0].uri, *(segment.uri for segment in playlist.segments)]
        folder = (package.folder / uri).parent
        assert sorted(path.name for path in folder.iterdir()) == sorted([*names, "playlist.m3u8"])


def test_segments_begin_at_the_same_key_frames_in_all_variants(package: PackageResult) -> None:
    durations = [[segment.duration for segment in variant.segments] for variant in package.variants]

    assert durations == [[Fraction(2, 5)] * 2] * 2
    assert package.segment_count == 2


def joined(folder: Path, *names: str) -> Path:
    path = folder / "joined.mp4"
    path.write_bytes(b"".join((folder / name).read_bytes() for name in ("init.mp4", *names)))
    return path


def test_the_segments_decode_to_the_frames_of_the_file(package: PackageResult, tmp_path: Path) -> None:
    folder = package.folder / "video-1"
    whole = joined(folder, "segment-00001.m4s", "segment-00002.m4s")

    files.decode(whole, tmp_path / "segments.y4m")
    files.decode(tmp_path / "high.mkv", tmp_path / "file.y4m")

    assert (tmp_path / "segments.y4m").read_bytes() == (tmp_path / "file.y4m").read_bytes()
    times = sorted(packet.time for packet in CodedFile.open(whole).packets())
    assert times == [Fraction(i, RATE) for i in range(FRAMES)]


def test_a_player_may_begin_at_any_segment(package: PackageResult, tmp_path: Path) -> None:
    second = joined(package.folder / "video-2", "segment-00002.m4s")

    assert files.decode(second, tmp_path / "second.y4m").frame_count == FRAMES // 2


def test_the_sound_is_that_of_the_source(package: PackageResult, tmp_path: Path) -> None:
    (sound,) = package.sounds
    path = joined(package.folder / sound.folder, *(segment.name for segment in sound.segments))

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(p) for p in container.demux(container.streams.audio[0]) if p.size]

    assert packets(path) == packets(tmp_path / "talk.mkv")


def test_tracks_of_one_language_have_names_of_their_own(tmp_path: Path) -> None:
    source = tmp_path / "source.mkv"
    with av.open(str(source), "w") as container:
        container.add_stream("mpeg4", rate=RATE, width=64, height=48)
        sounds = [container.add_stream("aac", rate=16000, layout="mono") for _ in range(2)]
        for sound in sounds:
            sound.metadata["language"] = "eng"
        for sound in sounds:
            silence = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            silence.planes[0].update(bytes(4096))
            silence.sample_rate, silence.pts = 16000, 0
            container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    package = package_hls([a_coded_file(tmp_path, Container.MP4, source=source)], tmp_path / "hls")
    media = m3u8.load(str(package.master)).media

    assert [(m.name, m.language, m.default) for m in media] == [("eng", "eng", "YES"), ("eng 2", "eng", "NO")]


def test_what_does_not_go_together_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    one = a_coded_file(tmp_path, Container.MP4, keys=(0, 4), name="one")
    other = a_coded_file(tmp_path, Container.MP4, keys=(0, 3), name="other")
    with pytest.raises(VideoError, match="no common key frame"):
        package_hls([one, other], tmp_path / "hls", segment_seconds=0.15)
    shorter = a_coded_file(tmp_path, Container.MP4, times=[Fraction(i, 25) for i in range(5)], name="shorter")
    with pytest.raises(VideoError, match="8 frames"):
        package_hls([one, shorter], tmp_path / "hls")
    one.write_bytes(one.read_bytes()[:-30])
    with pytest.raises(BitstreamError):
        package_hls([one], tmp_path / "hls")
    assert not list(tmp_path.glob("*hls*"))


def test_a_folder_with_something_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "hls").mkdir()
    (tmp_path / "hls" / "precious.txt").write_text("mine")
    with pytest.raises(VideoError, match="not empty"):
        package_hls([a_coded_file(tmp_path, Container.MP4)], tmp_path / "hls")
    assert (tmp_path / "hls" / "precious.txt").read_text() == "mine"


def test_boundaries_are_common_key_frames_as_near_below_the_target_as_there_are() -> None:
    def seconds(*values: float) -> list[Fraction]:
        return [Fraction(value) for value in values]

    keys = [seconds(0, 1, 2, 3, 4, 5, 6), seconds(0, 2, 3, 4, 6)]

    assert boundaries(keys, Fraction(7), target=Fraction(3)) == seconds(0, 3, 6, 7)
    assert boundaries(keys, Fraction(7), target=Fraction(1)) == seconds(0, 2, 3, 4, 6, 7)
    assert boundaries([seconds(0)], Fraction(7), target=Fraction(3)) == seconds(0, 7)
