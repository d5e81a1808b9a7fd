"""
The pieces of the decoder on ONNX Runtime, in place of torch: `narrows[fast]`.

The graphs are exported from the weights at first use and kept in the user's cache folder under the weights' id. Scale
indices are integers computed from integers, so streams are the same whichever engine codes or decodes; pixels agree
within a level. Gradients need torch: where they are wanted, as by `preset slow`, torch goes on.
"""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import platformdirs
import torch
from torch import Tensor

from narrows.codec.condition import Condition
from narrows.codec.entropy_model import EntropyModel
from narrows.codec.model import Model
from narrows.codec.onnx_runtime import onnx_runtime
from narrows.codec.pieces import Piece, condition_values, pieces_of

OPSET = 20
"""GridSample with cubic interpolation, in every release of ONNX Runtime since 1.17."""
_REVISION = 1
"""Of the graphs that these weights become: raise it when the pieces change."""
_APPLICATION = "narrows"
_LEFT_TO_TORCH = ("fetch", "intra_hyper", "motion_hyper", "inter_hyper")
"""Torch warps faster, and the others are nothing."""


def is_available() -> bool:
    """Whether what `narrows[fast]` installs is there."""
    return all(find_spec(name) is not None for name in ("onnxruntime", "onnx"))


@torch.no_grad()
def exported(piece: Piece) -> bytes:
    """*piece* as an ONNX model that takes pictures of any size."""
    buffer = io.BytesIO()
    inputs = [*piece.inputs, "condition"]
    with warnings.catch_warnings(), _quiet("torch.onnx"):
        warnings.simplefilter("ignore")  # Of tracing, where it fixes what is fixed, and of this exporter's age.
        torch.onnx.export(
            piece.eval(),
            piece.examples(),
            buffer,  # type: ignore[arg-type]  # The stub speaks of paths only.
            input_names=inputs,
            output_names=piece.output_names,
            dynamic_axes=piece.dynamic_axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return buffer.getvalue()


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def cache_folder(model_id: bytes) -> Path:
    """Where the graphs of the weights with *model_id* are kept."""
    return Path(platformdirs.user_cache_dir(_APPLICATION)) / f"{model_id.hex()}-{_REVISION}-{torch.__version__}"


def accelerate(networks: Model, folder: Path) -> None:
    """Let ONNX Runtime take the steps of *networks*; graphs are read from *folder*, or made there."""
    pieces = {name: piece for name, piece in pieces_of(networks).items() if name not in _LEFT_TO_TORCH}
    runs = {name: _Session(piece, _graph(piece, folder / f"{name}.onnx")) for name, piece in pieces.items()}
    intra, inter, motion = networks.intra, networks.inter, networks.inter.motion
    for name, entropy in (("intra", intra.entropy), ("motion", motion.entropy), ("inter", inter.entropy)):
        _replace(entropy, "expect_first", _first_pass(entropy, runs[f"{name}_first"]))
        _replace(entropy, "expect_second", runs[f"{name}_second"].step)
    _replace(intra, "synthesise", runs["intra_synthesis"].step)
    _replace(inter, "adapted", runs["adoption"].step)
    _replace(motion, "synthesise", runs["motion_synthesis"].step)
    _replace(inter, "blend", runs["blend"].step)
    _replace(inter, "synthesise", runs["inter_synthesis"].step)


def _graph(piece: Piece, path: Path) -> bytes:
    if path.exists():
        return path.read_bytes()
    graph = exported(piece)
    with suppress(OSError):  # A folder that can't be written costs some seconds each time, and nothing else.
        _store(graph, path)
    return graph


def _store(data: bytes, path: Path) -> None:
    """Whole or not at all: several processes may do it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)


def _replace(owner: Any, name: str, fast: Callable[..., Any]) -> None:
    slow = getattr(owner, name)

    def step(*given: Any) -> Any:
        return slow(*given) if torch.is_grad_enabled() else fast(*given)

    setattr(owner, name, step)


def _first_pass(entropy: EntropyModel, run: _Session) -> Callable[..., Any]:
    needs_size = entropy.scales.kin is None

    def step(
        hyper: Tensor, context: Tensor | None, kin: Tensor | None, condition: Condition, size: tuple[int, int]
    ) -> Any:
        given = [t for t in (hyper, context, kin) if t is not None]
        return run.step(*given, *([hyper.new_zeros(1, 1, *size)] if needs_size else []), condition)

    return step


@lru_cache(maxsize=1)
def _share_memory() -> None:
    """One arena for all graphs: each with its own would keep what it once needed, ten times over."""
    onnxruntime = onnx_runtime()
    kind = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(kind, None)


class _Session:
    """One graph, ready to run on one thread: frames are what runs side by side."""

    def __init__(self, piece: Piece, graph: bytes) -> None:
        onnxruntime = onnx_runtime()
        _share_memory()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.use_env_allocators", "1")
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._inputs = [*piece.inputs, "condition"]

    def step(self, *given: Any) -> Any:
        """Tensors and then the condition in, a tensor or several out."""
        *tensors, condition = given
        values = [*tensors, condition_values(condition)]
        feed = {name: value.contiguous().numpy() for name, value in zip(self._inputs, values, strict=True)}
        outputs = [torch.from_numpy(array) for array in self._session.run(None, feed)]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)
