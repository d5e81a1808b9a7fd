"""
Single sign-on by OpenID Connect: the authorization code flow with PKCE, against one issuer.

Whoever comes back has been invited here first; an issuer vouches for who somebody is and never for what they may do.
The issuer's own second factor counts. What is believed of its answer: a token signed by one of its keys with an
algorithm that is fixed here, issued by it, for us, now, and for the very request that this browser began.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import delete
from sqlalchemy.orm import Session

from narrows_server.errors import SignInRefused
from narrows_server.people.models import SsoRequest
from narrows_server.people.sso_settings import SsoSettings

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")  # Never "none", never a shared secret.
REQUEST_LIFETIME = timedelta(minutes=10)
LEEWAY_SECONDS = 60
TIMEOUT_SECONDS = 10.0
ANSWER_BYTES_MAX = 1 << 20
SCOPE = "openid email profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom the issuer vouches for."""

    issuer: str
    subject: str
    email: str | None  # Only if the issuer says that it is verified.


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A sign-on that was begun: where to send the browser, and the state under which it comes back."""

    url: str
    state: str


class SingleSignOn:
    """The issuer, as it describes itself at its well-known address; asked once and when its keys change."""

    def __init__(self, settings: SsoSettings, *, transport: httpx2.BaseTransport | None = None) -> None:
        self.settings = settings
        self._transport = transport
        self._metadata: Mapping[str, Any] | None = None
        self._keys: KeySet | None = None

    def begin(self, session: Session, *, browser: str, target: str, at: datetime) -> Begun:
        """Keep what the answer must fit, and say where to send the browser. Raises `SignInRefused`."""
        session.execute(delete(SsoRequest).where(SsoRequest.expires_at <= at))
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        session.add(
            SsoRequest(
                digest=_digest(state),
                browser=_digest(browser),
                nonce=nonce,
                verifier=verifier,
                target=target,
                expires_at=at + REQUEST_LIFETIME,
            )
        )
        with self._client() as client:
            url, _ = client.create_authorization_url(
                self._discovered()["authorization_endpoint"],
                state=state,
                nonce=nonce,
                code_verifier=verifier,
            )
        return Begun(url=str(url), state=state)

    def complete(self, asked: SsoRequest, code: str, *, at: datetime) -> Identity:
        """Trade the code for the issuer's word, and believe it if it fits what was *asked*. Raises `SignInRefused`."""
        try:
            with self._client() as client:
                token = client.fetch_token(
                    self._discovered()["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=asked.verifier,
                )
        except (AuthlibBaseError, httpx2.HTTPError, ValueError) as error:
            raise SignInRefused("the issuer did not take the code; begin again") from error
        text = token.get("id_token") if isinstance(token, dict) else None
        if not isinstance(text, str) or len(text) > ANSWER_BYTES_MAX:
            raise SignInRefused("the issuer sent no identity")
        return self._believe(text, nonce=asked.nonce, at=at)

    def _believe(self, text: str, *, nonce: str, at: datetime) -> Identity:
        try:
            claims = self._decode(text)
            registry = jwt.JWTClaimsRegistry(
                now=int(at.timestamp()),
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": self.settings.issuer},
                aud={"essential": True, "value": self.settings.client_id},
                exp={"essential": True},
                iat={"essential": True},
                sub={"essential": True},
                nonce={"essential": True, "value": nonce},
            )
            registry.validate(claims)
        except (JoseError, ValueError) as error:
            raise SignInRefused("the issuer's word does not hold; begin again") from error
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if len(audiences) > 1 and claims.get("azp") != self.settings.client_id:
            raise SignInRefused("the issuer's word is for somebody else as well")
        email = claims.get("email")
        is_verified = claims.get("email_verified") is True and isinstance(email, str)
        return Identity(
            issuer=self.settings.issuer,
            subject=str(claims["sub"])[:255],
            email=str(email).strip().lower() if is_verified else None,
        )

    def _decode(self, text: str) -> dict[str, Any]:
        try:
            return dict(jwt.decode(text, self._key_set(), algorithms=list(ALGORITHMS)).claims)
        except (JoseError, ValueError):
            # Perhaps the issuer has another key since we asked.
            return dict(jwt.decode(text, self._key_set(is_fresh=True), algorithms=list(ALGORITHMS)).claims)

    def _discovered(self) -> Mapping[str, Any]:
        if self._metadata is None:
            document = self._get(get_well_known_url(self.settings.issuer, external=True))
            if document.get("issuer") != self.settings.issuer:
                raise SignInRefused("the issuer calls itself something else; check the setting")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                require_secure(str(document.get(name, "")), name)
            if "S256" not in document.get("code_challenge_methods_supported", ["S256"]):
                raise SignInRefused("the issuer does not know PKCE with S256")
            self._metadata = OpenIDProviderMetadata(document)
        return self._metadata

    def _key_set(self, *, is_fresh: bool = False) -> KeySet:
        if self._keys is None or is_fresh:
            document: Any = self._get(self._discovered()["jwks_uri"])
            self._keys = KeySet.import_key_set(document)
        return self._keys

    def _get(self, url: str) -> dict[str, Any]:
        try:
            with httpx2.Client(transport=self._transport, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
                response = client.get(url)
                response.raise_for_status()
                document = response.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise SignInRefused("the issuer of the single sign-on cannot be reached; try again later") from error
        if not isinstance(document, dict):
            raise SignInRefused("the issuer does not describe itself")
        return document

    def _client(self) -> Any:
        return OAuth2Client(
            client_id=self.settings.client_id,
            client_secret=self.settings.client_secret,
            redirect_uri=self.settings.redirect_uri,
            scope=SCOPE,
            code_challenge_method="S256",
            transport=self._transport,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )


def take_request(session: Session, state: str) -> SsoRequest | None:
    """
    What was asked under *state*; it cannot be taken again.

    Commit before it is checked: an answer that was bad once is not given a second chance.
    """
    asked = session.get(SsoRequest, _digest(state), with_for_update=True)
    if asked is not None:
        session.delete(asked)
        session.flush()
    return asked


def check_request(asked: SsoRequest | None, *, browser: str, at: datetime) -> SsoRequest:
    """*asked*, if this browser asked for it, and not too long ago. Raises `SignInRefused`."""
    if asked is None:
        raise SignInRefused("this sign-on was not begun here, or was answered already; begin again")
    if not browser or asked.browser != _digest(browser):
        raise SignInRefused("this sign-on was begun in another browser; begin again")
    if at >= asked.expires_at:
        raise SignInRefused("this took too long; begin again")
    return asked


def require_secure(url: str, what: str) -> str:
    """*url*, if it is https, or on this machine. Raises `SignInRefused`."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}):
        return url
    raise SignInRefused(f"the {what} of the issuer is not https")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
