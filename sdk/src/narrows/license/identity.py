"""
Who is asking: gathers what the binding of a license compares, and nothing that it doesn't.

Facts about the machine stay on it: a license and a request hold hashes under a salt of their own.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from narrows_licensing.binding import Applications, Binding, Components, Identity, Installation, Workloads
from narrows_licensing.errors import SignatureRefused
from narrows_licensing.workload import TOKEN_BYTES_MAX, verify_workload

from narrows import installation
from narrows.settings import Settings

FACT_CHARACTERS_MAX = 256


def identify(binding: Binding, settings: Settings, *, at: datetime) -> Identity:
    """What *binding* needs to know. Raises UsageError when this installation's key can't be kept."""
    if isinstance(binding, Applications):
        return Identity(application_id=settings.application_id)
    if isinstance(binding, Installation):
        return Identity(installation_id=installation.Installation.open(settings.state_folder).id)
    if isinstance(binding, Components):
        return Identity(components=machine_facts())
    if isinstance(binding, Workloads):
        return _workload(binding, settings.workload_token_path, at)
    return Identity()


def machine_facts(root: Path = Path("/")) -> dict[str, str]:
    """
    The facts about this machine that can be read without special rights, by the names of `narrows_licensing.binding`.

    On systems other than Linux there are fewer; a license asks only for some of those that there were.
    """
    facts = {
        "machine_id": _line(root / "etc/machine-id"),
        "board": _line(root / "sys/class/dmi/id/product_uuid") or _line(root / "sys/class/dmi/id/board_serial"),
        "disk": min((path.name for path in _children(root / "dev/disk/by-id")), default=""),
        "network": min(filter(None, map(_address, _children(root / "sys/class/net"))), default=""),
        "hostname": _line(root / "proc/sys/kernel/hostname"),
        "processor": _processor(root / "proc/cpuinfo"),
    }
    return {name: fact[:FACT_CHARACTERS_MAX] for name, fact in facts.items() if fact}


def _workload(binding: Workloads, path: Path, at: datetime) -> Identity:
    try:
        # Read every time: Kubernetes renews the file, and what was read an hour ago may have ended.
        with path.open(errors="replace") as file:
            token = file.read(TOKEN_BYTES_MAX + 1).strip()
        return Identity(workload=verify_workload(token, binding.issuer, at=at))
    except OSError as error:
        return Identity(workload_fault=f"the license is for a workload, and its token can't be read: {error}")
    except SignatureRefused as refused:
        return Identity(workload_fault=refused.detail)


def _line(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(errors="replace").strip().split("\n")[0]
    return ""


def _children(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _address(interface: Path) -> str:
    """The address of a network card; interfaces that are only software have no device."""
    return _line(interface / "address") if (interface / "device").exists() else ""


def _processor(path: Path) -> str:
    with suppress(OSError):
        for line in path.read_text(errors="replace").split("\n"):
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return ""
