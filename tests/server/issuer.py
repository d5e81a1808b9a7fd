"""
An OpenID Connect issuer on a loopback port: discovery, authorization code flow with PKCE, signed identities.

Honest unless a test says how it is to lie.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.jwk import RSAKey

from .builders import Clock

CLIENT_ID, CLIENT_SECRET = "narrows", "correct horse"


@dataclass(slots=True)
class Issuer:
    """Who vouches for whom, and what it lies about."""

    clock: Clock
    url: str = ""
    subject: str = "idp-anna"
    email: str | None = "owner@narrows.test"
    email_verified: bool = True
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "first", "use": "sig"}))
    lies: dict[str, Any] = field(default_factory=dict)  # Claims that replace the true ones; None leaves one out.
    signs_with: str = "RS256"
    signing_key: Any = None
    asked: dict[str, dict[str, str]] = field(default_factory=dict)  # By code: what the browser came with.
    discovery_lies: dict[str, Any] = field(default_factory=dict)

    def app(self) -> FastAPI:
        """The issuer's web application."""
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        def discovery() -> dict[str, Any]:
            return {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
            } | self.discovery_lies

        @app.get("/jwks")
        def jwks() -> dict[str, Any]:
            return {"keys": [self.key.as_dict(private=False)]}

        @app.get("/authorize")
        def authorize(request: Request) -> Response:
            asked = dict(request.query_params)
            assert asked["client_id"] == CLIENT_ID
            assert asked["response_type"] == "code"
            assert asked["code_challenge_method"] == "S256"
            assert "openid" in asked["scope"].split()
            code = secrets.token_urlsafe(16)
            self.asked[code] = asked
            return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")

        @app.post("/token")
        async def token(request: Request) -> Response:
            form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
            basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
            asked = self.asked.pop(form.get("code", ""), None)
            if asked is None or request.headers["authorization"] != f"Basic {basic}":
                return JSONResponse({"error": "invalid_grant"}, status_code=400)
            challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
            if challenge.rstrip(b"=").decode() != asked["code_challenge"]:
                return JSONResponse({"error": "invalid_grant", "error_description": "PKCE"}, status_code=400)
            return JSONResponse(
                {"access_token": "unused", "token_type": "Bearer", "id_token": self.identity(asked["nonce"])}
            )

        return app

    def identity(self, nonce: str) -> str:
        """The signed word of the issuer."""
        now = int(self.clock.at.timestamp())
        claims = {
            "iss": self.url,
            "sub": self.subject,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "email": self.email,
            "email_verified": self.email_verified,
        } | self.lies
        header = {"alg": self.signs_with, "kid": "first"}
        told = {name: value for name, value in claims.items() if value is not None}
        if self.signs_with in {"HS256", "none"}:
            return self._unsound(header, told)
        return jwt.encode(header, told, self.signing_key or self.key, algorithms=[self.signs_with])

    def _unsound(self, header: dict[str, str], claims: dict[str, Any]) -> str:
        """The oldest tricks: no signature, or our public key as if it were a shared secret."""
        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
        sealed = hmac.digest(self.key.as_pem(private=False), b".".join(parts), "sha256")
        signature = b"" if self.signs_with == "none" else base64.urlsafe_b64encode(sealed).rstrip(b"=")
        return b".".join([*parts, signature]).decode()


@contextmanager
def issuing(issuer: Issuer) -> Iterator[Issuer]:
    """The issuer on a loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        issuer.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(issuer.app(), log_level="critical", ws="none", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield issuer
        finally:
            server.should_exit = True
            thread.join()


def query_of(url: str) -> dict[str, str]:
    """The parameters of a URL."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
