"""
The weights: one safetensors file in float16, with the integer probability tables, named by its SHA-256.

Float16 is what ships and what defines the model: the integer networks are derived from the stored numbers by
exact operations, so every machine gets the same ones.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from threading import Lock

import numpy as np
import safetensors.torch
import torch

from narrows.codec import acceleration
from narrows.codec.bitstream import MODEL_ID_BYTES
from narrows.codec.entropy_model import EntropyModel
from narrows.codec.model import Model
from narrows.codec.range_coder import Table, TableSet, symbol_tables
from narrows.errors import UnsupportedBitstream, VideoError
from narrows.options import Device, Engine

WEIGHTS_NAME = "narrows-1.safetensors"
_TABLES = "tables"
_LENGTHS = "table_lengths"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to code with, its tables, and the id that every stream names."""

    networks: Model
    tables: TableSet
    model_id: bytes

    @property
    def device(self) -> torch.device:
        """Where pictures go."""
        return self.networks.inter.head.weight.device


def save_weights(networks: Model, path: Path) -> None:
    """Write *networks* as float16 with the tables; what `load_weights` reads."""
    state = {k: v.detach().to(torch.float16).contiguous() for k, v in networks.state_dict().items()}
    tables = symbol_tables()
    state[_TABLES] = torch.from_numpy(np.concatenate([t.frequencies for t in tables]))
    state[_LENGTHS] = torch.tensor([len(t.frequencies) for t in tables], dtype=torch.int32)
    safetensors.torch.save_file(state, path, metadata={"format": "narrows-weights/1"})


def load_weights(path: Path) -> LoadedModel:
    """Read a weights file; raises UnsupportedBitstream when it does not fit this release's networks."""
    data = path.read_bytes()
    state = safetensors.torch.load(data)
    frequencies, lengths = state.pop(_TABLES).numpy(), state.pop(_LENGTHS).tolist()
    tables = [Table(piece) for piece in np.split(frequencies, np.cumsum(lengths)[:-1])]
    networks = Model()
    try:
        networks.load_state_dict({k: v.float() for k, v in state.items()})
    except RuntimeError as error:
        raise UnsupportedBitstream(f"{path.name} does not fit the networks of this release") from error
    networks.eval().requires_grad_(False)
    return LoadedModel(networks, TableSet(tables), hashlib.sha256(data).digest()[:MODEL_ID_BYTES])


@lru_cache(maxsize=1)
def shipped_model() -> LoadedModel:
    """The weights of this release, on torch."""
    return load_weights(Path(str(files("narrows.codec") / "weights" / WEIGHTS_NAME)))


_LOADING = Lock()


def ready_model(engine: Engine = Engine.AUTO, device: Device = Device.CPU) -> LoadedModel:
    """The weights of this release on *engine* and *device*; raises VideoError when one of them is not there."""
    place = resolved(device)
    if place.type != "cpu":
        if engine is Engine.ONNX:
            raise VideoError(f"the engine onnx runs on the CPU only; for {place.type} choose torch, or auto")
        with _LOADING:
            return _model_on(place)
    if engine is Engine.ONNX and not acceleration.is_available():
        raise VideoError('the engine onnx is not installed: pip install "narrows[fast]"')
    with _LOADING:
        return shipped_model() if engine is Engine.TORCH or not acceleration.is_available() else _accelerated_model()


def resolved(device: Device) -> torch.device:
    """What *device* means on this machine."""
    there: dict[Device, Callable[[], bool]] = {
        Device.CUDA: torch.cuda.is_available,
        Device.MPS: torch.backends.mps.is_available,
        Device.CPU: lambda: True,
    }
    if device is Device.AUTO:
        return torch.device(next(name for name, is_there in there.items() if is_there()).value)
    if not there[device]():
        raise VideoError(
            f"this machine, or this build of torch, has no device {device.value}; cpu and auto always work"
        )
    return torch.device(device.value)


@lru_cache(maxsize=1)
def _model_on(place: torch.device) -> LoadedModel:
    plain = shipped_model()
    torch.backends.cudnn.allow_tf32 = False  # Ten bits of a mean are not enough for the last level of a pixel.
    return LoadedModel(moved(copy.deepcopy(plain.networks), place), plain.tables, plain.model_id)


def moved(networks: Model, place: torch.device) -> Model:
    """*networks* on *place*, but for those that decide on probabilities: these need the CPU's sums, bit for bit."""
    entropy_models = [module for module in networks.modules() if isinstance(module, EntropyModel)]
    staying = [model.scales for model in entropy_models]
    for model in entropy_models:
        del model.scales
    networks.to(place)
    for model, scales in zip(entropy_models, staying, strict=True):
        model.scales = scales
    return networks


@lru_cache(maxsize=1)
def _accelerated_model() -> LoadedModel:
    plain = shipped_model()
    shared: dict[int, object] = {id(t): t for t in (*plain.networks.parameters(), *plain.networks.buffers())}
    networks = copy.deepcopy(plain.networks, shared)
    acceleration.accelerate(networks, acceleration.cache_folder(plain.model_id))
    return LoadedModel(networks, plain.tables, plain.model_id)


def require_model(model_id: bytes, engine: Engine = Engine.TORCH, device: Device = Device.CPU) -> LoadedModel:
    """The weights that a stream names; raises UnsupportedBitstream when this release lacks them."""
    model = shipped_model()
    if model_id != model.model_id:
        raise UnsupportedBitstream(
            f"the stream was made with weights {model_id.hex()}; this release has {model.model_id.hex()}. "
            "Install the release that carries them."
        )
    return ready_model(engine, device)
