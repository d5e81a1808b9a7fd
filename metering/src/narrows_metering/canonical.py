"""
Canonical JSON (RFC 8785) for what is hashed often: records and reports.

The standard library's encoder writes exactly the bytes of RFC 8785 as long as every key is ASCII and every number
an integer within ±(2^53 − 1), and it is some twenty times faster than an encoder for all of JSON. Callers
guarantee both conditions (`record` checks them); the tests compare with the `rfc8785` package. Documents that are
hashed once, such as statements, use that package.
"""

from __future__ import annotations

import json
from typing import NoReturn

INTEGER_MAX = 2**53 - 1  # RFC 8785 numbers are IEEE doubles; beyond this two integers could share one text.

_ENCODER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)


def canonical_json(value: object) -> bytes:
    """The canonical bytes of *value*: ASCII keys, no floats. Raises UnicodeEncodeError for lone surrogates."""
    return _ENCODER.encode(value).encode("utf-8")


def read_json(text: str | bytes) -> object:
    """
    Parse UTF-8 JSON in which no number is a float.

    Raises ValueError for anything else, including nesting too deep for the parser.
    """
    try:
        return _DECODER.decode(text if isinstance(text, str) else text.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_float(text: str) -> NoReturn:
    raise ValueError(f"{text[:32]} is not an integer")


_DECODER = json.JSONDecoder(parse_float=_refuse_float, parse_constant=_refuse_float)
