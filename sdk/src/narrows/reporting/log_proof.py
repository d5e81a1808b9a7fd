"""
What the customer checks of the vendor's transparency log: that each receipt is in it, and that it has only grown.

A signed tree head, a proof per receipt, and a proof that the tree which was checked last time is the beginning of this
one. Whoever has these can check them anywhere, so they can be kept as a file. Fetching them is the other half.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from narrows_metering.errors import MeteringError, ProofRefused
from narrows_metering.receipt import Receipt, read_receipt
from narrows_metering.transparency import (
    MERGE_DELAY_MAX,
    TreeHead,
    check_consistency,
    check_inclusion,
    log_entry,
    read_tree_head,
)

from narrows.errors import UsageError
from narrows.reporting.client import Inclusion

FORMAT: Final = "narrows-log-proof/1"
PROOF_BYTES_MAX: Final = 256 * 2**20
_SHRUNK: Final = "the log has not only grown since it was checked last"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A receipt, and the server's proof that it is in the log; without one, what the server said instead."""

    receipt: str  # The token.
    inclusion: Inclusion | None
    answer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProof:
    """Everything that one check needs. *previous_head* is that of the last check; None at the first."""

    tree_head: str
    previous_head: str | None
    consistency: tuple[bytes, ...]
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCheck:
    """What was checked, and what did not hold. The log is as promised if there are no *failures*."""

    tree_head: TreeHead
    previous_size: int | None  # Of the tree that this one was shown to begin with.
    included: tuple[Receipt, ...]
    pending: tuple[Receipt, ...]  # Younger than the time that the server has for putting them into the log.
    failures: tuple[str, ...]


def check_log(proof: LogProof, keys: Mapping[str, Ed25519PublicKey]) -> LogCheck:
    """
    Check *proof* with the vendor's receipt *keys* (by kid) and nobody's word.

    Raises ProofRefused for a tree head, ReceiptRefused for a receipt that the vendor did not sign.
    """
    head = read_tree_head(proof.tree_head, keys)
    failures = list[str]()
    previous = None if proof.previous_head is None else read_tree_head(proof.previous_head, keys)
    if previous is not None:
        failures += _check_growth(previous, head, proof.consistency)
    included, pending = list[Receipt](), list[Receipt]()
    for claim in proof.claims:
        receipt = read_receipt(claim.receipt, keys)
        name = f"receipt {receipt.first_seq}–{receipt.last_seq} of {receipt.installation_id}"
        if claim.inclusion is not None:
            try:
                _check_in(receipt, head, claim.inclusion)
                included.append(receipt)
            except ProofRefused as refused:
                failures.append(f"{name}: {refused}")
        elif receipt.time + MERGE_DELAY_MAX > head.time:
            pending.append(receipt)
        else:
            failures.append(f"{name}: not in the log, though the vendor signed it. The server says: {claim.answer}")
    return LogCheck(
        tree_head=head,
        previous_size=previous.tree_size if previous else None,
        included=tuple(included),
        pending=tuple(pending),
        failures=tuple(failures),
    )


def _check_growth(previous: TreeHead, head: TreeHead, path: tuple[bytes, ...]) -> list[str]:
    try:
        if head.tree_size < previous.tree_size:
            raise ProofRefused(f"it had {previous.tree_size} reports at {previous.time} and now has {head.tree_size}")
        check_consistency(
            first=previous.tree_size,
            first_root=bytes.fromhex(previous.root_hash),
            second=head.tree_size,
            second_root=bytes.fromhex(head.root_hash),
            path=path,
        )
    except ProofRefused as refused:
        return [f"{_SHRUNK}: {refused}"]
    return []


def _check_in(receipt: Receipt, head: TreeHead, inclusion: Inclusion) -> None:
    if inclusion.tree_size != head.tree_size:
        raise ProofRefused(f"the proof is for a tree of {inclusion.tree_size}, not of {head.tree_size}")
    check_inclusion(
        log_entry(receipt),
        leaf_index=inclusion.leaf_index,
        tree_size=head.tree_size,
        path=inclusion.path,
        root=bytes.fromhex(head.root_hash),
    )


def proof_to_json(proof: LogProof) -> str:
    """*proof* as a document to keep."""
    return json.dumps(
        {
            "format": FORMAT,
            "tree_head": proof.tree_head,
            "previous_head": proof.previous_head,
            "consistency": [digest.hex() for digest in proof.consistency],
            "claims": [_claim(claim) for claim in proof.claims],
        },
        indent=1,
    )


def read_proof(path: Path) -> LogProof:
    """The proof that `proof_to_json` wrote to *path*; unchecked. Raises UsageError."""
    try:
        if path.stat().st_size > PROOF_BYTES_MAX:
            raise UsageError(f"{path}: more than {PROOF_BYTES_MAX} bytes")
        document = json.loads(path.read_bytes())
        if document["format"] != FORMAT:
            raise ValueError("format")
        previous = document["previous_head"]
        return LogProof(
            tree_head=str(document["tree_head"]),
            previous_head=None if previous is None else str(previous),
            consistency=_hashes(document["consistency"]),
            claims=tuple(_read_claim(claim) for claim in document["claims"]),
        )
    except OSError as error:
        raise UsageError(f"can't read {path}: {error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{path}: not a proof that `narrows usage proof --save` wrote") from error


def refused_as_usage_error(error: MeteringError) -> UsageError:
    """What to say when a tree head or receipt is not the vendor's."""
    return UsageError(f"the log can't be checked: {error}. Next step: show this to your vendor, and keep the ledger")


def _claim(claim: Claim) -> dict[str, object]:
    if claim.inclusion is None:
        return {"receipt": claim.receipt, "answer": claim.answer}
    path = [digest.hex() for digest in claim.inclusion.path]
    return {
        "receipt": claim.receipt,
        "leaf_index": claim.inclusion.leaf_index,
        "tree_size": claim.inclusion.tree_size,
        "path": path,
    }


def _read_claim(claim: Mapping[str, Any]) -> Claim:
    if "path" not in claim:
        return Claim(receipt=str(claim["receipt"]), inclusion=None, answer=str(claim["answer"]))
    index, size = claim["leaf_index"], claim["tree_size"]
    if type(index) is not int or type(size) is not int:
        raise ValueError("leaf_index")
    inclusion = Inclusion(leaf_index=index, tree_size=size, path=_hashes(claim["path"]))
    return Claim(receipt=str(claim["receipt"]), inclusion=inclusion)


def _hashes(path: object) -> tuple[bytes, ...]:
    if not isinstance(path, list):
        raise ValueError("path")
    return tuple(bytes.fromhex(digest) for digest in path)


def summary(check: LogCheck) -> dict[str, object]:
    """What was checked, for programs."""

    def runs(receipts: tuple[Receipt, ...]) -> list[dict[str, object]]:
        return [
            {"installation_id": r.installation_id, "first_seq": r.first_seq, "last_seq": r.last_seq} for r in receipts
        ]

    return {
        "log_holds": not check.failures,
        "tree_size": check.tree_head.tree_size,
        "root_hash": check.tree_head.root_hash,
        "signed_at": check.tree_head.time,
        "grown_from": check.previous_size,
        "included": runs(check.included),
        "pending": runs(check.pending),
        "failures": list(check.failures),
    }


def sentences(check: LogCheck) -> list[str]:
    """What was checked, for people: one sentence for each thing, and one for each that does not hold."""
    head = check.tree_head
    said = [f"The vendor signed a log of {head.tree_size} reports at {head.time}, root {head.root_hash}."]
    if check.previous_size is None:
        said.append("It is the first that is checked here; the next one must begin with it.")
    elif not any(failure.startswith(_SHRUNK) for failure in check.failures):
        said.append(f"It begins with the log of {check.previous_size} reports that was checked last, unchanged.")
    said.append(f"{len(check.included)} receipts were looked for and are in it{_ranges(check.included)}.")
    if check.pending:
        waiting = f"{len(check.pending)} receipts are new and have an hour to get into it"
        said.append(f"{waiting}{_ranges(check.pending)}.")
    said += [f"DOES NOT HOLD: {failure}" for failure in check.failures]
    said.append("The log does not hold. Keep the ledger, and ask your vendor." if check.failures else "The log holds.")
    return said


def _ranges(receipts: tuple[Receipt, ...]) -> str:
    by_installation = dict[str, list[str]]()
    for receipt in receipts:
        by_installation.setdefault(receipt.installation_id, []).append(f"{receipt.first_seq}–{receipt.last_seq}")
    told = [f"{', '.join(runs)} of {name}" for name, runs in by_installation.items()]
    return f" (records {'; '.join(told)})" if told else ""
