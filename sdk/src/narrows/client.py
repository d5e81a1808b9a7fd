"""
The HTTP calls to the metering server. Takes a transport, so that tests talk to the real server without a network.

The only importer of `httpx`.
"""

from __future__ import annotations

import httpx

from narrows.errors import ReportRejected, UsageError

TIMEOUT_SECONDS = 3.0
"""No call of ours keeps anything waiting longer."""
SIGNATURE_HEADER = "Narrows-Signature"
REPORT_PATH = "/v1/reports"


class MeteringClient:
    """Sends reports to one server; a context manager."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, transport=transport)
        self.url = url

    def __enter__(self) -> MeteringClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send_report(self, body: bytes, signature: str) -> str:
        """
        Send one signed report and return the receipt's token.

        Raises ReportRejected when the server refuses it, UsageError when it can't be reached: the records stay in the
        ledger either way.
        """
        headers = {"Content-Type": "application/octet-stream", SIGNATURE_HEADER: signature}
        try:
            response = self._http.post(REPORT_PATH, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise UsageError(
                f"can't reach {self.url}: {error or type(error).__name__}. Nothing is lost; try again later."
            ) from error
        if response.status_code != httpx.codes.OK:
            raise _rejection(response)
        try:
            receipt = response.json()["receipt"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.url} answered with something that is not a receipt") from error
        return str(receipt)


def _rejection(response: httpx.Response) -> ReportRejected:
    """The server's problem document (RFC 9457) as an exception."""
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    numbers = {name: problem[name] for name in ("seq", "expected_seq") if type(problem.get(name)) is int}
    return ReportRejected(
        str(problem.get("code", response.status_code)),
        str(problem.get("detail", f"the server answered {response.status_code}")),
        request_id=str(problem.get("request_id", "no request id")),
        **numbers,
    )
