"""
The customer's auditor: asks the vendor's log about the receipts in the ledgers here, and remembers the tree it saw.

What was proved once stays proved: a tree that begins with one that held a receipt holds it as well. So a check asks
only about receipts that are new, and about the growth since the last one. Nothing is remembered that did not hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from narrows_metering.errors import MeteringError
from narrows_metering.ledger_reader import KeptReceipt
from narrows_metering.transparency import read_tree_head

from narrows.atomic_file import replacing
from narrows.errors import ReportRejected, UsageError
from narrows.reporting.client import MeteringClient
from narrows.reporting.destination import connect, find_destination, require_url
from narrows.reporting.log_proof import (
    Claim,
    LogCheck,
    LogProof,
    check_log,
    proof_to_json,
    read_proof,
    refused_as_usage_error,
)
from narrows.settings import Settings
from narrows.usage.machine import open_meter, open_retired
from narrows.usage.meter import utc_now

MEMORY: Final = "transparency.json"
_SAYS_NO: Final = ("not_merged_yet", "not_found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The last tree head that held, and up to which record each installation's receipts were found in its tree."""

    tree_head: str | None = None
    proved: Mapping[str, int] = field(default_factory=dict)


def audit_log(
    *,
    everything: bool = False,
    settings: Settings | None = None,
    connect: Callable[[Settings, str], MeteringClient] = connect,
    clock: Callable[[], datetime] = utc_now,
) -> tuple[LogCheck, LogProof]:
    """
    Check the log of the license's server: all receipts that are new since the last time, with *everything* all.

    Raises UsageError if the server can't be asked or its answers are not the vendor's.
    """
    settings = settings or Settings.read()
    destination = find_destination(settings, clock())
    memory = read_memory(settings.state_folder)
    proved = {} if everything else memory.proved
    receipts = [kept for kept in _receipts(settings, clock) if _is_new(kept, proved)]
    with connect(settings, require_url(destination)) as client:
        proof = _fetch(client, memory, receipts, destination.receipt_keys)
    try:
        check = check_log(proof, destination.receipt_keys)
    except MeteringError as error:
        raise refused_as_usage_error(error) from error
    if not check.failures:
        _remember(settings.state_folder, _after(check, proof, memory.proved))
    return check, proof


def forget_log(settings: Settings | None = None) -> None:
    """Begin anew with the next tree head, for a vendor that had to begin a new log. Raises UsageError."""
    settings = settings or Settings.read()
    try:
        (settings.state_folder / MEMORY).unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"can't remove {settings.state_folder / MEMORY}: {error}") from error


def read_memory(state_folder: Path) -> Memory:
    """What was remembered. Raises UsageError if it can't be read: forgetting must be somebody's decision."""
    path = state_folder / MEMORY
    try:
        noted = json.loads(path.read_bytes())
        proved = {str(name): int(seq) for name, seq in noted["proved"].items()}
        return Memory(tree_head=str(noted["tree_head"]), proved=proved)
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"can't read {path}, which holds the tree head of the last check. Next step: restore it from a backup, or "
            "run `narrows usage proof --forget` to begin anew"
        ) from error


def _receipts(settings: Settings, clock: Callable[[], datetime]) -> list[KeptReceipt]:
    """All receipts here; an earlier ledger that is damaged may have lost its own (`usage_status` names it)."""
    receipts = list[KeptReceipt]()
    with open_meter(settings, clock=clock) as meter, open_retired(settings) as earlier:
        for one in earlier:
            with suppress(MeteringError):
                receipts += one.ledger.receipts()
        return [*receipts, *meter.ledger.receipts()]


def _is_new(kept: KeptReceipt, proved: Mapping[str, int]) -> bool:
    return kept.receipt.last_seq > proved.get(kept.receipt.installation_id, 0)


def _fetch(
    client: MeteringClient, memory: Memory, receipts: list[KeptReceipt], keys: Mapping[str, Ed25519PublicKey]
) -> LogProof:
    token = client.get_tree_head()
    consistency: tuple[bytes, ...] = ()
    try:
        head = read_tree_head(token, keys)
        previous = None if memory.tree_head is None else read_tree_head(memory.tree_head, keys)
    except MeteringError as error:
        raise refused_as_usage_error(error) from error
    if previous is not None and previous.tree_size <= head.tree_size:
        consistency = client.get_consistency(previous.tree_size, head.tree_size)
    claims = tuple(_claim(client, kept, head.tree_size) for kept in receipts)
    return LogProof(tree_head=token, previous_head=memory.tree_head, consistency=consistency, claims=claims)


def _claim(client: MeteringClient, kept: KeptReceipt, tree_size: int) -> Claim:
    receipt = kept.receipt
    try:
        inclusion = client.get_inclusion(
            receipt.installation_id, receipt.first_seq, receipt.last_seq, tree_size=tree_size
        )
    except ReportRejected as rejected:
        if rejected.code not in _SAYS_NO:
            raise
        return Claim(receipt=kept.token, inclusion=None, answer=str(rejected))
    return Claim(receipt=kept.token, inclusion=inclusion)


def _after(check: LogCheck, proof: LogProof, proved: Mapping[str, int]) -> Memory:
    """What is known after a check that held: each installation's receipts up to the first that is still to come."""
    first_pending = dict[str, int]()
    for receipt in check.pending:
        known = first_pending.get(receipt.installation_id, receipt.last_seq)
        first_pending[receipt.installation_id] = min(known, receipt.last_seq)
    now_proved = dict(proved)
    for receipt in check.included:
        name = receipt.installation_id
        if name not in first_pending or receipt.last_seq < first_pending[name]:
            now_proved[name] = max(now_proved.get(name, 0), receipt.last_seq)
    return Memory(tree_head=proof.tree_head, proved=now_proved)


def _remember(state_folder: Path, memory: Memory) -> None:
    document = {"tree_head": memory.tree_head, "proved": dict(memory.proved)}
    try:
        with replacing(state_folder / MEMORY) as file:
            file.write(json.dumps(document).encode())
    except OSError as error:
        raise UsageError(f"the log holds, but that can't be noted in {state_folder / MEMORY}: {error}") from error


def check_file(path: Path, *, settings: Settings | None = None, clock: Callable[[], datetime] = utc_now) -> LogCheck:
    """Check a proof that was kept, without a network; the keys are the license's. Raises UsageError."""
    destination = find_destination(settings or Settings.read(), clock())
    proof = read_proof(path)
    try:
        return check_log(proof, destination.receipt_keys)
    except MeteringError as error:
        raise refused_as_usage_error(error) from error


def save_proof(proof: LogProof, path: Path) -> None:
    """Keep *proof* at *path*. Raises UsageError."""
    try:
        with replacing(path) as file:
            file.write(proof_to_json(proof).encode())
    except OSError as error:
        raise UsageError(f"can't write {path}: {error}") from error
