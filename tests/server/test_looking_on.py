"""Closing a month while people look on: how far it is, that one is at it, and that it may be done again."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from narrows_server.app import create_app
from narrows_server.errors import Invalid
from narrows_server.office import Office

from .builders import NOVEMBER, Clock, a_contract, an_occasion
from .people import Seat, a_person, at_a_browser

WAIT_SECONDS_MAX = 300  # A test that hangs is to fail.


class WaitingBeforeTheSecond(list[str]):
    """Contracts of which the second is not given before somebody says so."""

    def __init__(self, *names: str) -> None:
        super().__init__(names)
        self.is_at_the_second, self.go_on = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[str]:
        for place, name in enumerate(super().__iter__()):
            if place == 1:
                self.is_at_the_second.set()
                assert self.go_on.wait(WAIT_SECONDS_MAX)
            yield name


@pytest.fixture
def contracts(office: Office, clock: Clock) -> WaitingBeforeTheSecond:
    a_contract(office)
    a_contract(office, customer_id="other", contract_id="other-1")
    clock.advance(days=12)
    return WaitingBeforeTheSecond("kanal-1", "other-1")


def test_a_month_says_how_far_its_close_is_until_it_is_done(office: Office, contracts: WaitingBeforeTheSecond) -> None:
    app = create_app(office)
    seat = Seat(app)
    seat.cookie = at_a_browser(office, a_person(office)).cookie
    closing = app.state.closings.start(office, NOVEMBER, contracts, occasion=lambda: an_occasion(office.clock()))
    assert contracts.is_at_the_second.wait(WAIT_SECONDS_MAX)
    try:
        for path in ("/months/2026-11", "/months/2026-11/progress"):
            page = seat.get(path).text
            assert "Closing: 1 of 2 contracts" in page
            assert '<progress id="bar" value="1" max="2">' in page
            assert 'hx-trigger="every 1s"' in page
        with pytest.raises(Invalid, match="2026-11 is being closed already"):
            app.state.closings.start(office, NOVEMBER, contracts, occasion=an_occasion)
    finally:
        contracts.go_on.set()
        closing.join(WAIT_SECONDS_MAX)
    page = seat.get("/months/2026-11/progress").text

    assert "Closed: 2 of 2 contracts have an outcome" in page
    assert "hx-trigger" not in page
