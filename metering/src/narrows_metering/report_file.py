"""
Reports and receipts as files, for machines without a network: what a courier carries instead of HTTP.

A file holds exactly the bodies and signatures that would have been sent, so it needs no protection of its own: whoever
changes one of them is noticed as on the wire. Lines of JSON, read one by one; the last says how many there were, so a
file that was cut short is not taken for a whole one.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

from narrows_licensing.signature import TOKEN_BYTES_MAX

from narrows_metering.errors import ReportUnreadable
from narrows_metering.report import REPORT_BYTES_MAX

REPORTS_FORMAT: Final = "narrows-reports/1"
RECEIPTS_FORMAT: Final = "narrows-receipts/1"
LINES_MAX: Final = 1_000_000
DETAIL_CHARACTERS_MAX: Final = 1_024
REFERENCE_CHARACTERS_MAX: Final = 64
_LINE_BYTES_MAX: Final = REPORT_BYTES_MAX * 4 // 3 + 2 * TOKEN_BYTES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReport:
    """What the body and the signature header of a request would be."""

    body: bytes
    signature: str
    reference: str | None = None  # The carrier's own name for it, such as a relay's; it comes back with the answer.


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The server's no to one report of a file. It is not signed: people act on it, not programs by themselves."""

    code: str
    detail: str
    installation_id: str | None = None  # None where the report could not be read.
    seq: int | None = None  # The record that contradicts one that the server holds.
    expected_seq: int | None = None  # From where it wants to be told again.


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server says to one report of a file: a receipt's token, or a refusal."""

    outcome: str | Refusal
    reference: str | None = None  # The report's.


def write_reports(file: IO[bytes], reports: Iterable[SignedReport]) -> int:
    """Write all *reports*; returns how many."""
    return _write(
        file,
        REPORTS_FORMAT,
        (
            _referred({"body": base64.b64encode(r.body).decode(), "signature": r.signature}, r.reference)
            for r in reports
        ),
    )


def read_reports(file: IO[bytes]) -> Iterator[SignedReport]:
    """The reports of a file that anybody may have written; unchecked. Raises ReportUnreadable naming the line."""
    for number, line in _read(file, REPORTS_FORMAT):
        reference = _reference(number, line)
        if line.keys() != {"body", "signature"} or not isinstance(line["signature"], str):
            raise ReportUnreadable(f"line {number}: not a report with its signature")
        try:
            body = base64.b64decode(line["body"], validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise ReportUnreadable(f"line {number}: the body is not in base64") from None
        yield SignedReport(body=body, signature=line["signature"], reference=reference)


def write_answers(file: IO[bytes], answers: Iterable[Answer]) -> int:
    """Write the server's answer to each report; returns how many."""
    return _write(file, RECEIPTS_FORMAT, (_referred(_line_of(one.outcome), one.reference) for one in answers))


def read_answers(file: IO[bytes]) -> Iterator[str | Refusal]:
    """
    The receipts and refusals that `write_answers` wrote; receipts are not verified yet.

    Raises ReportUnreadable naming the line.
    """
    for number, line in _read(file, RECEIPTS_FORMAT):
        _reference(number, line)
        if line.keys() == {"receipt"} and isinstance(line["receipt"], str):
            yield line["receipt"]
        elif line.keys() == {"refused"} and isinstance(line["refused"], dict):
            yield _refusal(number, line["refused"])
        else:
            raise ReportUnreadable(f"line {number}: neither a receipt nor a refusal")


def _referred(line: dict[str, object], reference: str | None) -> dict[str, object]:
    return line if reference is None else {**line, "reference": reference}


def _reference(number: int, line: dict[str, Any]) -> str | None:
    """Take the reference out of a line, if it has one."""
    reference = line.pop("reference", None)
    if reference is not None and (not isinstance(reference, str) or len(reference) > REFERENCE_CHARACTERS_MAX):
        raise ReportUnreadable(f"line {number}: the reference is not a text of {REFERENCE_CHARACTERS_MAX} characters")
    return reference


def _line_of(answer: str | Refusal) -> dict[str, object]:
    if isinstance(answer, str):
        return {"receipt": answer}
    members = {
        "code": answer.code,
        "detail": answer.detail[:DETAIL_CHARACTERS_MAX],
        "installation_id": answer.installation_id,
        "seq": answer.seq,
        "expected_seq": answer.expected_seq,
    }
    return {"refused": {name: value for name, value in members.items() if value is not None}}


def _refusal(number: int, members: Mapping[str, Any]) -> Refusal:
    texts = {name: members.get(name) for name in ("code", "detail", "installation_id") if name in members}
    numbers = {name: members.get(name) for name in ("seq", "expected_seq") if name in members}
    is_good = (
        members.keys() == texts.keys() | numbers.keys()
        and {"code", "detail"} <= texts.keys()
        and all(isinstance(text, str) and len(text) <= DETAIL_CHARACTERS_MAX for text in texts.values())
        and all(type(seq) is int and seq >= 1 for seq in numbers.values())
    )
    if not is_good:
        raise ReportUnreadable(f"line {number}: not a refusal")
    return Refusal(**texts, **numbers)  # type: ignore[arg-type]  # checked just above


def _write(file: IO[bytes], format: str, lines: Iterable[Mapping[str, object]]) -> int:  # noqa: A002 - the file's word
    count = 0
    _put(file, {"format": format})
    for line in lines:
        _put(file, line)
        count += 1
    _put(file, {"count": count})
    return count


def _put(file: IO[bytes], line: Mapping[str, object]) -> None:
    file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")


def _read(file: IO[bytes], format: str) -> Iterator[tuple[int, dict[str, Any]]]:  # noqa: A002 - the file's word
    """The lines between the first and the last, with their numbers, once it is sure that these two are there."""
    if _line(file, 1) != {"format": format}:
        raise ReportUnreadable(f"line 1: not a file of the format {format}")
    for number in range(2, LINES_MAX + 3):
        line = _line(file, number)
        if line is None:
            raise ReportUnreadable(f"line {number}: missing; the file was cut short")
        if "count" in line:
            if line != {"count": number - 2} or file.read(1):
                raise ReportUnreadable(f"line {number}: lines are missing before it, or follow it")
            return
        yield number, line
    raise ReportUnreadable(f"more than {LINES_MAX} lines")


def _line(file: IO[bytes], number: int) -> dict[str, Any] | None:
    text = file.readline(_LINE_BYTES_MAX + 1)
    if not text:
        return None
    if len(text) > _LINE_BYTES_MAX or not text.endswith(b"\n"):
        raise ReportUnreadable(f"line {number}: cut short, or longer than any line of ours")
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        raise ReportUnreadable(f"line {number}: not JSON") from None
    if not isinstance(line, dict):
        raise ReportUnreadable(f"line {number}: not a JSON object")
    return line
