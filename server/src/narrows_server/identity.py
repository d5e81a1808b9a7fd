"""The ids of things: readable where a person chose them, random where a program did."""

from __future__ import annotations

import re
import secrets
import unicodedata

from narrows_server.errors import Invalid

ID_CHARACTERS_MAX = 64
_ID = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")
_ALPHABET = "abcdefghjkmnpqrstvwxyz23456789"  # Nothing that is misread over the telephone.


def new_id(prefix: str) -> str:
    """A fresh id like `lic_7mbd2q…` with 78 random bits."""
    return f"{prefix}_" + "".join(secrets.choice(_ALPHABET) for _ in range(16))


def slug(name: str) -> str:
    """The id that a name suggests: "Kanal Fünf GmbH" gives "kanal-funf-gmbh"."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", plain.lower()))[:ID_CHARACTERS_MAX].strip("-")


def require_id(text: str) -> str:
    """*text*, if it can stand in URLs, file names and documents as it is. Raises `Invalid`."""
    if len(text) > ID_CHARACTERS_MAX or not _ID.fullmatch(text):
        raise Invalid(
            f"{text!r} cannot be an id: use lower-case letters and digits, single . - _ between them, "
            f"at most {ID_CHARACTERS_MAX} characters"
        )
    return text


def require_line(text: str, what: str, *, characters_max: int) -> str:
    """*text*, if it is one line of printable characters. Raises `Invalid` saying *what* it was to be."""
    if not text.strip() or text != text.strip() or len(text) > characters_max or not text.isprintable():
        raise Invalid(f"{what} has 1 to {characters_max} printable characters and no blanks around them")
    return text
