"""Chains and Merkle trees: nothing can be altered, left out, doubled or moved without being named."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.chain import Head, check_chain, merkle_root
from narrows_metering.errors import ChainBroken
from narrows_metering.record import Kind, Record, genesis
from narrows_metering.testing import an_installation_id, some_records

BEGINNING = genesis(an_installation_id())
RECORDS = some_records([(Kind.DELIVERY, {"bytes": n}) for n in range(6)])


def broken_at(records: list[Record]) -> int:
    """The record that `check_chain` names."""
    with pytest.raises(ChainBroken) as broken:
        check_chain(records, prev=BEGINNING, first_seq=1)
    return broken.value.sequence


class TestChain:
    def test_an_untouched_chain_gives_its_head(self) -> None:
        assert check_chain(RECORDS, prev=BEGINNING, first_seq=1) == Head(seq=6, hash=RECORDS[5].hash)

    def test_a_chain_can_be_checked_from_any_record_on(self) -> None:
        assert check_chain(RECORDS[3:], prev=RECORDS[2].hash, first_seq=4).seq == 6

    def test_no_records_leave_the_head_where_it_was(self) -> None:
        assert check_chain([], prev=BEGINNING, first_seq=1) == Head(seq=0, hash=BEGINNING)

    @pytest.mark.parametrize("index", range(6))
    def test_an_altered_payload_is_named(self, index: int) -> None:
        altered = list(RECORDS)
        altered[index] = replace(RECORDS[index], payload={"bytes": 99})
        assert broken_at(altered) == index + 1

    @pytest.mark.parametrize("index", range(5))
    def test_an_altered_record_with_a_fresh_hash_is_caught_by_the_next(self, index: int) -> None:
        old = RECORDS[index]
        altered = list(RECORDS)
        altered[index] = Record.seal(old.seq, old.prev, old.time, old.kind, {"bytes": 99})
        assert broken_at(altered) == index + 2

    @pytest.mark.parametrize("index", range(5))
    def test_a_missing_record_is_named(self, index: int) -> None:
        assert broken_at(RECORDS[:index] + RECORDS[index + 1 :]) == index + 1

    @pytest.mark.parametrize("index", range(6))
    def test_a_doubled_record_is_named(self, index: int) -> None:
        assert broken_at([*RECORDS[: index + 1], *RECORDS[index:]]) == index + 2

    def test_records_in_another_order_are_named(self) -> None:
        assert broken_at([RECORDS[0], RECORDS[2], RECORDS[1], *RECORDS[3:]]) == 2

    def test_another_installations_records_do_not_fit(self) -> None:
        assert broken_at(some_records([(Kind.GAP, {})], installation_id="another")) == 1


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, as it is written there."""
    if len(leaves) < 2:
        return hashlib.sha256(b"\x00" + leaves[0] if leaves else b"").digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


class TestMerkleRoot:
    @given(st.lists(st.binary(min_size=32, max_size=32), max_size=40))
    def test_it_is_the_recursive_definition_of_the_rfc(self, leaves: list[bytes]) -> None:
        assert merkle_root([leaf.hex() for leaf in leaves]) == naive_root(leaves).hex()

    def test_a_node_cannot_pass_for_a_leaf(self) -> None:
        inner = merkle_root(["00" * 32, "11" * 32])
        assert merkle_root([inner, "22" * 32]) != merkle_root(["00" * 32, "11" * 32, "22" * 32])
