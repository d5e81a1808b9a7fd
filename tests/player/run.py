"""
`make player`: a clip decoded in a real Chromium, beside what the decoder in Python makes of it.

    python -m tests.player.run [CLIP.mkv] [--frames 12] [--size 112x80] [--picture FILE.png] [--json]

The browser gets the player, onnxruntime-web and what `narrows export onnx` wrote, and nothing from anywhere else.
Exit code 1 where a sample differs by more than a level, or the page complains.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import narrows
import numpy as np
from narrows.codec.export import export_onnx
from narrows.media.coded_file import CodedFile
from narrows.testing import settings_for_tests, write_clip
from playwright.sync_api import sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
PLAYER = Path(__file__).parents[2] / "sdk" / "player"
LEVELS_MAX = 1
SECONDS_MAX = 600
_DECODE = """
async () => {
    const ort = await import("/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs");
    const { Decoder, draw } = await import("/player.js");
    const { packetsOf } = await import("/matroska.js");
    ort.env.wasm.numThreads = 1;
    const decoder = await Decoder.load(ort, "/models");
    const packets = packetsOf(new Uint8Array(await (await fetch("/clip.mkv")).arrayBuffer()));
    const text = (plane) => { let s = ""; for (const b of plane) s += String.fromCharCode(b); return btoa(s); };
    const pictures = [];
    const started = performance.now();
    for (const packet of packets) pictures.push(...(await decoder.decode(packet.data)));
    const seconds = (performance.now() - started) / 1000;
    draw(pictures.at(-1), document.querySelector("canvas"));
    return { seconds, pictures: pictures.map((p) => [p.luma, p.cb, p.cr].map(text)) };
}
"""


class _Handler(SimpleHTTPRequestHandler):
    """Serves the player, and beside it the folder *made*: models and the clip."""

    made = Path()

    def translate_path(self, path: str) -> str:
        name = path.split("?")[0].lstrip("/")
        root = self.made if name == "clip.mkv" or name.startswith("models/") else PLAYER
        return str(root / (name or "index.html"))

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the page says what is missing."""


@contextmanager
def served(made: Path) -> Iterator[str]:
    handler = type("Handler", (_Handler,), {"made": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def compare(coded: Path, made: Path, picture: Path | None) -> dict[str, Any]:
    """Decode *coded*, which is `clip.mkv` in *made*, on both sides."""
    decoder = narrows.Decoder(engine="torch")
    wanted = [p for packet in CodedFile.open(coded).packets() for p in decoder.decode_pictures(packet.data)]
    complaints: list[str] = []
    with served(made) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(SECONDS_MAX * 1000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        page.get_by_text("Ready.").wait_for()
        page.set_input_files("input", coded)
        page.get_by_text(f"{len(wanted)} pictures").wait_for()
        played = page.locator("output").inner_text()
        found = page.evaluate(_DECODE)
        if picture is not None:
            page.screenshot(path=picture)
        version = browser.version
        browser.close()
    planes = [[np.frombuffer(base64.b64decode(text), np.uint8) for text in p] for p in found["pictures"]]
    differences = [
        int(np.abs(one.astype(int).ravel() - other).max())
        for mine, theirs in zip(wanted, planes, strict=True)
        for one, other in zip((mine.luma, mine.cb, mine.cr), theirs, strict=True)
    ]
    equal = [
        float(np.mean(one.ravel() == other))
        for mine, theirs in zip(wanted, planes, strict=True)
        for one, other in zip((mine.luma, mine.cb, mine.cr), theirs, strict=True)
    ]
    return {
        "browser": f"Chromium {version}",
        "size": f"{wanted[0].width}x{wanted[0].height}",
        "frames": len(wanted),
        "frames_per_second": round(len(wanted) / found["seconds"], 2),
        "difference_max": max(differences),
        "equal_samples": round(float(np.mean(equal)), 6),
        "played": played,
        "complaints": complaints,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", default="112x80")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    width, height = map(int, chosen.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        export_onnx(made / "models")
        coded = made / "clip.mkv"
        if chosen.clip:
            coded.write_bytes(chosen.clip.read_bytes())
        else:
            clip = write_clip(made / "clip.y4m", width=width, height=height, frames=chosen.frames)
            narrows.encode(clip, coded, engine="torch", settings=settings_for_tests(made))
        started = time.monotonic()
        found = compare(coded, made, chosen.picture)
    found["seconds"] = round(time.monotonic() - started, 1)
    if chosen.json:
        print(json.dumps(found, indent=2))  # noqa: T201
    else:
        for key, value in found.items():
            print(f"{key.replace('_', ' '):20} {value}")  # noqa: T201
    return 0 if found["difference_max"] <= LEVELS_MAX and not found["complaints"] else 1


if __name__ == "__main__":
    sys.exit(main())
