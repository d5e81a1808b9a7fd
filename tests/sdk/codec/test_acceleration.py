"""ONNX Runtime gives the symbols that torch gives, and pictures within a level."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from narrows.codec import acceleration
from narrows.codec.decoder import FrameDecoder
from narrows.codec.export import export_onnx
from narrows.codec.onnx_runtime import onnx_runtime
from narrows.codec.pieces import SCALES, Piece, pieces_of
from narrows.codec.weights import ready_model, shipped_model
from narrows.media.picture import Picture
from narrows.options import Engine

from .test_encoder import a_pan, coded

PIECES = pieces_of(shipped_model().networks)


def inputs_of(piece: Piece, height: int, width: int) -> dict[str, torch.Tensor]:
    """Plausible inputs for a picture of this size."""
    random = torch.Generator().manual_seed(5)
    found = {}
    for name, port in piece.inputs.items():
        shape = [-(-side // port.per) if port.per else 1 for side in (height, width)]
        values = 0.3 * torch.randn(1, port.width, *shape, generator=random)
        if name in ("hyper", "symbols", "kin"):
            values = (20 * values).round()
        if name == "features" and SCALES in piece.outputs:
            values = (700 * values).round().clamp(0, 255)
        found[name] = (values > 0).float() if name == "mask" else values
    return {**found, "condition": torch.tensor([70.0, 1, 2, 1, 60]).view(1, 5, 1, 1)}


@pytest.mark.parametrize("name", PIECES)
def test_an_exported_piece_computes_what_torch_does_at_any_size(name: str) -> None:
    piece = PIECES[name]
    session = onnx_runtime().InferenceSession(acceleration.exported(piece), providers=["CPUExecutionProvider"])
    taken = {port.name for port in session.get_inputs()}

    for height, width in ((112, 80), (48, 160)):
        inputs = inputs_of(piece, height, width)
        with torch.inference_mode():
            wanted = piece(*inputs.values())
        found = session.run(None, {key: value.numpy() for key, value in inputs.items() if key in taken})

        for output, mine, theirs in zip(piece.outputs, wanted, found, strict=True):
            assert theirs.shape == mine.shape
            if output == SCALES:
                assert theirs.dtype == np.uint8
                assert np.array_equal(theirs, mine.numpy())
            else:
                assert np.abs(theirs - mine.numpy()).max() <= (1 / 32 if output == "features" else 2e-3)


def worst_difference(one: list[Picture], other: list[Picture]) -> int:
    return max(
        int(np.abs(a.astype(int) - b).max())
        for x, y in zip(one, other, strict=True)
        for a, b in ((x.luma, y.luma), (x.cb, y.cb), (x.cr, y.cr))
    )


def decoded(packets: list[bytes], engine: Engine, threads: int) -> list[Picture]:
    decoder = FrameDecoder(engine=engine, threads=threads)
    pictures = [picture.result() for data in packets for picture in decoder.begin(data)]
    decoder.close()
    return pictures


def test_streams_of_torch_decode_on_onnx_runtime_within_a_level() -> None:
    frames = coded(a_pan(19, width=112, height=80), crf=20)
    packets = [frame.data for frame in frames]
    wanted = [frame.picture for frame in sorted(frames, key=lambda frame: frame.index)]

    assert worst_difference(decoded(packets, Engine.TORCH, 1), wanted) == 0
    assert worst_difference(decoded(packets, Engine.ONNX, 1), wanted) <= 1


@pytest.mark.parametrize("engine", [Engine.TORCH, Engine.ONNX])
def test_frames_decoded_side_by_side_are_the_same_frames(engine: Engine) -> None:
    packets = [frame.data for frame in coded(a_pan(19), crf=20)]

    assert worst_difference(decoded(packets, engine, 1), decoded(packets, engine, 3)) == 0


def test_the_export_says_what_its_files_take_and_give(tmp_path: Path) -> None:
    result = export_onnx(tmp_path / "decoder")

    manifest = json.loads((result.folder / "narrows.json").read_text())
    assert manifest["model_id"] == shipped_model().model_id.hex()
    assert {sum(table) for table in manifest["tables"]} == {manifest["table_total"]}
    for name, described in manifest["pieces"].items():
        session = onnx_runtime().InferenceSession(result.folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
        taken = {port.name: port.shape[1] for port in session.get_inputs() if port.name != "condition"}
        assert taken == {key: port["width"] for key, port in described["inputs"].items()}
        assert [port.name for port in session.get_outputs()] == list(described["outputs"])


def test_graphs_are_kept_and_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "graphs"

    acceleration.accelerate(ready_model(Engine.TORCH).networks.__class__().eval(), folder)

    assert {path.stem for path in folder.iterdir()} < set(PIECES)
