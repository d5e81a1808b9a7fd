"""
A fault after every single statement of SQL: nothing of it stays, and the next try ends as if there had been none.

"Ends as" means every row of every table, compared as text with a run without faults from the same beginning.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from narrows_metering.record import Kind
from narrows_metering.testing import GB, a_delivery
from narrows_server.office import Office
from narrows_server.statements import service as statements
from narrows_server.transparency.service import merge
from narrows_server.usage.endpoints import _take_in

from ..server.builders import NOVEMBER, Site, a_contract, a_site, an_occasion, some_usage
from ..server.postgres import Postgres
from .books import Books, Struck, failing_after

DECEMBER_FOURTH = datetime(2026, 12, 4, 6, tzinfo=UTC)
STATEMENTS_MAX = 200

Work = Callable[[Office], object]


def strike() -> None:
    raise Struck


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Story:
    """Books with one site, and the reports that it has written, by what the server has to say to them."""

    def __init__(self, folder: Path, postgres: Postgres | None) -> None:
        self.books = Books(folder / "home", postgres)
        with self.books.opened() as office:
            a_contract(office)
            site = a_site(office, folder / "site")
            site.record(*some_usage())
            self.first = site.report()
            twin = site.clone(folder / "twin")
            _take_in(office, *self.first)
            self._more(site, 5)
            self.both = site.report()
            self._more(twin, 7)
            self.contradicting = twin.report()
        self.books.clock.advance(hours=1)

    def before(self, *reports: tuple[bytes, str]) -> None:
        """Keep the books as they are once *reports* are in them, on top of the first."""
        with self.books.opened() as office:
            for report in reports:
                _take_in(office, *report)
        self.books.keep("before")

    def _more(self, site: Site, delivered: int) -> None:
        site.record((Kind.DELIVERY, a_delivery(delivered=delivered * GB, source_digest=f"{delivered}")))


@pytest.fixture
def story(tmp_path: Path, postgres: Postgres | None) -> Story:
    return Story(tmp_path, postgres)


def intake(report: tuple[bytes, str]) -> Work:
    return lambda office: _take_in(office, *report)


def close_month(office: Office) -> object:
    with office.database.transaction() as session:
        return statements.close(session, "kanal-1", NOVEMBER, occasion=an_occasion(DECEMBER_FOURTH))


def check_every_statement(books: Books, work: Work, *, looks_again: bool = False) -> int:
    """
    Strike after each statement of *work* in turn, from the books kept as "before"; returns how many there were.

    Work that *looks_again* after its commit may also be struck there, with everything done.
    """
    beginning = books.dump()
    with books.opened() as office:
        work(office)
    wanted = books.dump()
    assert wanted != beginning

    books.put_back("before")
    for statements_before in range(STATEMENTS_MAX):
        with books.opened() as office, failing_after(office.database, statements_before, strike):
            try:
                work(office)
            except Struck:
                struck = True
            else:
                struck = False
        if not struck:
            assert books.dump() == wanted
            return statements_before
        found = books.dump()
        if looks_again and found == wanted:
            books.put_back("before")
        else:
            assert found == beginning, f"something stayed of the first {statements_before + 1} statements"
    raise AssertionError("no end of statements")


class TestIntake:
    def test_the_first_report_of_an_installation(self, tmp_path: Path, postgres: Postgres | None) -> None:
        story = Story(tmp_path, postgres)
        with story.books.opened() as office:
            other = a_site(office, tmp_path / "other")
            other.record(*some_usage())
        story.before()
        assert check_every_statement(story.books, intake(other.report())) > 5

    def test_a_further_report(self, story: Story) -> None:
        story.before()
        assert check_every_statement(story.books, intake(story.both)) > 5

    def test_a_report_that_contradicts(self, story: Story) -> None:
        story.before(story.both)
        assert check_every_statement(story.books, intake(story.contradicting)) > 3


class TestTransparencyLog:
    def test_bringing_reports_into_the_tree(self, story: Story) -> None:
        story.before(story.both)
        assert check_every_statement(story.books, lambda office: merge(office.database), looks_again=True) > 3


class TestMonthClose:
    def test_statement_invoice_and_outcome(self, story: Story) -> None:
        story.before(story.both)
        assert check_every_statement(story.books, close_month) > 10


class TestKilledProcesses:
    """The same with `kill -9` instead of an exception: no code of ours gets to clean up."""

    @pytest.mark.parametrize("work", ["intake", "close"])
    def test_a_server_that_is_killed_leaves_what_it_committed(self, story: Story, work: str) -> None:
        report = story.both
        story.before(*([report] if work == "close" else []))
        beginning = story.books.dump()
        act = close_month if work == "close" else intake(report)
        with story.books.opened() as office:
            act(office)
        wanted = story.books.dump()

        story.books.put_back("before")
        fork = multiprocessing.get_context("fork")
        deaths = 0
        for statements_before in range(0, STATEMENTS_MAX, 3):
            child = fork.Process(target=_act_and_die, args=(story.books, act, statements_before))
            child.start()
            child.join()
            if child.exitcode == 0:
                break
            assert child.exitcode == -signal.SIGKILL
            deaths += 1
            assert story.books.dump() == beginning
            story.books.keep("before")  # On SQLite this also shows that a killed writer leaves no lock behind.
        assert deaths >= 2
        assert story.books.dump() == wanted


def _act_and_die(books: Books, act: Work, statements_before: int) -> None:
    with books.opened() as office, failing_after(office.database, statements_before, die):
        act(office)
