"""`narrows export …`: the decoder for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from narrows.cli.terminal import Json, err, reports_errors, show

app = typer.Typer(help="Write the decoder for other runtimes.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Write the decoder for other runtimes."""


@app.command()
@reports_errors
def onnx(folder: Annotated[Path, typer.Argument(help="Where to write the models.")], as_json: Json = False) -> None:
    """
    Write the decoder as ONNX models for pictures of any size, and what a player has to know beside them.

    Example: narrows export onnx decoder/
    """
    from narrows.codec.export import export_onnx

    with err.status("exporting …") as status:
        result = export_onnx(folder, on_step=lambda step: status.update(f"exporting {step} …"))
    show(result, as_json=as_json, title="exported")
