"""A short version of `make api`: schemathesis against a real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..api.run import an_office, ask, fill, serving
from .api import a_program


@pytest.mark.slow
def test_the_api_is_as_it_describes_itself(tmp_path: Path) -> None:
    with an_office(tmp_path) as office:
        fill(office, tmp_path)
        with serving(office) as url:
            assert ask(url, a_program(office).key, examples=1, phases="examples,fuzzing", seed=7) == 0
