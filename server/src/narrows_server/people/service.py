"""People: invited, given a role, signed in, disabled. Whether somebody may do that is decided before it gets here."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.access.roles import Role
from narrows_server.audit import Occasion
from narrows_server.customers.service import require_customer
from narrows_server.errors import AlreadyExists, Invalid, InvitationEnded, NotFound
from narrows_server.identity import new_id, require_line
from narrows_server.paging import Paged, Paging, read_page
from narrows_server.people import passwords, second_factor, sessions, throttle
from narrows_server.people.models import Invitation, Person, WebSession
from narrows_server.people.sso import Identity
from narrows_server.people.throttle import Counted

EMAIL_CHARACTERS_MAX = 254
NAME_CHARACTERS_MAX = 200
INVITATION_LIFETIME = timedelta(days=7)
_EMAIL = re.compile(r"[^\s@<>()\"',;:\\]{1,64}@[^\s@<>()\"',;:\\]+\.[^\s@<>()\"',;:\\]+")


def invite(
    session: Session,
    *,
    email: str,
    name: str,
    role: Role,
    customer_id: str | None = None,
    occasion: Occasion,
) -> tuple[Person, str]:
    """
    A new person, and the token of the link with which they choose a password; with single sign-on they need none.

    Raises `AlreadyExists`, `Invalid`, and `NotFound` for the customer.
    """
    address = check_email(email)
    if find_by_email(session, address) is not None:
        raise AlreadyExists(f"there is an account for {address} already")
    check_role(session, role, customer_id=customer_id)
    person = Person(
        id=new_id("psn"),
        email=address,
        name=require_line(name, "a name", characters_max=NAME_CHARACTERS_MAX),
        role=role.value,
        customer_id=customer_id,
        password_hash=None,
        totp_sealed=None,
        totp_step=None,
        sso_issuer=None,
        sso_subject=None,
        created_at=occasion.at,
        signed_in_at=None,
        disabled_at=None,
    )
    session.add(person)
    session.flush()
    audit.write(session, occasion, "person.invited", person.id, email=address, role=role.value, customer=customer_id)
    return person, _new_invitation(session, person, at=occasion.at)


def reset(session: Session, person: Person, *, occasion: Occasion) -> str:
    """
    The token of a new link: password, second factor and recovery codes are void, and every session ends.

    For somebody who lost what they sign in with; whoever resets has made sure who asks.
    """
    person.password_hash = person.totp_sealed = person.totp_step = None
    second_factor.forget_recovery_codes(session, person)
    ended = sessions.end_sessions(session, person)
    throttle.forgive(session, account_of(person.email))
    throttle.forgive(session, codes_of(person))
    audit.write(session, occasion, "person.reset", person.id, sessions_ended=ended)
    return _new_invitation(session, person, at=occasion.at)


def find_invited(session: Session, token: str, *, at: datetime) -> Person | None:
    """Whose link this is, if it still works."""
    found = session.get(Invitation, _digest(token))
    if found is None or at >= found.expires_at:
        return None
    person = session.get(Person, found.person_id)
    return None if person is None or person.disabled_at is not None else person


def accept_invitation(session: Session, token: str, password_hash: str, *, at: datetime) -> Person:
    """Set the first password. The link works once. Raises `InvitationEnded`."""
    person = find_invited(session, token, at=at)
    if person is None:
        raise InvitationEnded("this link was used before or is too old; ask for a new one")
    session.execute(delete(Invitation).where(Invitation.person_id == person.id))
    set_password(session, person, password_hash, occasion=Occasion(actor=f"person:{person.email}", at=at))
    return person


def set_password(session: Session, person: Person, password_hash: str, *, occasion: Occasion) -> None:
    """Another password: every session that was opened with the old one ends."""
    person.password_hash = password_hash
    sessions.end_sessions(session, person)
    throttle.forgive(session, account_of(person.email))
    audit.write(session, occasion, "person.password_set", person.id)


def check_role(session: Session, role: Role, *, customer_id: str | None) -> None:
    """Raises `Invalid` unless exactly the role customer names a customer, `NotFound` if there is no such one."""
    if (role is Role.CUSTOMER) is not (customer_id is not None):
        raise Invalid("the role customer belongs to one customer, and every other role to none")
    if customer_id is not None:
        require_customer(session, customer_id)


def change_role(
    session: Session, person: Person, role: Role, *, customer_id: str | None = None, occasion: Occasion
) -> None:
    """Another role: every session ends, so that none goes on with what the old one permitted. Raises `Invalid`."""
    check_role(session, role, customer_id=customer_id)
    if (person.role, person.customer_id) == (role.value, customer_id):
        return
    _require_other_owner(session, person)
    before = person.role
    person.role, person.customer_id = role.value, customer_id
    sessions.end_sessions(session, person)
    audit.write(session, occasion, "person.role_changed", person.id, before=before, role=role.value)


def disable(session: Session, person: Person, *, occasion: Occasion) -> None:
    """From now on they can't sign in, and are signed out. Again changes nothing. Raises `Invalid`."""
    if person.disabled_at is None:
        _require_other_owner(session, person)
        person.disabled_at = occasion.at
        sessions.end_sessions(session, person)
        session.execute(delete(Invitation).where(Invitation.person_id == person.id))
        audit.write(session, occasion, "person.disabled", person.id)


def enable(session: Session, person: Person, *, occasion: Occasion) -> None:
    """They can sign in again, with what they signed in with before."""
    if person.disabled_at is not None:
        person.disabled_at = None
        audit.write(session, occasion, "person.enabled", person.id)


def end_sessions(session: Session, person: Person, *, occasion: Occasion, but: str | None = None) -> int:
    """Sign a person out everywhere, except where the cookie is *but*; how many sessions that ended."""
    ended = sessions.end_sessions(session, person, but=but)
    audit.write(session, occasion, "person.sessions_ended", person.id, sessions_ended=ended)
    return ended


def enrol_second_factor(
    session: Session, found: WebSession, *, code: str, console_secret: bytes, occasion: Occasion
) -> list[str] | None:
    """Take the second factor that was shown into use if *code* is one of its; returns the recovery codes, or None."""
    if found.enrolling_sealed is None:
        return None
    person = found.person
    secret = second_factor.unseal(found.enrolling_sealed, console_secret)
    step = second_factor.matching_step(secret, code, at=occasion.at, after=None)
    if step is None:
        return None
    person.totp_sealed, person.totp_step = found.enrolling_sealed, step
    found.enrolling_sealed = None
    audit.write(session, occasion, "person.second_factor_enrolled", person.id)
    return second_factor.replace_recovery_codes(session, person)


def check_code(session: Session, person: Person, code: str, *, console_secret: bytes, occasion: Occasion) -> bool:
    """Whether *code* is of the person's second factor, or one of the recovery codes, which is then used up."""
    if person.totp_sealed is None:
        return False
    secret = second_factor.unseal(person.totp_sealed, console_secret)
    step = second_factor.matching_step(secret, code, at=occasion.at, after=person.totp_step)
    if step is not None:
        person.totp_step = step
        return True
    if second_factor.take_recovery_code(session, person, code):
        left = second_factor.count_recovery_codes(session, person)
        audit.write(session, occasion, "person.recovery_code_used", person.id, left=left)
        return True
    return False


def needs_second_factor(person: Person) -> bool:
    """Whether the role takes one: whoever acts for the vendor has one, customers may."""
    return person.role != Role.CUSTOMER.value


def account_of(email: str) -> Counted:
    """What wrong passwords of an account are counted for, whether it exists or not."""
    return Counted("account", email.strip().lower())


def codes_of(person: Person) -> Counted:
    """What wrong codes of a second factor are counted for."""
    return Counted("code", person.id)


def find_by_email(session: Session, email: str) -> Person | None:
    """The person with this address."""
    return session.scalars(select(Person).where(Person.email == email.strip().lower())).first()


def find_by_identity(session: Session, identity: Identity, *, at: datetime) -> Person | None:
    """
    Whom an issuer vouches for: by its own id of them, which is remembered when they first come with a verified
    address that was invited. None if nobody was, or if they are disabled.
    """
    query = select(Person).where(Person.sso_issuer == identity.issuer, Person.sso_subject == identity.subject)
    person = session.scalars(query).first()
    if person is None and identity.email is not None:
        person = find_by_email(session, identity.email)
        if person is None or person.sso_subject is not None or person.disabled_at is not None:
            return None  # An account that belongs to another id of the issuer is not handed to this one.
        person.sso_issuer, person.sso_subject = identity.issuer, identity.subject
        occasion = Occasion(actor=f"person:{person.email}", at=at)
        audit.write(session, occasion, "person.sso_linked", person.id, issuer=identity.issuer)
    return None if person is None or person.disabled_at is not None else person


def require_person(session: Session, person_id: str) -> Person:
    """The person with this id or address. Raises `NotFound`."""
    person = session.get(Person, person_id) or find_by_email(session, person_id)
    if person is None:
        raise NotFound(f"there is no person {person_id}")
    return person


def list_people(session: Session, at: Paging) -> Paged[Person]:
    """People, newest first."""
    return read_page(session, select(Person), by=(Person.created_at, Person.id), at=at)


def invitation_link(public_url: str | None, token: str) -> str:
    """The link for the person who was invited; a path where nobody has said under which address this server is."""
    return f"{public_url or ''}/invitation?token={token}"


def check_email(text: str) -> str:
    """*text* in lower case, if it is an address. Raises `Invalid`."""
    address = text.strip().lower()
    if len(address) > EMAIL_CHARACTERS_MAX or not address.isprintable() or not _EMAIL.fullmatch(address):
        raise Invalid(f"{text!r} is not an e-mail address")
    return address


def check_new_password(person: Person, password: str) -> str:
    """The hash of a password that *person* may choose. Slow: call it outside a transaction. Raises `Invalid`."""
    passwords.check_password(password, about=(person.name, person.email, person.email.partition("@")[0]))
    return passwords.hash_password(password)


def _require_other_owner(session: Session, person: Person) -> None:
    """Somebody must remain who can give roles."""
    if person.role != Role.OWNER.value:
        return
    query = select(func.count()).where(
        Person.role == Role.OWNER.value, Person.disabled_at.is_(None), Person.id != person.id
    )
    if not session.scalar(query):
        raise Invalid(f"{person.email} is the only owner; make another one first")


def _new_invitation(session: Session, person: Person, *, at: datetime) -> str:
    session.execute(delete(Invitation).where(Invitation.person_id == person.id))
    token = secrets.token_urlsafe(32)
    session.add(Invitation(digest=_digest(token), person_id=person.id, expires_at=at + INVITATION_LIFETIME))
    return token


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
