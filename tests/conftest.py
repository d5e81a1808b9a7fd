"""For all tests: a busy machine is not a failure, so properties have no deadline. And which databases they run on."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from .databases import KINDS

# A test that runs on two databases is one test to Hypothesis, and two objects.
settings.register_profile("narrows", deadline=None, suppress_health_check=[HealthCheck.differing_executors])
settings.load_profile("narrows")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=["both", *KINDS],
        default="both",
        help="what the server's tests run on [both]",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """
    A test with a server's state folder runs on every database that was asked for.

    Where the two are not alike, as with many at once, it runs on both, whatever was asked for.
    """
    if "database_kind" in metafunc.fixturenames:
        asked = metafunc.config.getoption("database")
        needs_both = metafunc.definition.get_closest_marker("both") is not None
        kinds = KINDS if asked == "both" or needs_both else [asked]
        if metafunc.definition.get_closest_marker("sqlite"):
            kinds = [kind for kind in kinds if kind == "sqlite"]
        metafunc.parametrize("database_kind", kinds)
