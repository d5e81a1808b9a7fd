"""The transparency log: every receipt gets into it, it only grows, and anybody can have that proved."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from narrows_licensing.trust import Role
from narrows_metering.errors import ProofRefused
from narrows_metering.receipt import Receipt
from narrows_metering.record import Kind
from narrows_metering.testing import a_delivery, some_records
from narrows_metering.transparency import (
    EMPTY_ROOT,
    TreeHead,
    check_consistency,
    check_inclusion,
    log_entry,
    read_tree_head,
)
from narrows_server import schema
from narrows_server.app import create_app
from narrows_server.database import Database
from narrows_server.office import Office, open_office
from narrows_server.settings import Settings
from narrows_server.transparency import service
from narrows_server.transparency.models import Leaf, Node
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import DatabaseError

from .builders import Browser, Clock, FailingAfter, PowerCut, Site, a_contract, a_license, a_report, a_site, send
from .postgres import Postgres


def report_some(office: Office, browser: Browser, site: Site, count: int) -> list[Receipt]:
    """Report *count* deliveries, each in a report of its own; the receipts."""
    entries = [(Kind.DELIVERY, a_delivery(source_digest=f"file {number}")) for number in range(count)]
    records = some_records(entries, installation_id=site.installation_id)
    tokens = [send(browser, a_report(site, [record])).json()["receipt"] for record in records]
    return [site.open_receipt(token, office) for token in tokens]


def head(office: Office, browser: Browser) -> TreeHead:
    token = browser.get("/v1/log/head").json()["tree_head"]
    return read_tree_head(token, office.keyring.bundle.keys_for(Role.RECEIPT, office.clock()))


def ask(browser: Browser, receipt: Receipt, *, tree_size: int | None = None) -> dict[str, object]:
    query = f"installation_id={receipt.installation_id}&first_seq={receipt.first_seq}&last_seq={receipt.last_seq}"
    size = "" if tree_size is None else f"&tree_size={tree_size}"
    answer: dict[str, object] = browser.get(f"/v1/log/inclusion?{query}{size}").json()
    return answer


def check_in(receipt: Receipt, tree: TreeHead, answer: dict[str, object]) -> None:
    """What an auditor does with an answer. Raises ProofRefused."""
    path, index = answer["path"], answer["leaf_index"]
    assert isinstance(path, list)
    assert isinstance(index, int)
    assert answer["tree_size"] == tree.tree_size
    check_inclusion(
        log_entry(receipt),
        leaf_index=index,
        tree_size=tree.tree_size,
        path=[bytes.fromhex(digest) for digest in path],
        root=bytes.fromhex(tree.root_hash),
    )


def check_grown(browser: Browser, before: TreeHead, after: TreeHead) -> None:
    answer = browser.get(f"/v1/log/consistency?first={before.tree_size}&second={after.tree_size}").json()
    check_consistency(
        first=before.tree_size,
        first_root=bytes.fromhex(before.root_hash),
        second=after.tree_size,
        second_root=bytes.fromhex(after.root_hash),
        path=[bytes.fromhex(digest) for digest in answer["path"]],
    )


class TestProofs:
    def test_every_receipt_is_in_the_tree_once_it_is_merged(self, office: Office, browser: Browser, site: Site) -> None:
        receipts = report_some(office, browser, site, 11)
        assert service.merge(office.database) == 11
        tree = head(office, browser)

        assert tree.tree_size == 11
        for receipt in receipts:
            check_in(receipt, tree, ask(browser, receipt))

    def test_each_tree_is_proved_to_begin_with_every_earlier_one(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        heads = [head(office, browser)]
        entries = [(Kind.DELIVERY, a_delivery(source_digest=f"file {number}")) for number in range(14)]
        records = some_records(entries, installation_id=site.installation_id)
        for batch in (1, 1, 3, 2, 7):
            for _ in range(batch):
                send(browser, a_report(site, [records.pop(0)]))
            service.merge(office.database)
            heads.append(head(office, browser))

        assert [tree.tree_size for tree in heads] == [0, 1, 2, 5, 7, 14]
        for later, tree in enumerate(heads):
            for earlier in heads[: later + 1]:
                check_grown(browser, earlier, tree)

    def test_a_receipt_is_proved_against_an_earlier_head_too(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        receipts = report_some(office, browser, site, 3)
        service.merge(office.database)
        before = head(office, browser)
        report_some(office, browser, a_site(office, site.folder / "other"), 4)
        service.merge(office.database)

        check_in(receipts[1], before, ask(browser, receipts[1], tree_size=3))

    def test_another_receipt_is_not_proved_by_it(self, office: Office, browser: Browser, site: Site) -> None:
        mine, other = report_some(office, browser, site, 2)
        service.merge(office.database)

        with pytest.raises(ProofRefused):
            check_in(other, head(office, browser), ask(browser, mine))

    def test_a_server_that_rewrites_its_log_cannot_prove_that_it_has_grown(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        report_some(office, browser, site, 5)
        service.merge(office.database)
        before = head(office, browser)
        forged = TreeHead(tree_size=before.tree_size, root_hash="0" * 64, time=before.time)
        report_some(office, browser, a_site(office, site.folder / "other"), 1)
        service.merge(office.database)

        with pytest.raises(ProofRefused):
            check_grown(browser, forged, head(office, browser))

    def test_the_same_report_again_is_one_leaf(self, office: Office, browser: Browser, site: Site) -> None:
        report = a_report(site, some_records([(Kind.DELIVERY, a_delivery())], installation_id=site.installation_id))
        for _ in range(3):
            send(browser, report)
            service.merge(office.database)

        assert head(office, browser).tree_size == 1


class TestPromises:
    def test_an_empty_log_has_a_head(self, office: Office, browser: Browser) -> None:
        tree = head(office, browser)

        assert (tree.tree_size, tree.root_hash, tree.time) == (0, EMPTY_ROOT.hex(), office.clock())

    def test_until_it_is_merged_a_report_is_promised(self, office: Office, browser: Browser, site: Site) -> None:
        (receipt,) = report_some(office, browser, site, 1)

        assert ask(browser, receipt)["code"] == "not_merged_yet"
        service.merge(office.database)
        assert ask(browser, receipt)["leaf_index"] == 0
        assert ask(browser, receipt, tree_size=0)["code"] == "not_merged_yet"

    def test_records_without_a_receipt_are_not_in_the_log(self, office: Office, browser: Browser, site: Site) -> None:
        (receipt,) = report_some(office, browser, site, 1)
        service.merge(office.database)
        answer = browser.get(f"/v1/log/inclusion?installation_id={receipt.installation_id}&first_seq=1&last_seq=2")

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    @pytest.mark.parametrize(
        "query",
        [
            "consistency?first=2&second=1",
            "consistency?first=0&second=9",
            "consistency?first=-1&second=0",
            "inclusion?installation_id=x&first_seq=0&last_seq=1",
            "inclusion?installation_id=x&first_seq=1&last_seq=z",
            "inclusion?installation_id=x&first_seq=1&last_seq=1&tree_size=1",
        ],
    )
    def test_what_cannot_be_asked_is_refused(self, browser: Browser, query: str) -> None:
        assert browser.get(f"/v1/log/{query}").status_code == 422

    def test_a_running_server_merges_by_itself(self, office: Office, browser: Browser, site: Site) -> None:
        report_some(office, browser, site, 2)

        async def run_for_a_moment() -> None:
            app = create_app(office)
            async with app.router.lifespan_context(app):
                pass

        asyncio.run(run_for_a_moment())

        assert head(office, browser).tree_size == 2

    def test_a_merge_that_fails_after_any_statement_is_done_again_with_the_same_result(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        receipts = report_some(office, browser, site, 5)
        failures = 0
        while True:
            with FailingAfter(office.database, failures):
                try:
                    service.merge(office.database)
                except PowerCut:
                    failures += 1
                else:
                    break
            assert head_of(office) in {0, 5}, f"after {failures - 1} statements"

        assert failures > 5
        tree = head(office, browser)
        assert tree.tree_size == 5
        for receipt in receipts:
            check_in(receipt, tree, ask(browser, receipt))

    def test_the_database_itself_refuses_to_change_the_log(self, office: Office, browser: Browser, site: Site) -> None:
        report_some(office, browser, site, 2)
        service.merge(office.database)
        for statement in ("UPDATE log_node SET hash = ''", "DELETE FROM log_node", "DELETE FROM log_leaf"):
            with pytest.raises(DatabaseError, match="never"), office.database.transaction() as session:
                session.execute(text(statement))


def head_of(office: Office) -> int:
    with office.database.snapshot() as session:
        leaves = session.scalar(select(func.count()).select_from(Leaf))
        nodes = session.scalar(select(func.count()).select_from(Node))
    assert leaves is not None
    assert bool(leaves) == bool(nodes)
    return leaves


def test_a_proof_takes_as_many_queries_from_a_large_log_as_from_a_small_one(
    office: Office, browser: Browser, site: Site
) -> None:
    def count(receipt: Receipt) -> int:
        statements: list[object] = []
        event.listen(office.database.engine, "before_cursor_execute", lambda *_: statements.append(1))
        ask(browser, receipt)
        return len(statements)

    receipts = report_some(office, browser, site, 2)
    service.merge(office.database)
    small = count(receipts[0])
    receipts += report_some(office, browser, a_site(office, site.folder / "other"), 60)
    service.merge(office.database)
    assert count(receipts[40]) == small


def test_on_postgresql_many_merge_at_once_while_reports_come_in_and_nothing_is_lost(
    postgres: Postgres, home: Path, clock: Clock, tmp_path: Path
) -> None:
    settings = Settings(home=home, database_url=postgres.fresh_database())
    database = Database(settings.database_url)
    schema.upgrade(database)
    database.close()
    with open_office(settings, clock=clock) as office:
        a_contract(office)
        token = a_license(office)[1]
        sites = [Site(folder=tmp_path, license_token=token) for _ in range(6)]
        app = create_app(office)
        with ThreadPoolExecutor(9) as pool:
            reports = [pool.submit(report_some, office, Browser(app), site, 8) for site in sites]
            merges = [pool.submit(lambda: [service.merge(office.database) for _ in range(40)]) for _ in range(3)]
            receipts = [receipt for report in reports for receipt in report.result()]
            merged = sum(sum(merge.result()) for merge in merges)
        merged += service.merge(office.database)

        browser = Browser(app)
        tree = head(office, browser)
        assert merged == tree.tree_size == len(receipts) == 48
        for receipt in receipts:
            check_in(receipt, tree, ask(browser, receipt))
        clock.at += timedelta(hours=1)
        assert head(office, browser).time - tree.time == timedelta(hours=1)
