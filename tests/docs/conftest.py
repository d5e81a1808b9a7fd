"""A vendor, and a world, for the pages that need one."""

from __future__ import annotations

import pytest

from ..sdk.vendor import made_vendor_home, vendor
from .world import World, make_world

__all__ = ["made_vendor_home", "vendor"]


@pytest.fixture(scope="session")
def made_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Made once, for whoever only looks; pages that do something get a copy."""
    return make_world(tmp_path_factory.mktemp("world") / "made")
