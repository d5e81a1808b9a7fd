"""
What people do at the console and the portal, in a real browser, as each role; and what they are refused.

A flow is a function that takes the stage and asserts as it goes. Each takes pictures of what somebody sees on the way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pyotp
import zxingcpp
from narrows_licensing.qr import from_qr_text
from narrows_server.access.roles import Role
from narrows_server.alerts import service as alerts
from narrows_server.people import passwords, second_factor
from narrows_server.people import service as people
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.demo.seed import PASSWORD, SECRET, SIGN_INS, SignIn
from tests.demo.story import ALPINE, NORDLICHT, PACIFIC

from .pages import faults_of
from .served import Served

PHONE = {"width": 390, "height": 844}
CUSTOMERS = {one.name: one for one in SIGN_INS if one.role is Role.CUSTOMER}
BY_ROLE = {one.role: one for one in SIGN_INS}
OF_ALPINE, OF_PACIFIC = CUSTOMERS[ALPINE.contact[0]], CUSTOMERS[PACIFIC.contact[0]]
OWNER, ADMIN, FINANCE, AUDITOR = (
    BY_ROLE[role] for role in (Role.OWNER, Role.LICENSE_ADMIN, Role.FINANCE, Role.AUDITOR)
)


@dataclass(slots=True)
class Stage:
    """A demo, a browser, and a folder for pictures if there is one."""

    demo: Served
    browser: Browser
    pictures: Path | None = None
    flow: str = ""
    taken: int = 0
    faults: list[str] = field(default_factory=list)

    @contextmanager
    def seat(self, who: SignIn | None, **options: object) -> Iterator[Page]:
        """A page of a fresh browser in which somebody is signed in, or nobody."""
        context: BrowserContext = self.demo.signed_in(self.browser, who, **options)
        page = context.new_page()
        page.on("pageerror", lambda error: self.faults.append(f"{self.flow}: {error}"))
        try:
            yield page
        finally:
            context.close()

    def picture(self, page: Page, name: str) -> None:
        """Look at the page: no serious fault of axe, and a picture where pictures are kept."""
        self.faults += [f"{self.flow}, {name}: {fault}" for fault in faults_of(page)]
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1"):
            self.faults.append(f"{self.flow}, {name}: wider than its window")
        if self.pictures is not None:
            self.taken += 1
            page.screenshot(path=self.pictures / f"flow.{self.flow}.{self.taken:02}-{name}.png", full_page=True)

    def code(self) -> str:
        """The next code of everybody's authenticator app."""
        self.demo.clock.at += timedelta(seconds=31)
        return pyotp.TOTP(SECRET).at(int(self.demo.clock.at.timestamp()))


Flow = Callable[[Stage], None]


def signing_in(stage: Stage) -> None:
    """A wrong password, a right one, a wrong code, a right one; and whoever guesses has to wait."""
    with stage.seat(None) as page:
        page.goto("/licenses")
        expect(page).to_have_url(re.compile(r"/sign-in\?next=/licenses"))
        stage.picture(page, "sign-in")
        _enter(page, ADMIN.email, "not the password")
        expect(page.get_by_role("alert")).to_have_text("Address and password do not fit together.")
        expect(page.get_by_label("E-mail address")).to_have_value(ADMIN.email)
        stage.picture(page, "wrong-password")
        stage.demo.clock.at += timedelta(seconds=5)
        _enter(page, ADMIN.email, PASSWORD)
        page.get_by_label("Code").fill("000000")
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("alert")).to_contain_text("not right")
        stage.picture(page, "wrong-code")
        page.goto("/licenses")
        expect(page).to_have_url(re.compile("/sign-in/code"))  # Half a session opens nothing.
        stage.demo.clock.at += timedelta(seconds=5)
        page.get_by_label("Code").fill(stage.code())
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("heading", level=1, name="Licenses")).to_be_visible()  # Where they wanted to go.
        page.get_by_role("button", name="Sign out", exact=True).click()
        page.goto("/licenses")
        expect(page).to_have_url(re.compile("/sign-in"))
        for _ in range(8):
            _enter(page, OF_PACIFIC.email, "not the password")
        expect(page.get_by_role("alert")).to_contain_text("Too many attempts. Try again in")
        _enter(page, OF_PACIFIC.email, PASSWORD)
        expect(page.get_by_role("alert")).to_contain_text("Too many attempts")  # Also with the right one, meanwhile.
        stage.picture(page, "locked-out")
        stage.demo.clock.at += timedelta(minutes=16)
        _enter(page, OF_PACIFIC.email, PASSWORD)
        expect(page.get_by_role("heading", level=1, name="Licenses")).to_be_visible()


def a_license_from_issue_to_revocation(stage: Stage) -> None:
    """Issued, downloaded, shown as a QR code, renewed, suspended, reinstated, revoked."""
    with stage.seat(ADMIN) as page:
        page.goto("/licenses/new")
        page.get_by_label("Contract").select_option(NORDLICHT.contract_id)
        page.get_by_label("Days", exact=True).fill("many")
        page.get_by_role("button", name="Issue the license").click()
        expect(page.get_by_role("alert")).to_contain_text("a whole number from 1")
        stage.picture(page, "refused-days")
        page.get_by_label("Days", exact=True).fill("90")
        page.get_by_label("applications").check()
        page.get_by_label("What it is bound to").fill("com.nordlicht.player, com.nordlicht.studio")
        page.get_by_role("button", name="Issue the license").click()
        expect(page.get_by_role("status")).to_contain_text("was issued")
        expect(page.get_by_text("com.nordlicht.player, com.nordlicht.studio")).to_be_visible()
        license_id = page.get_by_role("heading", level=1).inner_text()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the file").click()
        assert license_id in download.value.suggested_filename
        assert b"license" in Path(download.value.path()).read_bytes()
        drawn = page.get_by_alt_text(f"QR code with the license {license_id}")
        assert drawn.evaluate("image => image.complete && image.naturalWidth > 100")
        (code,) = zxingcpp.read_barcodes(Image.open(BytesIO(drawn.screenshot())))  # As a camera would read the screen.
        assert json.loads(from_qr_text(code.text))["license"] in Path(download.value.path()).read_text()
        stage.picture(page, "issued")

        page.get_by_label("Renew for so many days").fill("30")
        page.get_by_role("button", name="Renew", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("renewed")
        page.goto(f"/licenses/{license_id}")
        page.get_by_text("Suspend…").click()
        page.get_by_label("Why").first.fill("Unpaid since September")
        page.get_by_role("button", name=f"Suspend {license_id}").click()
        expect(page.locator(".word", has_text="suspended")).to_be_visible()
        page.get_by_role("button", name="Reinstate").click()
        expect(page.locator(".word", has_text="valid")).to_be_visible()
        page.get_by_text("Revoke for good…").click()
        danger = page.locator("details.danger", has_text="Revoke for good…")
        danger.get_by_label("Why").fill("The player was withdrawn")
        danger.get_by_label("to confirm").fill("something else")
        stage.picture(page, "revoking")
        danger.get_by_role("button", name=f"Revoke {license_id}").click()
        expect(page.get_by_role("alert")).to_contain_text("nothing was done")
        page.get_by_text("Revoke for good…").click()
        danger.get_by_label("Why").fill("The player was withdrawn")
        danger.get_by_label("to confirm").fill(license_id)
        danger.get_by_role("button", name=f"Revoke {license_id}").click()
        expect(page.locator(".word", has_text="revoked")).to_be_visible()
        expect(page.get_by_role("link", name="Download the file")).to_have_count(0)
        stage.picture(page, "revoked")


def a_statement_from_draft_to_credit_note(stage: Stage) -> None:
    """Sent, disputed, accepted, previewed, closed and invoiced, paid in part, credited."""
    statement = f"/statements/{ALPINE.contract_id}.2026-10"
    with stage.seat(FINANCE) as finance, stage.seat(OF_ALPINE, viewport=PHONE) as customer:
        answer = customer.goto(statement)
        assert answer is not None
        assert answer.status == 404  # A draft does not exist for its customer.
        finance.goto(statement)
        finance.get_by_role("button", name=f"Send to {ALPINE.party.name}").click()
        expect(finance.get_by_role("status")).to_contain_text("was sent")

        customer.goto("/")
        customer.get_by_role("link", name="Statement October 2026").click()
        customer.get_by_text("Dispute…").click()
        customer.get_by_label("What is wrong").fill("ski-direct: our CDN counts 2 TB less on the 16th")
        stage.picture(customer, "disputing")
        customer.get_by_role("button", name="Dispute the statement of October 2026").click()
        expect(customer.locator(".word", has_text="disputed")).to_be_visible()
        finance.goto("/")
        expect(finance.get_by_text("ski-direct: our CDN counts 2 TB less").first).to_be_visible()
        stage.picture(finance, "disputed")

        customer.get_by_role("button", name="Accept the statement of October 2026").click()
        expect(customer.locator(".word", has_text="accepted")).to_be_visible()
        finance.goto("/months/2026-10/preview")
        expect(finance.get_by_role("heading", name=ALPINE.party.name)).to_be_visible()
        stage.picture(finance, "preview")
        finance.goto("/months/2026-10")
        finance.get_by_label("Which").select_option(ALPINE.contract_id)
        finance.get_by_role("button", name="Close October 2026").click()
        expect(finance.get_by_text("Closed: 1 of 1 contracts have an outcome")).to_be_visible()
        finance.reload()
        finance.get_by_role("row", name=ALPINE.contract_id).get_by_role("link", name=re.compile("INV-")).click()
        number = finance.get_by_role("heading", level=1).inner_text()
        stage.picture(finance, "invoice")

        customer.goto(f"/invoices/{number}")
        expect(customer.get_by_role("button", name="Issue the credit note")).to_have_count(0)
        with customer.expect_download() as download:
            customer.get_by_role("link", name="E-invoice").click()
        assert download.value.suggested_filename.endswith(".xml")
        stage.picture(customer, "invoice-of-the-customer")

        finance.get_by_label("Amount").fill("a lot")
        finance.get_by_role("button", name="Record the payment").click()
        expect(finance.get_by_role("alert")).to_contain_text("is not an amount")
        finance.get_by_label("Amount").fill("1.00")
        finance.get_by_role("button", name="Record the payment").click()
        expect(finance.locator(".word", has_text="partly paid")).to_be_visible()
        finance.get_by_text("Issue a credit note…").click()
        finance.get_by_label("Reason").fill("Goodwill")
        finance.get_by_label(f"Type {number} to confirm").fill(number)
        finance.get_by_role("button", name="Issue the credit note").click()
        expect(finance.get_by_text("Credit note over")).to_be_visible()
        stage.picture(finance, "credit-note")


def two_people_for_a_license(stage: Stage) -> None:
    """One proposes and cannot approve; another does. Needs a demo in which two people have to agree."""
    with stage.seat(ADMIN) as admin, stage.seat(OWNER) as owner:
        admin.goto("/licenses/new")
        admin.get_by_label("Contract").select_option(PACIFIC.contract_id)
        admin.get_by_role("button", name="Propose the license").click()
        expect(admin.get_by_role("status")).to_contain_text("somebody else has to approve it")
        newest = admin.locator("section", has=admin.get_by_text("You proposed this")).first
        expect(newest).to_contain_text(PACIFIC.id)
        assert newest.get_by_role("button", name="Approve and do it").count() == 0
        stage.picture(admin, "proposed")
        # What the page does not offer is refused as well.
        reject = newest.locator("form").get_attribute("action") or ""
        _post(admin, reject.replace("/reject", "/approve"))
        expect(admin.get_by_role("alert")).to_contain_text("another person has to approve it")
        stage.picture(admin, "own-proposal-refused")

        owner.goto("/")
        expect(owner.get_by_text("for a second person")).to_be_visible()
        owner.goto("/proposals")
        owner.locator(f"form[action='{reject.replace('/reject', '/approve')}']").get_by_role("button").click()
        expect(owner.get_by_role("status")).to_contain_text("approved and done")

        owner.goto("/licenses")
        license_id = owner.locator("tbody tr td a").first.inner_text()
        admin.goto(f"/licenses/{license_id}")
        admin.get_by_text("Revoke for good…").click()
        danger = admin.locator("details.danger", has_text="Revoke for good…")
        danger.get_by_label("Why").fill("Issued for the wrong contract")
        danger.get_by_label("to confirm").fill(license_id)
        danger.get_by_role("button", name="Propose to revoke").click()
        expect(admin.get_by_role("status")).to_contain_text("proposed")
        admin.goto(f"/licenses/{license_id}")
        expect(admin.locator(".word", has_text="valid")).to_be_visible()  # Nothing has happened yet.
        owner.goto("/proposals")
        owner.get_by_role("button", name="Approve and do it").first.click()
        expect(owner.get_by_role("status")).to_contain_text("approved and done")
        owner.goto(f"/audit?subject={license_id}")
        expect(owner.get_by_text("Issued for the wrong contract").first).to_be_attached()
        stage.picture(owner, "reason-in-the-trail")


def two_people_for_a_role(stage: Stage) -> None:
    """An owner proposes another role; whom it is for keeps theirs until the second owner approves it."""
    with stage.seat(OWNER) as owner, stage.seat(FINANCE) as finance:
        second = _a_second_owner(stage, owner)
        owner.goto("/people")
        owner.get_by_role("link", name=FINANCE.name).click()
        person = owner.url
        owner.locator("#role").select_option("auditor")
        owner.get_by_role("button", name="Propose the role").click()
        expect(owner.get_by_role("status")).to_contain_text("somebody else has to approve it")
        proposed = owner.locator("section", has=owner.get_by_text("You proposed this")).first
        expect(proposed).to_contain_text("finance → auditor")
        stage.picture(owner, "proposed")
        expect(proposed.get_by_role("button", name="Approve and do it")).to_have_count(0)
        approve = (proposed.locator("form").get_attribute("action") or "").replace("/reject", "/approve")
        _post(owner, approve)
        expect(owner.get_by_role("alert")).to_contain_text("another person has to approve it")
        finance.goto("/months")
        expect(finance.get_by_role("heading", level=1)).to_be_visible()  # Nothing has happened yet.

        with stage.seat(second) as other:
            other.goto("/proposals")
            stage.picture(other, "to-decide")
            other.locator(f"form[action='{approve}']").get_by_role("button").click()
            expect(other.get_by_role("status")).to_contain_text("approved and done")
        owner.goto(person)
        expect(owner.locator("dl.facts")).to_contain_text("auditor")
        finance.goto("/")
        expect(finance).to_have_url(re.compile("/sign-in"))  # What they could do before ended with their sessions.


def webhooks(stage: Stage) -> None:
    """A private address is refused; a public one is tested, given another secret, sent to again and removed."""
    with stage.seat(OF_PACIFIC) as page:
        page.goto("/webhooks")
        stage.picture(page, "none-yet")
        page.get_by_label("Address").fill("https://192.168.0.7/hook")
        page.get_by_role("button", name="Add the webhook").click()
        expect(page.get_by_role("alert")).to_be_visible()
        stage.picture(page, "private-address-refused")
        page.get_by_label("Address").fill("https://hooks.pacificstream.example/narrows")
        page.get_by_label("an invoice was issued").check()
        page.get_by_role("button", name="Add the webhook").click()
        expect(page.locator(".secret")).to_contain_text("whsec_")
        stage.picture(page, "secret")
        page.get_by_role("link", name="I have kept it").click()
        page.get_by_role("button", name="Send a test").click()
        expect(page.get_by_role("row", name="webhook.tested")).to_contain_text("pending")
        page.get_by_role("button", name="Send again webhook.tested").click()
        expect(page.get_by_role("status")).to_contain_text("sent again")
        stage.picture(page, "deliveries")
        page.get_by_role("button", name="Send nothing more").click()
        expect(page.locator(".word", has_text="disabled")).to_be_visible()
        page.get_by_role("button", name="Send events again").click()
        page.get_by_role("button", name="Give it another secret").click()
        expect(page.get_by_text("signed with the old one as well")).to_be_visible()
        page.get_by_role("link", name="I have kept it").click()
        webhook_id = page.url.rpartition("/")[2]
        page.get_by_text("Remove…").click()
        page.get_by_label("to confirm").fill(webhook_id)
        page.get_by_role("button", name="Remove the webhook").click()
        expect(page.get_by_role("status")).to_contain_text("was removed")


def api_keys(stage: Stage) -> None:
    """A key is shown once, opens what it may and nothing else, is rotated and revoked."""
    with stage.seat(OF_PACIFIC) as page:
        page.goto("/keys")
        page.get_by_role("textbox", name="Name").fill("cost dashboard")
        page.get_by_label("invoices:read").check()
        page.get_by_role("button", name="Make the key").click()
        text = page.locator(".secret").inner_text().strip()
        stage.picture(page, "made")
        headers = {"Authorization": f"Bearer {text}"}
        assert httpx.get(f"{stage.demo.url}/v1/invoices", headers=headers).status_code == 200
        assert httpx.get(f"{stage.demo.url}/v1/licenses", headers=headers).status_code == 403
        page.goto("/keys")
        assert text not in page.content()
        page.get_by_role("button", name="Rotate cost dashboard").click()
        again = page.locator(".secret").inner_text().strip()
        assert again != text
        page.goto("/keys")
        row = page.get_by_role("row", name="cost dashboard")
        row.get_by_text("Revoke…").click()
        row.get_by_label("to confirm").fill("cost dashboard")
        stage.picture(page, "revoking")
        row.get_by_role("button", name="Revoke", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("opens nothing any more")
        headers = {"Authorization": f"Bearer {again}"}
        assert httpx.get(f"{stage.demo.url}/v1/invoices", headers=headers).status_code == 401


def the_audit_trail(stage: Stage) -> None:
    """An auditor verifies the chain, exports it, follows one thing, and changes nothing."""
    with stage.seat(AUDITOR) as page:
        page.goto("/audit")
        page.get_by_role("button", name="Verify the chain").click()
        expect(page.get_by_text("The chain is whole")).to_be_visible()
        stage.picture(page, "verified")
        page.get_by_label("A head that was noted before").fill("ab" * 32)
        page.get_by_role("button", name="Verify the chain").click()
        expect(page.get_by_text("The chain is broken")).to_be_visible()
        page.goto("/audit")
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV").click()
        assert b"customer.added" in Path(download.value.path()).read_bytes()
        page.get_by_label("Of one thing").fill("nordlicht")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_text("customer.added")).to_be_visible()
        for path in ("/licenses", "/statements", "/months/2026-10", "/people", "/keys", "/webhooks", "/contracts"):
            page.goto(path)
            own = page.locator("main form:not([method=get])")
            assert own.count() == 0, (path, own.first.inner_html())  # An auditor looks.


def a_person_from_invitation_to_the_end(stage: Stage) -> None:
    """Invited, a password chosen, a second factor set up; another role, and let in no more."""
    with stage.seat(OWNER) as owner, stage.seat(None, viewport=PHONE) as new:
        owner.goto("/people")
        owner.get_by_label("Name").fill("Vera Lind")
        owner.get_by_label("E-mail address").fill("vera@narrows.example")
        owner.locator("#role").select_option("auditor")
        owner.get_by_role("button", name="Make the invitation").click()
        link = owner.locator(".secret").inner_text().strip()
        stage.picture(owner, "invited")
        new.goto(link)
        new.get_by_label("Password").fill("password password")
        new.get_by_label("The same once more").fill("password password")
        new.get_by_role("button", name="Continue").click()
        expect(new.get_by_role("alert")).to_be_visible()
        stage.picture(new, "easy-password-refused")
        for label in ("Password", "The same once more"):
            new.get_by_label(label).fill("quiet harbour seven lamps")
        new.get_by_role("button", name="Continue").click()
        new.get_by_text("Can’t scan it?").click()
        secret = new.locator("details code").inner_text().replace(" ", "")
        stage.picture(new, "second-factor")
        new.get_by_label("Type the six digits").fill(pyotp.TOTP(secret).at(int(stage.demo.clock.at.timestamp())))
        new.get_by_role("button", name="Confirm").click()
        expect(new.get_by_role("heading", level=1, name="Keep these recovery codes")).to_be_visible()
        stage.picture(new, "recovery-codes")
        new.get_by_role("link", name="I have kept them").click()
        expect(new.get_by_role("heading", level=1, name="Overview")).to_be_visible()
        new.goto(link)
        expect(new.get_by_text("used before or is too old")).to_be_visible()  # It works once.

        owner.goto("/people")
        owner.get_by_role("link", name="Vera Lind").click()
        owner.locator("#role").select_option("finance")
        owner.get_by_role("button", name="Change the role").click()
        expect(owner.get_by_role("status")).to_contain_text("their sessions have ended")
        new.goto("/")
        expect(new).to_have_url(re.compile("/sign-in"))
        owner.get_by_text("Let in no more…").click()
        owner.locator("details.danger", has_text="Let in no more…").get_by_label("to confirm").fill(
            "vera@narrows.example"
        )
        owner.get_by_role("button", name="Let in no more", exact=True).click()
        expect(owner.locator(".word", has_text="disabled")).to_be_visible()
        stage.picture(owner, "let-in-no-more")


def a_customer_from_name_to_contract(stage: Stage) -> None:
    """Customer, billing profile, tariff, contract, amendment, spend limit; each mistake is named."""
    with stage.seat(FINANCE) as page:
        page.goto("/customers/new")
        page.get_by_label("Name", exact=True).fill("Fjord Film AS")
        page.get_by_label("Address").fill("Bryggen 3")
        page.get_by_label("Country").fill("XX")
        page.get_by_role("button", name="Add the customer").click()
        expect(page.get_by_role("alert")).to_contain_text("is not a country")
        expect(page.get_by_label("Name", exact=True)).to_have_value("Fjord Film AS")  # Nothing typed is lost.
        stage.picture(page, "wrong-country")
        page.get_by_label("Country").fill("NO")
        page.get_by_label("Id made from").fill("fjord")
        page.get_by_role("button", name="Add the customer").click()
        expect(page.get_by_role("status")).to_contain_text("was added")
        stage.picture(page, "new-customer")
        page.get_by_role("link", name="Billing profile").click()
        page.get_by_label("City").fill("Bergen")
        page.get_by_label("Purchase order").fill("PO-7")
        page.get_by_role("button", name="Save the billing profile").click()
        expect(page.get_by_role("status")).to_contain_text("was saved")
        expect(page.get_by_label("Purchase order")).to_have_value("PO-7")
        stage.picture(page, "billing-profile")
        page.goto("/tariffs/new")
        page.get_by_label("Document").fill('{"name": "Fjord CDN", "currency": "NOK", "tiers": [{"price_per_gb": 1}]}')
        page.get_by_role("button", name="Add the tariff").click()
        expect(page.get_by_role("alert")).to_be_visible()  # A price is a text: no float is near money.
        stage.picture(page, "wrong-tariff")
        page.get_by_label("Document").fill(
            '{"name": "Fjord CDN", "currency": "NOK", "tiers": [{"price_per_gb": "0.40"}]}'
        )
        page.get_by_label("Id").fill("fjord-cdn")
        page.get_by_role("button", name="Add the tariff").click()
        expect(page.get_by_role("status")).to_contain_text("was added")
        page.goto("/contracts/new?customer=fjord")
        document = page.get_by_label("Document").input_value()
        page.get_by_label("Document").fill(
            document.replace('"tariff": ""', '"tariff": "fjord-cdn"').replace('"EUR"', '"NOK"')
        )
        page.get_by_label("Id").fill("fjord-1")
        page.get_by_role("button", name="Add the contract").click()
        expect(page.get_by_role("heading", level=1, name="fjord-1")).to_be_visible()
        page.get_by_label("Most for a month").fill("5000")
        page.get_by_role("button", name="Set the limit").click()
        expect(page.get_by_text("5,000.00").first).to_be_visible()
        page.get_by_label("From", exact=True).fill("2027-01-01")
        page.get_by_label("What changes").fill('{"payment_days": 45}')
        page.get_by_label("Why").fill("Agreed by phone")
        page.get_by_role("button", name="Record the amendment").click()
        expect(page.get_by_role("status")).to_contain_text("was recorded")
        stage.picture(page, "contract")
        page.goto("/exports")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download the table").click()
        assert download.value.suggested_filename.endswith(".csv")


def amounts_from_outside(stage: Stage) -> None:
    """A contract valued by CDN invoices in another currency: wrong ones are named, corrected ones shown."""
    contract_id = "nordlicht-2"
    with stage.seat(FINANCE) as page:
        page.goto("/tariffs/new")
        page.get_by_label("Document").fill(
            '{"name": "Nordlicht in dollars", "currency": "USD", "tiers": [{"price_per_gb": "0.02"}]}'
        )
        page.get_by_label("Id").fill("nordlicht-usd")
        page.get_by_role("button", name="Add the tariff").click()
        expect(page.get_by_role("status")).to_contain_text("was added")
        page.goto(f"/contracts/new?customer={NORDLICHT.id}")
        document = json.loads(page.get_by_label("Document").input_value())
        document |= {"tariff": "nordlicht-usd", "valuation": {"mode": "effective_price"}}
        page.get_by_label("Document").fill(json.dumps(document))
        page.get_by_label("Id").fill(contract_id)
        page.get_by_role("button", name="Add the contract").click()
        expect(page.get_by_role("heading", level=1, name=contract_id)).to_be_visible()

        month = stage.demo.clock.at.strftime("%Y-%m")
        charges = page.locator("section", has=page.get_by_role("heading", name="CDN invoices"))
        for charged, answer in (
            ("much", "is not a number"),
            ("1e999999", "more than 12 digits"),
            ("41,250.17", "1234"),
        ):
            charges.get_by_label("Month").fill(month)
            charges.locator("#cdn").fill("cloudfront")
            charges.get_by_label("Amount").fill(charged)
            charges.get_by_role("button", name="Record the CDN invoice").click()
            expect(page.get_by_role("alert")).to_contain_text(answer)
            expect(charges.get_by_label("Amount")).to_have_value(charged)  # Nothing typed is lost.
        for charged in ("41250.17", "41205.17"):
            charges.get_by_label("Month").fill(month)
            charges.locator("#cdn").fill("cloudfront")
            charges.get_by_label("Amount").fill(charged)
            charges.get_by_role("button", name="Record the CDN invoice").click()
            expect(page.get_by_role("status")).to_contain_text("CDN invoice")
        expect(charges.get_by_role("row").nth(1)).to_contain_text("41,205.17")
        expect(charges.get_by_role("row").nth(2)).to_contain_text("corrected since")

        rates = page.locator("section", has=page.get_by_role("heading", name="Exchange rate"))
        for rate, answer in (("0", "above 0"), ("0.92", "")):
            rates.get_by_label("Day").fill(f"{month}-02")
            rates.get_by_label("1 USD is").fill(rate)
            rates.get_by_role("button", name="Record the rate").click()
            if answer:
                expect(page.get_by_role("alert")).to_contain_text(answer)
        expect(page.get_by_role("status")).to_contain_text("rate")
        expect(rates.get_by_role("row").nth(1)).to_contain_text("0.92")
        stage.picture(page, "recorded")
    with stage.seat(AUDITOR) as page:
        page.goto(f"/contracts/{contract_id}")
        expect(page.get_by_text("41,205.17")).to_be_visible()  # An auditor reads what a month was valued by,
        expect(page.get_by_role("button", name="Record the CDN invoice")).to_have_count(0)  # and records nothing.


def floating_seats(stage: Stage) -> None:
    """A floating license says how long a seat is leased; without a number of seats it is refused."""
    with stage.seat(ADMIN) as page:
        page.goto("/licenses/new")
        page.get_by_label("Contract").select_option(NORDLICHT.contract_id)
        page.get_by_label("Seconds of a seat’s lease").fill("soon")
        page.get_by_role("button", name="Issue the license").click()
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_label("Seconds of a seat’s lease")).to_have_value("soon")
        stage.picture(page, "refused")
        page.get_by_label("Encodes at once").fill("12")
        page.get_by_label("Seconds of a seat’s lease").fill("60")
        page.get_by_role("button", name="Issue the license").click()
        expect(page.get_by_role("status")).to_contain_text("was issued")
        expect(page.locator("dl.facts")).to_contain_text("12, floating: seats leased for 60 s")
        stage.picture(page, "issued")


def a_spend_limit_of_the_customer(stage: Stage) -> None:
    """The customer says how much a month may cost, and is told when one costs more."""
    with stage.seat(OF_PACIFIC) as page:
        page.goto("/")
        page.get_by_label(f"{PACIFIC.contract_id}").fill("10")
        page.get_by_role("button", name="Set the limit").click()
        expect(page.get_by_role("status")).to_contain_text("was set")
        with stage.demo.office.database.transaction() as session:
            alerts.check(session, at=stage.demo.clock.at)
        page.goto("/alerts")
        expect(page.get_by_text("the limit is")).to_be_visible()
        stage.picture(page, "over-the-limit")
        page.goto("/")
        page.get_by_label(f"{PACIFIC.contract_id}").fill("")
        page.get_by_role("button", name="Set the limit").click()
        page.goto("/what-is-sent")
        expect(page.get_by_label("The report")).to_contain_text('"records"')
        stage.picture(page, "what-is-sent")


def refusals(stage: Stage) -> None:
    """Whoever may not look is told so on a page of ours, with a way back; and whoever may not change, likewise."""
    closed = {
        ADMIN: ("/months", "/exports", "/people", "/audit", "/keys", "/statements", "/invoices", "/customers/new"),
        FINANCE: ("/people", "/audit", "/keys", "/webhooks", "/licenses/new"),
        AUDITOR: ("/licenses/new", "/customers/new", "/contracts/new", "/tariffs/new"),
        OF_ALPINE: ("/customers", "/contracts", "/tariffs", "/months", "/exports", "/proposals", "/people", "/audit"),
    }
    changes = {
        ADMIN: "/months/2026-10/close",
        FINANCE: "/licenses/new",
        AUDITOR: "/keys",
        OF_ALPINE: "/licenses/new",
    }
    for who, paths in closed.items():
        with stage.seat(who) as page:
            linked = page_links(page)
            for path in paths:
                assert path not in linked, (who.role, path)
                answer = page.goto(path)
                assert answer is not None
                assert answer.status == 403, (who.role, path)
                expect(page.get_by_role("heading", level=1, name="This is not permitted")).to_be_visible()
                expect(page.get_by_role("link", name="Back to the front page")).to_be_visible()
            page.goto("/")
            _post(page, changes[who])
            expect(page.get_by_role("heading", level=1, name="This is not permitted")).to_be_visible()
            stage.picture(page, f"{who.role.value}-may-not")
    with stage.seat(OF_ALPINE) as page:
        for path in (f"/statements/{NORDLICHT.contract_id}.2026-09", "/no/such/page"):
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == 404, path
            expect(page.get_by_role("link", name="Back to the front page")).to_be_visible()
        stage.picture(page, "not-there")


def by_keyboard(stage: Stage) -> None:
    """The skip link comes first, every stop can be seen, their order is that of the page, Escape closes."""
    with stage.seat(OWNER) as page:
        page.goto("/licenses")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        box = page.locator(".skip").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        stage.picture(page, "skip-link")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        page.goto("/licenses")
        stops = _walk(page)
        assert len(stops) > 20
        assert [one["order"] for one in stops] == sorted(one["order"] for one in stops)
        assert [one for one in stops if not one["is_seen"]] == []
        row = page.locator("tbody tr").filter(has_not_text="revoked").first  # Another flow may have revoked the newest.
        license_id = row.locator("td a").first.inner_text()
        page.goto(f"/licenses/{license_id}")
        summary = page.locator("details.danger > summary", has_text="Revoke for good…")
        summary.focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.name") == "reason"
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.textContent.trim()") == "Revoke for good…"
        expect(page.get_by_label("to confirm")).to_be_hidden()
    with stage.seat(OF_ALPINE, viewport=PHONE) as page:
        page.goto("/statements")
        menu = page.get_by_text("Menu", exact=True)
        menu.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="Licenses")).to_be_visible()
        stage.picture(page, "menu-on-a-phone")
        page.keyboard.press("Escape")
        expect(page.get_by_role("link", name="Licenses")).to_be_hidden()
        assert page.evaluate("document.activeElement.textContent.trim()") == "Menu"


def without_scripts(stage: Stage) -> None:
    """Nothing needs JavaScript: signing in, issuing, disputing, closing a month, colours, the menu on a phone."""
    with stage.seat(ADMIN, java_script_enabled=False) as page:
        page.goto("/licenses/new")
        page.get_by_label("Contract").select_option(NORDLICHT.contract_id)
        page.get_by_role("button", name="Issue the license").click()
        expect(page.get_by_role("status")).to_contain_text("was issued")
        page.get_by_role("button", name="dark").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.get_by_role("button", name="Sign out", exact=True).click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")  # Signed out, and still dark.
    with stage.seat(FINANCE, java_script_enabled=False) as page:
        page.goto("/")
        expect(page.get_by_text("The same figures as a table")).to_be_visible()
        page.goto("/months/2026-09")
        page.get_by_role("button", name="Close September 2026").click()
        for _ in range(20):
            if page.get_by_text("contracts have an outcome").count():
                break
            page.reload()
        expect(page.get_by_text("contracts have an outcome")).to_be_visible()
    with stage.seat(OF_PACIFIC, java_script_enabled=False, viewport=PHONE) as page:
        page.goto("/")
        expect(page.get_by_role("link", name="Statements")).to_be_visible()
        page.goto(f"/statements/{PACIFIC.contract_id}.2026-10")
        page.get_by_role("button", name="Accept the statement of October 2026").click()
        expect(page.locator(".word", has_text="accepted")).to_be_visible()


def colours_and_password(stage: Stage) -> None:
    """Dark stays after signing out; a password is changed and the other browser is signed out."""
    with stage.seat(OF_ALPINE) as page, stage.seat(OF_ALPINE) as other:
        page.goto("/account")
        page.get_by_role("button", name="dark").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.get_by_label("Your present password").fill("not this one at all")
        for label in ("The new one", "The new one once more"):
            page.get_by_label(label, exact=True).fill("orange rivers under glass")
        page.get_by_role("button", name="Change the password").click()
        expect(page.get_by_role("alert")).to_contain_text("present password is another one")
        stage.picture(page, "wrong-present-password")
        stage.demo.clock.at += timedelta(seconds=5)
        page.get_by_label("Your present password").fill(PASSWORD)
        for label in ("The new one", "The new one once more"):
            page.get_by_label(label, exact=True).fill("orange rivers under glass")
        page.get_by_role("button", name="Change the password").click()
        expect(page.get_by_role("heading", level=1, name=OF_ALPINE.name)).to_be_visible()
        other.goto("/")
        expect(other).to_have_url(re.compile("/sign-in"))
        page.get_by_role("button", name="Sign out", exact=True).click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        stage.picture(page, "dark-sign-in")


# In this order on one demo: each leaves to the next what it needs. The last takes a password away.
FLOWS: tuple[Flow, ...] = (
    signing_in,
    refusals,
    by_keyboard,
    webhooks,
    api_keys,
    the_audit_trail,
    a_customer_from_name_to_contract,
    a_license_from_issue_to_revocation,
    a_person_from_invitation_to_the_end,
    amounts_from_outside,
    floating_seats,
    a_spend_limit_of_the_customer,
    a_statement_from_draft_to_credit_note,
    without_scripts,
    colours_and_password,
)
TWO_PERSON_FLOWS: tuple[Flow, ...] = (two_people_for_a_license, two_people_for_a_role)


def page_links(page: Page) -> set[str]:
    """Where the navigation leads."""
    page.goto("/")
    return set(page.locator("header.side nav a").evaluate_all("links => links.map(link => link.getAttribute('href'))"))


def _a_second_owner(stage: Stage, owner: Page) -> SignIn:
    """Somebody whom *owner* invites, with the password and the second factor of everybody in the demo."""
    email = "second.owner@narrows.example"
    owner.goto("/people")
    owner.get_by_label("E-mail address").fill(email)
    owner.get_by_label("Name", exact=True).fill("Ola Nord")
    owner.locator("#role").select_option("owner")
    owner.get_by_role("button", name="Make the invitation").click()
    expect(owner.get_by_role("heading", level=1)).to_be_visible()
    with stage.demo.office.database.transaction() as session:
        person = people.find_by_email(session, email)
        assert person is not None
        person.password_hash = passwords.hash_password(PASSWORD)
        person.totp_sealed = second_factor.seal(SECRET, stage.demo.office.keyring.console_secret)
    return SignIn(email=email, name="Ola Nord", role=Role.OWNER)


def _enter(page: Page, email: str, password: str) -> None:
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def _post(page: Page, path: str) -> None:
    """Send a form that the page does not have, as somebody would who writes their own."""
    with page.expect_navigation():
        page.evaluate(
            """path => {
                const form = document.createElement("form");
                form.method = "post";
                form.action = path;
                form.append(document.querySelector("input[name=form_token]").cloneNode());
                document.body.append(form);
                form.submit();
            }""",
            path,
        )


def _walk(page: Page) -> list[dict[str, Any]]:
    """Every stop of the Tab key: its place in the document, and whether its focus can be seen."""
    stops: list[dict[str, Any]] = []
    for _ in range(200):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """() => {
                const at = document.activeElement;
                if (!at || at === document.body) return null;
                const style = getComputedStyle(at), box = at.getBoundingClientRect();
                const isOutlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
                const order = [...document.querySelectorAll("*")].indexOf(at);
                return { order, text: at.outerHTML.slice(0, 80), is_seen: isOutlined && box.width > 0 };
            }"""
        )
        if stop is None or (stops and stop["order"] <= stops[0]["order"] and len(stops) > 1):
            break
        stops.append(stop)
    return stops
