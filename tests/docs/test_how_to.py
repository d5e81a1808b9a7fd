"""The examples of the how-to pages run, one after the other, as a reader would run them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest
from narrows.media.frames import to_frame
from narrows_licensing.development import development_license_file

from ..sdk.builders import a_picture

PAGES = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.mark.parametrize("name", ["embed-the-sdk.md", "package-for-hls.md"])
def test_the_python_examples_of_a_page_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NARROWS_LICENSE", str(tmp_path / "license.json"))
    monkeypatch.setenv("NARROWS_STATE", str(tmp_path / "state"))
    (tmp_path / "license.json").write_text(development_license_file(datetime.now(UTC)))
    with av.open("talk.mp4", "w") as container:
        video = container.add_stream("mpeg4", rate=25, width=64, height=48)
        for i in range(3):
            container.mux(video.encode(to_frame(a_picture(shift=i))))
        container.mux(video.encode(None))

    blocks = re.findall(r"```python\n(.*?)```", (PAGES / name).read_text(), re.S)
    page = {"frames": [to_frame(a_picture(shift=i)) for i in range(3)]}
    for block in blocks:
        exec(block, page)

    assert len(blocks) >= 1
    assert (tmp_path / ("talk-again.y4m" if "embed" in name else "talk/master.m3u8")).stat().st_size > 0
