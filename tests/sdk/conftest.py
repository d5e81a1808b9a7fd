"""Fixtures of the SDK's tests: real files, the real model, a development license."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from narrows.settings import Settings
from narrows_licensing.development import development_license_file

from .builders import settings_in
from .vendor import made_vendor_home, vendor

__all__ = ["made_vendor_home", "vendor"]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Small pictures decode faster on one thread, and tests share the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a development license and an empty state folder."""
    made = settings_in(tmp_path)
    made.license_path.write_text(development_license_file(datetime.now(UTC)))
    return made
