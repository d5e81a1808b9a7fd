"""CloudFront logs: every delivering byte is in exactly one total, or the file is refused."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.errors import ImportFailed
from narrows_metering.importers.cloudfront import (
    LINE_BYTES_MAX,
    UNMATCHED_NAMED_MAX,
    DeliveryTotal,
    LogReading,
    read_deliveries,
)
from narrows_metering.payload import Delivery, read_delivery

FIELDS = "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer)"
RENDITIONS = {"/film/1080.mkv": "a1", "/film/720.mkv": "a2"}


def a_line(
    size: object = 1000, *, stem: str = "/film/1080.mkv", method: str = "GET", status: object = 200,
    date: str = "2026-11-10",
) -> str:  # fmt: skip
    """One request, as CloudFront logs it."""
    return "\t".join(
        [date, "07:13:09", "FRA2-C1", str(size), "192.0.2.1", method, "d.cloudfront.net", stem, str(status), "-"]
    )


def a_log(*lines: str, fields: str = FIELDS, version: str = "1.0") -> bytes:
    """A log file of *lines*."""
    return "\n".join([f"#Version: {version}", f"#Fields: {fields}", *lines, ""]).encode()


def reading(folder: Path, content: bytes) -> LogReading:
    """What is read from a file with *content*."""
    (folder / "E1.2026-11-10-07.log").write_bytes(content)
    return read_deliveries(folder / "E1.2026-11-10-07.log", RENDITIONS)


def refusal(folder: Path, content: bytes) -> ImportFailed:
    """The error that a file with *content* gives."""
    with pytest.raises(ImportFailed) as refused:
        reading(folder, content)
    assert "E1.2026-11-10-07.log" in str(refused.value)
    return refused.value


class TestTotals:
    def test_requests_are_added_up_per_rendition_and_utc_day(self, tmp_path: Path) -> None:
        content = a_log(
            a_line(1000), a_line(500, status=206), a_line(7, date="2026-11-11"), a_line(9, stem="/film/720.mkv")
        )
        found = reading(tmp_path, content)

        def total(rendition: str, day: int, size: int, requests: int) -> DeliveryTotal:
            return DeliveryTotal(
                rendition=rendition,
                window_start=datetime(2026, 11, day, tzinfo=UTC),
                window_end=datetime(2026, 11, day + 1, tzinfo=UTC),
                bytes=size,
                requests=requests,
                source="cloudfront",
                source_digest=sha256(content).hexdigest(),
            )

        assert found.deliveries == [total("a1", 10, 1500, 2), total("a1", 11, 7, 1), total("a2", 10, 9, 1)]

    @pytest.mark.parametrize(
        ("method", "status"), [("HEAD", 200), ("POST", 200), ("GET", 304), ("GET", 404), ("GET", "000"), ("get", 200)]
    )
    def test_what_delivered_nothing_is_only_counted(self, tmp_path: Path, method: str, status: object) -> None:
        found = reading(tmp_path, a_log(a_line(method=method, status=status)))
        assert (found.deliveries, found.ignored_requests) == ([], 1)

    def test_stems_that_are_no_rendition_are_counted_and_named(self, tmp_path: Path) -> None:
        found = reading(tmp_path, a_log(a_line(5, stem="/logo.png"), a_line(6, stem="/logo.png"), a_line(1)))
        assert found.unmatched == {"/logo.png": 2}
        assert (found.unmatched_requests, found.unmatched_bytes) == (2, 11)

    def test_only_so_many_unmatched_stems_are_named_but_all_are_counted(self, tmp_path: Path) -> None:
        count = UNMATCHED_NAMED_MAX + 10
        found = reading(tmp_path, a_log(*(a_line(1, stem=f"/{n}") for n in range(count))))
        assert (len(found.unmatched), found.unmatched_requests) == (UNMATCHED_NAMED_MAX, count)

    def test_gzip_gives_the_same_totals(self, tmp_path: Path) -> None:
        content = a_log(a_line(1000), a_line(500))
        plain, packed = reading(tmp_path, content), reading(tmp_path, gzip.compress(content))
        assert [total.bytes for total in packed.deliveries] == [total.bytes for total in plain.deliveries] == [1500]
        assert packed.source_digest == sha256(gzip.compress(content)).hexdigest()

    def test_fields_may_stand_in_another_order_and_change_within_the_file(self, tmp_path: Path) -> None:
        short = "#Fields: sc-status cs-uri-stem cs-method sc-bytes date\n200\t/film/1080.mkv\tGET\t5\t2026-11-10"
        (total,) = reading(tmp_path, a_log(a_line(1), short)).deliveries
        assert (total.bytes, total.requests) == (6, 2)

    def test_lines_may_end_as_on_windows(self, tmp_path: Path) -> None:
        (total,) = reading(tmp_path, a_log(a_line(3)).replace(b"\n", b"\r\n")).deliveries
        assert total.bytes == 3

    def test_a_total_is_a_payload_that_a_statement_can_read(self, tmp_path: Path) -> None:
        (total,) = reading(tmp_path, a_log(a_line(3))).deliveries
        found = read_delivery(total.payload())
        assert isinstance(found, Delivery)
        assert (found.bytes_delivered, found.window_start, found.source_digest) == (
            total.bytes, total.window_start, total.source_digest,
        )  # fmt: skip

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 10**12),
                st.sampled_from([*RENDITIONS, "/other"]),
                st.sampled_from(["GET", "HEAD"]),
                st.sampled_from([200, 206, 304, 500]),
            ),
            max_size=30,
        )
    )
    def test_every_request_ends_in_exactly_one_place(self, requests: list[tuple[int, str, str, int]]) -> None:
        lines = [a_line(size, stem=stem, method=method, status=status) for size, stem, method, status in requests]
        with TemporaryDirectory() as folder:
            found = reading(Path(folder), a_log(*lines))

        delivering = [r for r in requests if r[2] == "GET" and r[3] in (200, 206)]
        assert sum(t.bytes for t in found.deliveries) + found.unmatched_bytes == sum(r[0] for r in delivering)
        assert sum(t.requests for t in found.deliveries) + found.unmatched_requests == len(delivering)
        assert found.ignored_requests == len(requests) - len(delivering)


class TestRefusals:
    @pytest.mark.parametrize(
        ("line", "field"),
        [
            (a_line("-"), "sc-bytes"),
            (a_line("-5"), "sc-bytes"),
            (a_line("1.5"), "sc-bytes"),
            (a_line("٣"), "sc-bytes"),
            (a_line("9" * 17), "sc-bytes"),
            (a_line(status="ok"), "sc-status"),
            (a_line(date="2026-11-31"), "date"),
            (a_line(date="2026-11-1"), "date"),
            (a_line(date="-"), "date"),
            (a_line().rsplit("\t", 1)[0], "cs(Referer)"),
            (a_line() + "\textra", None),
            ("garbage", "time"),
        ],
    )
    def test_a_line_that_cannot_be_read_is_named_with_its_field(
        self, tmp_path: Path, line: str, field: str | None
    ) -> None:
        error = refusal(tmp_path, a_log(a_line(), line))
        assert (error.line, error.field) == (4, field)

    @pytest.mark.parametrize(
        ("content", "line", "field"),
        [
            (b"", 0, "#Fields"),
            (a_log(version="2.0"), 1, "#Version"),
            (b"#Version: 1.0\n" + a_line().encode(), 2, "#Fields"),
            (a_log(fields="date time"), 2, "sc-bytes"),
            (a_log(fields=FIELDS + " sc-bytes"), 2, "sc-bytes"),
            (a_log(a_line()) + b"\xff\n", 4, None),
            (a_log(a_line()) + b"x" * (LINE_BYTES_MAX + 1), 4, None),
        ],
    )
    def test_a_file_that_is_no_such_log_is_refused(
        self, tmp_path: Path, content: bytes, line: int, field: str | None
    ) -> None:
        error = refusal(tmp_path, content)
        assert (error.line, error.field) == (line, field)

    def test_a_gzip_file_that_was_cut_short_or_altered_is_refused(self, tmp_path: Path) -> None:
        packed = gzip.compress(a_log(*(a_line(n) for n in range(50))))
        assert "gzip" in str(refusal(tmp_path, packed[:-9]))
        assert "gzip" in str(refusal(tmp_path, packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]))

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ImportFailed, match="absent"):
            read_deliveries(tmp_path / "absent.log", RENDITIONS)
