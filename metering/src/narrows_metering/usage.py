"""
One pass over the records of a contract's installations: what they prove, and what a statement needs of them.

Checks every chain on the way, keeps only what can matter, and decides nothing about money; see `statement`.
Order does not matter: the same records give the same usage however the installations are listed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from narrows_metering.cdn_tariff import SLOT_SECONDS, PercentileTariff
from narrows_metering.chain import Head, MerkleTree, follow_chain, head_before
from narrows_metering.descent import Descent
from narrows_metering.errors import ChainBroken
from narrows_metering.payload import (
    BASELINE_ARM,
    Delivery,
    Encode,
    Evidence,
    Unreadable,
    read_delivery,
    read_encode,
    read_evidence,
)
from narrows_metering.record import Kind, Record, genesis
from narrows_metering.segments import segment_seed
from narrows_metering.terms import Period, Terms

PSNR: Final = "psnr"

# Rendition, arm, window start and end, region, source, its digest: what an import adds once, however often it is run.
_Import = tuple[str, str, datetime, datetime, str, str, str]


# CDN, region, and five-minute slot of the month where the CDN's tariff asks for it and the delivery tells it.
Cell = tuple[str, str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Source:
    """Where a fact comes from: one record of one installation."""

    installation_id: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What pins down the records of one installation: change, remove or insert one and this changes."""

    installation_id: str
    first_seq: int
    last_seq: int
    head_hash: str
    merkle_root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestEvidence:
    """The evidence that holds for a rendition, with the moment that made it the latest."""

    evidence: Evidence
    time: datetime
    source: Source
    seed: str | None = None  # Of segments: the one that its own ledger gave when it was recorded.


@dataclass(slots=True, kw_only=True)
class Delivered:
    """What was delivered of one rendition in the period."""

    bytes_delivered: int = 0
    requests: int = 0
    deliveries: int = 0
    played_ms: int = 0
    bytes_played: int = 0  # Of deliveries that say how long they were played.
    cells: dict[Cell, int] = field(default_factory=dict)  # Bytes.
    first: Source | None = None

    def add(self, delivery: Delivery, source: Source, slot: int | None) -> None:
        """Count one more delivery."""
        self.bytes_delivered += delivery.bytes_delivered
        self.requests += delivery.requests
        self.deliveries += 1
        self.played_ms += delivery.played_ms
        self.bytes_played += delivery.bytes_delivered if delivery.played_ms else 0
        cell = (delivery.cdn, delivery.region, slot)
        self.cells[cell] = self.cells.get(cell, 0) + delivery.bytes_delivered
        self.first = self.first or source


@dataclass(slots=True, kw_only=True)
class Usage:
    """Everything that the records say about one contract and period."""

    proofs: list[Proof] = field(default_factory=list)
    delivery_heads: dict[str, str] = field(default_factory=dict)  # By installation: its last delivery in the period.
    gaps: list[Source] = field(default_factory=list)  # Declared by the installations in the period.
    production: dict[str, set[str]] = field(default_factory=dict)  # Rendition → assets, under paid licenses.
    development: set[str] = field(default_factory=set)  # Renditions.
    encoded: dict[str, Encode] = field(default_factory=dict)  # By rendition: the first encode that tells of it.
    evidence: dict[tuple[str, str], LatestEvidence] = field(default_factory=dict)  # By asset and rendition.
    psnr: dict[tuple[str, str], LatestEvidence] = field(default_factory=dict)  # The same at equal PSNR.
    other_baseline: set[tuple[str, str]] = field(default_factory=set)  # Only measured with settings of another kind.
    delivered: dict[str, Delivered] = field(default_factory=dict)  # By rendition.
    held_out: dict[str, Delivered] = field(default_factory=dict)  # To sessions with the baseline's ladder.
    played: dict[tuple[str, date, str], list[int]] = field(default_factory=dict)  # Bytes and ms; rendition, day, arm.
    repeated: dict[str, Delivered] = field(default_factory=dict)  # Told before, hence not delivered again.
    part_bytes: list[int] = field(default_factory=list)  # Delivered, by the parts of the month with terms of their own.
    unreadable: dict[tuple[str, str], list[Source]] = field(default_factory=dict)  # By kind and member.


def collect(records_by_installation: Mapping[str, Iterable[Record]], *, terms: Terms, period: Period) -> Usage:
    """
    Read the records of all installations of a contract, each run contiguous and from its first record on.

    Raises ChainBroken, naming installation and record, if a run was altered.
    """
    usage = Usage(part_bytes=[0] * len(terms.share))
    told = _Told(
        contract_hash=terms.measuring_hash(),
        baseline_sha256=terms.baseline.digest() if terms.baseline else None,
        cuts=[period.begin(part.from_day) for part in terms.share[1:]],
    )
    for installation_id in sorted(records_by_installation):
        tree, descent = MerkleTree(), Descent()
        told.heads = {}
        first, last = 1, Head(seq=0, hash=genesis(installation_id))
        for record in _checked(records_by_installation[installation_id], installation_id):
            if not last.seq:
                first = record.seq
            last = Head(seq=record.seq, hash=record.hash)
            tree.add(record.hash)
            told.keys = descent.keys(record)
            _take(usage, record, Source(installation_id=installation_id, seq=record.seq), terms, period, told)
        usage.proofs.append(
            Proof(
                installation_id=installation_id,
                first_seq=first,
                last_seq=last.seq,
                head_hash=last.hash,
                merkle_root=tree.root(),
            )
        )
    return usage


def _checked(records: Iterable[Record], installation_id: str) -> Iterable[Record]:
    stream = iter(records)
    first = next(stream, None)
    if first is None:
        return
    try:
        yield from follow_chain([first], head_before(first, installation_id))
        yield from follow_chain(stream, Head(seq=first.seq, hash=first.hash))
    except ChainBroken as broken:
        raise ChainBroken(broken.sequence, f"{broken.reason} (installation {installation_id})") from None


@dataclass(slots=True)
class _Told:
    """
    What was told before: deliveries that several ledgers carry, imports that were run twice, and each ledger's head.
    """

    contract_hash: str  # Of the terms: their part of every seed, …
    baseline_sha256: str | None  # … and the hash that evidence must name.
    keys: tuple[str, ...] = ()  # Of the record in hand; see `descent`.
    cuts: Sequence[datetime] = ()  # Where the second and every later part of the month begins.
    _facts: set[bytes] = field(default_factory=set)
    _imports: set[_Import] = field(default_factory=set)
    heads: dict[tuple[int, int], str] = field(
        default_factory=dict
    )  # Of the ledger in hand: each month's last delivery.

    def seed(self, evidence: Evidence) -> str | None:
        """The seed that the ledger in hand gives for the segments of *evidence*; hex."""
        segments = evidence.segments
        head = None if segments is None else self.heads.get(_year_and_month(segments.period))
        if segments is None or head is None:
            return None
        return segment_seed(contract_hash=self.contract_hash, period=segments.period, delivery_head=head).hex()

    def again(self, delivery: Delivery) -> bool:
        """Whether *delivery*, of the record in hand, was told before. It is from now on."""
        facts = [bytes.fromhex(key) for key in self.keys]
        is_again = not self._facts.isdisjoint(facts)
        self._facts.update(facts)
        # Without a digest nothing tells a second import from a second delivery, so nothing is taken away then.
        if delivery.source_digest:
            window = delivery.window_start, delivery.window_end
            key = (delivery.rendition, delivery.arm, *window, delivery.region, delivery.source, delivery.source_digest)
            is_again |= key in self._imports
            self._imports.add(key)
        return is_again


def _take(usage: Usage, record: Record, source: Source, terms: Terms, period: Period, told: _Told) -> None:
    fact: Encode | Evidence | Delivery | Unreadable
    match record.kind:
        case Kind.ENCODE:
            fact = read_encode(record.payload)
            if isinstance(fact, Encode) and fact.is_development:
                usage.development.add(fact.rendition)
            elif isinstance(fact, Encode):
                usage.production.setdefault(fact.rendition, set()).add(fact.asset)
                usage.encoded.setdefault(fact.rendition, fact)
        case Kind.EVIDENCE:
            fact = read_evidence(record.payload)
            if isinstance(fact, Evidence) and fact.baseline == terms.baseline_id:
                if told.baseline_sha256 not in (None, fact.baseline_sha256):
                    usage.other_baseline.add((fact.asset, fact.rendition))
                    return
                found = LatestEvidence(evidence=fact, time=record.time, source=source, seed=told.seed(fact))
                if fact.metric == terms.metric:
                    _keep_latest(usage.evidence, found)
                if fact.metric == PSNR:
                    _keep_latest(usage.psnr, found)
        case Kind.DELIVERY:
            fact = read_delivery(record.payload)
            if isinstance(fact, Delivery):
                told.heads[fact.window_start.year, fact.window_start.month] = record.hash
            if isinstance(fact, Delivery) and fact.window_start in period:
                usage.delivery_heads[source.installation_id] = record.hash
                if told.again(fact):
                    counted = usage.repeated
                else:
                    counted = usage.held_out if fact.arm == BASELINE_ARM else usage.delivered
                    usage.part_bytes[bisect_right(told.cuts, fact.window_start)] += fact.bytes_delivered
                    _play(usage, fact)
                counted.setdefault(fact.rendition, Delivered()).add(fact, source, _slot(fact, terms, period))
        case Kind.GAP:
            if record.time in period:
                usage.gaps.append(source)
            return
        case _:
            return
    if isinstance(fact, Unreadable) and record.time in period:
        usage.unreadable.setdefault((str(record.kind), fact.member), []).append(source)


def _year_and_month(text: str) -> tuple[int, int]:
    """What no month is gives one that no delivery has."""
    year, _, month = text.partition("-")
    return (int(year), int(month)) if year.isdecimal() and month.isdecimal() else (0, 0)


def _play(usage: Usage, delivery: Delivery) -> None:
    if delivery.played_ms:
        key = delivery.rendition, delivery.window_start.date(), delivery.arm
        totals = usage.played.setdefault(key, [0, 0])
        totals[0] += delivery.bytes_delivered
        totals[1] += delivery.played_ms


def _slot(delivery: Delivery, terms: Terms, period: Period) -> int | None:
    if not terms.cdn_tariffs or not isinstance(terms.tariff_of(delivery.cdn), PercentileTariff):
        return None
    if (delivery.window_end - delivery.window_start).total_seconds() > SLOT_SECONDS:
        return None
    return int((delivery.window_start - period.start).total_seconds()) // SLOT_SECONDS


def _keep_latest(kept: dict[tuple[str, str], LatestEvidence], found: LatestEvidence) -> None:
    key = (found.evidence.asset, found.evidence.rendition)
    known = kept.get(key)
    if known is None or (known.time, known.source) < (found.time, found.source):
        kept[key] = found
