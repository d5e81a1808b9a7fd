"""One picture as the codec sees it: three planes of 8-bit 4:2:0 samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from narrows.codec.layers import PICTURE_MULTIPLE, pack420, pad_to_multiple
from narrows.options import check_size

Plane = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, repr=False)
class Picture:
    """*luma* `[H, W]`; *cb* and *cr* `[⌈H/2⌉, ⌈W/2⌉]`; all uint8, limited or full range as the source has it."""

    luma: Plane
    cb: Plane
    cr: Plane

    def __post_init__(self) -> None:
        height, width = self.luma.shape
        check_size(width, height)
        half = ((height + 1) // 2, (width + 1) // 2)
        if self.cb.shape != half or self.cr.shape != half:
            raise ValueError(f"chroma of a {width}×{height} picture is {half[1]}×{half[0]}, not {self.cb.shape[::-1]}")

    def __repr__(self) -> str:
        return f"Picture({self.width}×{self.height})"

    def _repr_png_(self) -> bytes:
        """What a notebook shows (IPython)."""
        from narrows.media.frames import to_png

        return to_png(self)

    @property
    def width(self) -> int:
        return int(self.luma.shape[1])

    @property
    def height(self) -> int:
        return int(self.luma.shape[0])

    def to_bytes(self) -> bytes:
        """Y, Cb and Cr, row by row."""
        return self.luma.tobytes() + self.cb.tobytes() + self.cr.tobytes()

    def padded_luma(self) -> Plane:
        """Luma with its edges repeated to multiples of 16."""
        return np.pad(
            self.luma, ((0, -self.height % PICTURE_MULTIPLE), (0, -self.width % PICTURE_MULTIPLE)), mode="edge"
        )

    def to_planes(self) -> Tensor:
        """Packed planes `[1, 96, H/8, W/8]` in −½..½, padded to multiples of 16."""
        luma = torch.from_numpy(np.ascontiguousarray(self.padded_luma()))[None, None]
        chroma = torch.from_numpy(np.stack([self.cb, self.cr]))[None].float()
        chroma = pad_to_multiple(chroma, PICTURE_MULTIPLE // 2)
        return pack420(luma.float() / 255 - 0.5, chroma / 255 - 0.5)

    @classmethod
    def from_reference(cls, luma: Tensor, chroma: Tensor, width: int, height: int) -> Picture:
        """Cut a reconstruction in −½..½ to size and round it to 8 bits."""
        luma, chroma = luma.cpu(), chroma.cpu()

        def plane(x: Tensor, columns: int, rows: int) -> Plane:
            samples = (x[:rows, :columns] + 0.5).mul_(255).round_().clamp_(0, 255)
            return samples.to(torch.uint8).contiguous().numpy()

        half_width, half_height = (width + 1) // 2, (height + 1) // 2
        return cls(
            luma=plane(luma[0, 0], width, height),
            cb=plane(chroma[0, 0], half_width, half_height),
            cr=plane(chroma[0, 1], half_width, half_height),
        )
