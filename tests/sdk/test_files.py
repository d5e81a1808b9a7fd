"""Whole files in, whole files out: nothing lost, nothing half-written, damage always named."""

from __future__ import annotations

import random
from pathlib import Path

import av
import numpy as np
import pytest
from narrows import files
from narrows.errors import BitstreamError, LedgerDamaged, LicenseRefused, LicenseUnreadable, NotABitstream, VideoError
from narrows.media.video import Source
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_licensing.verdict import Reason

from .builders import a_clip, a_clip_with_audio, settings_in

FLIPS = 150


@pytest.fixture
def coded(tmp_path: Path, settings: Settings) -> Path:
    source = a_clip_with_audio(tmp_path / "source.mkv")
    return files.encode(source, tmp_path / "coded.mkv", settings=settings).target


def test_the_decoded_file_has_the_frames_of_the_source(tmp_path: Path, settings: Settings) -> None:
    source = a_clip(tmp_path / "source.y4m", width=71, height=49, frames=4)

    encoded = files.encode(source, tmp_path / "coded.mkv", crf=4, settings=settings)
    decoded = files.decode(encoded.target, tmp_path / "decoded.y4m")

    assert (decoded.width, decoded.height, decoded.frame_count) == (71, 49, 4)
    with Source(source) as before, Source(decoded.target) as after:
        pairs = list(zip(before.pictures(), after.pictures(), strict=True))
    assert len(pairs) == 4
    assert all(np.abs(a.picture.luma.astype(int) - b.picture.luma).mean() < 12 for a, b in pairs)


def test_the_bytes_reported_are_the_payload_of_the_file(tmp_path: Path, settings: Settings) -> None:
    result = files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)

    with av.open(str(result.target)) as container:
        payload = sum(p.size for p in container.demux(container.streams.video[0]))
    assert result.payload_bytes == payload == files.inspect(result.target).payload_bytes
    assert result.file_bytes == result.target.stat().st_size


def test_audio_is_carried_along_byte_for_byte(tmp_path: Path, coded: Path) -> None:
    def sound(path: Path) -> bytes:
        with av.open(str(path)) as container:
            return b"".join(bytes(p) for p in container.demux(container.streams.audio[0]))

    assert sound(coded) == sound(tmp_path / "source.mkv") != b""


def test_two_encodes_of_a_clip_are_the_same_bytes(tmp_path: Path, settings: Settings) -> None:
    source = a_clip(tmp_path / "source.y4m")
    one, two = (files.encode(source, tmp_path / f"{n}.mkv", settings=settings) for n in "ab")

    assert files.coded_digest(one.target) == files.coded_digest(two.target)
    assert one.rendition == two.rendition


def test_the_encode_is_in_the_ledger(tmp_path: Path, settings: Settings) -> None:
    result = files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)

    with open_meter(settings) as meter:
        _enrolled, record = meter.ledger.records()
    assert record.payload["bytes"] == result.payload_bytes
    assert record.payload["rendition"] == result.rendition
    assert record.payload["development"] is True


def test_a_development_stream_is_marked_in_every_key_frame(tmp_path: Path, coded: Path) -> None:
    assert files.inspect(coded).is_development


def test_every_kind_of_flipped_byte_is_refused_before_anything_is_written(tmp_path: Path, coded: Path) -> None:
    data = coded.read_bytes()
    dice = random.Random(1)
    positions = sorted({*range(64), *dice.sample(range(len(data)), FLIPS), len(data) - 1})
    for position in positions:
        changed = bytearray(data)
        changed[position] ^= 1 << dice.randrange(8)
        damaged = tmp_path / "damaged.mkv"
        damaged.write_bytes(changed)
        with pytest.raises(BitstreamError):
            files.decode(damaged, tmp_path / "damaged.y4m")
        assert not (tmp_path / "damaged.y4m").exists(), position


def test_a_truncated_file_is_refused(tmp_path: Path, coded: Path) -> None:
    data = coded.read_bytes()
    for part in (0.1, 0.5, 0.9, 0.999):
        damaged = tmp_path / "damaged.mkv"
        damaged.write_bytes(data[: int(part * len(data))])
        with pytest.raises(BitstreamError):
            files.decode(damaged, tmp_path / "damaged.y4m")


def test_another_codecs_file_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(NotABitstream, match="no track coded with Narrows"):
        files.decode(a_clip_with_audio(tmp_path / "other.mkv"), tmp_path / "out.y4m")
    with pytest.raises(NotABitstream, match="not a Matroska file"):
        files.decode(a_clip(tmp_path / "other.y4m"), tmp_path / "out.y4m")


def test_decoding_needs_no_license_and_no_state(tmp_path: Path, coded: Path, settings: Settings) -> None:
    settings.license_path.unlink()

    assert files.decode(coded, tmp_path / "decoded.y4m").frame_count == 10


def test_encoding_without_a_license_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LicenseUnreadable, match="narrows license development") as refused:
        files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings_in(tmp_path))

    assert refused.value.reason is Reason.NO_LICENSE
    assert not (tmp_path / "coded.mkv").exists()


def test_a_flipped_byte_in_the_license_is_refused(tmp_path: Path, settings: Settings) -> None:
    text = settings.license_path.read_text()
    middle = text.index("token") + 60
    settings.license_path.write_text(text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :])
    with pytest.raises(LicenseRefused, match=r"license\.json"):
        files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)


def test_a_damaged_ledger_refuses_a_new_encode(tmp_path: Path, settings: Settings) -> None:
    source = a_clip(tmp_path / "source.y4m")
    files.encode(source, tmp_path / "coded.mkv", settings=settings)
    for leftover in settings.state_folder.glob("ledger.sqlite-*"):
        leftover.unlink()
    data = bytearray(settings.ledger_path.read_bytes())
    at = data.rindex(b'"width":64')
    data[at + 8] ^= 1
    settings.ledger_path.write_bytes(data)
    with pytest.raises(LedgerDamaged, match="record 2"):
        files.encode(source, tmp_path / "again.mkv", settings=settings)


def test_an_unreadable_source_and_a_wrong_name_are_explained(tmp_path: Path, settings: Settings) -> None:
    nonsense = tmp_path / "nonsense.mp4"
    nonsense.write_bytes(b"not a video" * 50)
    with pytest.raises(VideoError, match="can't read"):
        files.encode(nonsense, tmp_path / "coded.mkv", settings=settings)
    with pytest.raises(VideoError, match=r"\.mkv"):
        files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mp4", settings=settings)
    assert not list(tmp_path.glob("*.partial"))
