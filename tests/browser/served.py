"""A seeded demo that answers on this machine, and a browser in which somebody of it is signed in."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import uvicorn
from narrows_server.app import create_app
from narrows_server.office import Office, open_office
from narrows_server.settings import Settings
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.demo.seed import PASSWORD, SECRET, SignIn, seed

CHROMIUM = Path("/usr/bin/chromium")
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
SECONDS_MAX = 60


@dataclass(slots=True)
class Clock:
    """The time of the demo, which stands until somebody turns it."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The office of the demo and where it answers."""

    office: Office
    url: str
    clock: Clock

    def signed_in(self, browser: Browser, who: SignIn | None, **options: object) -> BrowserContext:
        """A fresh browser profile in which somebody has signed in by the page, with a second factor; or nobody."""
        context = browser.new_context(base_url=self.url, locale="en-GB", **options)  # type: ignore[arg-type]
        context.set_default_timeout(SECONDS_MAX * 1000)
        if who is not None:
            page = context.new_page()
            page.goto("/sign-in")
            page.get_by_label("E-mail address").fill(who.email)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            if who.has_factor:
                # No code is taken twice, so every sign-in has half a minute of its own.
                self.clock.at += timedelta(seconds=31)
                page.get_by_label("Code").fill(pyotp.TOTP(SECRET).at(int(self.clock.at.timestamp())))
                page.get_by_role("button", name="Continue").click()
            page.wait_for_url("**/")
            page.close()
        return context


@contextmanager
def served(home: Path, *, is_two_person: bool = False) -> Iterator[Served]:
    """The demo of *home*, made if it is not there, on a free port of this machine."""
    if not home.exists():
        seed(home, now=NOW)
    clock = Clock()
    settings = replace(Settings.read({}, home=home), is_two_person=is_two_person)
    with open_office(settings, clock=clock) as office:
        config = uvicorn.Config(create_app(office), port=0, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        deadline = time.monotonic() + SECONDS_MAX
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield Served(office=office, url=f"http://localhost:{port}", clock=clock)
        finally:
            server.should_exit = True
            thread.join(timeout=SECONDS_MAX)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def copy_of(home: Path, folder: Path) -> Path:
    """A demo of one's own."""
    return Path(shutil.copytree(home, folder))
