"""The transparency log's mathematics: the published vectors, and that nothing but the truth can be proved."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from narrows_licensing.signature import Typ, sign, thumbprint
from narrows_metering.chain import merkle_root
from narrows_metering.errors import ProofRefused
from narrows_metering.record import Kind
from narrows_metering.testing import NOW, a_key, a_receipt, an_encode, some_records
from narrows_metering.transparency import (
    EMPTY_ROOT,
    Range,
    Subtree,
    TreeHead,
    append,
    check_consistency,
    check_inclusion,
    complete_subtrees,
    consistency_path,
    inclusion_path,
    leaf_hash,
    log_entry,
    node_hash,
    range_hash,
    read_tree_head,
    root_hash,
)

# The vectors of the reference implementation of Certificate Transparency (google/certificate-transparency,
# src/merkletree/MerkleTreeTest.cc).
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
A, B, C = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
)
D, E, F = (
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
)
INCLUSIONS = [  # Leaf from 0, tree size, path.
    (0, 1, []),
    (0, 8, [A, B, C]),
    (5, 8, [D, E, ROOTS[4]]),
    (2, 3, [ROOTS[2]]),
    (1, 5, [ROOTS[1], B, D]),
]
CONSISTENCIES = [(1, 1, []), (1, 8, [A, B, C]), (6, 8, [F, E, ROOTS[4]]), (2, 5, [B, D])]

SIZES = st.integers(1, 130)


class Log:
    """A log in memory, made as the server makes its own: in batches, from the right edge on."""

    def __init__(self, entries: list[bytes], *, batch: int = 7) -> None:
        self.entries = entries
        self.hashes: dict[Subtree, bytes] = {}
        for size in range(0, len(entries), batch):
            edge = {s: self.hashes[s] for s in complete_subtrees(Range(0, size))}
            self.hashes |= append(size, edge, [leaf_hash(entry) for entry in entries[size : size + batch]])

    def root(self, size: int) -> bytes:
        return root_hash(size, self.hashes)

    def inclusion(self, leaf_index: int, size: int) -> list[bytes]:
        return [range_hash(node, self.hashes) for node in inclusion_path(leaf_index, size)]

    def consistency(self, first: int, second: int) -> list[bytes]:
        return [range_hash(node, self.hashes) for node in consistency_path(first, second)]


LOG = Log([f"report {number}".encode() for number in range(130)])


def tree_hash(entries: list[bytes]) -> bytes:
    """MTH of RFC 9162 §2.1.1, word for word."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return leaf_hash(entries[0])
    k = 1
    while 2 * k < len(entries):
        k *= 2
    return node_hash(tree_hash(entries[:k]), tree_hash(entries[k:]))


class TestPublishedVectors:
    @pytest.mark.parametrize("size", range(9))
    def test_the_root_of_the_first_leaves(self, size: int) -> None:
        assert Log(ENTRIES).root(size).hex() == ROOTS[size]

    @pytest.mark.parametrize(("leaf", "size", "path"), INCLUSIONS)
    def test_the_inclusion_path_is_the_published_one_and_holds(self, leaf: int, size: int, path: list[str]) -> None:
        made = Log(ENTRIES).inclusion(leaf, size)

        assert [digest.hex() for digest in made] == path
        root = bytes.fromhex(ROOTS[size])
        check_inclusion(ENTRIES[leaf], leaf_index=leaf, tree_size=size, path=made, root=root)

    @pytest.mark.parametrize(("first", "second", "path"), CONSISTENCIES)
    def test_the_consistency_path_is_the_published_one_and_holds(
        self, first: int, second: int, path: list[str]
    ) -> None:
        made = Log(ENTRIES).consistency(first, second)

        assert [digest.hex() for digest in made] == path
        roots = bytes.fromhex(ROOTS[first]), bytes.fromhex(ROOTS[second])
        check_consistency(first=first, first_root=roots[0], second=second, second_root=roots[1], path=made)


class TestTree:
    @given(SIZES)
    def test_the_root_is_what_the_standard_defines(self, size: int) -> None:
        assert LOG.root(size) == tree_hash(LOG.entries[:size])

    @given(st.integers(0, 40), st.integers(1, 40))
    def test_however_leaves_arrive_the_hashes_are_the_same(self, size: int, batch: int) -> None:
        assert Log(LOG.entries[:size], batch=batch).hashes == Log(LOG.entries[:size], batch=1).hashes

    @given(SIZES)
    def test_a_tree_needs_no_more_hashes_than_its_size_has_bits(self, size: int) -> None:
        assert len(complete_subtrees(Range(0, size))) == size.bit_count()

    def test_it_is_the_tree_of_record_hashes_too(self) -> None:
        hashes = [sha256(entry).hexdigest() for entry in LOG.entries[:11]]

        assert Log([bytes.fromhex(text) for text in hashes]).root(11).hex() == merkle_root(hashes)

    def test_an_empty_tree_has_the_root_of_nothing(self) -> None:
        assert root_hash(0, {}) == EMPTY_ROOT


@st.composite
def leaf_and_size(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(SIZES)
    return draw(st.integers(0, size - 1)), size


class TestInclusion:
    @given(leaf_and_size())
    def test_every_leaf_of_every_tree_can_be_proved(self, case: tuple[int, int]) -> None:
        leaf, size = case
        path = LOG.inclusion(leaf, size)

        check_inclusion(LOG.entries[leaf], leaf_index=leaf, tree_size=size, path=path, root=LOG.root(size))

    @given(leaf_and_size(), st.data())
    def test_no_other_leaf_index_size_or_root_is_proved_by_it(self, case: tuple[int, int], data: st.DataObject) -> None:
        leaf, size = case
        entry, path, root = LOG.entries[leaf], LOG.inclusion(leaf, size), LOG.root(size)
        index = data.draw(st.integers(-2, size + 2).filter(lambda other: other != leaf))
        other_size = data.draw(SIZES.filter(lambda other: other != size))

        for wrong in (
            {"entry": entry + b"."},
            {"leaf_index": index},
            {"tree_size": other_size, "root": LOG.root(other_size)},
            {"root": sha256(root).digest()},
        ):
            right = {"entry": entry, "leaf_index": leaf, "tree_size": size, "path": path, "root": root}
            with pytest.raises(ProofRefused):
                check_inclusion(**(right | wrong))  # type: ignore[arg-type]

    @given(leaf_and_size(), st.data())
    def test_a_path_that_is_altered_anywhere_proves_nothing(self, case: tuple[int, int], data: st.DataObject) -> None:
        leaf, size = case
        root = LOG.root(size)
        altered = data.draw(altered_paths(LOG.inclusion(leaf, size)))

        with pytest.raises(ProofRefused):
            check_inclusion(LOG.entries[leaf], leaf_index=leaf, tree_size=size, path=altered, root=root)

    @pytest.mark.parametrize(("leaf", "size"), [(0, 0), (1, 1), (-1, 4), (5, 4)])
    def test_there_is_no_path_for_a_leaf_outside_the_tree(self, leaf: int, size: int) -> None:
        with pytest.raises(ValueError, match="is not in a tree"):
            inclusion_path(leaf, size)


@st.composite
def two_sizes(draw: st.DrawFn) -> tuple[int, int]:
    second = draw(SIZES)
    return draw(st.integers(0, second)), second


class TestConsistency:
    @given(two_sizes())
    def test_every_tree_is_proved_to_begin_with_every_smaller_one(self, case: tuple[int, int]) -> None:
        first, second = case
        roots = LOG.root(first), LOG.root(second)

        path = LOG.consistency(first, second)
        check_consistency(first=first, first_root=roots[0], second=second, second_root=roots[1], path=path)

    @given(two_sizes(), st.integers(0, 129))
    def test_a_log_that_was_rewritten_cannot_be_proved_to_begin_with_what_it_was(
        self, case: tuple[int, int], place: int
    ) -> None:
        first, second = case
        entries = LOG.entries[:second]
        if place >= first:
            return
        entries[place] = b"another report"
        rewritten = Log(entries)

        with pytest.raises(ProofRefused):
            check_consistency(
                first=first,
                first_root=LOG.root(first),
                second=second,
                second_root=rewritten.root(second),
                path=rewritten.consistency(first, second),
            )

    @given(two_sizes(), st.data())
    def test_no_other_sizes_or_roots_are_proved_by_it(self, case: tuple[int, int], data: st.DataObject) -> None:
        first, second = case
        right = {
            "first": first,
            "first_root": LOG.root(first),
            "second": second,
            "second_root": LOG.root(second),
            "path": LOG.consistency(first, second),
        }
        other = data.draw(SIZES.filter(lambda size: size not in case))
        # A path to a tree of another size leads nowhere, unless neither needs one.
        wrongs: list[dict[str, object]] = [
            {"first_root": sha256(b"x").digest()},
            {"first": other, "first_root": LOG.root(other)},
        ]
        if first:
            wrongs += [{"second_root": sha256(b"x").digest()}, {"second": other, "second_root": LOG.root(other)}]
        for wrong in wrongs:
            with pytest.raises(ProofRefused):
                check_consistency(**(right | wrong))  # type: ignore[arg-type]

    @given(two_sizes(), st.data())
    def test_a_path_that_is_altered_anywhere_proves_nothing(self, case: tuple[int, int], data: st.DataObject) -> None:
        first, second = case
        altered = data.draw(altered_paths(LOG.consistency(first, second)))

        with pytest.raises(ProofRefused):
            check_consistency(
                first=first,
                first_root=LOG.root(first),
                second=second,
                second_root=LOG.root(second),
                path=altered,
            )

    def test_a_larger_tree_is_not_the_beginning_of_a_smaller_one(self) -> None:
        with pytest.raises(ValueError, match="cannot begin with"):
            consistency_path(5, 4)


class TestTreeHeads:
    HEAD = TreeHead(tree_size=8, root_hash=ROOTS[8], time=NOW)

    def test_a_signed_head_is_read_back(self) -> None:
        token = sign(self.HEAD.claims(), typ=Typ.TREE_HEAD, key=a_key("server"))

        assert read_tree_head(token, keys()) == self.HEAD

    def test_a_receipt_cannot_stand_in_for_a_head_nor_another_key_for_the_vendor(self) -> None:
        for typ, name in ((Typ.RECEIPT, "server"), (Typ.TREE_HEAD, "stranger")):
            with pytest.raises(ProofRefused):
                read_tree_head(sign(self.HEAD.claims(), typ=typ, key=a_key(name)), keys())

    @pytest.mark.parametrize(
        "claims",
        [
            {"tree_size": -1},
            {"tree_size": True},
            {"tree_size": "8"},
            {"root_hash": "00"},
            {"root_hash": ROOTS[8].upper()},
            {"time": "yesterday"},
            {"more": 1},
        ],
    )
    def test_a_head_with_a_malformed_claim_is_refused(self, claims: dict[str, object]) -> None:
        token = sign(self.HEAD.claims() | claims, typ=Typ.TREE_HEAD, key=a_key("server"))

        with pytest.raises(ProofRefused):
            read_tree_head(token, keys())


def test_the_leaf_of_a_report_is_what_its_receipt_says_of_the_records_and_nothing_else() -> None:
    records = some_records([(Kind.ENCODE, an_encode())] * 3)
    receipt = a_receipt(records)

    assert (
        log_entry(receipt)
        == (
            f'{{"first_seq":1,"head_hash":"{receipt.head_hash}","installation_id":"{receipt.installation_id}",'
            f'"last_seq":3,"merkle_root":"{receipt.merkle_root}"}}'
        ).encode()
    )
    assert log_entry(a_receipt(records, nonce="another-nonce-of-it")) == log_entry(receipt)


def keys() -> dict[str, Ed25519PublicKey]:
    public_key = a_key("server").public_key()
    return {thumbprint(public_key): public_key}


@st.composite
def altered_paths(draw: st.DrawFn, path: list[bytes]) -> list[bytes]:
    """*path* with one bit flipped, one hash missing, one too many, two exchanged, or one that is no hash."""
    ways = ["more", "longer"] + (["flip", "less", "shorter"] if path else [])
    way = draw(st.sampled_from(ways))
    place = draw(st.integers(0, max(0, len(path) - 1)))
    altered = list(path)
    if way == "flip":
        digest = bytearray(altered[place])
        digest[draw(st.integers(0, 31))] ^= 1 << draw(st.integers(0, 7))
        altered[place] = bytes(digest)
    elif way == "less":
        del altered[place]
    elif way == "more":
        altered.insert(draw(st.integers(0, len(path))), sha256(b"one more").digest())
    elif way == "shorter":
        altered[place] = altered[place][:-1]
    else:
        altered += [sha256(b"x").digest()] * 65
    return altered
