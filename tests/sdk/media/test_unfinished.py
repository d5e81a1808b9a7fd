"""A file is there as a whole, or not at all: also with a full disk and a killed process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from narrows.errors import VideoError
from narrows.media.packets import Container
from narrows.media.unfinished import UnfinishedFile

FULL_DISK = """
import resource, sys
from fractions import Fraction
from pathlib import Path
from narrows.codec.bitstream import Configuration, StreamHeader
from narrows.errors import VideoError
from narrows.media.description import Description
from narrows.media.packets import Container, PacketTarget

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
header = StreamHeader(width=64, height=48, model_id=bytes(16), is_development=True)
configuration = Configuration(header=header, frame_count=0)
container, path = Container(sys.argv[1]), Path(sys.argv[2])
target = PacketTarget(path, container=container, configuration=configuration,
                      description=Description(width=64, height=48), frame_rate=Fraction(25))
try:
    for i in range(100):
        target.write(b"i" + bytes(5000), shown=Fraction(i, 25), coded=Fraction(i, 25), is_key=i % 10 == 0)
    target.finish(configuration)
except VideoError as error:
    target.discard()
    print("refused", error)
"""

KILLED = """
import os, signal, sys
from fractions import Fraction
from pathlib import Path
from narrows.media.raw import Y4MTarget
sys.path.insert(0, sys.argv[2])
from tests.sdk.builders import a_picture

target = Y4MTarget(Path(sys.argv[1]), width=64, height=48, frame_rate=Fraction(25))
for i in range(3):
    target.write(a_picture())
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_file_takes_its_name_when_it_is_finished(tmp_path: Path) -> None:
    unfinished = UnfinishedFile(tmp_path / "file")
    unfinished.path.write_bytes(b"new")
    assert not (tmp_path / "file").exists()

    unfinished.finish()

    assert (tmp_path / "file").read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_was_there_stays_until_then(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    unfinished = UnfinishedFile(tmp_path / "file")
    unfinished.path.write_bytes(b"new")

    unfinished.discard()

    assert (tmp_path / "file").read_bytes() == b"old"
    with pytest.raises(VideoError, match="can't write"):
        unfinished.finish()


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the size of files are of Unix")
@pytest.mark.parametrize("container", list(Container))
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, container: Container) -> None:
    target = tmp_path / f"coded{'.mkv' if container is Container.MATROSKA else '.mp4'}"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, container.value, str(target)], capture_output=True, text=True, check=True
    )

    assert "refused can't write" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of Unix")
def test_a_killed_process_leaves_no_file_under_the_name(tmp_path: Path) -> None:
    target = tmp_path / "decoded.y4m"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", KILLED, str(target), str(root)], check=False)

    assert done.returncode == -9
    assert not target.exists()
    assert all(path.name.startswith(".") for path in tmp_path.iterdir())
