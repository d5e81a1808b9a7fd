"""
Where each kind of delivery log keeps what we need: time, bytes, method, status, path, and what tells a request apart.

Field names, order and escaping are those of the makers' own documentation:

* `cloudfront`: standard logs, legacy and v2 (docs.aws.amazon.com/AmazonCloudFront, "Standard logging reference"). Text
  has its fields in `#Fields:`, JSON the same names, Parquet the same with _ for - (docs.aws.amazon.com/athena, "Create
  a table for CloudFront logs … with Parquet"). `sc-bytes` counts headers too; status 000 is a viewer that went away.
* `akamai`: DataStream 2 as JSON (techdocs.akamai.com/datastream2, "Data set parameters"). Every value is text, also
  numbers; what is `-` or null is left out; `bytes` is the body, and its paths need no slash before them.
* `fastly`: the format that we ship (FASTLY_TEMPLATE), since Fastly's logs have none of their own
  (fastly.com/documentation, "Custom log formats"). `resp.bytes_written` is `%O`: with headers.
* `cloudflare`: Logpush `http_requests` (developers.cloudflare.com/logs, "HTTP requests"); times as RFC 3339, seconds or
  nanoseconds. What a Worker fetched for itself (`WorkerSubrequest`) reached no viewer.
* `w3c`: Extended Log File Format (w3.org/TR/WD-logfile); a server that starts again repeats its header lines.
* `combined`: nginx's `combined` (nginx.org, ngx_http_log_module) and Apache's (httpd.apache.org, mod_log_config), whose
  quotes are escaped by backslashes, and whose request line is what the client sent, be it nonsense.
* `generic`: CSV or NDJSON with the customer's own names.
* `cmcd`: NDJSON of players' reports (CTA-5004), an interim until a CDN's log is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FASTLY_TEMPLATE: Final = (
    '{"timestamp":"%{begin:%Y-%m-%dT%H:%M:%SZ}t","bytes":%{resp.bytes_written}V,'
    '"method":"%m","status":%>s,"url":"%{json.escape(req.url)}V",'
    '"request_id":"%{req.xid}V","pop":"%{server.datacenter}V"}'
)

# Host, time, request line, status, bytes.
COMBINED: Final = r'^(\S+) \S+ .*?\[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)(?: .*)?$'
# Method and URL, of a request line that has them.
REQUEST_LINE: Final = r"^([A-Z]+) (\S+)(?: \S+)?$"


class LogFormat(StrEnum):
    """The kinds of delivery logs that can be read."""

    CLOUDFRONT = "cloudfront"
    AKAMAI = "akamai"
    FASTLY = "fastly"
    CLOUDFLARE = "cloudflare"
    W3C = "w3c"
    COMBINED = "combined"
    GENERIC = "generic"
    CMCD = "cmcd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """
    The names of a log's fields. Where there is no method or status, every line is a delivery; without a request id a
    line that stands twice is counted twice.
    """

    time: tuple[str, ...]  # Joined by a space where date and time are apart.
    bytes: str
    path: str  # A path or a URL; the query is cut off.
    method: str | None = None
    status: str | None = None
    request_id: str | None = None
    location: str | None = None  # What a region is made of: an edge, a country.
    query: str | None = None  # Where CMCD may stand, if not in the path.
    internal: str | None = None  # True where a request came from no viewer.

    def names(self) -> tuple[str, ...]:
        """Every field that is read."""
        given = (
            self.bytes,
            self.path,
            self.method,
            self.status,
            self.request_id,
            self.location,
            self.query,
            self.internal,
        )
        return (*self.time, *(name for name in given if name is not None))

    def needed(self) -> tuple[str, ...]:
        """The fields without which a log of this kind cannot be counted."""
        given = (self.bytes, self.path, self.method, self.status)
        return (*self.time, *(name for name in given if name is not None))


FIELDS: Final[Mapping[LogFormat, Fields]] = {
    LogFormat.CLOUDFRONT: Fields(
        time=("date", "time"),
        bytes="sc-bytes",
        path="cs-uri-stem",
        method="cs-method",
        status="sc-status",
        request_id="x-edge-request-id",
        location="x-edge-location",
        query="cs-uri-query",
    ),
    LogFormat.AKAMAI: Fields(
        time=("reqTimeSec",),
        bytes="bytes",
        path="reqPath",
        method="reqMethod",
        status="statusCode",
        request_id="reqId",
        location="country",
        query="queryStr",
    ),
    LogFormat.FASTLY: Fields(
        time=("timestamp",),
        bytes="bytes",
        path="url",
        method="method",
        status="status",
        request_id="request_id",
        location="pop",
    ),
    LogFormat.CLOUDFLARE: Fields(
        time=("EdgeStartTimestamp",),
        bytes="EdgeResponseBytes",
        path="ClientRequestURI",
        method="ClientRequestMethod",
        status="EdgeResponseStatus",
        request_id="RayID",
        location="EdgeColoCode",
        internal="WorkerSubrequest",
    ),
    LogFormat.W3C: Fields(
        time=("date", "time"),
        bytes="sc-bytes",
        path="cs-uri-stem",
        method="cs-method",
        status="sc-status",
        request_id="x-request-id",
        query="cs-uri-query",
    ),
    LogFormat.COMBINED: Fields(time=("time",), bytes="bytes", path="url", method="method", status="status"),
    LogFormat.CMCD: Fields(time=("time",), bytes="bytes", path="url", request_id="request_id"),
}


def mapped_fields(mapping: Mapping[str, object]) -> Fields:
    """What a customer's mapping names, such as {"time": "ts", "bytes": "sent", "path": "uri"}. Raises ValueError."""
    known = ("time", "bytes", "path", "method", "status", "request_id", "location", "query")
    foreign = sorted(set(mapping) - set(known))
    if foreign or not {"time", "bytes", "path"} <= set(mapping):
        raise ValueError(f"a mapping names time, bytes, path and perhaps {', '.join(known[3:])}; not {foreign}")
    texts = {name: value for name, value in mapping.items() if isinstance(value, str) and value}
    if len(texts) != len(mapping):
        raise ValueError("a mapping gives the name of one field for each")
    return Fields(
        time=(texts["time"],),
        bytes=texts["bytes"],
        path=texts["path"],
        method=texts.get("method"),
        status=texts.get("status"),
        request_id=texts.get("request_id"),
        location=texts.get("location"),
        query=texts.get("query"),
    )
