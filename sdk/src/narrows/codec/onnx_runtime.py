"""ONNX Runtime, which we load nowhere else: it reports to its maker unless it is told not to before it is loaded."""

from __future__ import annotations

import os
from types import ModuleType


def onnx_runtime() -> ModuleType:
    """
    The module `onnxruntime`, silent.

    Since 1.29 its releases keep an id of the machine in the user's cache folder and send events over the network
    (https://github.com/microsoft/onnxruntime/pull/27379). Raises ImportError where `narrows[fast]` is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Somebody else may have loaded it before us.
    module: ModuleType = onnxruntime
    return module
