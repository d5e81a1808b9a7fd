"""
Where this server keeps its state: arguments first, then NARROWS_SERVER_* variables.

The only reader of the environment in this distribution. It names places and nothing else: what is in
them is read by `keyring` and `database`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from narrows_server.errors import HomeMissing, Invalid
from narrows_server.people.sso_settings import SsoSettings
from narrows_server.rates import Rates

HOME_VARIABLE = "NARROWS_SERVER_HOME"
DATABASE_VARIABLE = "NARROWS_SERVER_DATABASE_URL"
TWO_PERSON_VARIABLE = "NARROWS_SERVER_TWO_PERSON"
PASSPHRASE_VARIABLE = "NARROWS_SERVER_PASSPHRASE_FILE"  # noqa: S105 - the name of a variable
PUBLIC_URL_VARIABLE = "NARROWS_SERVER_PUBLIC_URL"
OIDC_ISSUER_VARIABLE = "NARROWS_SERVER_OIDC_ISSUER"
OIDC_CLIENT_VARIABLE = "NARROWS_SERVER_OIDC_CLIENT_ID"
OIDC_SECRET_VARIABLE = "NARROWS_SERVER_OIDC_CLIENT_SECRET_FILE"  # noqa: S105 - the name of a variable
DEVELOPMENT_VARIABLE = "NARROWS_SERVER_DEVELOPMENT"
TRACES_VARIABLE = "NARROWS_SERVER_TRACES"
ADDRESS_RATE_VARIABLE = "NARROWS_SERVER_RATE_PER_ADDRESS"
KEY_RATE_VARIABLE = "NARROWS_SERVER_RATE_PER_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The state folder, the database and the address under which customers reach this server."""

    home: Path
    database_url: str
    public_url: str | None = None  # Without a trailing slash; written into licenses as the place to report to.
    is_two_person: bool = False  # A license that one person asks for is issued when another approves it.
    passphrase_path: Path | None = None  # The file with the passphrase of encrypted keys.
    oidc_issuer: str | None = None  # The issuer of the single sign-on; takes a public_url to come back to.
    oidc_client_id: str | None = None
    oidc_secret_path: Path | None = None
    is_development: bool = False  # Webhooks may go to this machine and without TLS. Never for the world.
    is_traced: bool = False  # Spans are sent as the OTEL_* variables say.
    rates: Rates = field(default_factory=Rates)  # How often one address and one API key may ask.

    @classmethod
    def read(cls, environ: Mapping[str, str], *, home: Path | None = None) -> Settings:
        """
        Settings from *home* or else from *environ*.

        Raises `HomeMissing` when neither names a state folder: a default could put private keys where nobody looks;
        and `Invalid` for a rate that is none.
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
            oidc_issuer=environ.get(OIDC_ISSUER_VARIABLE) or None,
            oidc_client_id=environ.get(OIDC_CLIENT_VARIABLE) or None,
            oidc_secret_path=Path(secret) if (secret := environ.get(OIDC_SECRET_VARIABLE)) else None,
            is_development=environ.get(DEVELOPMENT_VARIABLE, "") not in ("", "0"),
            is_traced=environ.get(TRACES_VARIABLE, "") not in ("", "0"),
            rates=_rates(environ),
        )

    def single_sign_on(self) -> SsoSettings | None:
        """
        Who vouches for people, if anybody does.

        Raises `Invalid` if only half of it is set.
        """
        if self.oidc_issuer is None:
            return None
        if self.oidc_client_id is None or self.oidc_secret_path is None or self.public_url is None:
            raise Invalid(
                f"{OIDC_ISSUER_VARIABLE} takes {OIDC_CLIENT_VARIABLE}, {OIDC_SECRET_VARIABLE} and {PUBLIC_URL_VARIABLE}"
            )
        return SsoSettings(
            issuer=self.oidc_issuer,
            client_id=self.oidc_client_id,
            client_secret=self.oidc_secret_path.read_text().strip(),
            redirect_uri=f"{self.public_url}/sign-in/sso/callback",
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


def _rates(environ: Mapping[str, str]) -> Rates:
    chosen = {
        name: environ[variable]
        for name, variable in (("per_address", ADDRESS_RATE_VARIABLE), ("per_key", KEY_RATE_VARIABLE))
        if environ.get(variable)
    }
    try:
        return Rates(**chosen)
    except Invalid as error:
        raise Invalid(f"{ADDRESS_RATE_VARIABLE} or {KEY_RATE_VARIABLE}: {error.detail}") from error
