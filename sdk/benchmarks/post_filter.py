"""
The sceptic's peer: x265 medium with a small neural filter behind its decoder, trained on our data.

    python -m benchmarks.post_filter train DATA FILTER.pt [--minutes 5]
    python -m benchmarks.post_filter measure CLIPS FILTER.pt [--only NAME,NAME] [--out FILE.json]

In `sdk/`.
DATA is what `python -m training.prepare` made. The filter takes 545 multiply–accumulates per pixel, a tenth of our
decoder; it is told the crf. `measure` prints x265 with the filter against x265 without.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F
from narrows.codec.layers import Block, pad_to_multiple
from narrows.media.frames import to_frame, to_picture
from narrows.media.picture import Picture
from narrows.media.quality import MICRO, QualityMeter, available_metrics
from narrows.media.video import Source
from torch import Tensor, nn

from benchmarks.rate_distortion import ANCHOR, ANCHOR_CRFS, Row, table

FILTERED = f"{ANCHOR} + filter"
WIDTH, PLANES, GAIN = 40, 24, 16.0
SIDE, SEQUENCES = 256, 150
BATCH, CROP = 16, 32
"""Examples of a step, and their sides in packed samples."""


class PostFilter(nn.Module):
    """Corrects decoded pictures, packed to 24 planes at a quarter of the resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Conv2d(PLANES + 1, WIDTH, 1)
        self.block = Block(WIDTH)
        self.head = nn.Conv2d(WIDTH, PLANES, 1)
        nn.init.zeros_(self.head.weight)

    def forward(self, planes: Tensor, crf: Tensor) -> Tensor:
        """*planes* `[B, 24, H/4, W/4]` in −½..½, *crf* `[B, 1, 1, 1]`."""
        told = (crf / 10 - 3).expand(-1, 1, *planes.shape[-2:])
        correction: Tensor = self.head(self.block(self.entry(torch.cat([planes * 4, told], 1)))) / GAIN
        return planes + correction


def pack(luma: Tensor, chroma: Tensor) -> Tensor:
    return torch.cat([F.pixel_unshuffle(luma, 4), F.pixel_unshuffle(chroma, 2)], 1)


def unpack(planes: Tensor) -> tuple[Tensor, Tensor]:
    return F.pixel_shuffle(planes[:, :16], 4), F.pixel_shuffle(planes[:, 16:], 2)


def to_planes(picture: Picture) -> Tensor:
    """Packed `[1, 24, H/4, W/4]`, padded to whole blocks of four."""
    luma = torch.from_numpy(np.ascontiguousarray(picture.luma))[None, None].float()
    chroma = torch.from_numpy(np.stack([picture.cb, picture.cr]))[None].float()
    height, width = -(-picture.height // 4) * 4, -(-picture.width // 4) * 4
    luma, chroma = pad_to_multiple(luma, 4), pad_to_multiple(chroma, 2)
    return pack(luma[..., :height, :width], chroma[..., : height // 2, : width // 2]) / 255 - 0.5


class X265:
    """x265 medium and its decoder, one picture after the other."""

    def __init__(self, width: int, height: int, crf: int, rate: Fraction = Fraction(25)) -> None:
        encoder, decoder = av.CodecContext.create("libx265", "w"), av.CodecContext.create("hevc", "r")
        assert isinstance(encoder, av.VideoCodecContext) and isinstance(decoder, av.VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
        encoder.framerate, encoder.time_base = rate, 1 / rate
        encoder.options = {"preset": "medium", "crf": str(crf), "x265-params": "log-level=error:info=0:pools=1"}
        self._encoder, self._decoder = encoder, decoder
        self._count = 0
        self.payload_bytes = 0

    def add(self, picture: Picture | None) -> Iterator[Picture]:
        """Code *picture*, or with None what still waits; yields what is decoded by then, in display order."""
        frame = None
        if picture is not None:
            frame = to_frame(picture)
            frame.pts, frame.time_base = self._count, self._encoder.time_base
            self._count += 1
        packets: list[av.Packet[av.VideoStream] | None] = [*self._encoder.encode(frame)]
        for packet in [*packets, None] if picture is None else packets:
            self.payload_bytes += packet.size if packet else 0
            yield from (to_picture(decoded) for decoded in self._decoder.decode(packet))


def examples(data: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Decoded and original planes `[N, 24, 64, 64]` (uint8) and the crf of each, of sequences coded by x265."""
    sequences = np.load(data / "sequences.npy", mmap_mode="r")
    random = np.random.default_rng(0)
    decoded_planes, source_planes, crfs = [], [], []
    for count, index in enumerate(random.choice(len(sequences), SEQUENCES, replace=False)):
        crf = ANCHOR_CRFS[count % len(ANCHOR_CRFS)] + int(random.integers(-2, 3))
        sources = [_picture(flat) for flat in sequences[int(index)]]
        x265 = X265(SIDE, SIDE, crf)
        shown = [decoded for source in [*sources, None] for decoded in x265.add(source)]
        for source, decoded in zip(sources, shown, strict=True):
            decoded_planes.append(_bytes(decoded))
            source_planes.append(_bytes(source))
            crfs.append(float(crf))
    return torch.cat(decoded_planes), torch.cat(source_planes), torch.tensor(crfs)


def _picture(flat: np.ndarray) -> Picture:
    luma, chroma = flat[: SIDE * SIDE], flat[SIDE * SIDE :].reshape(2, SIDE // 2, SIDE // 2)
    return Picture(luma.reshape(SIDE, SIDE).copy(), chroma[0].copy(), chroma[1].copy())


def _bytes(picture: Picture) -> Tensor:
    return ((to_planes(picture) + 0.5) * 255).round().byte()


def train(data: Path, target: Path, minutes: float) -> None:
    decoded, source, crfs = examples(data)
    torch.manual_seed(0)
    net = PostFilter()
    adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    started, losses = time.process_time(), []
    while (done := (time.process_time() - started) / 60 / minutes) < 1:
        adam.param_groups[0]["lr"] = 2e-3 * (1 - done)
        chosen = torch.randint(0, len(crfs), (BATCH,))
        top, left = (int(torch.randint(0, SIDE // 4 - CROP + 1, ())) for _ in range(2))
        given, wanted = (
            x[chosen, :, top : top + CROP, left : left + CROP].float() / 255 - 0.5 for x in (decoded, source)
        )
        corrected = net(given, crfs[chosen].view(-1, 1, 1, 1))
        gained = _errors(corrected, wanted) / (_errors(given, wanted).detach() + 1e-6)
        loss = gained.mean()
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        losses.append(float(loss.detach()))
        if len(losses) % 200 == 0:
            print(f"{len(losses)} steps: {np.mean(losses[-200:]):.4f} of the squared error is left", flush=True)
    torch.save(net.state_dict(), target)


def _errors(planes: Tensor, wanted: Tensor) -> Tensor:
    """Squared errors `[B, 3]` of Y, Cb and Cr: PSNR averages their logarithms."""
    squared = (planes - wanted).square().mean((2, 3))
    return torch.stack([squared[:, :16].mean(1), squared[:, 16:20].mean(1), squared[:, 20:].mean(1)], 1)


@torch.inference_mode()
def filtered(net: PostFilter, picture: Picture, crf: int) -> Picture:
    luma, chroma = unpack(net(to_planes(picture), torch.full((1, 1, 1, 1), float(crf))))
    return Picture.from_reference(luma, chroma, picture.width, picture.height)


def measure(clip: Path, net: PostFilter, crf: int) -> Iterator[tuple[str, Row]]:
    with Source(clip) as source:
        rate, sources = source.frame_rate, [timed.picture for timed in source.pictures()]
    width, height = sources[0].width, sources[0].height
    x265, waiting = X265(width, height, crf, rate), iter(sources)
    meters = {name: QualityMeter(width, height, available_metrics()) for name in (ANCHOR, FILTERED)}
    for given in [*sources, None]:
        for decoded in x265.add(given):
            original = next(waiting)
            meters[ANCHOR].add(original, decoded)
            meters[FILTERED].add(original, filtered(net, decoded, crf))
    for name, meter in meters.items():
        scores = {metric.value: meter.score(metric) for metric in available_metrics()}
        yield name, {"bytes": x265.payload_bytes, **{k: None if v is None else v / MICRO for k, v in scores.items()}}
        meter.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("data", type=Path)
    training.add_argument("filter", type=Path)
    training.add_argument("--minutes", type=float, default=5.0)
    measuring = commands.add_parser("measure")
    measuring.add_argument("clips", type=Path)
    measuring.add_argument("filter", type=Path)
    measuring.add_argument("--only", default="")
    measuring.add_argument("--out", type=Path, default=Path("runs/post_filter.json"))
    arguments = parser.parse_args()
    if arguments.command == "train":
        train(arguments.data, arguments.filter, arguments.minutes)
        return
    net = PostFilter()
    net.load_state_dict(torch.load(arguments.filter))
    wanted = set(filter(None, arguments.only.split(",")))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    done = {(row["clip"], row["crf"]) for row in rows}
    for clip in sorted(p for p in arguments.clips.iterdir() if p.suffix in (".mkv", ".mp4", ".y4m")):
        for crf in ANCHOR_CRFS:
            if (clip.stem, crf) in done or (wanted and clip.stem not in wanted):
                continue
            rows += [{"clip": clip.stem, "codec": name, "crf": crf, **row} for name, row in measure(clip, net, crf)]
            arguments.out.write_text(json.dumps(rows, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
