"""
What a machine remembers of the documents it has seen: the newest trust bundle and the newest revocation list.

They are kept as they were signed, and checked against the roots again whenever they are used, so that whoever can
write this memory can make it forget but can't make it believe. Pure: the program says where the text is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from narrows_licensing.claims import ClaimReader
from narrows_licensing.errors import DocumentUnreadable
from narrows_licensing.revocation import REVOCATIONS_BYTES_MAX
from narrows_licensing.strict_json import JsonRefused, read_object, write_object

MEMORY_FORMAT: Final = "narrows-known/1"
MEMORY_BYTES_MAX: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The newest documents seen, as they were signed. None where none was seen yet."""

    bundle: dict[str, Any] | None = None
    revocations: str | None = None

    def to_json(self) -> str:
        """Write the memory."""
        members = {"format": MEMORY_FORMAT, "bundle": self.bundle, "revocations": self.revocations}
        return write_object(members, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Known:
        """Read what `to_json` wrote. Raises `DocumentUnreadable`; no signature is looked at."""
        if len(text) > MEMORY_BYTES_MAX:
            raise DocumentUnreadable("document", f"has more than {MEMORY_BYTES_MAX} characters")
        try:
            reader = ClaimReader(read_object(text), error=DocumentUnreadable)
        except JsonRefused as error:
            raise DocumentUnreadable("document", str(error)) from error
        reader.constant("format", MEMORY_FORMAT)
        known = cls(
            bundle=reader.object_or_none("bundle"),
            revocations=reader.text_or_none("revocations", characters_max=REVOCATIONS_BYTES_MAX),
        )
        reader.done()
        return known


NOTHING: Final = Known()
