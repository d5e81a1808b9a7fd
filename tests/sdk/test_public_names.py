"""What is public is promised."""

from __future__ import annotations

import inspect
import os
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

    assert len(raised) == 15
    assert all(issubclass(error, narrows.NarrowsError) for error in raised)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="transmogrify"):
        _ = narrows.transmogrify


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("narrows.cli.app", ("torch", "httpx", "sqlalchemy")),
        ("narrows.cli.license", ("torch", "httpx", "sqlalchemy")),
        ("narrows.cli.usage", ("torch", "httpx", "sqlalchemy")),
        ("narrows.reporting.status, narrows.reporting.outbox", ("torch", "av")),
        ("narrows.reporting.auditor, narrows.reporting.background", ("torch", "av")),
    ],
)
def test_what_needs_no_codec_starts_without_it(modules: str, heavy: tuple[str, ...]) -> None:
    program = f"import sys, {modules}; print(sorted(set({heavy!r}) & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("chosen", "used"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_passively_unless_somebody_chose_otherwise(chosen: str | None, used: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if chosen:
        environment["OMP_WAIT_POLICY"] = chosen
    told = "import os, narrows; print(os.environ['OMP_WAIT_POLICY'])"

    done = subprocess.run([sys.executable, "-c", told], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == used
