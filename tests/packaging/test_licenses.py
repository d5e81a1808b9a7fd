"""The gate over the licenses of what we depend on."""

from __future__ import annotations

import pytest

from .licenses import refusal


@pytest.mark.parametrize(
    "stated",
    [
        "MIT",
        "BSD License",
        "Apache-2.0 OR BSD-3-Clause",
        "MPL-2.0 AND (Apache-2.0 OR MIT)",
        "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0",
        "Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSD-2-Clause AND BSD-3-Clause AND BSL-1.0 AND MIT",
    ],
)
def test_permissive_licenses_pass(stated: str) -> None:
    assert refusal("something", stated, "customer") is None


@pytest.mark.parametrize(
    "stated",
    [
        "GPL-3.0-only",
        "GNU General Public License v2 (GPLv2)",
        "MIT AND GPL-2.0-only",
        "AGPL-3.0",
        "UNKNOWN",
        "",
        "MITX",
    ],
)
def test_others_and_unknown_ones_do_not(stated: str) -> None:
    assert refusal("something", stated, "customer") is not None


def test_an_exception_holds_for_its_package_and_its_party_only() -> None:
    lesser = "GNU Lesser General Public License v2 or later (LGPLv2+)"

    assert refusal("python-stdnum", lesser, "vendor") is None
    assert refusal("python-stdnum", lesser, "customer") is not None
    assert refusal("something", lesser, "vendor") is not None
    assert refusal("python-stdnum", "AGPL-3.0", "vendor") is not None
