"""
Everything that the SDK raises on purpose.

    NarrowsError                     catch-all for callers; never raised itself
    ├── LicenseError
    │   ├── LicenseRefused              the license does not permit a new encode
    │   │   └── LicenseUnreadable           no license, not a license, or its signature is wrong
    │   ├── LicenseNotWritten           a license file can't be put where it was asked for
    │   └── LogRefused                  a license log is not what the vendor signed
    ├── BitstreamError
    │   ├── NotABitstream               the file is something else
    │   ├── UnsupportedBitstream        made by a newer version or with other weights
    │   └── CorruptBitstream            damaged; says where
    │       └── CutOff                      whole up to a place where it ends
    ├── ClusterError                    a cluster can't be reached, or can't do the work
    ├── VideoError                      the source can't be read or the target can't be written
    └── UsageError
        ├── LedgerDamaged               the chain of usage records does not verify
        └── ReportRejected              the server said no
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

    from narrows_licensing.verdict import Reason


class NarrowsError(Exception):
    """Base of all errors of the SDK."""


class LicenseError(NarrowsError):
    """Something about a license. Decoding never raises it."""


class LicenseRefused(LicenseError):
    """Raised when an encoder is opened and the license does not permit it."""

    def __init__(self, reason: Reason, message: str, *, next_step: str, license_id: str | None = None) -> None:
        super().__init__(f"{message} [{reason.value}] Next step: {next_step}")
        self.reason = reason
        self.license_id = license_id
        self.next_step = next_step


class LicenseUnreadable(LicenseRefused):
    """Raised when there is no license, or what is there is not one that a trusted key signed."""


class LicenseNotWritten(LicenseError):
    """Raised when a license file can't be written, or another license is there that should be kept."""


class LogRefused(LicenseError):
    """Raised when a license log is not what the vendor signed, or lacks something that was signed."""


class ClusterError(NarrowsError):
    """Raised when a cluster that should encode can't be reached, has another release, or fails."""


class BitstreamError(NarrowsError):
    """A file or packet can't be decoded."""


class NotABitstream(BitstreamError):
    """Raised when a file or packet does not begin as Narrows does."""


class UnsupportedBitstream(BitstreamError):
    """Raised when a bitstream needs a version or weights that this release does not have."""


class CorruptBitstream(BitstreamError):
    """Raised when a bitstream is damaged; *byte_offset* counts from the start of the packet or file."""

    def __init__(self, detail: str, *, byte_offset: int) -> None:
        super().__init__(f"corrupt bitstream at byte {byte_offset}: {detail}")
        self.detail = detail
        self.byte_offset = byte_offset


class CutOff(CorruptBitstream):
    """Raised when a file is whole up to *byte_offset* and ends there; `decode` with *conceal* keeps what is there."""

    def __init__(self, *, byte_offset: int) -> None:
        super().__init__(
            "the file is cut off here; decode it with conceal (--conceal) to keep what comes before",
            byte_offset=byte_offset,
        )


class VideoError(NarrowsError):
    """Raised when a source can't be read or a target can't be written; the original is `__cause__`."""


class UsageError(NarrowsError):
    """Metering can't go on."""


class LedgerDamaged(UsageError):
    """Raised when the ledger does not verify; *sequence* is the first record that does not, if it is known."""

    def __init__(self, message: str, *, sequence: int | None) -> None:
        super().__init__(message)
        self.sequence = sequence


class ReportRejected(UsageError):
    """
    Raised when the metering server refuses a report or a question; the text starts with the request id.

    *seq* is the record that contradicts one which the server holds, where that is why; *expected_seq* is the record
    from which it wants to be told again. *retry_after* is how long it wants to be left alone.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        request_id: str,
        seq: int | None = None,
        expected_seq: int | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(f"{request_id}: {detail} [{code}]")
        self.code = code
        self.request_id = request_id
        self.seq = seq
        self.expected_seq = expected_seq
        self.retry_after = retry_after
