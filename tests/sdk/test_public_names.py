"""What is public is promised."""

from __future__ import annotations

import inspect
import subprocess
import sys

import narrows
import pytest


def test_every_public_name_exists_and_has_a_docstring() -> None:
    assert len(set(narrows.__all__)) == len(narrows.__all__)
    for name in narrows.__all__:
        thing = getattr(narrows, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__doc__, name


def test_every_error_is_a_narrows_error() -> None:
    errors = [thing for name in narrows.__all__ if inspect.isclass(thing := getattr(narrows, name))]
    raised = [error for error in errors if issubclass(error, Exception)]

    assert len(raised) == 13
    assert all(issubclass(error, narrows.NarrowsError) for error in raised)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="transmogrify"):
        _ = narrows.transmogrify


def test_the_license_commands_load_no_networks() -> None:
    program = "import sys, narrows.cli, narrows.cli_license, narrows.cli_usage; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
