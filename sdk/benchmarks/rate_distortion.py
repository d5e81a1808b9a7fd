"""
Rate and distortion of Narrows beside x264 and x265, on a folder of clips.

    python sdk/benchmarks/rate_distortion.py CLIPS [--only NAME,NAME] [--crf 8,20,32,44,56] [--out FILE.json]

Every codec writes real packets that its own decoder reads back; the rate is the packets' payload. Quality is PSNR
(6:1:1) and MS-SSIM of luma over all frames. BD-rate (Bjøntegaard, 2001) is the mean difference in log-rate at
equal quality, with PCHIP; clips whose curves overlap by less than half are listed and left out of the mean. Points in
the output file are not measured again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from narrows import files
from narrows.comparing.curves import Curve, bd_rate
from narrows.media.quality import MICRO, Metric, QualityMeter
from narrows.media.video import Source
from narrows.savings.account import DEFAULT_BASELINES
from narrows.savings.baseline import DEFAULT_METRICS
from narrows.savings.ladder import Scene, measure_rung
from narrows.savings.segmentation import Segment, Selection
from narrows.settings import Settings
from narrows_licensing.development import development_license_file
from narrows_metering.baseline_spec import BaselineSpec, known_baselines

ANCHOR_CRFS = (18, 23, 28, 33, 38)
ANCHOR = "libx265-medium"
Row = dict[str, Any]


def measure_narrows(clip: Path, crf: int, preset: str, tune: str, settings: Settings) -> Row:
    with tempfile.TemporaryDirectory() as name:
        coded, decoded = Path(name) / "coded.mkv", Path(name) / "decoded.y4m"
        result = files.encode(clip, coded, crf=crf, preset=preset, tune=tune, settings=settings)
        decoding = files.decode(coded, decoded)
        meter = QualityMeter(result.width, result.height)
        with Source(clip) as source, Source(decoded) as shown:
            for before, after in zip(source.pictures(), shown.pictures(), strict=True):
                meter.add(before.picture, after.picture)
    return {
        "bytes": result.payload_bytes,
        "psnr": meter.decibels(Metric.PSNR),
        "ms_ssim": meter.decibels(Metric.MS_SSIM),
        "encode_fps": round(result.frame_count / result.seconds, 2),
        "decode_fps": round(result.frame_count / decoding.seconds, 2),
    }


def measure_anchor(clip: Path, baseline: BaselineSpec, crf: int) -> Row:
    with Source(clip) as source:
        rate = source.frame_rate
        pictures = {i: timed.picture for i, timed in enumerate(source.pictures())}
    started = time.monotonic()
    whole = Selection(segments=(Segment(index=0, first=0, last=len(pictures) - 1),), count=0)
    scene = Scene(source=clip, rate=rate, selection=whole, scored=pictures, metrics=DEFAULT_METRICS)
    rung = measure_rung(baseline, crf, scene)
    decibels = {m.value: None if s is None else s / MICRO for m, s in rung.scores.items()}
    return {"bytes": rung.payload_bytes, **decibels, "seconds": round(time.monotonic() - started, 1)}


def distance(anchor: list[Row], tested: list[Row], metric: str) -> float | None:
    """BD-rate in per cent, negative where *tested* needs less; None without enough overlap."""
    curves = (Curve.of([(row["bytes"], row[metric]) for row in rows]) for rows in (anchor, tested))
    return bd_rate(*curves)


def table(rows: list[Row]) -> str:
    """Markdown: BD-rate of every codec against the anchor, per clip and mean."""
    clips = sorted({r["clip"] for r in rows})
    codecs = sorted({r["codec"] for r in rows} - {ANCHOR})
    lines = [f"| codec | metric | {' | '.join(clips)} | mean |", "|---" * (len(clips) + 3) + "|"]
    for codec in codecs:
        for metric in [m.value for m in Metric if all(m.value in r for r in rows)]:
            found = []
            for clip in clips:
                anchor, tested = ([r for r in rows if r["clip"] == clip and r["codec"] == c] for c in (ANCHOR, codec))
                found.append(distance(anchor, tested, metric))
            usable = [f for f in found if f is not None]
            cells = ["–" if f is None else f"{f:+.1f} %" for f in found]
            mean = f"{np.mean(usable):+.1f} %" if usable else "–"
            lines.append(f"| {codec} | {metric} | {' | '.join(cells)} | {mean} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--crf", default="8,20,32,44,56")
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--tune", default="visual")
    parser.add_argument("--out", type=Path, default=Path("runs/rate_distortion.json"))
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    done = {(r["clip"], r["codec"], r["crf"]) for r in rows}
    wanted = set(filter(None, arguments.only.split(",")))
    clips = sorted(p for p in arguments.clips.iterdir() if p.suffix in (".mkv", ".mp4", ".y4m"))
    clips = [p for p in clips if not wanted or p.stem in wanted]
    ours = f"narrows:{arguments.preset}:{arguments.tune}"
    jobs = [(name, crf) for name in DEFAULT_BASELINES for crf in ANCHOR_CRFS]
    jobs += [(ours, int(crf)) for crf in arguments.crf.split(",")]
    with tempfile.TemporaryDirectory() as name:
        settings = Settings(
            license_path=Path(name) / "license.json", roots_path=None, state_folder=Path(name) / "state"
        )
        settings.license_path.write_text(development_license_file(datetime.now(UTC)))
        for clip in clips:
            for codec, crf in jobs:
                if (clip.stem, codec, crf) in done:
                    continue
                row = (
                    measure_narrows(clip, crf, arguments.preset, arguments.tune, settings)
                    if codec == ours
                    else measure_anchor(clip, known_baselines()[codec], crf)
                )
                rows.append({"clip": clip.stem, "codec": codec, "crf": crf, **row})
                print(json.dumps(rows[-1]), flush=True)
                arguments.out.write_text(json.dumps(rows, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
