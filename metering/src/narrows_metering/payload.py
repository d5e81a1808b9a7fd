"""
What the payloads of usage records mean: encodes, evidence, deliveries, gaps and a ledger's own life as typed values.

A record only promises integers and strings; whoever wants to count with them reads them here. A payload that does not
say what its kind must say is an expected outcome of reading other people's ledgers: it comes back as `Unreadable`
and ends in a statement's exceptions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from narrows_metering.canonical import INTEGER_MAX
from narrows_metering.savings import QualityPoint
from narrows_metering.segments import MeasuredSegments, Part

MEASURED: Final = "measured"  # The evidence status with which a rendition can be billed.
POINTS_MAX: Final = 64
PARTS_MAX: Final = 1_024
DETAIL_CHARACTERS_MAX: Final = 256
BASELINE_ARM: Final = "baseline"  # A delivery to a session that was held out: it got the baseline's ladder.
_TEXT_CHARACTERS_MAX: Final = 256
_HASH: Final = re.compile(r"[0-9a-f]{64}")


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
    try:
        return Encode(
            asset=_text(payload, "asset"),
            rendition=_text(payload, "rendition"),
            is_development=_boolean(payload, "development"),
            bytes_ours=_integer(payload, "bytes", lowest=1),
            frame_count=_integer(payload, "frames", lowest=1),
            width=_integer(payload, "width", lowest=1),
            height=_integer(payload, "height", lowest=1),
            duration_ms=_integer(payload, "duration_ms", lowest=0),
            content_class=_text(payload, "content_class", lowest=0) if "content_class" in payload else "",
        )
    except _MemberError as error:
        return Unreadable(member=error.member)


def read_evidence(payload: Mapping[str, Any]) -> Evidence | Unreadable:
    """The members of an evidence record that a statement needs."""
    try:
        status = _text(payload, "status")
        return Evidence(
            asset=_text(payload, "asset"),
            rendition=_text(payload, "rendition"),
            baseline=_text(payload, "baseline"),
            metric=_text(payload, "metric"),
            bytes_ours=_integer(payload, "bytes", lowest=1),
            bytes_baseline=_integer(payload, "baseline_bytes", lowest=1) if status == MEASURED else None,
            score=_integer(payload, "score", lowest=-INTEGER_MAX),
            points=_points(payload),
            status=status,
            baseline_sha256=_hash(payload, "baseline_sha256") if "baseline_sha256" in payload else None,
            segments=_segments(payload) if payload.get("segments") is not None else None,
        )
    except _MemberError as error:
        return Unreadable(member=error.member)


def read_delivery(payload: Mapping[str, Any]) -> Delivery | Unreadable:
    """The members of a delivery record."""
    try:
        delivery = Delivery(
            rendition=_text(payload, "rendition"),
            window_start=_time(payload, "window_start"),
            window_end=_time(payload, "window_end"),
            bytes_delivered=_integer(payload, "bytes", lowest=0),
            requests=_integer(payload, "requests", lowest=0),
            source=_text(payload, "source"),
            source_digest=_text(payload, "source_digest", lowest=0),
            cdn=_text(payload, "cdn", lowest=0) if "cdn" in payload else "",
            region=_text(payload, "region", lowest=0) if "region" in payload else "",
            arm=_arm(payload) if "arm" in payload else "",
            played_ms=_integer(payload, "played_ms", lowest=0) if "played_ms" in payload else 0,
        )
    except _MemberError as error:
        return Unreadable(member=error.member)
    return delivery if delivery.window_start < delivery.window_end else Unreadable(member="window_end")


def read_gap(payload: Mapping[str, Any]) -> Gap | Unreadable:
    """The members of a gap record."""
    try:
        gap = Gap(
            reason=GapReason(_choice(payload, "reason", GapReason)),
            installation=_text(payload, "installation"),
            first_seq=_integer(payload, "first_seq", lowest=1),
            last_seq=None if payload.get("last_seq") is None else _integer(payload, "last_seq", lowest=1),
            detail=_text(payload, "detail", lowest=0),
        )
    except _MemberError as error:
        return Unreadable(member=error.member)
    return gap if gap.last_seq is None or gap.first_seq <= gap.last_seq else Unreadable(member="last_seq")


def read_lifecycle(payload: Mapping[str, Any]) -> Lifecycle | Unreadable:
    """The members of a lifecycle record: the event, and those of the others that are there."""

    def given(name: str) -> bool:
        return payload.get(name) is not None

    try:
        return Lifecycle(
            event=Event(_choice(payload, "event", Event)),
            sdk=_text(payload, "sdk") if given("sdk") else None,
            previous_sdk=_text(payload, "previous_sdk") if given("previous_sdk") else None,
            previous_installation=_text(payload, "previous_installation") if given("previous_installation") else None,
            previous_seq=_integer(payload, "previous_seq", lowest=0) if given("previous_seq") else None,
            previous_hash=_hash(payload, "previous_hash") if given("previous_hash") else None,
            latest_time_seen=_time(payload, "latest_time_seen") if given("latest_time_seen") else None,
            detail=_text(payload, "detail", lowest=0) if given("detail") else None,
        )
    except _MemberError as error:
        return Unreadable(member=error.member)


class _MemberError(Exception):
    """Carries the name of a member from where it is read to where the payload is given up."""

    def __init__(self, member: str) -> None:
        super().__init__(member)
        self.member = member


def _text(payload: Mapping[str, Any], name: str, *, lowest: int = 1) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not lowest <= len(value) <= _TEXT_CHARACTERS_MAX:
        raise _MemberError(name)
    return value


def _hash(payload: Mapping[str, Any], name: str) -> str:
    value = _text(payload, name)
    if not _HASH.fullmatch(value):
        raise _MemberError(name)
    return value


def _choice(payload: Mapping[str, Any], name: str, choices: type[StrEnum]) -> str:
    value = _text(payload, name)
    if value not in set(choices):
        raise _MemberError(name)
    return value


def _integer(payload: Mapping[str, Any], name: str, *, lowest: int) -> int:
    value = payload.get(name)
    if type(value) is not int or not lowest <= value <= INTEGER_MAX:
        raise _MemberError(name)
    return value


def _boolean(payload: Mapping[str, Any], name: str) -> bool:
    value = payload.get(name)
    if not isinstance(value, bool):
        raise _MemberError(name)
    return value


def _time(payload: Mapping[str, Any], name: str) -> datetime:
    """RFC 3339 in UTC, to the second or finer; importers and players differ in how fine."""
    value = payload.get(name)
    time = _moment(value) if isinstance(value, str) and 20 <= len(value) <= 27 else None
    if time is None:
        raise _MemberError(name)
    return time


@lru_cache(maxsize=65_536)  # A month's windows begin and end at few moments, told by many records.
def _moment(text: str) -> datetime | None:
    if not text.endswith("Z"):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.utcoffset() == timedelta(0) else None


def _points(payload: Mapping[str, Any]) -> tuple[QualityPoint, ...]:
    values = payload.get("points")
    if not isinstance(values, list) or len(values) > POINTS_MAX:
        raise _MemberError("points")
    points = []
    for value in values:
        if not isinstance(value, dict):
            raise _MemberError("points")
        payload_bytes = _integer(value, "bytes", lowest=1)
        points.append(QualityPoint(payload_bytes=payload_bytes, score=_integer(value, "score", lowest=-INTEGER_MAX)))
    return tuple(points)


def _segments(payload: Mapping[str, Any]) -> MeasuredSegments:
    members = payload["segments"]
    parts = members.get("parts") if isinstance(members, dict) else None
    if not isinstance(parts, list) or len(parts) > PARTS_MAX or not all(isinstance(part, dict) for part in parts):
        raise _MemberError("segments")
    return MeasuredSegments(
        period=_text(members, "period"),
        seed=_hash(members, "seed"),
        count=_integer(members, "count", lowest=1),
        parts=tuple(
            Part(
                index=_integer(part, "index", lowest=0),
                bytes_ours=_integer(part, "bytes", lowest=1),
                bytes_baseline=_integer(part, "baseline_bytes", lowest=1),
            )
            for part in parts
        ),
    )


def _arm(payload: Mapping[str, Any]) -> str:
    if payload["arm"] != BASELINE_ARM:
        raise _MemberError("arm")
    return BASELINE_ARM
