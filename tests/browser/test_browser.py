"""The short round of `make browser`: a person signs in, looks, acts and is refused, in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from narrows_server.access.roles import Role
from playwright.sync_api import Browser, expect

from tests.demo.seed import SIGN_INS
from tests.demo.story import ALPINE

from .flows import Flow, Stage, a_license_from_issue_to_revocation, by_keyboard
from .pages import faults_of
from .served import CHROMIUM, Served, chromium, served

pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Of the websockets that uvicorn would use.
]
BY_ROLE = {one.role: one for one in SIGN_INS}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("demo") / "home") as demo:
        yield demo


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_finance_signs_in_looks_and_closes_a_month_while_looking_on(demo: Served, browser: Browser) -> None:
    context = demo.signed_in(browser, BY_ROLE[Role.FINANCE])
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.goto("/")
    expect(page.locator("figure.chart canvas")).to_be_visible()
    assert faults_of(page) == []

    page.goto("/months/2026-10")
    page.get_by_label("send drafts to their customers").check()
    page.get_by_role("button", name="Close October 2026").click()
    expect(page.get_by_text("Closed: 3 of 3 contracts have an outcome")).to_be_visible()
    assert faults_of(page) == []
    assert said == []
    context.close()


@pytest.mark.parametrize("flow", [by_keyboard, a_license_from_issue_to_revocation], ids=lambda flow: flow.__name__)
def test_a_flow_of_make_browser(demo: Served, browser: Browser, flow: Flow) -> None:
    stage = Stage(demo=demo, browser=browser, flow=flow.__name__)

    flow(stage)

    assert stage.faults == []


def test_a_customer_disputes_a_statement_and_sees_nothing_of_the_vendors(demo: Served, browser: Browser) -> None:
    who = next(one for one in SIGN_INS if one.email == ALPINE.contact[1])
    context = demo.signed_in(browser, who, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"/statements/{ALPINE.contract_id}.2026-09")
    assert faults_of(page) == []
    assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1")
    for path, status in (("/customers", 403), ("/months", 403), ("/statements/nordlicht-1.2026-10", 404)):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == status, path
    context.close()
