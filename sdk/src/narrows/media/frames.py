"""
Frames as others have them, as pictures of 8-bit 4:2:0 and back: `av.VideoFrame`, NumPy arrays, torch tensors.

What can be shown right is converted, with a notice where something is lost; what can't is refused with what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import av
import av.video.plane
import numpy as np
import torch
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from narrows.errors import VideoError
from narrows.media.description import RANGE_FULL
from narrows.media.picture import Picture, Plane

Frame: TypeAlias = "av.VideoFrame | Picture | NDArray[Any] | torch.Tensor | Sequence[NDArray[Any] | torch.Tensor]"
"""
What an encoder takes: a frame of PyAV; RGB as uint8 `[H, W, 3]`, in torch also `[3, H, W]`; or three planes Y, Cb and
Cr, uint8, `[H, W]` and twice `[⌈H/2⌉, ⌈W/2⌉]`.
"""
Notify = Callable[[str], None]

PIXEL_FORMAT = "yuv420p"
_FULL_RANGE_FORMAT = "yuvj420p"
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}


def _ignore(_: str) -> None:
    return None


def _plane(plane: av.video.plane.VideoPlane) -> Plane:
    rows: Plane = np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
    return rows.copy()  # FFmpeg reuses its buffers.


def to_picture(frame: Frame, notify: Notify = _ignore) -> Picture:
    """
    Any SDR frame as 8-bit 4:2:0; odd sizes keep their size.

    Raises VideoError for HDR, interlaced fields, and arrays of another type or shape.
    """
    if isinstance(frame, Picture):
        return frame
    if isinstance(frame, av.VideoFrame):
        return _from_frame(frame, notify)
    if isinstance(frame, np.ndarray | torch.Tensor):
        return _from_frame(av.VideoFrame.from_ndarray(_rgb(_array(frame)), format="rgb24"), notify)
    planes = [_array(plane) for plane in frame]
    if len(planes) != 3 or any(p.ndim != 2 for p in planes):
        raise VideoError("a frame of planes has three of them, Y, Cb and Cr, each of two dimensions")
    try:
        return Picture(*(np.ascontiguousarray(p) for p in planes))
    except ValueError as error:
        raise VideoError(str(error)) from error


def _array(samples: NDArray[Any] | torch.Tensor) -> NDArray[np.uint8]:
    array = samples.detach().cpu().numpy() if isinstance(samples, torch.Tensor) else np.asarray(samples)
    if array.dtype != np.uint8:
        raise VideoError(f"samples are uint8 in 0..255, not {array.dtype}: scale, round and convert them first")
    return array


def _rgb(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB `[H, W, 3]` from that or from `[3, H, W]`."""
    if array.ndim == 3 and array.shape[2] == 3:
        return np.ascontiguousarray(array)
    if array.ndim == 3 and array.shape[0] == 3:
        return np.ascontiguousarray(array.transpose(1, 2, 0))
    raise VideoError(f"an array of shape {list(array.shape)} is no RGB picture: [H, W, 3] or [3, H, W] is")


def _from_frame(frame: av.VideoFrame, notify: Notify) -> Picture:
    if frame.color_trc in _HDR_TRANSFERS:
        raise VideoError(f"HDR ({_HDR_TRANSFERS[frame.color_trc]}) is not supported yet; tone-map the source to SDR")
    if frame.interlaced_frame:
        raise VideoError("the source is interlaced; deinterlace it first, as with: ffmpeg -i SOURCE -vf bwdif TARGET")
    if frame.format.name not in (PIXEL_FORMAT, _FULL_RANGE_FORMAT):
        notify(_what_is_lost(frame))
        frame = _to_420(frame)
    luma, cb, cr = (_plane(p) for p in frame.planes)
    return Picture(luma=luma, cb=cb, cr=cr)


def _to_420(frame: av.VideoFrame) -> av.VideoFrame:
    """Matrix and range stay those of the frame; RGB becomes BT.709 in limited range."""
    if frame.format.is_rgb:
        return frame.reformat(
            format=PIXEL_FORMAT,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            dst_colorspace=Colorspace.ITU709,
        )
    # swscale takes grey for full range; both ends alike leave its samples as they are.
    is_full = frame.color_range == RANGE_FULL or frame.format.name.startswith(("yuvj", "gray"))
    same = ColorRange.JPEG if is_full else ColorRange.MPEG
    return frame.reformat(format=PIXEL_FORMAT, src_color_range=same, dst_color_range=same)


def _what_is_lost(frame: av.VideoFrame) -> str:
    kept = "8-bit 4:2:0, BT.709 limited range" if frame.format.is_rgb else "8-bit 4:2:0"
    has_alpha = len(frame.format.components) in (2, 4)
    return f"frames are {frame.format.name} and are coded as {kept}{'; their alpha is dropped' if has_alpha else ''}"


def to_frame(picture: Picture) -> av.VideoFrame:
    """*picture* as a yuv420p frame."""
    frame = av.VideoFrame(picture.width, picture.height, PIXEL_FORMAT)
    for plane, samples in zip(frame.planes, (picture.luma, picture.cb, picture.cr), strict=True):
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, : samples.shape[1]] = samples
        plane.update(padded.tobytes())
    return frame


def to_rgb(picture: Picture, *, matrix: int = 1, is_full_range: bool = False) -> NDArray[np.uint8]:
    """*picture* as RGB `[H, W, 3]`; *matrix* is a code point of H.273, BT.709 unless said otherwise."""
    space = {1: Colorspace.ITU709, 9: Colorspace.ITU709}.get(matrix, Colorspace.ITU601)
    rgb = to_frame(picture).reformat(
        format="rgb24",
        src_colorspace=space,
        src_color_range=ColorRange.JPEG if is_full_range else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    array: NDArray[np.uint8] = rgb.to_ndarray().astype(np.uint8, copy=False)
    return array


def to_png(picture: Picture) -> bytes:
    """*picture* as a PNG file, in RGB."""
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    frame = av.VideoFrame.from_ndarray(to_rgb(picture), format="rgb24")
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "rgb24"
    encoder.time_base = Fraction(1)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
