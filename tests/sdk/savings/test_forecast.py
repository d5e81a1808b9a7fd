"""A forecast: what is measured, what it is worth, and that losses count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from narrows.cli.app import app
from narrows.errors import UsageError
from narrows.savings import forecast_page
from narrows.savings.forecast import Forecast, Pair, forecast
from narrows.settings import Settings
from narrows_metering.importers.formats import LogFormat
from typer.testing import CliRunner

from tests.sdk.builders import a_clip

GB = 10**9


def a_library(folder: Path, volumes: dict[str, int], *, days: int = 1) -> tuple[Path, Path, Path]:
    """A folder, its log over *days* (CSV: bytes a day in GB) and a tariff of 0.05 EUR."""
    videos = folder / "videos"
    lines = ["time,bytes,url"]
    for name, volume in volumes.items():
        (videos / name).parent.mkdir(parents=True, exist_ok=True)
        (videos / name).write_bytes(b"video")
        lines += [f"2026-11-{day + 1:02}T08:00:00Z,{volume * GB},/{name}" for day in range(days)]
    (folder / "log.csv").write_text("\n".join([*lines, "2026-11-01T08:00:00Z,5,/poster.jpg", ""]))
    tariff = {"currency": "EUR", "tiers": [{"up_to_gb": 1_000, "price_per_gb": "0.10"}, {"price_per_gb": "0.05"}]}
    (folder / "tariff.json").write_text(json.dumps(tariff))
    return videos, folder / "log.csv", folder / "tariff.json"


def forecast_of(folder: Path, volumes: dict[str, int], pairs: dict[str, Pair], *, days: int = 1) -> Forecast:
    """The forecast where each file needs what *pairs* says."""
    videos, log, tariff = a_library(folder, volumes, days=days)
    return forecast(videos, log, tariff, measure=lambda path: pairs[path.name], log_format=LogFormat.CMCD, count=5)


FIFTH = Pair(payload_bytes=800, baseline_bytes=1_000)


def test_a_day_of_traffic_becomes_a_month_in_money(tmp_path: Path) -> None:
    result = forecast_of(tmp_path, {"a.mp4": 100}, {"a.mp4": FIFTH})
    # 3,000 GB a month cost 1,000 × 0.10 + 2,000 × 0.05; a fifth less is 600 GB of the cheaper tier.
    assert (result.delivered_bytes, result.saved_bytes) == (3_000 * GB, 600 * GB)
    assert (str(result.cost_now), str(result.saved)) == ("200.00 EUR", "30.00 EUR")
    assert result.saved_lower.minor < result.saved.minor < result.saved_upper.minor
    assert result.unmatched_bytes == 5


def test_several_days_are_averaged(tmp_path: Path) -> None:
    assert forecast_of(tmp_path, {"a.mp4": 100}, {"a.mp4": FIFTH}, days=3).delivered_bytes == 3_000 * GB


def test_a_file_that_would_grow_and_one_without_equal_quality_count(tmp_path: Path) -> None:
    pairs = {
        "a.mp4": FIFTH,
        "b.mp4": Pair(payload_bytes=1_100, baseline_bytes=1_000),
        "c.mp4": Pair(payload_bytes=1_000, baseline_bytes=None),
    }
    result = forecast_of(tmp_path, dict.fromkeys(pairs, 10), pairs)
    assert result.saved_bytes == 30 * (2 - 1 + 0) * GB


def test_a_sample_is_measured_and_not_everything(tmp_path: Path) -> None:
    names = {f"film-{n:02}.mp4": 10 for n in range(40)}
    result = forecast_of(tmp_path, names, dict.fromkeys(names, FIFTH))
    assert (result.file_count, result.measured_count) == (40, 5)
    assert result.saved_bytes == 40 * 10 * 30 * GB // 5


def test_the_page_says_the_money_and_needs_nothing_else(tmp_path: Path) -> None:
    page = forecast_page.render(forecast_of(tmp_path, {"<b>.mp4": 100}, {"<b>.mp4": FIFTH}))
    assert '<span class="number">30.00 EUR</span> a month' in page
    assert "2.40 TB, −20 %" in page
    assert "<b>.mp4" not in page
    assert "http" not in page


def test_the_page_says_so_when_nothing_is_saved(tmp_path: Path) -> None:
    worse = Pair(payload_bytes=1_200, baseline_bytes=1_000)
    page = forecast_page.render(forecast_of(tmp_path, {"a.mp4": 100}, {"a.mp4": worse}))
    assert "Nothing yet: it would cost" in page
    assert "no reason to switch now" in page
    small = Pair(payload_bytes=1_200, baseline_bytes=None, status="metric_needs_larger_pictures")
    page = forecast_page.render(forecast_of(tmp_path / "small", {"a.mp4": 100}, {"a.mp4": small}))
    assert "Nothing, and nothing lost" in page
    assert "pictures too small to be measured" in page


def test_a_library_is_really_encoded_and_compared(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos, log, tariff = a_library(tmp_path, {"talk.y4m": 100})
    a_clip(videos / "talk.y4m", width=192, height=176, frames=3)
    monkeypatch.setenv("NARROWS_LICENSE", str(settings.license_path))
    monkeypatch.setenv("NARROWS_STATE", str(settings.state_folder))
    page = tmp_path / "forecast.html"
    command = ["savings", "forecast", str(videos), "--traffic", str(log), "--format", "cmcd", "--tariff", str(tariff)]
    done = CliRunner().invoke(app, [*command, "--baseline", "libx264-medium", "--html", str(page), "--json"])

    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    (row,) = result["rows"]
    assert row["payload_bytes"] > 100
    assert (row["status"] == "measured") is (row["baseline_bytes"] is not None)
    assert "talk.y4m" in page.read_text("utf-8")
    assert "libx264-medium, at equal MS-SSIM" in page.read_text("utf-8")


def test_a_log_of_other_files_and_a_tariff_that_is_none_are_refused(tmp_path: Path) -> None:
    videos, log, tariff = a_library(tmp_path, {"a.mp4": 1})
    log.write_text("time,bytes,url\n2026-11-01T08:00:00Z,5,/elsewhere.mp4\n")
    with pytest.raises(UsageError, match="no request is for a file"):
        forecast(videos, log, tariff, measure=lambda _: FIFTH, log_format=LogFormat.CMCD)
    tariff.write_text("{}")
    with pytest.raises(UsageError, match="not a tariff"):
        forecast(videos, log, tariff, measure=lambda _: FIFTH, log_format=LogFormat.CMCD)
