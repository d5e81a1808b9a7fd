"""
The decoder for other runtimes: `narrows export onnx`.

One ONNX file for each piece of the decoder, and `narrows.json`, which says what they take and give, with the
probability tables of the range coder. How a player puts them together is in `docs/reference/bitstream.md`; the player
for browsers in `sdk/player/` does it in JavaScript.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from narrows.codec import acceleration
from narrows.codec.bitstream import VERSION
from narrows.codec.entropy_model import HYPER_MULTIPLE, MASK_RUN
from narrows.codec.layers import PICTURE_MULTIPLE
from narrows.codec.model import LATENTS
from narrows.codec.pieces import CONDITION_VALUES, Piece, pieces_of
from narrows.codec.range_coder import EXCESS_BITS_MAX, TABLE_TOTAL
from narrows.codec.reference import FEATURE_UNIT, REFERENCE_LEVELS, VELOCITY_UNIT
from narrows.codec.weights import shipped_model
from narrows.errors import VideoError

MANIFEST_NAME = "narrows.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What `export_onnx` wrote."""

    folder: Path
    model_id: str
    files: tuple[str, ...]
    file_bytes: int


def export_onnx(folder: Path | str, *, on_step: Callable[[str], None] = lambda _: None) -> ExportResult:
    """
    Write the decoder as ONNX models into *folder*, which is made; raises VideoError without `narrows[fast]`, or where
    *folder* can't be written.
    """
    if not acceleration.is_available():
        raise VideoError('to export, ONNX has to be installed: pip install "narrows[fast]"')
    folder, model = Path(folder), shipped_model()
    pieces = pieces_of(model.networks)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, piece in pieces.items():
            on_step(name)
            (folder / f"{name}.onnx").write_bytes(acceleration.exported(piece))
        manifest = {
            "format": "narrows-onnx/1",
            "bitstream_version": VERSION,
            "model_id": model.model_id.hex(),
            "condition": CONDITION_VALUES,
            "picture_multiple": PICTURE_MULTIPLE,
            "hyper_multiple": HYPER_MULTIPLE,
            "mask_run": MASK_RUN,
            "kin_latents": LATENTS,
            "reference_levels": REFERENCE_LEVELS,
            "feature_unit": FEATURE_UNIT,
            "velocity_unit": VELOCITY_UNIT,
            "table_total": TABLE_TOTAL,
            "excess_bits_max": EXCESS_BITS_MAX,
            "tables": [table.frequencies.tolist() for table in model.tables.tables],
            "pieces": {name: _described(piece) for name, piece in pieces.items()},
        }
        (folder / MANIFEST_NAME).write_text(json.dumps(manifest))
    except OSError as error:
        raise VideoError(f"can't write {folder}: {error}") from error
    files = (*(f"{name}.onnx" for name in pieces), MANIFEST_NAME)
    return ExportResult(
        folder=folder,
        model_id=model.model_id.hex(),
        files=files,
        file_bytes=sum((folder / name).stat().st_size for name in files),
    )


def _described(piece: Piece) -> dict[str, object]:
    """Inputs with their channels, and both with the pixels that each side of a sample covers (0: one sample)."""
    inputs = {name: {"width": port.width, "per": port.per} for name, port in piece.inputs.items()}
    outputs = {name: {"per": per} for name, per in zip(piece.output_names, piece.outputs.values(), strict=True)}
    return {"inputs": inputs, "outputs": outputs}
