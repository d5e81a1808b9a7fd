"""Whether the server that the license names answers, with the vendor's signature and the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from narrows_metering.errors import MeteringError
from narrows_metering.transparency import read_tree_head

from narrows.errors import LicenseError, NarrowsError, ReportRejected
from narrows.finding import Finding, Outcome
from narrows.reporting.client import MeteringClient
from narrows.reporting.destination import connect, find_destination
from narrows.settings import Settings

SKEW_MAX: Final = timedelta(minutes=5)

Connect = Callable[[Settings, str], MeteringClient]


def examine_server(settings: Settings, *, at: datetime, online: bool, connect: Connect = connect) -> Iterator[Finding]:
    """Where usage is reported to; the server is asked only if *online*, for the head of its log, which says nothing."""
    try:
        destination = find_destination(settings, at)
    except LicenseError:
        yield Finding(check="server", outcome=Outcome.SKIPPED, detail="none is known without a license")
        return
    except NarrowsError as error:
        yield Finding(check="server", outcome=Outcome.SKIPPED, detail=str(error))
        return
    url = destination.url
    if url is None:
        detail = "the license names none: reports travel as files"
        yield Finding(check="server", outcome=Outcome.SKIPPED, detail=detail, todo="narrows usage export FILE")
        return
    if not online:
        detail = f"{url} was not asked"
        yield Finding(check="server", outcome=Outcome.SKIPPED, detail=detail, todo="narrows doctor --online")
        return
    try:
        with connect(settings, url) as client:
            head = read_tree_head(client.get_tree_head(), destination.receipt_keys)
    except MeteringError as error:
        todo = "look at NARROWS_PROXY; if nothing is between, ask your vendor for a current license file"
        detail = f"{url} answered, but not as the vendor: {error}"
        yield Finding(check="server", outcome=Outcome.BAD, detail=detail, todo=todo)
    except ReportRejected as refused:
        detail = f"{url} refused: {refused}"
        yield Finding(check="server", outcome=Outcome.BAD, detail=detail, todo="send your vendor the request id")
    except NarrowsError as error:
        todo = "open a way to it, or set NARROWS_PROXY and NARROWS_CA_BUNDLE; encoding goes on without"
        yield Finding(check="server", outcome=Outcome.BAD, detail=str(error), todo=todo)
    else:
        yield Finding(check="server", outcome=Outcome.GOOD, detail=f"{url} answers, and signs as the vendor")
        yield _compare_clocks(head.time, at)


def _compare_clocks(theirs: datetime, ours: datetime) -> Finding:
    skew = abs(theirs - ours)
    if skew > SKEW_MAX:
        detail = f"the server's is {skew} {'ahead' if theirs > ours else 'behind'}"
        return Finding(check="server's clock", outcome=Outcome.NOTICE, detail=detail, todo="keep the clock set by NTP")
    return Finding(check="server's clock", outcome=Outcome.GOOD, detail=f"{theirs:%Y-%m-%d %H:%M} UTC, as here")
