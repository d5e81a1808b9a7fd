"""What is installed here, and whether it codes and decodes."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from narrows.errors import NarrowsError
from narrows.finding import Finding, Outcome
from narrows.media.picture import Picture
from narrows.options import EncodeOptions, Engine
from narrows.processors import usable_processors
from narrows.version import VERSION

PARTS: Final = ("narrows", "narrows-licensing", "narrows-metering")
PYTHON_MIN: Final = (3, 11)
TRIAL_SIZE: Final = (128, 96)
CPU_TORCH: Final = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cpu"


def examine_software() -> Iterator[Finding]:
    """All that decoding and encoding need, license and state folder apart; the codec is tried on a small picture."""
    yield examine_python(sys.version_info[:3])
    yield examine_parts({name: _installed(name) for name in PARTS})
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library of its that is missing.
        yield Finding(check="torch", outcome=Outcome.BAD, detail=f"can't be loaded: {error}", todo="pip install torch")
        return
    yield examine_torch(torch.__version__, has_gpu=torch.cuda.is_available(), build=torch.version.cuda)
    yield examine_threads(torch.get_num_threads(), processors=processors())
    yield from _examine_av()
    yield _examine_onnx()
    yield _examine_vmaf()
    yield _try_codec()


def examine_python(running: tuple[int, ...]) -> Finding:
    """*running* is the version: major, minor, micro."""
    detail = f"{'.'.join(map(str, running))} on {platform.system()} {platform.machine()}"
    if running < PYTHON_MIN:
        needed = ".".join(map(str, PYTHON_MIN))
        todo = f"install Python {needed} or newer"
        return Finding(check="python", outcome=Outcome.BAD, detail=detail, todo=todo)
    return Finding(check="python", outcome=Outcome.GOOD, detail=detail)


def examine_parts(installed: Mapping[str, str | None]) -> Finding:
    """Our distributions are made and tested together; *installed* has the version of each, None where it is missing."""
    release = installed["narrows"]
    if release is None:
        return Finding(check="narrows", outcome=Outcome.GOOD, detail=f"{VERSION}, from a checkout")
    others = {name: found for name, found in installed.items() if found != release}
    if not others:
        return Finding(check="narrows", outcome=Outcome.GOOD, detail=f"{release}, all parts of one release")
    told = ", ".join(f"{name} {found or 'is missing'}" for name, found in others.items())
    todo = f"pip install --force-reinstall narrows=={release}"
    return Finding(check="narrows", outcome=Outcome.BAD, detail=f"{release}, but {told}", todo=todo)


def examine_torch(release: str, *, has_gpu: bool, build: str | None) -> Finding:
    """*build* is the version of CUDA that torch was made for; None for a build without."""
    if build is None:
        return Finding(check="torch", outcome=Outcome.GOOD, detail=f"{release}, for processors")
    if has_gpu:
        return Finding(check="torch", outcome=Outcome.GOOD, detail=f"{release}, with CUDA {build} and a GPU")
    detail = f"{release} is a build for CUDA {build}, some gigabytes, and there is no GPU here"
    return Finding(check="torch", outcome=Outcome.NOTICE, detail=detail, todo=f"if disk matters: {CPU_TORCH}")


def examine_threads(threads: int, *, processors: int) -> Finding:
    """More threads than processors wait for each other."""
    detail = f"torch computes on {threads}; {processors} processors are given to this process"
    if threads > processors:
        todo = f"set OMP_NUM_THREADS={processors}"
        return Finding(check="threads", outcome=Outcome.NOTICE, detail=detail, todo=todo)
    return Finding(check="threads", outcome=Outcome.GOOD, detail=detail)


def processors(cpu_max: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """How many this process may use: by its affinity, and by the quota of its cgroup (v2), as containers have one."""
    allowed = usable_processors()
    with suppress(OSError, ValueError):
        quota, period = cpu_max.read_text().split()
        if quota != "max":
            return max(1, min(allowed, -(-int(quota) // int(period))))
    return allowed


def _examine_av() -> Iterator[Finding]:
    try:
        import av
    except (ImportError, OSError) as error:
        yield Finding(check="av", outcome=Outcome.BAD, detail=f"can't be loaded: {error}", todo="pip install av")
        return
    libavcodec = ".".join(map(str, av.library_versions["libavcodec"]))
    yield Finding(check="av", outcome=Outcome.GOOD, detail=f"{av.__version__}, with libavcodec {libavcodec}")
    missing = [name for name in ("libx264", "libx265", "libsvtav1") if name not in av.codecs_available]
    yield Finding(
        check="baselines",
        outcome=Outcome.NOTICE if missing else Outcome.GOOD,
        detail=f"{', '.join(missing)} not in this build of av" if missing else "x264, x265 and SVT-AV1 are there",
        todo="for evidence and comparisons with these: pip install --force-reinstall av" if missing else None,
    )


def _examine_onnx() -> Finding:
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        detail = f"{' and '.join(missing)} not installed, so torch runs the networks"
        todo = 'to code and decode faster: pip install "narrows[fast]"'
        return Finding(check="onnxruntime", outcome=Outcome.SKIPPED, detail=detail, todo=todo)
    try:
        from narrows.codec.onnx_runtime import onnx_runtime

        onnxruntime = onnx_runtime()
    except (ImportError, OSError) as error:
        todo = "pip install --force-reinstall onnxruntime, or choose --engine torch"
        return Finding(check="onnxruntime", outcome=Outcome.BAD, detail=f"can't be loaded: {error}", todo=todo)
    return Finding(check="onnxruntime", outcome=Outcome.GOOD, detail=f"{onnxruntime.__version__} runs the networks")


def _examine_vmaf() -> Finding:
    from narrows.media.vmaf import find_ffmpeg

    if find_ffmpeg() is None:
        todo = 'for evidence by VMAF: pip install "narrows[vmaf]"'
        return Finding(check="vmaf", outcome=Outcome.SKIPPED, detail="no ffmpeg with libvmaf", todo=todo)
    return Finding(check="vmaf", outcome=Outcome.GOOD, detail="an ffmpeg with libvmaf")


def _try_codec() -> Finding:
    """Code and decode a picture as an encoder would, without one: nothing is recorded, and no license is asked."""
    from narrows.codec.decoder import FrameDecoder
    from narrows.codec.encoder import FrameEncoder
    from narrows.codec.weights import ready_model
    from narrows.testing import a_picture

    width, height = TRIAL_SIZE
    began = time.monotonic()
    try:
        model = ready_model(Engine.AUTO)
        encoder = FrameEncoder(width, height, model=model, options=EncodeOptions(), is_development=True)
        coded = [*encoder.encode(a_picture(width, height)), *encoder.flush()]
        encoder.close()
        decoder = FrameDecoder(engine=Engine.AUTO)
        decoded = [picture for frame in coded for picture in decoder.decode(frame.data)]
    except (NarrowsError, OSError, RuntimeError) as error:
        todo = f"pip install --force-reinstall narrows=={VERSION}; if that changes nothing, send us this line"
        return Finding(check="codec", outcome=Outcome.BAD, detail=f"{type(error).__name__}: {error}", todo=todo)
    seconds = time.monotonic() - began
    if len(decoded) != 1 or not _are_alike(decoded[0], coded[0].picture):
        detail = f"a picture of {width}×{height} was decoded to something else than was coded"
        todo = "check the memory of this machine; if it is sound, send us the output of this command"
        return Finding(check="codec", outcome=Outcome.BAD, detail=detail, todo=todo)
    detail = f"a picture of {width}×{height} was coded and decoded in {seconds:.1f} s"
    return Finding(check="codec", outcome=Outcome.GOOD, detail=detail)


def _are_alike(one: Picture, other: Picture) -> bool:
    return all((getattr(one, plane) == getattr(other, plane)).all() for plane in ("luma", "cb", "cr"))


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
