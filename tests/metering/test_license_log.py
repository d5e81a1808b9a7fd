"""The license log: what the vendor signed for is what is there, all of it, and it only grows."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_licensing.signature import Typ, sign
from narrows_licensing.testing import NOW, Vendor
from narrows_licensing.trust import Role
from narrows_metering.errors import ProofRefused
from narrows_metering.license_log import (
    LoggedDocument,
    LogHead,
    check_entry,
    log_root,
    prove_entries,
    read_log,
    token_digest,
    write_log,
)

VENDOR = Vendor()
KEYS = VENDOR.bundle().keys_for(Role.RECEIPT, NOW)


def entries(count: int) -> list[LoggedDocument]:
    return [
        LoggedDocument(
            kind="license",
            id=f"LIC-{number}",
            issued_at=NOW,
            expires_at=NOW + timedelta(days=365),
            status_index=number,
            token_sha256=token_digest(f"token {number}"),
        )
        for number in range(count)
    ]


def a_head(signed: list[LoggedDocument], **changes: Any) -> LogHead:
    claims: dict[str, Any] = {
        "customer_id": "CUS-0001",
        "tree_size": len(signed),
        "root_hash": log_root(signed).hex(),
        "time": NOW,
    }
    return LogHead(**claims | changes)


def a_log(signed: list[LoggedDocument], *, shown: list[LoggedDocument] | None = None, **changes: Any) -> str:
    token = sign(a_head(signed, **changes).claims(), typ=Typ.LICENSE_LOG, key=VENDOR.key(Role.RECEIPT))
    return write_log(signed if shown is None else shown, token)


@given(st.integers(0, 40))
def test_a_log_is_read_back_and_every_entry_proved_by_itself(count: int) -> None:
    log = read_log(a_log(entries(count)), KEYS, customer_id="CUS-0001")

    assert list(log.entries) == entries(count)
    for index, path in enumerate(prove_entries(log.entries)):
        check_entry(log.entries[index], index, path, log.head)


def test_a_license_that_was_left_out_is_not_found() -> None:
    log = read_log(a_log(entries(5)), KEYS, customer_id="CUS-0001")

    assert log.find_token("token 3") == entries(5)[3]
    assert log.find_token("a license that was issued in secret") is None


@pytest.mark.parametrize("hidden", range(5))
def test_an_entry_that_is_not_shown_is_missed(hidden: int) -> None:
    shown = [entry for entry in entries(5) if entry.status_index != hidden]

    with pytest.raises(ProofRefused, match="missing or was changed"):
        read_log(a_log(entries(5), shown=shown), KEYS, customer_id="CUS-0001")


def test_what_was_there_before_is_there_still() -> None:
    earlier = a_head(entries(3))
    assert read_log(a_log(entries(5)), KEYS, customer_id="CUS-0001", earlier=earlier)
    for rewritten in (entries(5)[1:], entries(2)):
        with pytest.raises(ProofRefused, match="does not begin with"):
            read_log(a_log(rewritten), KEYS, customer_id="CUS-0001", earlier=earlier)


def test_an_entry_with_anothers_proof_is_refused() -> None:
    signed = entries(5)
    paths = prove_entries(signed)

    with pytest.raises(ProofRefused):
        check_entry(signed[1], 2, paths[2], a_head(signed))


def test_the_log_of_another_customer_and_one_that_nobody_signed_are_refused() -> None:
    with pytest.raises(ProofRefused, match="the log of CUS-0002"):
        read_log(a_log(entries(1), customer_id="CUS-0002"), KEYS, customer_id="CUS-0001")
    with pytest.raises(ProofRefused):
        read_log(a_log(entries(1)), {}, customer_id="CUS-0001")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "x"},
        {"entries": 1},
        {"entries": [{}]},
        {"head": 1},
        {"head": "a.b.c"},
        {"surprise": 1},
        {"entries": [entries(1)[0].members() | {"path": [], "kind": "other"}]},
        {"entries": [entries(1)[0].members() | {"path": [], "token_sha256": "x"}]},
        {"entries": [entries(1)[0].members() | {"path": [], "issued_at": "today"}]},
    ],
)
def test_what_is_no_log_is_refused(change: dict[str, Any]) -> None:
    document = json.loads(a_log(entries(1)))

    with pytest.raises(ProofRefused):
        read_log(json.dumps(document | change), KEYS, customer_id="CUS-0001")
