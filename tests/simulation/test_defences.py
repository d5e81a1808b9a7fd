"""Every defence matters: with any of them taken out, the simulation finds a difference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .run import memory
from .server import Server
from .weaknesses import WEAKNESSES
from .world import FAMILIES, World

SEEDS_MAX = 400  # Within so many seeds of its families, every weakness shows.


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server.make(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with memory() as folder:
        yield folder


@pytest.mark.parametrize("weakness", WEAKNESSES)
def test_without_its_defence_a_fault_is_found(weakness: str, server: Server, folder: Path) -> None:
    weaken, families = WEAKNESSES[weakness]
    names = list(FAMILIES)
    with weaken():
        for seed in range(SEEDS_MAX):
            if names[seed % len(names)] in families:
                here = folder / f"seed-{seed}"
                here.mkdir()
                if World(seed=seed, folder=here, server=server).run().differences:
                    return
    pytest.fail(f"{SEEDS_MAX} seeds found nothing, although {weakness} was switched off")
