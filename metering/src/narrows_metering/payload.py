"""
What the payloads of usage records mean: encodes, evidence, deliveries, gaps and a ledger's own life as typed values.

A record only promises integers and strings; whoever wants to count with them reads them here. A payload that does not
say what its kind must say is an expected outcome of reading other people's ledgers: it comes back as `Unreadable`
and ends in a statement's exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from narrows_metering.canonical import INTEGER_MAX
from narrows_metering.payload_members import Members, MemberUnreadable
from narrows_metering.savings import QualityPoint
from narrows_metering.segments import MeasuredSegments, Part

MEASURED: Final = "measured"  # The evidence status with which a rendition can be billed.
POINTS_MAX: Final = 64
PARTS_MAX: Final = 1_024
DETAIL_CHARACTERS_MAX: Final = 256
BASELINE_ARM: Final = "baseline"  # A delivery to a session that was held out: it got the baseline's ladder.


class GapReason(StrEnum):
    """Why records are missing."""

    DAMAGED = "damaged"  # The file is not what was written.
    LOST = "lost"  # An older copy of the ledger, or its end fell off: the machine had seen more.
    PRUNED = "pruned"  # Removed under a receipt, and then wanted again.


class Event(StrEnum):
    """What a ledger says about itself."""

    ENROLLED = "enrolled"  # An installation begins.
    SDK_CHANGED = "sdk_changed"
    CLOCK_SET_BACK = "clock_set_back"
    REIDENTIFIED = "reidentified"  # It goes on as another, because the server holds other records under its name.
    RECOVERED = "recovered"  # It goes on as another, because its ledger was damaged.
    RESTORED = "restored"  # It goes on as another, because its ledger was an older copy.


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A payload that cannot be counted; `member` is the first that is missing or malformed."""

    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Encode:
    """One rendition that was encoded."""

    asset: str
    rendition: str
    is_development: bool  # Under a development license, hence never billed.
    bytes_ours: int
    frame_count: int
    width: int
    height: int
    duration_ms: int
    content_class: str = ""  # What the customer calls content of this kind; "" where it doesn't.

    @property
    def bits_per_pixel_ppm(self) -> int:
        """Millionths of a bit."""
        return 8_000_000 * self.bytes_ours // (self.frame_count * self.width * self.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Our bytes and the baseline's at equal quality, for the measured part of a rendition."""

    asset: str
    rendition: str
    baseline: str
    metric: str
    bytes_ours: int
    bytes_baseline: int | None  # None unless `status` is MEASURED.
    score: int  # 10⁻⁶ dB.
    points: tuple[QualityPoint, ...]  # The baseline's ladder, as measured.
    status: str
    baseline_sha256: str | None = None  # The hash of the baseline's document.
    segments: MeasuredSegments | None = None  # What was measured of a long asset; None where all of it was.


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Bytes of a rendition that reached viewers in a window."""

    rendition: str
    window_start: datetime
    window_end: datetime
    bytes_delivered: int
    requests: int
    source: str
    source_digest: str  # Of what was imported; "" where there is no such thing. Makes a second import recognisable.
    cdn: str = ""  # Whose tariff values it; "" where the contract has one tariff for all.
    region: str = ""
    arm: str = ""  # BASELINE_ARM, or "" for our own ladder; the rendition is ours in either case.
    played_ms: int = 0  # Of what players said; 0 where nothing does.


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Records that an installation had and cannot give. None where nobody knows how far they went."""

    reason: GapReason
    installation: str
    first_seq: int
    last_seq: int | None
    detail: str  # For people.


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """An event in the life of an installation; what does not belong to the event is None."""

    event: Event
    sdk: str | None
    previous_sdk: str | None
    previous_installation: str | None
    previous_seq: int | None  # The last record that stays the previous installation's, …
    previous_hash: str | None  # … and its hash, which is where this ledger's records come in.
    latest_time_seen: datetime | None
    detail: str | None  # For people.


def read_encode(payload: Mapping[str, Any]) -> Encode | Unreadable:
    """The members of an encode record that a statement needs."""
    members = Members(payload)
    try:
        return Encode(
            asset=members.text("asset"),
            rendition=members.text("rendition"),
            is_development=members.boolean("development"),
            bytes_ours=members.integer("bytes", lowest=1),
            frame_count=members.integer("frames", lowest=1),
            width=members.integer("width", lowest=1),
            height=members.integer("height", lowest=1),
            duration_ms=members.integer("duration_ms", lowest=0),
            content_class=members.text("content_class", shortest=0) if "content_class" in members else "",
        )
    except MemberUnreadable as error:
        return Unreadable(member=error.member)


def read_evidence(payload: Mapping[str, Any]) -> Evidence | Unreadable:
    """The members of an evidence record that a statement needs."""
    members = Members(payload)
    try:
        status = members.text("status")
        return Evidence(
            asset=members.text("asset"),
            rendition=members.text("rendition"),
            baseline=members.text("baseline"),
            metric=members.text("metric"),
            bytes_ours=members.integer("bytes", lowest=1),
            bytes_baseline=members.integer("baseline_bytes", lowest=1) if status == MEASURED else None,
            score=members.integer("score", lowest=-INTEGER_MAX),
            points=_points(members),
            status=status,
            baseline_sha256=members.sha256("baseline_sha256") if "baseline_sha256" in members else None,
            segments=_segments(members.object("segments")) if members.given("segments") else None,
        )
    except MemberUnreadable as error:
        return Unreadable(member=error.member)


def read_delivery(payload: Mapping[str, Any]) -> Delivery | Unreadable:
    """The members of a delivery record."""
    members = Members(payload)
    try:
        delivery = Delivery(
            rendition=members.text("rendition"),
            window_start=members.time("window_start"),
            window_end=members.time("window_end"),
            bytes_delivered=members.integer("bytes", lowest=0),
            requests=members.integer("requests", lowest=0),
            source=members.text("source"),
            source_digest=members.text("source_digest", shortest=0),
            cdn=members.text("cdn", shortest=0) if "cdn" in members else "",
            region=members.text("region", shortest=0) if "region" in members else "",
            arm=_arm(members) if "arm" in members else "",
            played_ms=members.integer("played_ms", lowest=0) if "played_ms" in members else 0,
        )
    except MemberUnreadable as error:
        return Unreadable(member=error.member)
    return delivery if delivery.window_start < delivery.window_end else Unreadable(member="window_end")


def read_gap(payload: Mapping[str, Any]) -> Gap | Unreadable:
    """The members of a gap record."""
    members = Members(payload)
    try:
        gap = Gap(
            reason=members.choice("reason", GapReason),
            installation=members.text("installation"),
            first_seq=members.integer("first_seq", lowest=1),
            last_seq=members.integer("last_seq", lowest=1) if members.given("last_seq") else None,
            detail=members.text("detail", shortest=0),
        )
    except MemberUnreadable as error:
        return Unreadable(member=error.member)
    return gap if gap.last_seq is None or gap.first_seq <= gap.last_seq else Unreadable(member="last_seq")


def read_lifecycle(payload: Mapping[str, Any]) -> Lifecycle | Unreadable:
    """The members of a lifecycle record: the event, and those of the others that are there."""
    members = Members(payload)
    given = members.given
    try:
        return Lifecycle(
            event=members.choice("event", Event),
            sdk=members.text("sdk") if given("sdk") else None,
            previous_sdk=members.text("previous_sdk") if given("previous_sdk") else None,
            previous_installation=members.text("previous_installation") if given("previous_installation") else None,
            previous_seq=members.integer("previous_seq", lowest=0) if given("previous_seq") else None,
            previous_hash=members.sha256("previous_hash") if given("previous_hash") else None,
            latest_time_seen=members.time("latest_time_seen") if given("latest_time_seen") else None,
            detail=members.text("detail", shortest=0) if given("detail") else None,
        )
    except MemberUnreadable as error:
        return Unreadable(member=error.member)


def _points(members: Members) -> tuple[QualityPoint, ...]:
    return tuple(
        QualityPoint(payload_bytes=point.integer("bytes", lowest=1), score=point.integer("score", lowest=-INTEGER_MAX))
        for point in members.objects("points", count_max=POINTS_MAX)
    )


def _segments(members: Members) -> MeasuredSegments:
    parts = members.objects("parts", count_max=PARTS_MAX)
    return MeasuredSegments(
        period=members.text("period"),
        seed=members.sha256("seed"),
        count=members.integer("count", lowest=1),
        parts=tuple(
            Part(
                index=part.integer("index", lowest=0),
                bytes_ours=part.integer("bytes", lowest=1),
                bytes_baseline=part.integer("baseline_bytes", lowest=1),
            )
            for part in parts
        ),
    )


def _arm(members: Members) -> str:
    if members.text("arm") != BASELINE_ARM:
        raise MemberUnreadable("arm")
    return BASELINE_ARM
