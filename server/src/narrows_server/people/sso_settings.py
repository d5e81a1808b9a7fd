"""Which issuer vouches for people, and who we are there. Apart from `sso`, which takes long to import."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class SsoSettings:
    """Which issuer, and who we are there."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
