"""What a notebook shows of a result: the same words as the command line, nothing that could run, and pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import narrows
import pytest
from narrows.media.quality import Metric
from narrows.savings.baseline import Comparison, Evidence
from narrows.settings import Settings
from narrows.shown import Shown, plain
from narrows.testing import a_picture
from narrows_licensing.testing import a_license

from .builders import a_clip


@pytest.mark.parametrize(
    "name", ["EncodeResult", "DecodeResult", "FileInfo", "LibraryFile", "EncodeSummary", "PackageResult", "UsageStatus"]
)
def test_every_public_result_is_shown_as_a_table(name: str) -> None:
    assert issubclass(getattr(narrows, name), Shown)


def test_an_encode_and_a_probe_show_what_they_say(tmp_path: Path, settings: Settings) -> None:
    result = narrows.encode(
        a_clip(tmp_path / "clip.y4m", frames=1), tmp_path / "clip.mkv", settings=settings, preset="fast"
    )
    shown = result._repr_html_()

    assert "<th>frame count</th><td>1</td>" in shown
    assert f"<td>{result.psnr:.3f}</td>" in shown
    assert "clip.mkv" in narrows.probe(tmp_path / "clip.mkv")._repr_html_()
    assert "<th>records</th>" in narrows.usage_status(settings)._repr_html_()


def test_savings_show_one_row_for_each_baseline_and_the_per_cent() -> None:
    def evidence(baseline: str, needed: int | None) -> Evidence:
        return Evidence(
            baseline=baseline,
            metric=Metric.MS_SSIM,
            status="measured",
            payload_bytes=800,
            baseline_bytes=needed,
            score=0,
            points=(),
            segments=None,
            baseline_sha256="00",
        )

    comparison = Comparison(
        frame_count=1,
        psnr=40.0,
        ms_ssim=None,
        asset_digest=b"\1",
        coded_digest=b"\2",
        payload_bytes=800,
        evidence=(evidence("libx264-medium", 1_000), evidence("libx265-medium", None)),
    )
    shown = comparison._repr_html_()

    assert "<th>saved percent</th>" in shown
    assert shown.count("<tr><td>libx26") == 2
    assert "<td>20.000</td>" in shown


def test_what_stands_in_a_result_is_text_and_never_markup() -> None:
    @dataclass(frozen=True, slots=True)
    class Named(Shown):
        name: str
        notices: tuple[str, ...]
        labels: dict[str, str]

    shown = Named("<script>", ("a<b", "c"), {"<i>": "<b>"})._repr_html_()

    assert "<script>" not in shown
    assert "a&lt;b<br>c" in shown
    assert "&lt;i&gt;: &lt;b&gt;" in shown


def test_a_picture_is_shown_as_itself_and_named_by_its_size() -> None:
    picture = a_picture(64, 48)
    codec = av.CodecContext.create("png", "r")
    assert isinstance(codec, av.VideoCodecContext)
    (frame,) = codec.decode(av.Packet(picture._repr_png_()))

    assert (frame.width, frame.height) == (64, 48)
    assert repr(picture) == "Picture(64×48)"


def test_a_license_is_one_sentence_without_its_token() -> None:
    license = a_license()

    assert str(license).startswith(f"production license {license.license_id} of {license.customer_id}, ")
    assert str(license) in license._repr_html_()


def test_plain_is_what_json_can_hold() -> None:
    assert json.loads(json.dumps(plain({"rate": Fraction(30_000, 1001), "path": Path("a"), "id": b"\x01"}))) == {
        "rate": "30000/1001",
        "path": "a",
        "id": "01",
    }
