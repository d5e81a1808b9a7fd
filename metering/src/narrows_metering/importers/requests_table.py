"""
The requests of delivery logs as one table on disk, in the engine that adds them up: DuckDB, in this process, no
network.

A log is read as it streams and never held in memory. Every value arrives as text; what it means is for `delivery_log`.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from narrows_metering.errors import ImportFailed
from narrows_metering.importers.formats import COMBINED, REQUEST_LINE, Fields, LogFormat

if TYPE_CHECKING:
    import duckdb

LINE_BYTES_MAX: Final = 65_536
_HEADER_LINES_MAX: Final = 64
_GZIP: Final = b"\x1f\x8b"
_COLUMNS: Final = "moment, size, path, method, status, request_id, location, query, internal"
_LINE: Final = re.compile(r"(?:on Line|in line):? (\d+)")


@contextmanager
def open_table() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty table `request` in a folder of its own, which is removed afterwards."""
    try:
        import duckdb
    except ImportError:  # pragma: no cover  (the environment of the tests has it)
        raise ImportFailed(Path(), 0, None, "DuckDB is missing; run: pip install narrows-metering[logs]") from None
    with TemporaryDirectory(prefix="narrows-import-") as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        with duckdb.connect(str(Path(folder) / "requests.duckdb"), config=config) as table:
            table.execute(
                "SET TimeZone = 'UTC'; SET memory_limit = '512MB'; SET preserve_insertion_order = true; SET threads = 2"
            )
            texts = ", ".join(f"{name} VARCHAR" for name in _COLUMNS.split(", "))
            table.execute(f"CREATE TABLE request (file INTEGER, number BIGINT, {texts})")
            yield table


def add_file(table: duckdb.DuckDBPyConnection, number: int, path: Path, log_format: LogFormat, fields: Fields) -> None:
    """Append the requests of one log. Raises ImportFailed with file, line and field."""
    import duckdb

    if any(mark in str(path) for mark in "*?["):
        raise ImportFailed(path, 0, None, "a name with * ? or [ would be read as a pattern; rename the file")
    source, names = _source(path, log_format, fields)
    spelled = {name: _spelling(name, names) for name in fields.names()}
    for name in fields.needed():
        if names is not None and names.count(spelled[name]) != 1:
            raise ImportFailed(path, 1, name, "not exactly once among the fields")

    def column(name: str | None) -> str:
        if name is None or (names is not None and spelled[name] not in names):
            return "NULL"
        return f'CAST("{_quoted(spelled[name])}" AS VARCHAR)'

    # A log that knows neither method nor status holds deliveries alone; one that knows them says them of every request.
    method, status = fields.method and column(fields.method), fields.status and column(fields.status)
    times = " || ' ' || ".join(column(name) for name in fields.time)
    columns = [times, column(fields.bytes), column(fields.path), method or "'GET'", status or "'200'"]
    columns += [column(name) for name in (fields.request_id, fields.location, fields.query, fields.internal)]
    query = f"INSERT INTO request SELECT {number}, row_number() OVER (), {', '.join(columns)} FROM {source}"  # noqa: S608
    try:
        table.execute(query)
    except duckdb.Error as error:
        found = _LINE.search(str(error))
        raise ImportFailed(path, int(found[1]) if found else 0, None, str(error).splitlines()[0][:300]) from None


def _source(path: Path, log_format: LogFormat, fields: Fields) -> tuple[str, list[str] | None]:
    """What to select from, and the fields that the log has; None where a missing one reads as NULL."""
    head = _head(path)
    literal = f"'{_quoted(str(path), chr(39))}'"
    packed = ", compression='gzip'" if _is_gzip(path) else ""  # Whatever its name says.
    if head[:1] == ["PAR1"]:
        return f"read_parquet({literal})", _parquet_names(literal)
    if log_format is LogFormat.COMBINED:
        # One column: no byte of a line is a separator. The pattern gives five texts, or "" for a line that is none.
        lines = f"read_csv({literal}, columns={{'line': 'VARCHAR'}}, delim='\\x1f', {_PLAIN}{packed})"
        groups = "['host', 'time', 'request', 'status', 'bytes']"
        parts = f"regexp_extract(line, '{_quoted(COMBINED, chr(39))}', {groups})"
        # What is no request line asks for nothing, so it is no delivery; that it was answered is counted.
        asked = f"regexp_extract(part.request, '{_quoted(REQUEST_LINE, chr(39))}', ['method', 'url'])"
        read = f"SELECT part, {asked} AS asked FROM (SELECT {parts} AS part FROM {lines})"  # noqa: S608
        return f"(SELECT part.*, asked.* FROM ({read}))", None  # noqa: S608
    if head and head[0].lstrip().startswith("{"):
        texts = ", ".join(f"'{_quoted(name, chr(39))}': 'VARCHAR'" for name in dict.fromkeys(fields.names()))
        options = f"format='newline_delimited', maximum_object_size={LINE_BYTES_MAX}, ignore_errors=false{packed}"
        return f"read_json({literal}, columns={{{texts}}}, {options})", None
    if log_format in (LogFormat.CLOUDFRONT, LogFormat.W3C):
        named = [line.removeprefix("#Fields:") for line in head if line.startswith("#Fields:")]
        if len(named) != 1:
            raise ImportFailed(path, 1, "#Fields", "not exactly once before the first request")
        delimiter = "\\t" if log_format is LogFormat.CLOUDFRONT or any("\t" in line for line in head[-1:]) else " "
        return _text_source(literal, named[0].split(), f"delim='{delimiter}', comment='#', {_PLAIN}{packed}")
    if not head:
        raise ImportFailed(path, 0, None, "empty")
    delimiter = "\\t" if "\t" in head[0] else ";" if ";" in head[0] else ","
    names = [name.strip().strip('"') for name in head[0].split("\t" if delimiter == "\\t" else delimiter)]
    return _text_source(literal, names, f"delim='{delimiter}', quote='\"', escape='\"', skip=1, {_STRICT}{packed}")


_STRICT: Final = f"header=false, auto_detect=false, strict_mode=true, nullstr='\\x02', max_line_size={LINE_BYTES_MAX}"
_PLAIN: Final = f"quote='', escape='', {_STRICT}"


def _text_source(literal: str, names: list[str], options: str) -> tuple[str, list[str]]:
    columns = ", ".join(f"'{_quoted(name, chr(39))}': 'VARCHAR'" for name in names)
    return f"read_csv({literal}, columns={{{columns}}}, {options})", names


def _parquet_names(literal: str) -> list[str]:
    import duckdb

    with duckdb.connect() as reader:
        return [str(row[0]) for row in reader.execute(f"DESCRIBE SELECT * FROM read_parquet({literal})").fetchall()]  # noqa: S608


def _spelling(name: str, names: list[str] | None) -> str:
    """*name* as the log spells it: in Parquet CloudFront writes sc_bytes for sc-bytes."""
    with_underscores = name.replace("-", "_")
    return with_underscores if names is not None and name not in names and with_underscores in names else name


def _is_gzip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == _GZIP
    except OSError as error:
        raise ImportFailed(path, 0, None, str(error)) from error


def _head(path: Path) -> list[str]:
    """The first lines, up to the first that is not a comment; ["PAR1"] for Parquet."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic == b"PAR1":
                return ["PAR1"]
            with gzip.open(file) if magic[:2] == _GZIP else file as plain:
                lines: list[str] = []
                while len(lines) < _HEADER_LINES_MAX and (line := plain.readline(LINE_BYTES_MAX)):
                    lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
                    if not lines[-1].startswith("#"):
                        break
                return lines
    except (OSError, EOFError) as error:
        raise ImportFailed(path, 0, None, str(error)) from error


def _quoted(text: str | None, mark: str = '"') -> str:
    return (text or "").replace(mark, mark * 2)
