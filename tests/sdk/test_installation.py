"""The identity of an installation is made once and kept."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from narrows.errors import UsageError
from narrows.installation import Installation


def test_the_identity_stays(tmp_path: Path) -> None:
    assert Installation.open(tmp_path / "state").id == Installation.open(tmp_path / "state").id


def test_openers_at_the_same_moment_share_one_identity(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(lambda _: Installation.open(tmp_path / "state").id, range(64)))

    assert len(ids) == 1
    assert {p.name for p in (tmp_path / "state").iterdir()} == {"installation.key", "asset.key"}


def test_the_keys_are_the_owners_alone(tmp_path: Path) -> None:
    Installation.open(tmp_path / "state")

    assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "state").iterdir()} == {0o600}


def test_two_installations_name_the_same_content_differently(tmp_path: Path) -> None:
    one, two = (Installation.open(tmp_path / n) for n in "ab")

    assert one.pseudonym(b"film") == one.pseudonym(b"film") != two.pseudonym(b"film")


def test_a_truncated_key_is_explained(tmp_path: Path) -> None:
    Installation.open(tmp_path)
    (tmp_path / "installation.key").write_bytes(b"short")
    with pytest.raises(UsageError, match=r"installation\.key"):
        Installation.open(tmp_path)
