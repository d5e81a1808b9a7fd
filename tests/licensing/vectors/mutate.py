"""
Every byte of every signed document, changed to each of the 255 others: how many were tried, and how many believed.

    python -m tests.licensing.vectors.mutate
"""

from __future__ import annotations

import sys

from narrows_licensing.errors import LicensingError

from .documents import documents


def main() -> int:
    """Return 1 if any changed document was believed."""
    tried = believed = 0
    for document in documents():
        original = document.text.encode()
        for position in range(len(original)):
            for value in range(256):
                if value == original[position]:
                    continue
                tried += 1
                changed = original[:position] + bytes([value]) + original[position + 1 :]
                try:
                    document.read(changed.decode("latin-1"))
                except (LicensingError, ValueError):
                    continue
                believed += 1
                sys.stderr.write(f"{document.name}: byte {position} changed to {value} is believed\n")
    sys.stdout.write(f"mutation: {tried} changed documents of {len(documents())} types, {believed} believed\n")
    return 1 if believed else 0


if __name__ == "__main__":
    sys.exit(main())
