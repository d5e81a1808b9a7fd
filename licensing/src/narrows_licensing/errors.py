"""
What goes wrong with a signed document.

::

    LicensingError                catch-all; never raised itself
    ├── SignatureRefused          .detail   not signed as it must be, by a key that may
    │   ├── UnknownKey            .kid      well formed, but signed by a key that is not trusted here
    │   └── TooFewRoots                     well formed, but signed by too few of the roots that are trusted here
    └── DocumentUnreadable        .claim    signed or not, the contents break a rule of their format
        └── LicenseUnreadable               the same, of a license or a license file

An expired or revoked license is no error: it is an ordinary outcome and comes back as a value, see `verdict`.
No message repeats the body of a document or a key; identifiers and names of members appear.
"""

from __future__ import annotations


class LicensingError(Exception):
    """Catches everything that this package raises on purpose."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class SignatureRefused(LicensingError):
    """A token, a detached signature or a bundle broke one of the verifier's rules; `detail` says which."""


class UnknownKey(SignatureRefused):
    """The signature names a key that is not among the trusted ones. Nothing is known about its contents."""

    def __init__(self, kid: str) -> None:
        super().__init__(f"the signing key {kid} is not trusted here")
        self.kid = kid


class TooFewRoots(SignatureRefused):
    """A trust bundle is signed by fewer of the trusted root keys than must agree."""

    def __init__(self, found: int, threshold: int) -> None:
        super().__init__(f"{found} known root keys signed the trust bundle; {threshold} must")


class DocumentUnreadable(LicensingError):
    """A bundle, a roots file or a revocation list says something that its format doesn't allow."""

    def __init__(self, claim: str, detail: str) -> None:
        super().__init__(f"{claim}: {detail}")
        self.claim = claim


class LicenseUnreadable(DocumentUnreadable):
    """A license or a license file says something that its format doesn't allow; `claim` names the member."""
