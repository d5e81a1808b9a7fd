"""Files of reports and receipts: what was written is read, and what was changed or cut is not."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.errors import ReportUnreadable
from narrows_metering.report_file import (
    DETAIL_CHARACTERS_MAX,
    REFERENCE_CHARACTERS_MAX,
    Answer,
    Refusal,
    SignedReport,
    read_answers,
    read_reports,
    write_answers,
    write_reports,
)

references = st.none() | st.text(max_size=REFERENCE_CHARACTERS_MAX)
reports = st.builds(SignedReport, body=st.binary(max_size=50), signature=st.text(max_size=20), reference=references)
numbers = st.none() | st.integers(1, 2**53)
refusals = st.builds(
    Refusal,
    code=st.text(max_size=20),
    detail=st.text(max_size=DETAIL_CHARACTERS_MAX),
    installation_id=st.none() | st.text(max_size=43),
    seq=numbers,
    expected_seq=numbers,
)


def written(some: list[SignedReport]) -> bytes:
    file = io.BytesIO()
    assert write_reports(file, some) == len(some)
    return file.getvalue()


@given(st.lists(reports))
def test_reports_are_read_as_they_were_written(some: list[SignedReport]) -> None:
    assert list(read_reports(io.BytesIO(written(some)))) == some


@given(st.lists(st.builds(Answer, outcome=st.text(max_size=50) | refusals, reference=references)))
def test_answers_are_read_as_they_were_written(some: list[Answer]) -> None:
    file = io.BytesIO()
    assert write_answers(file, some) == len(some)
    file.seek(0)
    assert list(read_answers(file)) == [answer.outcome for answer in some]


def test_a_file_that_was_cut_anywhere_is_noticed() -> None:
    whole = written([SignedReport(body=b"one", signature="a.b"), SignedReport(body=b"two", signature="c.d")])
    for length in range(len(whole)):
        with pytest.raises(ReportUnreadable):
            list(read_reports(io.BytesIO(whole[:length])))


def test_a_line_that_is_missing_or_follows_is_noticed() -> None:
    lines = written([SignedReport(body=b"one", signature="a.b"), SignedReport(body=b"two", signature="c.d")])
    first, second, *others = lines.splitlines(keepends=True)
    for altered in ([first, *others], [first, second, *others, b"\n"], [first, second, second, *others]):
        with pytest.raises(ReportUnreadable, match="line"):
            list(read_reports(io.BytesIO(b"".join(altered))))


@pytest.mark.parametrize(
    "line",
    [
        *(b"7", b"[]", b"{}", b"nonsense", b'{"body":"?","signature":""}', b'{"body":7,"signature":""}', b"[" * 99_999),
        b'{"body":"","signature":"","reference":7}',
    ],
)
def test_a_line_that_is_no_report_is_named(line: bytes) -> None:
    with pytest.raises(ReportUnreadable, match="line 2"):
        list(read_reports(io.BytesIO(b'{"format":"narrows-reports/1"}\n' + line + b'\n{"count":1}\n')))


@pytest.mark.parametrize(
    "refused",
    [
        7,
        {"code": "gap"},
        {"code": "gap", "detail": "x", "seq": "1"},
        {"code": "gap", "detail": "x", "seq": 0},
        {"code": "gap", "detail": "x" * (DETAIL_CHARACTERS_MAX + 1)},
        {"code": "gap", "detail": "x", "more": 1},
    ],
)
def test_a_refusal_that_is_none_is_named(refused: object) -> None:
    lines = [{"format": "narrows-receipts/1"}, {"refused": refused}, {"count": 1}]
    file = io.BytesIO(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    with pytest.raises(ReportUnreadable, match="line 2"):
        list(read_answers(file))


def test_a_file_of_receipts_is_no_file_of_reports() -> None:
    with pytest.raises(ReportUnreadable, match="narrows-receipts/1"):
        list(read_answers(io.BytesIO(written([]))))
