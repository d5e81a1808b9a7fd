"""
Write a checkpoint's averaged weights as the SDK ships them.

    python -m training.export CHECKPOINT [TARGET]
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import narrows.codec
import torch
from narrows.codec.model import Model
from narrows.codec.weights import WEIGHTS_NAME, save_weights


def export(checkpoint: Path, target: Path) -> str:
    """Returns the SHA-256 of what was written: its start is the model id of every stream."""
    saved = torch.load(checkpoint, weights_only=False)
    model = Model()
    model.load_state_dict(saved["average"])
    save_weights(model, target)
    target.chmod(0o644)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def main() -> None:
    shipped = Path(narrows.codec.__path__[0]) / "weights" / WEIGHTS_NAME
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("target", type=Path, nargs="?", default=shipped)
    arguments = parser.parse_args()
    print(export(arguments.checkpoint, arguments.target), arguments.target)


if __name__ == "__main__":
    main()
