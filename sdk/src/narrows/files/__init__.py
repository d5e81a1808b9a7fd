"""Whole files in, whole files out."""

from narrows.files.decoding import DecodeResult, decode
from narrows.files.encoding import EncodeResult, encode
from narrows.files.probing import FileInfo, coded_digest, probe
from narrows.files.progress import Progress

__all__ = [
    "DecodeResult",
    "EncodeResult",
    "FileInfo",
    "Progress",
    "coded_digest",
    "decode",
    "encode",
    "probe",
]
