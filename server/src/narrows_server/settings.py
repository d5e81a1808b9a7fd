"""
Where this server keeps its state: arguments first, then NARROWS_SERVER_* variables.

The only reader of the environment in this distribution. It names places and nothing else: what is in
them is read by `keyring` and `database`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from narrows_server.errors import HomeMissing

HOME_VARIABLE = "NARROWS_SERVER_HOME"
DATABASE_VARIABLE = "NARROWS_SERVER_DATABASE_URL"
TWO_PERSON_VARIABLE = "NARROWS_SERVER_TWO_PERSON"
PASSPHRASE_VARIABLE = "NARROWS_SERVER_PASSPHRASE_FILE"  # noqa: S105 - the name of a variable
PUBLIC_URL_VARIABLE = "NARROWS_SERVER_PUBLIC_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The state folder, the database and the address under which customers reach this server."""

    home: Path
    database_url: str
    public_url: str | None = None  # Without a trailing slash; written into licenses as the place to report to.
    is_two_person: bool = False  # A license that one person asks for is issued when another approves it.
    passphrase_path: Path | None = None  # The file with the passphrase of encrypted keys.

    @classmethod
    def read(cls, environ: Mapping[str, str], *, home: Path | None = None) -> Settings:
        """
        Settings from *home* or else from *environ*.

        Raises `HomeMissing` when neither names a state folder: a default could put private keys where nobody looks.
        """
        chosen = home or (Path(environ[HOME_VARIABLE]) if environ.get(HOME_VARIABLE) else None)
        if chosen is None:
            raise HomeMissing(f"say where the server keeps its state: --home FOLDER or {HOME_VARIABLE}")
        folder = chosen.expanduser().absolute()
        passphrase = environ.get(PASSPHRASE_VARIABLE)
        public_url = environ.get(PUBLIC_URL_VARIABLE, "").rstrip("/")
        return cls(
            home=folder,
            database_url=environ.get(DATABASE_VARIABLE) or f"sqlite:///{folder / 'narrows.sqlite'}",
            public_url=public_url or None,
            is_two_person=environ.get(TWO_PERSON_VARIABLE, "") not in ("", "0"),
            passphrase_path=Path(passphrase) if passphrase else None,
        )

    @property
    def keys(self) -> Path:
        """The keys that a running server signs with (mode 0600 in a folder of mode 0700)."""
        return self.home / "keys"

    @property
    def root_keys(self) -> Path:
        """The root private keys. Nothing but `init` ever opens them; they belong on an offline machine."""
        return self.keys / "root"

    @property
    def trust_bundle(self) -> Path:
        return self.home / "trust-bundle.json"

    @property
    def earlier_keys(self) -> Path:
        """Public license keys that are in no bundle any more: what they signed can still be read here, and renewed."""
        return self.home / "earlier-license-keys.json"

    @property
    def bundle_draft(self) -> Path:
        """The first trust bundle while offline roots have yet to sign it."""
        return self.home / "trust-bundle.draft.json"

    @property
    def roots(self) -> Path:
        """The public root keys, for the SDK to embed."""
        return self.home / "roots.json"

    @property
    def admin_key(self) -> Path:
        return self.home / "admin.key"

    @property
    def address(self) -> Path:
        """Where the running server listens, written by `serve`."""
        return self.home / "server.json"
