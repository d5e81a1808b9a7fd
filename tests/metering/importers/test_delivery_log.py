"""Delivery logs of every kind: every delivering byte is in exactly one total, or the file is refused."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from narrows_metering.errors import ImportFailed
from narrows_metering.importers.delivery_log import FIVE_MINUTES, LogReading, read_deliveries
from narrows_metering.importers.formats import LogFormat, mapped_fields
from narrows_metering.payload import Delivery, read_delivery

RENDITIONS = {"/film/1080.mkv": "a1", "/film/720.mkv": "a2"}
DAY = datetime(2026, 11, 10, tzinfo=UTC)
AT = "2026-11-10T07:13:09Z"
TSV_FIELDS = "date time x-edge-location sc-bytes cs-method cs-uri-stem sc-status x-edge-request-id"


def tsv(*requests: tuple[int, str], method: str = "GET", status: str = "200") -> str:
    """A CloudFront log of (bytes, path), each with an id of its own."""
    lines = [
        "\t".join(["2026-11-10", "07:13:09", "FRA2-C1", str(size), method, path, status, f"id-{n}-{size}"])
        for n, (size, path) in enumerate(requests)
    ]
    return "\n".join(["#Version: 1.0", f"#Fields: {TSV_FIELDS}", *lines, ""])


def ndjson(*lines: dict[str, Any]) -> str:
    """A log of one object per line."""
    return "".join(json.dumps(line) + "\n" for line in lines)


ROW = dict(zip(TSV_FIELDS.split(), tsv((1000, "/film/1080.mkv")).splitlines()[2].split("\t"), strict=True))
AKAMAI = {"bytes": "1000", "reqMethod": "GET", "reqId": "1f", "reqPath": "film/1080.mkv", "statusCode": "206"}
FASTLY = {"timestamp": AT, "bytes": 1000, "method": "GET", "status": 200, "url": "/film/1080.mkv?t=1", "pop": "FRA"}
CLOUDFLARE = {
    "EdgeStartTimestamp": 1794294789123456789, "EdgeResponseBytes": 1000, "ClientRequestMethod": "GET",
    "ClientRequestURI": "/film/1080.mkv?a=b", "EdgeResponseStatus": 200, "RayID": "8f1", "EdgeColoCode": "FRA",
}  # fmt: skip
PLAYER = {"time": AT, "bytes": 1000, "url": "https://c.net/film/1080.mkv?CMCD=br%3D3200%2Cd%3D4004%2Cot%3Dv"}
SAMPLES = {
    "cloudfront.tsv": (LogFormat.CLOUDFRONT, tsv((1000, "/film/1080.mkv"), (5, "/poster.jpg"))),
    "cloudfront.json": (
        LogFormat.CLOUDFRONT,
        ndjson(ROW, {**ROW, "cs-uri-stem": "/poster.jpg", "sc-bytes": 5, "x-edge-request-id": "2"}),
    ),
    "akamai.json": (
        LogFormat.AKAMAI,
        ndjson(
            {**AKAMAI, "reqTimeSec": "1794294789.123", "country": "DE"},
            {**AKAMAI, "reqTimeSec": "1794294790", "bytes": "5", "reqPath": "poster.jpg", "reqId": "2f"},
        ),
    ),
    "fastly.json": (LogFormat.FASTLY, ndjson(FASTLY, {**FASTLY, "bytes": 5, "url": "/poster.jpg"})),
    "cloudflare.json": (
        LogFormat.CLOUDFLARE,
        ndjson(
            CLOUDFLARE,
            {**CLOUDFLARE, "EdgeStartTimestamp": AT, "EdgeResponseBytes": 5, "ClientRequestURI": "/poster.jpg"},
        ),
    ),
    "w3c.log": (
        LogFormat.W3C,
        (
            "#Version: 1.0\n#Fields: date time c-ip cs-method cs-uri-stem sc-status sc-bytes\n"
            "2026-11-10 07:13:09 192.0.2.1 GET /film/1080.mkv 200 1000\n"
            "2026-11-10 07:13:10 192.0.2.1 GET /poster.jpg 200 5\n"
        ),
    ),
    "access.log": (
        LogFormat.COMBINED,
        (
            '192.0.2.1 - - [10/Nov/2026:08:13:09 +0100] "GET /film/1080.mkv?t=1 HTTP/1.1" 206 1000 "-" "VLC \\"3\\""\n'
            '192.0.2.1 - - [10/Nov/2026:08:13:10 +0100] "GET /poster.jpg HTTP/1.1" 200 5\n'
        ),
    ),
    "generic.csv": (
        LogFormat.GENERIC,
        'when,sent,uri\n2026-11-10T08:13:09+01:00,1000,"https://c.net/film/1080.mkv"\n1794294789,5,/poster.jpg\n',
    ),
    "players.json": (LogFormat.CMCD, ndjson(PLAYER, {**PLAYER, "bytes": 5, "url": "/poster.jpg"})),
}
GENERIC = mapped_fields({"time": "when", "bytes": "sent", "path": "uri"})


def reading(
    folder: Path, *contents: str | bytes, log_format: LogFormat = LogFormat.CLOUDFRONT, **options: Any
) -> LogReading:
    """What is read from files with *contents*."""
    paths = [folder / f"log-{number}" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if log_format is LogFormat.GENERIC:
        options["fields"] = GENERIC
    return read_deliveries(paths, RENDITIONS, log_format=log_format, **options)


def refusal(folder: Path, content: str | bytes, **options: Any) -> ImportFailed:
    """The error that a file with *content* gives."""
    with pytest.raises(ImportFailed, match="log-0") as refused:
        reading(folder, content, **options)
    return refused.value


class TestFormats:
    @pytest.mark.parametrize("name", list(SAMPLES))
    def test_every_kind_of_log_gives_the_same_delivery(self, tmp_path: Path, name: str) -> None:
        log_format, content = SAMPLES[name]
        read = reading(tmp_path, content, log_format=log_format)

        (total,) = read.deliveries
        assert (total.rendition, total.bytes, total.requests) == ("a1", 1000, 1)
        assert (total.window_start, total.window_end) == (DAY, DAY + timedelta(days=1))
        assert (total.source, total.source_digest) == (log_format, sha256(content.encode()).hexdigest())
        assert (read.unmatched, read.unmatched_bytes, read.ignored_requests) == ({"/poster.jpg": 1}, 5, 0)
        assert isinstance(read_delivery(total.payload()), Delivery)

    @pytest.mark.parametrize("name", list(SAMPLES))
    def test_a_compressed_log_gives_the_same_totals(self, tmp_path: Path, name: str) -> None:
        log_format, content = SAMPLES[name]
        path = tmp_path / f"{name}.gz"
        path.write_bytes(gzip.compress(content.encode()))
        fields = GENERIC if log_format is LogFormat.GENERIC else None
        read = read_deliveries([path], RENDITIONS, log_format=log_format, fields=fields)
        assert [(total.rendition, total.bytes) for total in read.deliveries] == [("a1", 1000)]

    def test_parquet_is_read_too(self, tmp_path: Path) -> None:
        plain, path = tmp_path / "rows.json", tmp_path / "rows.parquet"
        plain.write_text(ndjson(ROW))
        with duckdb.connect() as engine:
            engine.execute(f"COPY (FROM '{plain}') TO '{path}' (FORMAT parquet)")
        (total,) = read_deliveries([path], RENDITIONS, log_format=LogFormat.CLOUDFRONT).deliveries
        assert (total.rendition, total.bytes) == ("a1", 1000)

    def test_cloudfront_writes_its_parquet_with_underscores(self, tmp_path: Path) -> None:
        plain, path = tmp_path / "rows.json", tmp_path / "rows.parquet"
        plain.write_text(ndjson({name.replace("-", "_"): value for name, value in ROW.items()}))
        with duckdb.connect() as engine:
            engine.execute(f"COPY (FROM '{plain}') TO '{path}' (FORMAT parquet)")
        (total,) = read_deliveries([path], RENDITIONS, log_format=LogFormat.CLOUDFRONT).deliveries
        assert (total.rendition, total.bytes) == ("a1", 1000)

    def test_all_33_fields_of_cloudfront_are_read_whatever_stands_in_them(self, tmp_path: Path) -> None:
        fields = (
            "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) "
            "cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol "
            "cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type "
            "cs-protocol-version fle-status fle-encrypted-fields c-port time-to-first-byte "
            "x-edge-detailed-result-type sc-content-type sc-content-len sc-range-start sc-range-end"
        )
        row = (
            "2026-11-10 07:13:09 FRA56-P2 1000 2001:db8::1 GET d1.cloudfront.net /film/1080.mkv 206 - "
            "Mozilla/5.0%20(X11;%20%22a%22) CMCD=br%253D3200%252Cd%253D4004 - Hit k6WGMNkEzR5BEM_SaF47gjtX9zBDO2m== "
            "media.example.com https 312 0.082 - TLSv1.3 TLS_AES_128_GCM_SHA256 Hit HTTP/2.0 - - 11040 0.082 Hit "
            "video/x-matroska 78 0 499"
        )
        left = row.replace(" 206 ", " 000 ").replace("k6WG", "k7WG")
        log = f"#Version: 1.0\n#Fields: {fields}\n" + "".join("\t".join(one.split()) + "\n" for one in (row, left))
        read = reading(tmp_path, gzip.compress(log.encode()))
        assert [(total.bytes, total.requests) for total in read.deliveries] == [(1000, 1)]
        assert read.ignored_requests == 1

    def test_akamai_writes_numbers_as_text_and_leaves_out_what_is_nothing(self, tmp_path: Path) -> None:
        line = {
            "version": "1", "streamId": "1234", "cp": "123456", "reqId": "1239f220", "reqTimeSec": "1794294789.123",
            "bytes": "1000", "cliIP": "128.147.28.68", "statusCode": "206", "proto": "HTTPS", "reqHost": "c.net",
            "reqMethod": "GET", "reqPath": "film/1080.mkv", "reqPort": "443", "rspContentLen": "9999",
            "rspContentType": "video/x-matroska", "UA": "Mozilla%2F5.0+%28X11%29", "totalBytes": "1450",
        }  # fmt: skip
        not_modified = {key: value for key, value in line.items() if key != "bytes"}
        not_modified |= {"statusCode": "304", "reqId": "2"}
        aborted = {**line, "statusCode": "0", "reqId": "3"}
        read = reading(tmp_path, ndjson(line, not_modified, aborted), log_format=LogFormat.AKAMAI)
        assert [(total.bytes, total.requests) for total in read.deliveries] == [(1000, 1)]
        assert read.ignored_requests == 2
        lost = {key: value for key, value in line.items() if key != "bytes"}
        assert refusal(tmp_path, ndjson(lost), log_format=LogFormat.AKAMAI).field == "bytes"

    @pytest.mark.parametrize("time", ["2026-11-10T07:13:09Z", 1794294789, 1794294789123456789])
    def test_what_a_worker_of_cloudflare_fetched_for_itself_reached_nobody(self, tmp_path: Path, time: object) -> None:
        viewer = {**CLOUDFLARE, "EdgeStartTimestamp": time, "WorkerSubrequest": False}
        inner = {**viewer, "WorkerSubrequest": True, "RayID": "8f2", "ParentRayID": "8f1"}
        read = reading(tmp_path, ndjson(viewer, inner), log_format=LogFormat.CLOUDFLARE)
        assert [(total.bytes, total.requests, total.window_start) for total in read.deliveries] == [(1000, 1, DAY)]
        assert read.ignored_requests == 1

    def test_what_a_client_sent_is_no_reason_to_refuse_an_access_log(self, tmp_path: Path) -> None:
        good = (
            '192.0.2.1 - jane doe [10/Nov/2026:07:13:09 +0000] "GET /film/1080.mkv HTTP/2.0" 200 1000 "-" "a \\"b\\""\n'
        )
        nonsense = (
            '192.0.2.2 - - [10/Nov/2026:07:13:10 +0000] "\\x16\\x03\\x01\\x02" 400 166 "-" "-"\n'
            '192.0.2.3 - - [10/Nov/2026:07:13:11 +0000] "" 400 0 "-" "-"\n'
            '192.0.2.4 - - [10/Nov/2026:07:13:12 +0000] "GET /a\\"b HTTP/1.1" 404 - "-" "-"\n'
        )
        read = reading(tmp_path, good + nonsense, log_format=LogFormat.COMBINED)
        assert [(total.bytes, total.requests) for total in read.deliveries] == [(1000, 1)]
        assert (read.ignored_requests, read.unmatched_requests) == (3, 0)
        assert refusal(tmp_path, good + "no log line at all\n", log_format=LogFormat.COMBINED).line == 2

    def test_a_server_that_started_again_repeats_its_header(self, tmp_path: Path) -> None:
        header = "#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n#Fields: date time cs-method "
        header += "cs-uri-stem cs-uri-query sc-status sc-bytes\n"
        row = "2026-11-10 07:13:09 GET /film/1080.mkv - 200 1000\n"
        read = reading(tmp_path, header + row + header + row, log_format=LogFormat.W3C)
        assert [(total.bytes, total.requests) for total in read.deliveries] == [(2000, 2)]

    def test_the_baselines_ladder_counts_apart_under_our_rendition(self, tmp_path: Path) -> None:
        log = tsv((1000, "/film/1080.mkv"), (1300, "/base/1080.mp4"))
        read = reading(tmp_path, log, baseline_renditions={"/base/1080.mp4": "a1"})
        assert {(total.rendition, total.arm, total.bytes) for total in read.deliveries} == {
            ("a1", "", 1000),
            ("a1", "baseline", 1300),
        }

    def test_players_say_how_long_they_played(self, tmp_path: Path) -> None:
        (total,) = reading(tmp_path, SAMPLES["players.json"][1], log_format=LogFormat.CMCD).deliveries
        assert total.payload()["played_ms"] == 4004

    def test_a_mapping_names_what_is_needed_and_nothing_else(self) -> None:
        for mapping in ({"time": "a", "bytes": "b"}, {"time": "a", "bytes": "b", "path": "c", "viewer": "d"}):
            with pytest.raises(ValueError, match="mapping"):
                mapped_fields(mapping)


class TestTotals:
    def test_requests_are_added_up_per_rendition_region_and_window(self, tmp_path: Path) -> None:
        read = reading(
            tmp_path,
            tsv((1000, "/film/1080.mkv"), (500, "/film/1080.mkv"), (9, "/film/720.mkv")),
            cdn="aws",
            region_of=lambda place: {"FRA": "eu"}[place[:3]],
            window=FIVE_MINUTES,
        )
        start = datetime(2026, 11, 10, 7, 10, tzinfo=UTC)
        assert [(t.rendition, t.window_start, t.bytes, t.requests, t.cdn, t.region) for t in read.deliveries] == [
            ("a1", start, 1500, 2, "aws", "eu"),
            ("a2", start, 9, 1, "aws", "eu"),
        ]
        assert read.cell_bytes == {("eu", date(2026, 11, 10)): 1509}

    @pytest.mark.parametrize(("method", "status"), [("HEAD", "200"), ("POST", "200"), ("GET", "404"), ("GET", "304")])
    def test_what_delivered_nothing_is_ignored_and_counted(self, tmp_path: Path, method: str, status: str) -> None:
        read = reading(tmp_path, tsv((1000, "/film/1080.mkv"), method=method, status=status))
        assert (read.deliveries, read.ignored_requests) == ([], 1)

    def test_a_file_given_twice_counts_once(self, tmp_path: Path) -> None:
        content = tsv((1000, "/film/1080.mkv"))
        read = reading(tmp_path, content, content)
        assert [total.bytes for total in read.deliveries] == [1000]
        assert [path.name for path in read.repeated_files] == ["log-1"]

    def test_a_request_that_stands_in_two_files_counts_in_the_first(self, tmp_path: Path) -> None:
        early, late = tsv((1000, "/film/1080.mkv")), tsv((1000, "/film/1080.mkv"), (7, "/film/1080.mkv"))
        read = reading(tmp_path, early, late)
        by_digest = {total.source_digest: total.bytes for total in read.deliveries}
        assert by_digest == {sha256(early.encode()).hexdigest(): 1000, sha256(late.encode()).hexdigest(): 7}
        assert read.repeated_requests == 1

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(st.integers(0, 10**12), st.sampled_from([*RENDITIONS, "/no"])), min_size=1, max_size=20))
    def test_no_byte_is_lost_or_counted_twice(self, tmp_path: Path, requests: list[tuple[int, str]]) -> None:
        read = reading(tmp_path, tsv(*requests))
        assert sum(t.bytes for t in read.deliveries) + read.unmatched_bytes == sum(size for size, _ in requests)
        assert sum(t.requests for t in read.deliveries) + read.unmatched_requests == len(requests)


class TestRefusals:
    @pytest.mark.parametrize(
        ("old", "new", "field"),
        [
            ("\t1000\t", "\t1e3\t", "sc-bytes"),
            ("\t1000\t", "\t-1\t", "sc-bytes"),
            ("\t1000\t", "\t99999999999999999\t", "sc-bytes"),
            ("\t200\t", "\tOK\t", "sc-status"),
            ("2026-11-10\t", "2026-13-10\t", "date time"),
            ("07:13:09", "yesterday", "date time"),
        ],
    )
    def test_a_value_that_cannot_be_read_refuses_the_file_by_name(
        self, tmp_path: Path, old: str, new: str, field: str
    ) -> None:
        content = tsv((5, "/film/720.mkv"), (1000, "/film/1080.mkv")).replace(old, new)
        refused = refusal(tmp_path, content)
        assert refused.field == field
        assert refused.line in (1, 2)

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "no log at all\n",
            tsv((1000, "/film/1080.mkv")).replace("sc-bytes", "bytes"),
            tsv((1000, "/film/1080.mkv")).replace("\t200", ""),
            tsv((1000, "/film/1080.mkv")) + "2026-11-10\n",
            ndjson(ROW) + '{"date":\n',
            ndjson(ROW, {name: value for name, value in ROW.items() if name != "sc-bytes"}),
            gzip.compress(tsv((1000, "/film/1080.mkv")).encode())[:-12],
            tsv((1000, "/film/1080.mkv")).encode() + b"\xff\xfe\n",
        ],
    )
    def test_what_is_damaged_or_another_kind_of_log_is_refused(self, tmp_path: Path, content: str | bytes) -> None:
        refusal(tmp_path, content)

    def test_a_line_that_is_no_access_log_is_refused(self, tmp_path: Path) -> None:
        content = SAMPLES["access.log"][1] + "garbage\n"
        assert refusal(tmp_path, content, log_format=LogFormat.COMBINED).line == 3

    def test_a_name_that_would_be_a_pattern_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "log-*.gz"
        path.write_text(tsv((1, "/film/1080.mkv")))
        with pytest.raises(ImportFailed, match="pattern"):
            read_deliveries([path], RENDITIONS, log_format=LogFormat.CLOUDFRONT)
