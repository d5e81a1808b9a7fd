"""An encode on a cluster: the same bytes as on one machine, and metered once whatever dies on the way."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from narrows import files
from narrows.cli.app import app
from narrows.cluster import ClosedGroup, Cluster, code
from narrows.errors import ClusterError, VideoError
from narrows.media.video import Source
from narrows.options import EncodeOptions, Engine
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_metering.record import Kind
from typer.testing import CliRunner

from ..sdk.builders import a_clip
from ..sdk.conftest import settings
from .workers import LocalCluster, local_cluster

__all__ = ["settings"]

KEYINT = 4
FRAMES = 18


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with local_cluster(tmp_path_factory.mktemp("dask"), workers=2) as cluster:
        yield cluster


@pytest.fixture
def cluster(local: LocalCluster) -> Iterator[Cluster]:
    with Cluster(local.address) as cluster:
        yield cluster


def encodes(settings: Settings) -> list[int]:
    """The frames of every encode in the ledger."""
    with open_meter(settings) as meter:
        return [int(str(one.payload["frames"])) for one in meter.ledger.records() if one.kind is Kind.ENCODE]


@pytest.mark.parametrize("low_delay", [False, True])
def test_two_workers_make_the_bytes_and_the_record_of_one_machine(
    cluster: Cluster, settings: Settings, tmp_path: Path, low_delay: bool
) -> None:
    # Large enough for a search of motion.
    source = a_clip(tmp_path / "source.y4m", width=160, height=96, frames=FRAMES)
    here, there = tmp_path / "here.mp4", tmp_path / "there.mp4"

    alone = files.encode(source, here, keyint=KEYINT, low_delay=low_delay, settings=settings)
    shared = files.encode(source, there, keyint=KEYINT, low_delay=low_delay, settings=settings, cluster=cluster)

    assert there.read_bytes() == here.read_bytes()
    assert (shared.rendition, shared.key_frame_count) == (alone.rendition, 5)
    assert shared.psnr == pytest.approx(alone.psnr, abs=1e-3)  # A sum of floats: its order is the machine's.
    assert encodes(settings) == [FRAMES, FRAMES]


def test_a_worker_killed_in_the_middle_loses_nothing_and_meters_nothing_twice(
    settings: Settings, tmp_path: Path
) -> None:
    source = a_clip(tmp_path / "source.y4m", frames=FRAMES)
    here, there = tmp_path / "here.mp4", tmp_path / "there.mp4"
    files.encode(source, here, keyint=2, settings=settings)
    killed = False

    with local_cluster(tmp_path, workers=2) as local, Cluster(local.address) as cluster:

        def kill_one(done: int, total: int | None, payload: int) -> None:
            nonlocal killed
            if not killed:
                local.workers[0].kill()
                killed = True

        files.encode(source, there, keyint=2, settings=settings, cluster=cluster, on_progress=kill_one)

    assert killed
    assert there.read_bytes() == here.read_bytes()
    assert encodes(settings) == [FRAMES, FRAMES]


def test_an_encode_that_is_given_up_leaves_no_file_and_no_record(
    cluster: Cluster, settings: Settings, tmp_path: Path
) -> None:
    def give_up(done: int, total: int | None, payload: int) -> None:
        raise KeyboardInterrupt

    source, target = a_clip(tmp_path / "source.y4m", frames=FRAMES), tmp_path / "coded.mkv"
    with pytest.raises(KeyboardInterrupt):
        files.encode(source, target, keyint=KEYINT, settings=settings, cluster=cluster, on_progress=give_up)

    assert not target.exists()
    files.encode(source, target, keyint=KEYINT, settings=settings, cluster=cluster)
    assert encodes(settings)[-1] == FRAMES


def test_a_library_goes_on_where_it_was_left_and_names_what_fails(
    cluster: Cluster, settings: Settings, tmp_path: Path
) -> None:
    clips = [a_clip(tmp_path / f"{name}.y4m", frames=frames) for name, frames in (("a", 5), ("b", 6))]
    bad = tmp_path / "bad.y4m"
    bad.write_bytes(b"no video")
    options: dict[str, Any] = {"keyint": KEYINT, "settings": settings, "cluster": cluster}
    files.encode_all(clips[:1], tmp_path / "coded", **options)

    done = files.encode_all([*clips, bad], tmp_path / "coded", **options)

    assert [one.was_there for one in done] == [True, False, False]
    assert [one.result and one.result.frame_count for one in done] == [None, 6, None]
    assert isinstance(done[2].error, VideoError)
    assert sorted(encodes(settings)) == [5, 6]


def test_two_sources_of_one_name_are_refused_before_anything_is_encoded(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(VideoError, match="would both become"):
        files.encode_all([tmp_path / "a/x.mov", tmp_path / "b/x.mov"], tmp_path / "coded", settings=settings)
    assert not (tmp_path / "coded").exists()


def test_a_bit_rate_is_refused_before_a_seat_is_taken(cluster: Cluster, settings: Settings, tmp_path: Path) -> None:
    source = a_clip(tmp_path / "source.y4m")
    with pytest.raises(VideoError, match="give crf"):
        files.encode(source, tmp_path / "coded.mkv", bitrate=100_000, settings=settings, cluster=cluster)


def test_a_worker_of_another_release_is_refused(tmp_path: Path) -> None:
    with Source(a_clip(tmp_path / "source.y4m")) as video:
        pictures = tuple(timed.picture for timed in video.pictures())
    group = ClosedGroup(
        pictures=pictures,
        options=EncodeOptions(),
        frame_rate=video.frame_rate,
        is_development=True,
        engine=Engine.TORCH,
        version="0.0.0",
        model_id=bytes(4),
    )
    with pytest.raises(ClusterError, match="install the same release"):
        code(group)


def test_the_command_encodes_on_a_cluster(
    local: LocalCluster, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NARROWS_STATE", str(settings.state_folder))
    source, target = a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv"
    arguments = ["encode", str(source), str(target), "--cluster", local.address, "--license"]

    done = CliRunner().invoke(app, [*arguments, str(settings.license_path), "--json"])

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["frame_count"] == 5


def test_nobody_at_the_address_is_said_in_one_sentence(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("narrows.cluster.WAIT_SECONDS_MAX", 1)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ClusterError, match="no Dask scheduler answers"):
        Cluster(f"tcp://127.0.0.1:{port}")
