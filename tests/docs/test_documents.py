"""What the documents show is what happens."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from narrows.picture import Picture
from narrows.video import to_frame
from narrows_licensing.development import development_license_file
from narrows_metering.money import cost
from narrows_metering.savings import saved_bytes
from narrows_metering.tariff import Tariff, Tier

from ..sdk.builders import a_clip, a_picture

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")})
GB = 10**9


@pytest.mark.parametrize("name", ["README.md", "sdk/README.md"])
def test_the_python_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NARROWS_LICENSE", str(tmp_path / "license.json"))
    monkeypatch.setenv("NARROWS_STATE", str(tmp_path / "state"))
    (tmp_path / "license.json").write_text(development_license_file(datetime.now(UTC)))
    a_clip(tmp_path / "clip.y4m", frames=2).rename(tmp_path / "talk.mp4")
    sent: list[bytes] = []
    picture: Picture = a_picture(1280, 720)

    for block in re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.S):
        exec(block, {"frames": [to_frame(picture)], "send": sent.append})

    assert (tmp_path / "talk.y4m").stat().st_size > 2 * 64 * 48 * 3 // 2
    assert len(sent) == (1 if name == "README.md" else 0)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_the_worked_example_of_the_savings_is_what_the_code_computes() -> None:
    tariff = Tariff(tariff_id="example", tiers=(Tier(up_to_bytes=None, price_per_gb=Decimal("0.085")),))
    saved = saved_bytes(40 * GB, ours=800_000, baseline=1_000_000)
    value = cost(40 * GB + saved, tariff, currency="EUR") - cost(40 * GB, tariff, currency="EUR")

    assert saved == 10 * GB
    assert (value.minor, value.share(Decimal(20)).minor) == (85, 17)
    assert saved_bytes(40 * GB, ours=1_000_000, baseline=800_000) == -8 * GB


def test_the_readme_opens_with_one_sentence_and_a_session_with_a_refusal() -> None:
    _, sentence, session = (ROOT / "README.md").read_text().split("\n\n")[:3]

    assert sentence.count(".") == 1
    assert "LicenseUnreadable" in session
    assert "narrows license development" in session
