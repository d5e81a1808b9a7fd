"""
How fast Narrows encodes and decodes, beside what one would use instead, all in the same run.

    python sdk/benchmarks/speed.py [CLIPS] [--frames 33] [--presets fast,medium] [--json FILE.json]

Without CLIPS, a folder, two made clips of 352×288 and 1280×720 are taken. The peers are x265 medium's encoder,
libavcodec's HEVC decoder, and a network of the size of DCVC-RT (165 kMAC per pixel; Jia et al., 2025) with random
weights, on the engine that is quicker here. Every measurement is a process of its own, which also gives its peak
memory. Machines differ and are never idle, so what counts is the ratios, and the frames per second of processor time:
what one core would do that has nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from rich.console import Console
from rich.table import Table

Row = dict[str, Any]
MADE_SIZES = ((352, 288), (1280, 720))
PEER_KMACS = 165
PEER_WIDTH = 256
HELP_RUNS = 5


def measured(count: int, seconds: float, processor_seconds: float) -> Row:
    """Frames a second of the clock and of the processor, and this process's peak memory."""
    return {"fps": count / seconds, "fps_of_processor": count / processor_seconds, "memory_mb": peak_memory_mb()}


def peak_memory_mb() -> int:
    """Of this process, in MB (10⁶ bytes); 0 where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 // 10**6 for line in status.splitlines() if line.startswith("VmHWM"))


def encode_ours(clip: Path, folder: Path, preset: str, engine: str, threads: int) -> Row:
    import torch
    from narrows import files
    from narrows.codec.weights import ready_model
    from narrows.options import Engine
    from narrows.testing import settings_for_tests

    torch.set_num_threads(1)
    ready_model(Engine(engine))  # Loading it is the start of a process.
    begun = time.process_time()
    result = files.encode(
        clip,
        folder / f"{preset}-{engine}.mkv",
        preset=preset,
        engine=engine,
        threads=threads,
        settings=settings_for_tests(folder),
    )
    row = measured(result.frame_count, result.seconds, time.process_time() - begun)
    return {**row, "bytes": result.payload_bytes}


def decode_ours(coded: Path, folder: Path, threads: int | None, engine: str) -> Row:
    import torch
    from narrows import files
    from narrows.codec.weights import ready_model
    from narrows.options import Engine

    torch.set_num_threads(1)
    ready_model(Engine(engine))
    begun = time.process_time()
    result = files.decode(coded, folder / "decoded.y4m", threads=threads, engine=engine)
    return measured(result.frame_count, result.seconds, time.process_time() - begun)


def frames_of(clip: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(clip)) as container:
        yield from container.decode(video=0)


def encode_x265(clip: Path, folder: Path, threads: int) -> Row:
    frames = [frame.reformat(format="yuv420p") for frame in frames_of(clip)]
    started, begun = time.perf_counter(), time.process_time()
    with av.open(str(folder / "x265.mkv"), "w") as container:
        stream = container.add_stream(
            "libx265", rate=25, options={"preset": "medium", "x265-params": f"pools={threads}:log-level=0"}
        )
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        for index, frame in enumerate(frames):
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return measured(len(frames), time.perf_counter() - started, time.process_time() - begun)


def decode_hevc(folder: Path, threads: int) -> Row:
    started, begun, count = time.perf_counter(), time.process_time(), 0
    with av.open(str(folder / "x265.mkv")) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count, stream.thread_type = threads, "AUTO"
        for _ in container.decode(stream):
            count += 1
    return measured(count, time.perf_counter() - started, time.process_time() - begun)


def run_peer(width: int, height: int) -> Row:
    """A frame through blocks like DCVC-RT's: as many as make 165 kMAC per pixel at an eighth of the resolution."""
    import torch
    from narrows.codec import acceleration
    from narrows.codec.layers import Block

    torch.set_num_threads(1)
    count = round(PEER_KMACS * 1000 * 64 / (4 * PEER_WIDTH**2 + 9 * PEER_WIDTH))
    network = torch.nn.Sequential(*[Block(PEER_WIDTH) for _ in range(count)]).eval()
    features = torch.rand(1, PEER_WIDTH, -(-height // 8), -(-width // 8))
    runs: list[Callable[[], object]] = [lambda: network(features)]
    if acceleration.is_available():
        runs.append(_on_onnx(network, features))
    with torch.inference_mode():
        return measured(1, *min(_timed(run) for run in runs))


def _on_onnx(network: Any, features: Any) -> Callable[[], object]:
    import io
    import warnings

    import torch
    from narrows.codec.onnx_runtime import onnx_runtime

    onnxruntime = onnx_runtime()
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (features,), buffer, input_names=["features"], dynamo=False)  # type: ignore[arg-type]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(buffer.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"features": features.numpy()})


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processor, of the second run."""
    run()
    started, begun = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - started, time.process_time() - begun


def start_up_seconds() -> float:
    """Of `narrows --help`, the quickest of a few."""
    found = []
    for _ in range(HELP_RUNS):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", "from narrows.cli.app import main; main()", "--help"],
            check=True,
            capture_output=True,
        )
        found.append(time.perf_counter() - started)
    return min(found)


def alone(work: Callable[..., Row], *given: object) -> Row:
    """*work* in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)


def measure(clip: Path, *, presets: list[str], engines: list[str]) -> list[Row]:
    """All rows of one clip; *clip* is Y4M, so that reading it costs next to nothing."""
    from narrows.processors import usable_processors

    threads = usable_processors()
    first = next(frames_of(clip))
    size = f"{first.width}×{first.height}"
    rows: list[Row] = []

    def add(work: str, who: str, used: int, row: Row) -> None:
        rows.append({"clip": clip.stem, "size": size, "work": work, "who": who, "threads": used, **row})
        speed = f"{row['fps']:.2f} fps, {row['fps_of_processor']:.2f} of processor"
        print(f"{clip.stem} {size}: {who} {work}, {used} threads: {speed}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for preset in presets:
            for engine in engines:
                row = alone(encode_ours, clip, folder, preset, engine, threads)
                add("encode", f"narrows {preset} {engine}", threads, row)
        add("encode", "x265 medium", threads, alone(encode_x265, clip, folder, threads))
        coded = folder / f"{presets[0]}-{engines[0]}.mkv"
        for engine in engines:
            for used in sorted({1, threads}):
                add("decode", f"narrows {engine}", used, alone(decode_ours, coded, folder, used, engine))
        add("decode", "libavcodec hevc", 1, alone(decode_hevc, folder, 1))
        add("decode", f"{PEER_KMACS} kMAC/px network", 1, alone(run_peer, first.width, first.height))
    for row in rows:
        peers = [r for r in rows if r["work"] == row["work"] and not r["who"].startswith("narrows")]
        if row["who"].startswith("narrows"):
            row["ratios"] = {p["who"]: row["fps_of_processor"] / p["fps_of_processor"] for p in peers}
    return rows


def as_y4m(clip: Path, folder: Path, frames: int) -> Path:
    """The first *frames* of *clip*, played back and forth where it has fewer."""
    from narrows.media.raw import Y4MTarget
    from narrows.media.video import Source

    with Source(clip) as source:
        pictures = [timed.picture for timed, _ in zip(source.pictures(), range(frames), strict=False)]
        rate = source.frame_rate
    there_and_back = pictures + pictures[-2:0:-1]
    target = folder / f"{clip.stem}.y4m"
    writer = Y4MTarget(target, width=pictures[0].width, height=pictures[0].height, frame_rate=Fraction(rate))
    for index in range(frames):
        writer.write(there_and_back[index % len(there_and_back)])
    writer.finish()
    return target


def shown(rows: list[Row], start_up: float) -> None:
    table = Table(
        "clip", "size", "work", "who", "threads", "fps", "per processor second", "MB", "of the peers' speed", box=None
    )
    for row in rows:
        ratios = "; ".join(f"{ratio:.3g}× {peer}" for peer, ratio in row.get("ratios", {}).items())
        cells = (row["clip"], row["size"], row["work"], row["who"], str(row["threads"]), f"{row['fps']:.2f}")
        seconds = f"{row['fps_of_processor']:.2f}"
        table.add_row(*cells, seconds, str(row["memory_mb"]), ratios)
    console = Console(width=200)
    console.print(table)
    console.print(f"narrows --help: {start_up:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="?")
    parser.add_argument("--only", default="", help="names of clips, with commas between")
    parser.add_argument("--frames", type=int, default=33)
    parser.add_argument("--presets", default="fast,medium")
    parser.add_argument("--engines", default="onnx,torch")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    wanted = set(filter(None, arguments.only.split(",")))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for clip in clips_of(arguments.clips, folder, arguments.frames):
            if not wanted or clip.stem in wanted:
                source = as_y4m(clip, folder, arguments.frames) if arguments.clips else clip
                rows += measure(source, presets=arguments.presets.split(","), engines=arguments.engines.split(","))
    start_up = start_up_seconds()
    if arguments.json:
        about = {"machine": platform.processor() or platform.machine(), "processors": os.cpu_count()}
        document = {"measured_at": datetime.now(UTC).isoformat(), **about, "start_up_seconds": start_up, "rows": rows}
        arguments.json.write_text(json.dumps(document, indent=1))
    shown(rows, start_up)


def clips_of(folder: Path | None, made: Path, frames: int) -> list[Path]:
    if folder is not None:
        return sorted(path for path in folder.iterdir() if path.suffix in (".mkv", ".mp4", ".y4m"))
    from narrows.testing import write_clip

    return [write_clip(made / f"pan-{h}.y4m", width=w, height=h, frames=frames) for w, h in MADE_SIZES]


if __name__ == "__main__":
    main()
