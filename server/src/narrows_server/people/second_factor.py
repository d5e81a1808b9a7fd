"""The second factor: time-based codes (RFC 6238) of an authenticator app, and recovery codes for when it is lost."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

import pyotp
import segno
from cryptography.fernet import Fernet
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from narrows_server.people.models import Person, RecoveryCode
from narrows_server.sealing import box

ISSUER = "Narrows"
STEP_SECONDS = 30
STEPS_OFF = 1  # How far the clock of a telephone may be off.
RECOVERY_CODES = 10
_ALPHABET = "abcdefghjkmnpqrstvwxyz23456789"


def new_secret() -> str:
    """A fresh secret of 160 bits, in Base32."""
    return pyotp.random_base32()


def seal(secret: str, console_secret: bytes) -> str:
    """What is stored of a secret."""
    return _box(console_secret).encrypt(secret.encode()).decode()


def unseal(sealed: str, console_secret: bytes) -> str:
    """A stored secret."""
    return _box(console_secret).decrypt(sealed).decode()


def qr_code(secret: str, *, email: str) -> str:
    """The SVG of the QR code that an authenticator app reads."""
    uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)
    return str(segno.make(uri, micro=False).svg_inline(scale=5, border=4, dark="#000", light="#fff"))


def matching_step(secret: str, code: str, *, at: datetime, after: int | None) -> int | None:
    """The time step whose code *code* is, if it is later than the one that was taken last; None if there is none."""
    code = code.replace(" ", "")
    if len(code) != 6 or not (code.isascii() and code.isdecimal()):
        return None
    totp, now = pyotp.TOTP(secret), int(at.timestamp()) // STEP_SECONDS
    found = None
    for step in range(now - STEPS_OFF, now + STEPS_OFF + 1):
        # All of them, whichever matches: the time says nothing.
        if secrets.compare_digest(totp.at(step * STEP_SECONDS), code) and (after is None or step > after):
            found = step
    return found


def replace_recovery_codes(session: Session, person: Person) -> list[str]:
    """Ten fresh codes; the old ones are void. This is the only time that they can be seen."""
    forget_recovery_codes(session, person)
    codes = ["-".join(_part() for _ in range(3)) for _ in range(RECOVERY_CODES)]
    session.add_all(RecoveryCode(digest=_digest(person, code), person_id=person.id) for code in codes)
    return codes


def take_recovery_code(session: Session, person: Person, code: str) -> bool:
    """Whether *code* is one of the person's; it is none any more afterwards."""
    found = session.get(RecoveryCode, _digest(person, code.strip().lower()), with_for_update=True)
    if found is None:
        return False
    session.delete(found)
    session.flush()
    return True


def forget_recovery_codes(session: Session, person: Person) -> None:
    """Void every code of the person."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.person_id == person.id))


def count_recovery_codes(session: Session, person: Person) -> int:
    """How many are left."""
    return len(session.scalars(select(RecoveryCode.digest).where(RecoveryCode.person_id == person.id)).all())


def _part() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(5))


def _digest(person: Person, code: str) -> str:
    # 73 random bits: nothing to guess, so nothing that a slow hash would slow down.
    return hashlib.sha256(f"{person.id}\n{code}".encode()).hexdigest()


def _box(console_secret: bytes) -> Fernet:
    return box(console_secret, "second-factor")
