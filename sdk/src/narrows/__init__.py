"""
Narrows: a video codec made only of neural networks.

    import narrows

    narrows.encode("talk.mp4", "talk.mkv", crf=32)
    narrows.decode("talk.mkv", "talk.y4m")

The names below are the public ones. They load on first use, so that what needs no codec starts without torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

from narrows.version import VERSION as __version__  # noqa: N811

# Before torch loads its OpenMP, whose threads otherwise wait for each other in busy loops: measured, two encodes on two
# cores then take twenty times as long as one after the other. Whoever sets the variable keeps their choice.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from narrows.cluster import Cluster as Cluster
    from narrows.codec.budget import PlannedGroup as PlannedGroup
    from narrows.errors import BitstreamError as BitstreamError
    from narrows.errors import ClusterError as ClusterError
    from narrows.errors import CorruptBitstream as CorruptBitstream
    from narrows.errors import CutOff as CutOff
    from narrows.errors import LedgerDamaged as LedgerDamaged
    from narrows.errors import LicenseError as LicenseError
    from narrows.errors import LicenseNotWritten as LicenseNotWritten
    from narrows.errors import LicenseRefused as LicenseRefused
    from narrows.errors import LicenseUnreadable as LicenseUnreadable
    from narrows.errors import NarrowsError as NarrowsError
    from narrows.errors import NotABitstream as NotABitstream
    from narrows.errors import ReportRejected as ReportRejected
    from narrows.errors import UnsupportedBitstream as UnsupportedBitstream
    from narrows.errors import UsageError as UsageError
    from narrows.errors import VideoError as VideoError
    from narrows.files import DecodeResult as DecodeResult
    from narrows.files import EncodeResult as EncodeResult
    from narrows.files import FileInfo as FileInfo
    from narrows.files import LibraryFile as LibraryFile
    from narrows.files import decode as decode
    from narrows.files import encode as encode
    from narrows.files import encode_all as encode_all
    from narrows.files import probe as probe
    from narrows.media.description import Colour as Colour
    from narrows.media.packets import Container as Container
    from narrows.media.picture import Picture as Picture
    from narrows.options import Device as Device
    from narrows.options import Engine as Engine
    from narrows.options import Preset as Preset
    from narrows.options import Tune as Tune
    from narrows.packaging.hls import PackageResult as PackageResult
    from narrows.packaging.hls import package_hls as package_hls
    from narrows.reporting.status import EarlierUsage as EarlierUsage
    from narrows.reporting.status import UsageStatus as UsageStatus
    from narrows.reporting.status import usage_status as usage_status
    from narrows.session.decoder import Decoder as Decoder
    from narrows.session.encoder import Encoder as Encoder
    from narrows.session.packet import Packet as Packet
    from narrows.session.tally import EncodeSummary as EncodeSummary
    from narrows.settings import Settings as Settings
    from narrows.tasks import adecode as adecode
    from narrows.tasks import aencode as aencode

_HOME = {
    "narrows.cluster": ("Cluster",),
    "narrows.codec.budget": ("PlannedGroup",),
    "narrows.errors": (
        "BitstreamError",
        "ClusterError",
        "CorruptBitstream",
        "CutOff",
        "LedgerDamaged",
        "LicenseError",
        "LicenseNotWritten",
        "LicenseRefused",
        "LicenseUnreadable",
        "NarrowsError",
        "NotABitstream",
        "ReportRejected",
        "UnsupportedBitstream",
        "UsageError",
        "VideoError",
    ),
    "narrows.files": (
        "DecodeResult",
        "EncodeResult",
        "FileInfo",
        "LibraryFile",
        "decode",
        "encode",
        "encode_all",
        "probe",
    ),
    "narrows.tasks": ("adecode", "aencode"),
    "narrows.options": ("Device", "Engine", "Preset", "Tune"),
    "narrows.media.description": ("Colour",),
    "narrows.media.packets": ("Container",),
    "narrows.media.picture": ("Picture",),
    "narrows.packaging.hls": ("PackageResult", "package_hls"),
    "narrows.session.decoder": ("Decoder",),
    "narrows.session.encoder": ("Encoder",),
    "narrows.session.packet": ("Packet",),
    "narrows.session.tally": ("EncodeSummary",),
    "narrows.settings": ("Settings",),
    "narrows.reporting.status": ("EarlierUsage", "UsageStatus", "usage_status"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'narrows' has no attribute {name!r}")
    value: object = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
