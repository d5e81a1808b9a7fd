"""
A server whose machine's clock jumps, with the real command: nothing lost, nothing double, nothing to be undone.

What leases, alerts and customers' machines make of a jump stands in `tests/server/test_clock.py`, with clocks of ours.
"""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from pathlib import Path

from narrows_server.clock import utc_now
from narrows_server.office import open_office
from narrows_server.usage.models import IssuedReceipt
from sqlalchemy import select, text

from ..load.vendor import Vendor, count_records
from .clocks import TurnedClock
from .closes import Books, close_at
from .served import THOROUGHLY, Serving, signature_of, some_reports, totals

HOURS, MONTHS = timedelta(hours=3), timedelta(days=40)
JUMPS = [HOURS, -HOURS, MONTHS, -MONTHS]


def test_a_server_whose_clock_jumps_during_intake_takes_nothing_in_until_it_is_right(
    on_sqlite: Vendor, tmp_path: Path
) -> None:
    (chain,) = some_reports(on_sqlite, 2 * len(JUMPS))
    clock, began = TurnedClock(tmp_path), utc_now()
    with clock.serving(on_sqlite) as server:
        for number, jump in enumerate(JUMPS):
            before, after = chain[2 * number : 2 * number + 2]
            assert server.send(before) == 200
            clock.turn(jump)
            for _ in range(2):
                status, answer = server.ask("POST", "/v1/reports", after.body, signature_of(after))
                assert (status, json.loads(answer)["code"]) == (503, "clock_in_doubt")
            assert "start the server anew" in json.loads(answer)["detail"]
            assert _status_of(server, "/health") == 503
            assert _status_of(server, "/live") == 200
            clock.turn(timedelta(0))
            assert _status_of(server, "/health") == 200
            assert server.send(after) == 200
    assert count_records(on_sqlite) == totals(chain)
    with open_office(on_sqlite.settings) as office, office.database.snapshot() as session:
        assert all(began <= one <= utc_now() for one in session.scalars(select(IssuedReceipt.issued_at)))
        assert session.scalar(text("SELECT count(*) FROM alert")) == 0


@THOROUGHLY
def test_who_starts_a_server_says_that_its_clock_is_right(on_sqlite: Vendor, tmp_path: Path) -> None:
    ((first, second),) = some_reports(on_sqlite, 2)
    clock = TurnedClock(tmp_path)
    clock.turn(-HOURS)
    with clock.serving(on_sqlite) as server:
        assert server.send(first) == 200
        clock.turn(timedelta(0))
        assert server.send(second) == 503
    with clock.serving(on_sqlite) as server:
        assert server.send(second) == 200
    assert count_records(on_sqlite) == totals([first, second])


@THOROUGHLY
def test_a_close_during_which_the_clock_jumps_stops_and_is_finished_later_with_every_invoice_once(
    on_sqlite: Vendor, tmp_path: Path
) -> None:
    books = Books.write(on_sqlite, contracts=8, records=2_400)
    clock = TurnedClock(tmp_path)
    with clock.serving(on_sqlite) as server:
        answers = list[tuple[int, bytes]]()
        closing = threading.Thread(target=lambda: answers.append(close_at(server, on_sqlite)))
        closing.start()
        while books.outcomes() == 0:
            time.sleep(0.002)
        clock.turn(MONTHS)
        closing.join()
        clock.turn(timedelta(0))
        ((status, answer),) = answers
        # It may have been quicker than we are; if not, it says why it stopped.
        assert (status, json.loads(answer).get("code")) in ((503, "clock_in_doubt"), (200, None))
        for _ in range(2):
            assert close_at(server, on_sqlite)[0] == 200
    books.require_every_invoice_right_and_once()


def _status_of(server: Serving, path: str) -> int:
    return server.ask("GET", path)[0]
