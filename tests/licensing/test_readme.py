"""The example in the README runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import narrows_licensing

README = Path(narrows_licensing.__file__).parents[2] / "README.md"


def test_the_example_in_the_readme_runs() -> None:
    examples = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)

    assert len(examples) == 1
    exec(compile(examples[0], str(README), "exec"), {"__name__": "readme"})
