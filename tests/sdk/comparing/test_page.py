"""The page of a comparison, looked at in a browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from narrows.comparing.bench import Point, Still
from narrows.comparing.measurement import BdRate, Comparison
from narrows.comparing.page import page

from ..builders import a_picture

CHROMIUM = shutil.which("chromium")

# In a process of its own: the browser is another program, and the tests' network guard is for ours.
LOOK = """
import json, sys
from playwright.sync_api import sync_playwright

path, folder = sys.argv[1:3]
seen = {"errors": [], "requests": [], "overflow": {}, "background": {}}
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=sys.argv[3], args=["--no-sandbox"])
    for name, scheme, width in (("light", "light", 1280), ("dark", "dark", 1280), ("phone", "light", 375)):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.on("pageerror", lambda error: seen["errors"].append(str(error)))
        page.on("request", lambda request: seen["requests"].append(request.url[:5]))
        page.goto("file://" + path)
        page.locator("#right-image").wait_for()
        seen["overflow"][name] = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        seen["background"][name] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
    seen["charts"] = page.locator("svg.chart").count()
    seen["marks"] = page.locator("svg.chart .mark").count()
    seen["text"] = page.inner_text("main")
    seen["drawn"] = page.evaluate("document.getElementById('right-image').naturalWidth")
    before = page.get_attribute("#left-image", "src")
    page.select_option("#left", "0")
    seen["choice_changes_picture"] = page.get_attribute("#left-image", "src") != before
    page.locator("#at").fill("20")
    seen["at"] = page.evaluate("document.getElementById('slider').style.getPropertyValue('--at')")
    browser.close()
print(json.dumps(seen))
"""


def a_point(codec: str, kbps: float, quality: float) -> Point:
    return Point(
        codec=codec,
        crf=30,
        payload_bytes=round(kbps * 100),
        kbps=kbps,
        psnr=quality,
        ms_ssim=quality - 20,
        vmaf_neg=2 * quality,
        encode_fps=12.5,
        decode_fps=30,
    )


def a_comparison() -> Comparison:
    codecs = {"narrows": "Narrows medium, tune visual", "x264": "x264 medium", "x265": "x265 medium"}
    points = [a_point(c, 50 * 2**i * (1 + n / 9), 30 + 2.5 * i) for n, c in enumerate(codecs) for i in range(5)]
    stills = [
        Still(codec=codec, label=label, kbps=200, picture=a_picture(176, 144, seed=seed))
        for seed, (codec, label) in enumerate({"source": "Source", **codecs}.items())
    ]
    return Comparison(
        clip="a <clip> & more.mp4",
        width=176,
        height=144,
        frame_rate=Fraction(25),
        frame_count=20,
        preset="medium",
        tune="visual",
        labels=codecs,
        points=tuple(points),
        bd_rates=(
            BdRate(anchor="x264", psnr=-10.0, ms_ssim=-21.4, vmaf_neg=None),
            BdRate(anchor="x265", psnr=18.2, ms_ssim=3.3, vmaf_neg=0.2),
        ),
        still_frame=10,
        stills=tuple(stills),
        notices=("VMAF was in a good mood",),
    )


def test_the_page_needs_nothing_but_itself() -> None:
    html = page(a_comparison())

    assert "a &lt;clip&gt; &amp; more.mp4" in html
    assert not any(word in html for word in ("http://", "https://", "@import", "url(", "<link"))


def test_the_verdict_says_fewer_and_more() -> None:
    html = page(a_comparison())

    assert '<b class="less">21 % fewer</b> bytes than x264 medium' in html
    assert '<b class="more">3 % more</b> bytes than x265 medium' in html


def test_a_metric_that_was_not_measured_is_not_in_the_tables() -> None:
    comparison = a_comparison()
    points = tuple(replace(point, vmaf_neg=None) for point in comparison.points)

    html = page(replace(comparison, points=points))

    assert "<th>VMAF NEG</th><th>PSNR" not in html.split("All encodes")[0]
    assert html.count('class="chart"') == 2


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not here: apt install chromium")
def test_a_browser_shows_it_in_light_and_dark_and_on_a_phone(tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    path = tmp_path / "page.html"
    path.write_text(page(a_comparison()), "utf-8")

    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(path), str(tmp_path), str(CHROMIUM)],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    seen = json.loads(done.stdout)

    assert seen["errors"] == []
    assert set(seen["requests"]) <= {"file:", "data:"}
    assert seen["overflow"] == {"light": 0, "dark": 0, "phone": 0}
    assert seen["background"]["light"] != seen["background"]["dark"]
    assert (seen["charts"], seen["marks"]) == (3, 45)
    assert "21 % fewer bytes than x264 medium" in seen["text"]
    assert seen["drawn"] == 176
    assert seen["choice_changes_picture"]
    assert seen["at"] == "20%"
    assert all((tmp_path / f"{name}.png").stat().st_size > 10_000 for name in ("light", "dark", "phone"))
