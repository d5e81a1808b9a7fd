"""
What signs in the vendor's name: a key in a file, in a hardware security module, or in a key management service.

A signer gives signatures and its public key, and nothing else; a key that can't leave its device has no more to give.
`Ed25519PrivateKey` of `cryptography` is a signer as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from narrows_server.errors import NotInitialised

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64

_PKCS11_LABEL = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Signer(Protocol):
    """Whatever signs with one Ed25519 key."""

    def sign(self, data: bytes, /) -> bytes:
        """Return the 64 bytes of the signature over *data*."""

    def public_key(self) -> Ed25519PublicKey:
        """Return the public half."""


def open_signer(location: str, *, passphrase_path: Path | None = None) -> Signer:
    """
    Open the key at *location*: the path of a PEM file, a `pkcs11:` URI, or a URI of `securesystemslib` such as `hv:`.

    Raises `NotInitialised`, saying what is missing.
    """
    if location.startswith("pkcs11:"):
        return Pkcs11Signer.open(location)
    if re.match(r"[a-z0-9]{2,}:", location):
        return ServiceSigner.open(location)
    return open_key_file(Path(location), passphrase_path=passphrase_path)


def open_key_file(path: Path, *, passphrase_path: Path | None = None) -> Ed25519PrivateKey:
    """Read an Ed25519 key in PKCS #8, encrypted or not. Raises `NotInitialised`."""
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        raise NotInitialised(f"{path} is missing; run: narrows-server init") from None
    passphrase = read_passphrase(passphrase_path) if b"ENCRYPTED" in pem else None
    try:
        key = load_pem_private_key(pem, password=passphrase)
    except TypeError:
        raise NotInitialised(f"{path} is encrypted; name its passphrase in NARROWS_SERVER_PASSPHRASE_FILE") from None
    except ValueError as error:
        raise NotInitialised(f"{path} is not a private key, or the passphrase is another") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise NotInitialised(f"{path} is not an Ed25519 key")
    return key


def read_passphrase(path: Path | None) -> bytes | None:
    """The passphrase in the file at *path*, without the end of its line; None if no file was named."""
    if path is None:
        return None
    try:
        return path.read_bytes().rstrip(b"\r\n") or None
    except OSError as error:
        raise NotInitialised(f"the passphrase in {path} can't be read: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11Signer:
    """
    A key in a hardware security module (PKCS #11, tested with SoftHSM 2).

    Its location is `pkcs11:token=LABEL;object=LABEL?module-path=FILE&pin-source=FILE` (RFC 7512).
    """

    module_path: str
    token_label: str
    key_label: str
    pin: str = field(repr=False)
    public: Ed25519PublicKey

    @classmethod
    def open(cls, uri: str) -> Pkcs11Signer:
        """Log in once and read the public key. Raises `NotInitialised`."""
        path, _, query = uri.removeprefix("pkcs11:").partition("?")
        named = {name: unquote(value) for name, _, value in (part.partition("=") for part in path.split(";"))}
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        if not {"token", "object"} <= named.keys() or not {"module-path", "pin-source"} <= asked.keys():
            raise NotInitialised("a pkcs11 URI names token, object, module-path and pin-source")
        if not _PKCS11_LABEL.fullmatch(named["object"]) or not _PKCS11_LABEL.fullmatch(named["token"]):
            raise NotInitialised("a label in a pkcs11 URI has 1 to 64 letters, digits, dots, underscores and dashes")
        pin = read_passphrase(Path(asked["pin-source"].removeprefix("file:")))
        module, token, label = asked["module-path"], named["token"], named["object"]
        with _session(module, token, (pin or b"").decode()) as session:
            public = _public_key(session, label)
        return cls(module_path=module, token_label=token, key_label=label, pin=(pin or b"").decode(), public=public)

    def sign(self, data: bytes, /) -> bytes:
        from pkcs11 import KeyType, Mechanism, ObjectClass

        with _session(self.module_path, self.token_label, self.pin) as session:
            key = session.get_key(
                object_class=ObjectClass.PRIVATE_KEY, key_type=KeyType.EC_EDWARDS, label=self.key_label
            )
            return bytes(key.sign(data, mechanism=Mechanism.EDDSA))

    def public_key(self) -> Ed25519PublicKey:
        return self.public


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSigner:
    """
    A key in a key management service, through `securesystemslib`: `hv:NAME` is the transit engine of HashiCorp Vault.

    Its address and token come from the environment variables that the service's own client reads.
    """

    signer: Any = field(repr=False)
    public: Ed25519PublicKey

    @classmethod
    def open(cls, uri: str) -> ServiceSigner:
        """Ask the service for the public key. Raises `NotInitialised`."""
        from securesystemslib import signer as signers

        signer_class: Any = vars(signers)["SIGNER_FOR_URI_SCHEME"].get(urlsplit(uri).scheme)
        if signer_class is None:
            raise NotInitialised(f"there is no signer for {urlsplit(uri).scheme}: URIs")
        try:
            found, key = signer_class.import_(uri.partition(":")[2])
            signer = signer_class.from_priv_key_uri(found, key)
        except Exception as error:
            raise NotInitialised(f"the key service does not give the key {uri}: {error}") from error
        public = bytes.fromhex(key.keyval["public"]) if key.keytype == "ed25519" else b""
        if len(public) != PUBLIC_KEY_BYTES:
            raise NotInitialised(f"{uri} is not an Ed25519 key")
        return cls(signer=signer, public=Ed25519PublicKey.from_public_bytes(public))

    def sign(self, data: bytes, /) -> bytes:
        return bytes.fromhex(self.signer.sign(data).signature)

    def public_key(self) -> Ed25519PublicKey:
        return self.public


def _session(module_path: str, token_label: str, pin: str) -> Any:
    try:
        import pkcs11
    except ImportError as error:
        raise NotInitialised("keys in a security module need: pip install 'narrows-server[hsm]'") from error
    try:
        return pkcs11.lib(module_path).get_token(token_label=token_label).open(user_pin=pin)
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        raise NotInitialised(f"the security module does not open the token {token_label}: {error!r}") from error


def _public_key(session: Any, label: str) -> Ed25519PublicKey:
    from pkcs11 import Attribute, KeyType, ObjectClass, PKCS11Error

    try:
        key = session.get_key(object_class=ObjectClass.PUBLIC_KEY, key_type=KeyType.EC_EDWARDS, label=label)
        point = bytes(key[Attribute.EC_POINT])
    except PKCS11Error as error:
        raise NotInitialised(f"the security module has no Ed25519 key {label}: {error!r}") from error
    # An ASN.1 octet string around the 32 bytes (PKCS #11 v3.0); some modules give them bare.
    return Ed25519PublicKey.from_public_bytes(point[-PUBLIC_KEY_BYTES:])
