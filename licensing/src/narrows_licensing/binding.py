"""
What a license is bound to: nothing, an application, an installation, a machine, or a workload of a cluster.

Pure: who is asking arrives as an `Identity`, gathered by the program; here it is only compared. No kind of binding
looks at anything by itself, and a hardware fingerprint is never the default.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from narrows_licensing.claims import ClaimReader
from narrows_licensing.signature import encode_base64url

if TYPE_CHECKING:
    from narrows_licensing.workload import Issuer, Workload

APPLICATION_COUNT_MAX: Final = 32
SALT_CHARACTERS_MAX: Final = 43
COMPONENT_NAMES: Final = ("machine_id", "board", "disk", "network", "hostname", "processor")

_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_SALT = re.compile(r"[A-Za-z0-9_-]{22,43}")
_COMPONENT_HASH = re.compile(r"[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who is asking, as far as the program found out. What it doesn't know is left out."""

    application_id: str | None = None
    installation_id: str | None = None  # The thumbprint of the key that this installation holds.
    components: Mapping[str, str] = field(default_factory=dict)  # Facts about the machine by name, in the clear.
    workload: Workload | None = None  # Of a token that `workload.verify_workload` has found good.
    workload_fault: str | None = None  # Why there is no workload.


@dataclass(frozen=True, slots=True)
class Unbound:
    """Good on every machine of the customer."""

    def claims(self) -> dict[str, Any]:
        return {"kind": "none"}

    def mismatch(self, identity: Identity) -> str | None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applications:
    """Good inside these applications: bundle ids such as ``com.example.player``."""

    ids: tuple[str, ...]

    def claims(self) -> dict[str, Any]:
        return {"kind": "application", "ids": list(self.ids)}

    def mismatch(self, identity: Identity) -> str | None:
        if identity.application_id is None:
            return "the license is for an application, and this one has not said its id"
        if identity.application_id not in self.ids:
            return f"the license is not for the application {identity.application_id}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Good for the installation that holds the key with this thumbprint (RFC 7800 `cnf`, `jkt` of RFC 9449)."""

    thumbprint: str

    def claims(self) -> dict[str, Any]:
        return {"kind": "installation", "cnf": {"jkt": self.thumbprint}}

    def mismatch(self, identity: Identity) -> str | None:
        if identity.installation_id == self.thumbprint:
            return None
        return f"the license is for the installation {self.thumbprint}, this is {identity.installation_id or 'unknown'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """
    Good on a machine of which at least *required* facts are as they were, so that a new disk or name is no matter.

    The facts themselves are in no document, only their hashes under a salt that is this license's own.
    """

    required: int
    salt: str
    hashes: Mapping[str, str]  # By name, of `COMPONENT_NAMES`.

    def claims(self) -> dict[str, Any]:
        return {"kind": "components", "required": self.required, "salt": self.salt, "hashes": dict(self.hashes)}

    def mismatch(self, identity: Identity) -> str | None:
        same = {
            name
            for name, expected in self.hashes.items()
            if name in identity.components and hash_component(name, identity.components[name], self.salt) == expected
        }
        if len(same) >= self.required:
            return None
        changed = ", ".join(sorted(self.hashes.keys() - same))
        return f"{len(same)} of the {self.required} required facts of this machine are as they were; others: {changed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workloads:
    """Good for programs that a cluster has given a token (OpenID Connect), such as pods of a service account."""

    issuer: Issuer
    subjects: tuple[str, ...]

    def claims(self) -> dict[str, Any]:
        return {"kind": "workload", **self.issuer.claims(), "subjects": list(self.subjects)}

    def mismatch(self, identity: Identity) -> str | None:
        workload = identity.workload
        if workload is None:
            return identity.workload_fault or "the license is for a workload, and this one shows no token"
        if workload.issuer != self.issuer.url or workload.subject not in self.subjects:
            return f"the license is not for the workload {workload.subject}"
        return None


Binding = Unbound | Applications | Installation | Components | Workloads
UNBOUND: Final = Unbound()


def read_binding(reader: ClaimReader) -> Binding:
    """Read the member ``binding`` of a license's claims; faults are raised as the reader's error."""
    kind = reader.text("kind", characters_max=16)
    binding: Binding
    if kind == "none":
        binding = Unbound()
    elif kind == "application":
        binding = Applications(ids=reader.identifiers("ids", count_max=APPLICATION_COUNT_MAX))
        if not binding.ids:
            reader.refuse("ids", "is empty")
    elif kind == "installation":
        confirmation = reader.object("cnf")
        binding = Installation(thumbprint=confirmation.pattern("jkt", _THUMBPRINT, "a thumbprint of 43 characters"))
        confirmation.done()
    elif kind == "components":
        binding = _components(reader)
    elif kind == "workload":
        from narrows_licensing.workload import Issuer  # Loaded for such licenses only.

        binding = Workloads(
            issuer=Issuer.read(reader), subjects=reader.texts("subjects", count_max=16, characters_max=253)
        )
        if not binding.subjects:
            reader.refuse("subjects", "is empty")
    else:
        reader.refuse("kind", "is none of none, application, installation, components, workload")
    reader.done()
    return binding


def hash_component(name: str, value: str, salt: str) -> str:
    """Return the hash under which the fact *name* of a machine appears in a license: 22 characters, 132 bits."""
    digest = hashlib.sha256(f"narrows component\n{salt}\n{name}\n{value}".encode()).digest()
    return encode_base64url(digest)[:22]


def bind_components(facts: Mapping[str, str], *, required: int, salt: str) -> Components:
    """Bind to the machine with these *facts*."""
    return Components(
        required=required, salt=salt, hashes={name: hash_component(name, fact, salt) for name, fact in facts.items()}
    )


def _components(reader: ClaimReader) -> Components:
    hashes = reader.object("hashes")
    names = [name for name in hashes.names() if name in COMPONENT_NAMES]
    found = {name: hashes.pattern(name, _COMPONENT_HASH, "a hash of 22 characters") for name in names}
    hashes.done()
    if not found:
        reader.refuse("hashes", "is empty")
    return Components(
        required=reader.integer("required", lowest=1, highest=len(found)),
        salt=reader.pattern("salt", _SALT, f"a salt of 22..{SALT_CHARACTERS_MAX} characters"),
        hashes=found,
    )
