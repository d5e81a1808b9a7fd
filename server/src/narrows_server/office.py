"""
An opened state folder: the settings, the database, the keys and the clock that a command or the web app works with.

The only place that asks the operating system for who is at the terminal, as `clock` does for the time; all else is
handed them.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from narrows_server import schema
from narrows_server.access import api_keys
from narrows_server.audit import Occasion
from narrows_server.clock import utc_now
from narrows_server.database import Database
from narrows_server.errors import Invalid
from narrows_server.keyring import Keyring, make_keys, open_keyring, write_private
from narrows_server.parties import repository as parties
from narrows_server.parties.party import Seller
from narrows_server.parties.service import add_entity, change_entity
from narrows_server.settings import Settings
from narrows_server.usage import partitions

ADMIN_KEY_NAME = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Everything that outlives a single request or command."""

    settings: Settings
    database: Database
    keyring: Keyring
    clock: Callable[[], datetime]

    def occasion(self, actor: str | None = None) -> Occasion:
        """Now, and *actor* or else whoever is at the terminal."""
        return Occasion(actor=actor or f"admin:{_account()}", at=self.clock())


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What `initialise` did."""

    made_keys: bool
    upgraded_database: bool
    admin_key: str | None  # Only when it was made just now; it cannot be shown again.


def initialise(settings: Settings, vendor: Seller | None, *, clock: Callable[[], datetime] = utc_now) -> Initialised:
    """
    Make whatever a state folder lacks: keys, database, admin key, and a legal entity that the invoices are from.

    What exists is left alone, so it may be interrupted and run again; a *vendor* that is given replaces what is known
    of the first legal entity.
    """
    now = clock()
    made_keys = make_keys(settings, at=now)
    database = Database(settings.database_url)
    try:
        upgraded = schema.upgrade(database)
        with database.transaction() as session:
            partitions.prepare(session, at=now)
            admin_key = None
            occasion = Occasion(actor=f"admin:{_account()}", at=now)
            entities = parties.list_entities(session)
            if not entities:
                add_entity(
                    session,
                    vendor or _earlier_vendor(settings) or Seller(name="Narrows", country="DE"),
                    entity_id="vendor",
                    occasion=occasion,
                )
            elif vendor is not None:
                change_entity(session, entities[0].id, vendor, occasion=occasion)
            if not api_keys.has_key(session, name=ADMIN_KEY_NAME):
                _, admin_key = api_keys.make(
                    session,
                    name=ADMIN_KEY_NAME,
                    scopes=api_keys.ALL_SCOPES,
                    human=occasion.actor,
                    occasion=occasion,
                )
                # Before the commit: a key that is known to the database but written nowhere would lock everybody out.
                write_private(settings.admin_key, f"{admin_key}\n".encode())
    finally:
        database.close()
    return Initialised(made_keys=made_keys, upgraded_database=upgraded, admin_key=admin_key)


@contextmanager
def open_office(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> Iterator[Office]:
    """Open an initialised state folder. Raises `NotInitialised` saying what is missing."""
    keyring = open_keyring(settings)
    database = Database(settings.database_url)
    try:
        schema.require_current(database)
        yield Office(settings=settings, database=database, keyring=keyring, clock=clock)
    finally:
        database.close()


def _earlier_vendor(settings: Settings) -> Seller | None:
    """The vendor of a state folder from before there were legal entities, which kept it in a file."""
    path = settings.home / "vendor.json"
    if not path.exists():
        return None
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        return Seller(
            name=str(stated["name"]),
            country="DE",
            address=tuple(str(line) for line in stated["address"]),
            email=stated["email"],
            tax_id=stated["tax_id"],
            payment=tuple(str(line) for line in stated["payment"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid(f"{path} cannot be read ({error}); remove it, or name the vendor with --vendor-name") from error


def _account() -> str:
    """Whoever runs this process. The operating system is asked and not the environment, which anybody can set."""
    if sys.platform == "win32":
        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # A container's user id without a name.
        return f"uid-{os.getuid()}"
