"""
Every block of code in the documents runs, page by page, as its reader would run it.

By default the pages that a reader sees first, the READMEs; with `PAGES=all`, as `make how-to` does, all of them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from ..packaging import newcomer
from .blocks import PAGES, ROOT, blocks, steps, typed
from .world import World

GENERATED = {"docs/reference/command-line.md", "docs/reference/http-api.md"}
TUTORIALS = {f"docs/tutorials/{page}" for page in newcomer.PAGES}  # Run by `make newcomer`, as one session.
NOT_RUN = {
    "README.md": {
        "$ make demo                    # from a clip to an invoice, with a real server; results in demo-output/": (
            "CI does this: .ci/run"
        ),
        "$ make serve": "it serves until it is stopped; make browser starts the same",
    },
    "metering/README.md": {
        "with Ledger.open(path, installation_id=installation_id) as ledger:": (
            "the answer is a server's; tests/sdk/reporting does this with a real one"
        ),
    },
    "docs/how-to/encode-on-a-cluster.md": {
        '$ pip install "narrows[cluster]"': "it installs; make newcomer does that, from wheels",
        "$ dask scheduler --port 8786": "it waits for ever, on several machines; tests/cluster starts the same",
        "$ narrows encode film.mov film.mp4 --cluster tcp://scheduler:8786": "it takes those; tests/cluster does this",
        "from pathlib import Path": "it takes those; tests/cluster does this",
    },
    "docs/how-to/install.md": {
        "$ pip install torch --index-url https://download.pytorch.org/whl/cpu": "it installs; make newcomer does that",
        "$ pip download torch --index-url https://download.pytorch.org/whl/cpu --dest wheels": (
            "it takes an index; tests/packaging installs from a folder"
        ),
        "$ pip install --find-links wheels narrows-server": "it installs; make newcomer does that, from wheels",
    },
    "docs/how-to/set-up-a-server.md": {
        "$ narrows-server serve --home /srv/narrows --host 127.0.0.1 --port 8080": (
            "it serves until it is stopped; tests/faults start the same"
        ),
    },
    "docs/how-to/share-seats-and-run-a-relay.md": {
        "$ pip install narrows-licensing": "it takes two sites; tests/licensing/relay/test_process.py has both",
        "$ narrows usage report --url https://relay.example:8790      # kept_for_vendor: the relay has it, the ledger still holds it": (  # noqa: E501
            "it takes the relay of above; tests/server/test_relayed_usage.py goes this way"
        ),
        "$ curl -o receipts.jsonl https://relay.example:8790/v1/receipts/ID": (
            "it takes the relay of above; tests/server/test_relayed_usage.py goes this way"
        ),
    },
    "docs/how-to/train-the-weights.md": {
        "$ make train MATERIAL=folder RUN=runs/one MINUTES=60": "it takes hours; tests/sdk/training runs its stages",
    },
}
"""Blocks of which no test can do what they say, by page and first line, and why."""
RUN = [
    name
    for name in (str(path.relative_to(ROOT)) for path in PAGES)
    if name not in GENERATED | TUTORIALS and steps((ROOT / name).read_text(), but=NOT_RUN.get(name, ()))
    if name.endswith("README.md") or os.environ.get("PAGES") == "all"
]
SOME_FRAMES = """
from narrows.media.frames import to_frame
from narrows.testing import a_picture
sent = []
send = sent.append
frames = [to_frame(a_picture({width}, {height}, shift=i)) for i in range({count})]
"""
GIVEN = {
    "README.md": SOME_FRAMES.format(width=1280, height=720, count=1),
    "docs/how-to/embed-the-sdk.md": SOME_FRAMES.format(width=64, height=48, count=3),
}
"""What the reader of a page's Python is taken to have."""


@pytest.mark.parametrize("name", RUN)
def test_a_page_does_what_it_says(name: str, made_world: World, tmp_path: Path) -> None:
    world = made_world.copied_to(tmp_path / "world")
    if name in {"README.md", "sdk/README.md"}:
        (world.folder / "acme.json").unlink()  # They begin with nothing.
    page = (ROOT / name).read_text()
    world.follow(steps(page, before_python=GIVEN.get(name, ""), but=NOT_RUN.get(name, ())))


def test_a_block_that_is_not_run_is_still_there_and_each_tutorial_is_run_by_the_newcomer() -> None:
    for name, blocks_of_page in NOT_RUN.items():
        assert blocks_of_page.keys() <= {block.first_line for block in blocks((ROOT / name).read_text())}
    assert {str(path.relative_to(ROOT)) for path in ROOT.glob("docs/tutorials/*.md")} == TUTORIALS


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_block_says_what_it_is_and_data_can_be_read(path: Path) -> None:
    for block in blocks(path.read_text()):
        assert block.language in {"console", "python", "json", "yaml", "text"}, block.text
        assert block.language != "console" or typed(block.text), block.text
        if block.language == "json":
            json.loads(block.text)
        if block.language == "yaml":
            list(yaml.safe_load_all(block.text))
