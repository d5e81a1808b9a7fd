"""
Passwords by NIST SP 800-63B-4: long rather than colourful, none that is easy to guess, no forced change.

Hashed with Argon2id. One hash takes 64 MiB and a fifth of a second, so few are computed at once, and never on the
event loop: whoever calls these is in a thread.
"""

from __future__ import annotations

import threading
import unicodedata

from pwdlib import PasswordHash

from narrows_server.errors import Invalid

CHARACTERS_MIN = 15  # For a password that may be the only factor (section 3.1.1.2).
CHARACTERS_MAX = 128
GUESSES_LOG10_MIN = 10  # Online guesses are throttled; this is about lists of common passwords and their variations.
_AT_ONCE = 2

_hasher = PasswordHash.recommended()
_turns = threading.BoundedSemaphore(_AT_ONCE)
_nobody: list[str] = []


def hash_password(password: str) -> str:
    """The Argon2id hash of *password*."""
    with _turns:
        return _hasher.hash(_normal(password))


def is_password(password: str, password_hash: str | None) -> bool:
    """
    Whether *password* has this hash. Without one (nobody of that name) it takes the same time and is false, so that
    the time says nothing about who has an account.
    """
    if len(password) > CHARACTERS_MAX:
        password = ""
    with _turns:
        if not _nobody:
            _nobody.append(_hasher.hash("nobody's password"))
        is_right = _hasher.verify(_normal(password), password_hash or _nobody[0])
    return is_right and password_hash is not None


def check_password(password: str, *, about: tuple[str, ...]) -> None:
    """Raises `Invalid` saying what is wrong with a password that somebody chooses. *about*: their name and address."""
    password = _normal(password)
    if len(password) < CHARACTERS_MIN:
        raise Invalid(f"a password has at least {CHARACTERS_MIN} characters; a sentence is easy to remember")
    if len(password) > CHARACTERS_MAX:
        raise Invalid(f"a password has at most {CHARACTERS_MAX} characters")
    # Late: its lists of words take a while to load, and few processes ever need them.
    from zxcvbn import zxcvbn

    found = zxcvbn(password[:72], user_inputs=[*about, "narrows"])
    if found["guesses_log10"] < GUESSES_LOG10_MIN:
        warning = found["feedback"]["warning"]
        raise Invalid(f"this password is easy to guess{f': {warning}' if warning else ''}; choose another")


def _normal(password: str) -> str:
    # The same password typed on another keyboard or system is the same (section 3.1.1.2: NFKC or NFC).
    return unicodedata.normalize("NFC", password)
