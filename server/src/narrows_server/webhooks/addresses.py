"""
Where webhooks may go: to public addresses, by TLS.

An address is checked after its name was resolved and right before the connection is made, to the very address that was
checked. A name that pointed somewhere harmless when it was entered, or a moment ago, does not help.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

import httpcore2

from narrows_server.errors import Invalid

URL_CHARACTERS_MAX = 500
HTTPS_PORT, PORT_UNPRIVILEGED_MIN = 443, 1024
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")

Resolve = Callable[[str, int], list[str]]


class AddressRefused(httpcore2.ConnectError):
    """The name leads to an address that webhooks do not go to."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of *host*, as the operating system finds them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in found))


def check_url(url: str, *, is_development: bool = False) -> str:
    """*url*, if webhooks may go there as far as one can tell without asking for its address. Raises `Invalid`."""
    if len(url) > URL_CHARACTERS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise Invalid(f"a URL has at most {URL_CHARACTERS_MAX} printable ASCII characters and no blanks")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise Invalid(f"{url} is not a URL") from error
    if parts.scheme != "https" and not (is_development and parts.scheme == "http"):
        raise Invalid("webhooks go to https URLs")
    if not host or parts.username is not None or parts.password is not None or parts.fragment or "\\" in url:
        raise Invalid("a webhook's URL has a host, and neither a user nor a fragment")
    if port is not None and port != HTTPS_PORT and not port >= PORT_UNPRIVILEGED_MIN:
        raise Invalid(f"webhooks go to port {HTTPS_PORT} or one from {PORT_UNPRIVILEGED_MIN} on")
    if not is_development and (host == "localhost" or host.endswith((".localhost", ".local", ".internal"))):
        raise Invalid("webhooks go to public addresses")
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return url
    if not is_development and not is_public(literal):
        raise Invalid("webhooks go to public addresses")
    return url


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether *address* is one of the public internet; of those that carry another within, whether that one is."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and (address in _NAT64 or address in _IPV4_COMPATIBLE):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


class PublicBackend(httpcore2.NetworkBackend):
    """
    Connects to public addresses, and gives up at the *deadline* (of `time.monotonic`) wherever it is just then.

    A deadline for the whole and not for each step: who sends a byte a minute would otherwise hold a worker for ever.
    """

    def __init__(self, *, deadline: float, resolve: Resolve = resolve, is_development: bool = False) -> None:
        self._deadline = deadline
        self._resolve = resolve
        self._is_development = is_development
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            addresses = self._resolve(host, port)
        except OSError as error:
            raise httpcore2.ConnectError(f"{host} has no address") from error
        # All of them have to be public: otherwise the network decides which one it is.
        if not addresses or not all(self._may_connect(address) for address in addresses):
            raise AddressRefused(f"{host} does not lead to a public address")
        stream = self._sockets.connect_tcp(
            addresses[0], port, timeout=_left(self._deadline), socket_options=socket_options
        )
        return _Stream(stream, self._deadline)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.NetworkStream:
        raise AddressRefused("webhooks do not go to sockets of this machine")

    def _may_connect(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return self._is_development or is_public(found)


class _Stream(httpcore2.NetworkStream):
    """A connection whose every step ends at the deadline of the whole."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout=_left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=_left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, timeout=_left(self._deadline))
        return _Stream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the whole took too long")
    return left
