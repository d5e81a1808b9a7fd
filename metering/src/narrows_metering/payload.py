"""
What the payloads of usage records mean: encodes, evidence and deliveries as typed values.

A record only promises integers and strings; whoever wants to count with them reads them here. A payload that does not
say what its kind must say is an expected outcome of reading other people's ledgers: it comes back as `Unreadable`
and ends in a statement's exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from narrows_metering.canonical import INTEGER_MAX
from narrows_metering.savings import QualityPoint

MEASURED: Final = "measured"  # The evidence status with which a rendition can be billed.
POINTS_MAX: Final = 64
_TEXT_CHARACTERS_MAX: Final = 256


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


def read_encode(payload: Mapping[str, Any]) -> Encode | Unreadable:
    """The members of an encode record that a statement needs."""
    try:
        return Encode(
            asset=_text(payload, "asset"),
            rendition=_text(payload, "rendition"),
            is_development=_boolean(payload, "development"),
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
        )
    except _MemberError as error:
        return Unreadable(member=error.member)
    return delivery if delivery.window_start < delivery.window_end else Unreadable(member="window_end")


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
    if not isinstance(value, str) or not value.endswith("Z") or not 20 <= len(value) <= 27:
        raise _MemberError(name)
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise _MemberError(name) from None
    if time.utcoffset() != timedelta(0):
        raise _MemberError(name)
    return time


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
