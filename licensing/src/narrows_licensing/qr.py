"""
Documents as the text of one QR code: compressed, and in base 45 (RFC 9285), which QR codes pack most tightly.

A phone reads such a code as plain text, so it can be sent by any messenger or typed into a form. Drawing the code is
the program's concern. What is inside is signed; nothing here checks it.
"""

from __future__ import annotations

import zlib
from typing import Final

from narrows_licensing.errors import DocumentUnreadable

PREFIX: Final = "NR1:"
QR_BYTES_MAX: Final = 2_953  # What the largest QR code holds, version 40 with correction level L.
QR_CHARACTERS_MAX: Final = 4_296  # The same code, of the 45 characters of its alphanumeric mode.
UNPACKED_BYTES_MAX: Final = 64 * 1024

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}


def to_qr_text(document: str) -> str:
    """Return the text of a QR code with *document*. Raises `DocumentUnreadable` if one code can't hold it."""
    packed = zlib.compress(document.encode(), 9)
    text = PREFIX + _encode(packed)
    if len(text) > QR_CHARACTERS_MAX:
        raise DocumentUnreadable("document", f"takes {len(text)} characters, a QR code holds {QR_CHARACTERS_MAX}")
    return text


def from_qr_text(text: str) -> str:
    """Return the document in the text of a QR code. Raises `DocumentUnreadable` if there is none."""
    stripped = text.strip("\r\n")
    if not stripped.startswith(PREFIX) or len(stripped) > QR_CHARACTERS_MAX:
        raise DocumentUnreadable("document", f"is not the text of a QR code that begins with {PREFIX}")
    reader = zlib.decompressobj()
    try:
        document = reader.decompress(_decode(stripped.removeprefix(PREFIX)), UNPACKED_BYTES_MAX + 1)
        if len(document) > UNPACKED_BYTES_MAX or not reader.eof or reader.unused_data:
            raise DocumentUnreadable("document", f"is not one document of up to {UNPACKED_BYTES_MAX} bytes")
        return document.decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise DocumentUnreadable("document", "is damaged; scan the code again") from error


def is_qr_text(text: str) -> bool:
    """Say whether *text* looks like the text of one of our QR codes."""
    return text.startswith(PREFIX)


def _encode(raw: bytes) -> str:
    groups = [raw[start : start + 2] for start in range(0, len(raw), 2)]
    return "".join(_group(int.from_bytes(group, "big"), characters=len(group) + 1) for group in groups)


def _group(value: int, *, characters: int) -> str:
    written = ""
    for _ in range(characters):
        value, digit = divmod(value, 45)
        written += _ALPHABET[digit]
    return written


def _decode(text: str) -> bytes:
    if len(text) % 3 == 1 or not all(character in _VALUES for character in text):
        raise DocumentUnreadable("document", "is not base 45; scan the code again")
    raw = b""
    for start in range(0, len(text), 3):
        group = text[start : start + 3]
        value = sum(_VALUES[character] * 45**place for place, character in enumerate(group))
        size = len(group) - 1
        if value >= 256**size:
            raise DocumentUnreadable("document", "is not base 45; scan the code again")
        raw += value.to_bytes(size, "big")
    return raw
