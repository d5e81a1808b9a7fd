"""Whole files in, whole files out."""

from narrows.files.decoding import DecodeResult, decode
from narrows.files.encoding import EncodeResult, encode
from narrows.files.library import LibraryFile, encode_all
from narrows.files.probing import FileInfo, coded_digest, probe
from narrows.files.progress import Progress

__all__ = [
    "DecodeResult",
    "EncodeResult",
    "FileInfo",
    "LibraryFile",
    "Progress",
    "coded_digest",
    "decode",
    "encode",
    "encode_all",
    "probe",
]
