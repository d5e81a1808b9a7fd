"""Signing in: who gets in, what the answer gives away, and what a session is worth."""

from __future__ import annotations

import re
import statistics
import time
from datetime import datetime, timedelta

import httpx
import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_server import audit
from narrows_server.access.roles import Role
from narrows_server.app import create_app
from narrows_server.console.gate import own_path
from narrows_server.errors import Invalid
from narrows_server.office import Office
from narrows_server.people import passwords, second_factor, service, throttle
from narrows_server.people.models import Person, WebSession
from narrows_server.people.throttle import Counted, wait_after
from sqlalchemy import select

from .builders import Clock, a_contract, an_occasion
from .people import PASSWORD, SECRET, Seat, a_code, a_person, at_a_browser


@pytest.fixture
def owner(office: Office) -> Person:
    return a_person(office)


@pytest.fixture
def seat(office: Office) -> Seat:
    return Seat(create_app(office))


def is_in(seat: Seat) -> bool:
    return seat.get("/account").status_code == 200


def hidden(page: str) -> dict[str, str]:
    """What the first form of a page sends along, unseen."""
    form = re.findall(r"<form.*?</form>", page, re.DOTALL)[0]
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))


def next_step(seat: Seat, page: str, **fields: str) -> str:
    """Where the browser is sent by the form of *page*, filled in."""
    shown = seat.get(page).text
    action = re.findall(r'action="([^"]+)"', shown)[0]
    return seat.post(action, {**hidden(shown), **fields}).headers["location"]


def actions(office: Office) -> list[str]:
    with office.database.snapshot() as session:
        return [row.action for row in audit.trail(session)]


class TestTwoSteps:
    def test_password_and_code_open_the_console(self, office: Office, owner: Person, seat: Seat) -> None:
        first = seat.sign_in(owner)
        assert (first.status_code, first.headers["location"]) == (303, "/sign-in/code")
        assert not is_in(seat)
        assert seat.browser.get("/v1/licenses").status_code == 401

        second = seat.submit("/sign-in/code", {"code": a_code(office)})
        assert (second.status_code, second.headers["location"]) == (303, "/")
        assert is_in(seat)
        assert "person.signed_in" in actions(office)

    def test_a_code_is_taken_once(self, office: Office, owner: Person) -> None:
        code = a_code(office)
        for expected in (303, 401):
            seat = Seat(create_app(office))
            seat.sign_in(owner)
            assert seat.submit("/sign-in/code", {"code": code}).status_code == expected

    def test_a_recovery_code_works_once_instead(self, office: Office, owner: Person) -> None:
        with office.database.transaction() as session:
            person = service.require_person(session, owner.id)
            code = second_factor.replace_recovery_codes(session, person)[3]
        for expected in (303, 401):
            seat = Seat(create_app(office))
            seat.sign_in(owner)
            assert seat.submit("/sign-in/code", {"code": code.upper()}).status_code == expected
        assert "person.recovery_code_used" in actions(office)

    def test_the_vendors_people_set_up_a_second_factor_before_anything_else(self, office: Office, seat: Seat) -> None:
        person = a_person(office, with_factor=False)
        assert seat.sign_in(person).headers["location"] == "/account/second-factor"
        assert seat.get("/").headers["location"] == "/account/second-factor"
        page = seat.get("/account/second-factor").text
        assert "<svg" in page
        secret = re.findall(r"<code>([A-Z2-7 ]+)</code>", page)[0].replace(" ", "")
        before = seat.cookie

        codes = seat.submit("/account/second-factor", {"code": totp(secret, office.clock())})
        assert codes.status_code == 200
        assert len(re.findall(r"<li><code>", codes.text)) == second_factor.RECOVERY_CODES
        assert seat.cookie != before
        assert is_in(seat)

    def test_who_signs_in_sees_the_page_that_they_asked_for(self, office: Office, owner: Person, seat: Seat) -> None:
        """Through both steps, and a wrong code between them."""
        here = seat.get("/audit?subject=kanal-1").headers["location"]
        assert here == "/sign-in?next=/audit%3Fsubject%3Dkanal-1"
        here = next_step(seat, here, email=owner.email, password=PASSWORD)
        assert here == "/sign-in/code?next=/audit%3Fsubject%3Dkanal-1"
        wrong = seat.submit("/sign-in/code", {"code": "000000", **hidden(seat.get(here).text)}, page=here)
        assert hidden(wrong.text)["next"] == "/audit?subject=kanal-1"

        assert next_step(seat, here, code=a_code(office)) == "/audit?subject=kanal-1"

    def test_so_does_who_has_a_second_factor_to_set_up_first(self, office: Office, seat: Seat) -> None:
        person = a_person(office, with_factor=False)
        here = next_step(seat, "/sign-in?next=/licenses", email=person.email, password=PASSWORD)
        assert here == "/account/second-factor?next=/licenses"
        page = seat.get(here).text
        secret = re.findall(r"<code>([A-Z2-7 ]+)</code>", page)[0].replace(" ", "")

        codes = seat.post("/account/second-factor", {**hidden(page), "code": totp(secret, office.clock())})

        assert 'href="/licenses"' in codes.text

    @pytest.mark.parametrize(("step", "with_factor"), [("/sign-in/code", True), ("/account/second-factor", False)])
    def test_no_step_leads_to_another_site(self, office: Office, seat: Seat, step: str, with_factor: bool) -> None:
        seat.sign_in(a_person(office, with_factor=with_factor))

        assert hidden(seat.get(f"{step}?next=//evil.test").text)["next"] == "/"

    def test_a_customer_may_do_without(self, office: Office, seat: Seat) -> None:
        a_contract(office)
        person = a_person(office, Role.CUSTOMER, customer_id="kanal", with_factor=False)

        assert seat.sign_in(person).headers["location"] == "/"
        assert is_in(seat)

    def test_half_a_session_does_not_replace_the_second_factor(self, office: Office, owner: Person, seat: Seat) -> None:
        seat.sign_in(owner)
        assert seat.get("/").headers["location"] == "/sign-in/code"
        for page in ("/licenses", "/account", "/account/second-factor"):
            assert seat.get(page).headers["location"] == f"/sign-in/code?next={page}"
        token = seat.token_of("/sign-in/code")
        answer = seat.post("/account/second-factor", {"form_token": token, "code": "123456"})

        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in/code")

    @pytest.mark.parametrize("code", ["", "000000", "abcdef", "12345", "１２３４５６", "1" * 5000, "\x00"])
    def test_a_wrong_code_opens_nothing(self, owner: Person, seat: Seat, code: str) -> None:
        seat.sign_in(owner)

        assert seat.submit("/sign-in/code", {"code": code}).status_code == 401
        assert not is_in(seat)

    def test_the_secret_is_not_to_be_read_in_the_database(self, owner: Person) -> None:
        assert owner.totp_sealed is not None
        assert SECRET not in owner.totp_sealed


class TestWhatTheAnswerGivesAway:
    def test_an_unknown_a_disabled_and_a_mistyped_account_get_the_same_answer(
        self, office: Office, owner: Person
    ) -> None:
        disabled = a_person(office, Role.AUDITOR)
        with office.database.transaction() as session:
            service.disable(session, service.require_person(session, disabled.id), occasion=an_occasion())
        answers = set()
        for email, password in (
            ("nobody@narrows.test", PASSWORD),
            (disabled.email, PASSWORD),
            (owner.email, "not my password at all"),
        ):
            seat = Seat(create_app(office))
            answer = seat.submit("/sign-in", {"email": email, "password": password})
            text = re.sub(r'value="[^"]*"|req_\w+', "", answer.text)
            answers.add((answer.status_code, text))

        assert len(answers) == 1
        assert next(iter(answers))[0] == 401

    def test_it_takes_the_same_time_for_an_account_that_does_not_exist(self, owner: Person) -> None:
        passwords.is_password("warm up", None)
        took: dict[str | None, list[float]] = {owner.password_hash: [], None: []}
        for _ in range(5):
            for password_hash, times in took.items():
                started = time.process_time()
                assert not passwords.is_password("not my password at all", password_hash)
                times.append(time.process_time() - started)
        known, unknown = (statistics.median(times) for times in took.values())

        assert 0.7 < known / unknown < 1.4

    def test_an_account_that_does_not_exist_is_throttled_like_one_that_does(
        self, office: Office, owner: Person
    ) -> None:
        seen = set()
        for email in ("nobody@narrows.test", owner.email):
            statuses = []
            for _ in range(throttle.FREE_OF_ACCOUNT + 1):
                statuses.append(guess(office, email).status_code)
            seen.add(tuple(statuses))
        assert seen == {(401,) * throttle.FREE_OF_ACCOUNT + (429,)}


class TestBruteForce:
    def test_who_guesses_waits_and_even_the_right_password_is_not_taken_meanwhile(
        self, office: Office, owner: Person, clock: Clock, seat: Seat
    ) -> None:
        for _ in range(throttle.FREE_OF_ACCOUNT):
            guess(office, owner.email)
        refused = seat.sign_in(owner)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        clock.advance(seconds=2)

        assert seat.sign_in(owner).status_code == 303

    def test_codes_are_throttled_as_well(self, office: Office, owner: Person, seat: Seat) -> None:
        seat.sign_in(owner)
        statuses = [seat.submit("/sign-in/code", {"code": "000000"}).status_code for _ in range(7)]

        assert statuses[: throttle.FREE_OF_ACCOUNT] == [401] * throttle.FREE_OF_ACCOUNT
        assert statuses[-1] == 429

    def test_signing_in_again_does_not_reset_the_count_of_codes(self, office: Office, owner: Person) -> None:
        for _ in range(throttle.FREE_OF_ACCOUNT):
            seat = Seat(create_app(office))
            seat.sign_in(owner)
            assert seat.submit("/sign-in/code", {"code": "000000"}).status_code == 401
        seat = Seat(create_app(office))
        seat.sign_in(owner)
        assert seat.submit("/sign-in/code", {"code": "000000"}).status_code == 429

    def test_many_accounts_from_one_address_are_throttled_by_the_address(self, office: Office) -> None:
        address = Counted("address", "127.0.0.1")
        for _ in range(throttle.FREE_OF_ADDRESS):
            with office.database.transaction() as session:
                throttle.count_attempt(session, address, at=office.clock())

        assert guess(office, "somebody@narrows.test").status_code == 429

    @given(st.integers(0, 1000))
    def test_the_wait_never_shrinks_and_never_is_longer_than_a_quarter_of_an_hour(self, failures: int) -> None:
        now, then = (wait_after(count, free=5) for count in (failures, failures + 1))

        assert timedelta(0) <= now <= then <= throttle.WAIT_MAX

    def test_after_a_hundred_failures_an_owner_has_to_reset(self, office: Office, owner: Person, clock: Clock) -> None:
        for _ in range(throttle.FAILURES_MAX):
            with office.database.transaction() as session:
                throttle.count_attempt(session, service.account_of(owner.email), at=clock.at)
            clock.advance(minutes=16)
        clock.advance(days=2)
        assert Seat(create_app(office)).sign_in(owner).status_code == 429
        with office.database.transaction() as session:
            person = service.require_person(session, owner.id)
            token = service.reset(session, person, occasion=an_occasion(clock.at))
            service.accept_invitation(session, token, str(owner.password_hash), at=clock.at)

        assert Seat(create_app(office)).sign_in(owner).status_code == 303


class TestSessions:
    def test_the_cookie_is_of_this_host_alone_and_out_of_reach_of_scripts_and_other_sites(
        self, owner: Person, seat: Seat
    ) -> None:
        told = [one.lower() for one in seat.sign_in(owner).headers.get_list("set-cookie")]
        (cookie,) = [one for one in told if one.startswith("__host-narrows=")]

        for part in ("__host-narrows=", "secure", "httponly", "samesite=lax", "path=/"):
            assert part in cookie
        assert "domain" not in cookie

    def test_a_session_that_was_planted_is_worth_nothing_after_signing_in(
        self, office: Office, owner: Person, seat: Seat
    ) -> None:
        seat.cookie = "planted"
        seat.browser.cookies.delete("__Host-narrows")
        seat.sign_in(owner)
        half = seat.cookie
        seat.submit("/sign-in/code", {"code": a_code(office)})

        assert len({"planted", half, seat.cookie}) == 3
        thief = Seat(create_app(office))
        for known in ("planted", half):
            thief.cookie = known
            assert not is_in(thief)

    def test_the_database_holds_no_cookie(self, office: Office, owner: Person) -> None:
        seat = at_a_browser(office, owner)
        with office.database.snapshot() as session:
            rows = session.scalars(select(WebSession)).all()

        assert rows
        assert not any(seat.cookie in str(vars(row)) for row in rows)

    def test_a_session_ends_when_nobody_uses_it(self, office: Office, owner: Person, clock: Clock) -> None:
        seat = at_a_browser(office, owner)
        for _ in range(5):
            clock.advance(minutes=59)
            assert is_in(seat)
        clock.advance(minutes=60)
        assert not is_in(seat)

    def test_a_session_ends_after_half_a_day_whatever_happens(
        self, office: Office, owner: Person, clock: Clock
    ) -> None:
        seat = at_a_browser(office, owner)
        for _ in range(23):
            clock.advance(minutes=31)
            assert is_in(seat)
        clock.advance(minutes=31)
        assert not is_in(seat)

    def test_signing_out_ends_it_on_the_server(self, office: Office, owner: Person) -> None:
        seat = at_a_browser(office, owner)
        cookie = seat.cookie
        seat.submit("/sign-out", {}, page="/account")
        thief = Seat(create_app(office))
        thief.cookie = cookie

        assert not is_in(thief)

    @pytest.mark.parametrize("what", ["role", "disable", "reset", "password", "end"])
    def test_what_changes_a_person_ends_their_sessions(self, office: Office, owner: Person, what: str) -> None:
        a_person(office, email="other@narrows.test")
        seat = at_a_browser(office, owner)
        with office.database.transaction() as session:
            person, occasion = service.require_person(session, owner.id), an_occasion(office.clock())
            match what:
                case "role":
                    service.change_role(session, person, Role.AUDITOR, occasion=occasion)
                case "disable":
                    service.disable(session, person, occasion=occasion)
                case "reset":
                    service.reset(session, person, occasion=occasion)
                case "password":
                    service.set_password(session, person, str(person.password_hash), occasion=occasion)
                case "end":
                    service.end_sessions(session, person, occasion=occasion)

        assert not is_in(seat)

    def test_changing_the_password_leaves_this_browser_signed_in_and_no_other(
        self, office: Office, owner: Person
    ) -> None:
        here, elsewhere = at_a_browser(office, owner), at_a_browser(office, owner)
        before = here.cookie
        new = {"password": "gravel violin orbit thursday", "again": "gravel violin orbit thursday"}
        assert here.submit("/account/password", {"current": "wrong", **new}, page="/account").status_code == 422
        done = here.submit("/account/password", {"current": PASSWORD, **new}, page="/account")

        assert done.status_code == 303
        assert here.cookie != before
        assert (is_in(here), is_in(elsewhere)) == (True, False)

    def test_the_other_browsers_can_be_signed_out(self, office: Office, owner: Person) -> None:
        here, elsewhere = at_a_browser(office, owner), at_a_browser(office, owner)
        here.submit("/account/sessions/end", {}, page="/account")

        assert (is_in(here), is_in(elsewhere)) == (True, False)


class TestForms:
    def test_a_form_of_another_site_is_refused(self, office: Office, owner: Person) -> None:
        seat = at_a_browser(office, owner)
        token = seat.token_of("/account")
        for headers in (
            {"Origin": "https://evil.test"},
            {"Origin": "null"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
        ):
            assert seat.post("/account/sessions/end", {"form_token": token}, **headers).status_code == 403
        own = {"Origin": "https://narrows.test", "Sec_Fetch_Site": "same-origin"}
        assert seat.post("/account/sessions/end", {"form_token": token}, **own).status_code == 303

    @pytest.mark.parametrize("token", ["", "0" * 64, "é"])
    def test_a_form_without_the_token_of_a_page_of_ours_is_refused(
        self, office: Office, owner: Person, token: str
    ) -> None:
        seat = at_a_browser(office, owner)
        for path in ("/sign-out", "/account/password", "/account/sessions/end", "/account/second-factor"):
            assert seat.post(path, {"form_token": token}).status_code == 403, path

    def test_the_token_of_another_browser_is_refused(self, office: Office, owner: Person) -> None:
        mine, theirs = at_a_browser(office, owner), at_a_browser(office, owner)
        answer = mine.post("/sign-out", {"form_token": theirs.token_of("/account")})

        assert answer.status_code == 403

    def test_nobody_is_signed_in_by_a_form_that_another_site_sends(self, owner: Person, seat: Seat) -> None:
        answer = seat.post("/sign-in", {"email": owner.email, "password": PASSWORD, "form_token": "0" * 64})

        assert answer.status_code == 403

    def test_a_session_alone_changes_nothing_by_the_api(self, office: Office, owner: Person) -> None:
        seat = at_a_browser(office, owner)
        order = b'{"name": "stolen", "scopes": ["invoices:read"]}'
        refused = seat.browser.post("/v1/api-keys", order, Content_Type="application/json")
        assert (refused.status_code, refused.json()["code"]) == (403, "form_refused")

        assert seat.send(office, "POST", "/v1/api-keys", order).status_code == 201

    def test_json_is_not_a_form(self, office: Office, owner: Person) -> None:
        seat = at_a_browser(office, owner)
        token = seat.token_of("/account")

        assert (
            seat.browser.post("/sign-out", f"form_token={token}".encode(), Content_Type="text/plain").status_code == 403
        )

    @pytest.mark.parametrize(
        "target", ["//evil.test", "https://evil.test", "/\\evil.test", "/a\\b", "javascript:x", "/\n"]
    )
    def test_after_signing_in_nobody_is_sent_to_another_site(self, target: str) -> None:
        assert own_path(target) == "/"
        assert own_path("/account") == "/account"


class TestPasswords:
    @pytest.mark.parametrize(
        ("password", "why"),
        [
            ("short", "at least 15"),
            ("passwordpassword", "easy to guess"),
            ("aaaaaaaaaaaaaaaaaaaa", "easy to guess"),
            ("123456789012345678", "easy to guess"),
            ("qwertyuiopasdfghjkl", "easy to guess"),
            ("owner@narrows.test", "easy to guess"),
            ("x" * 129, "at most 128"),
        ],
    )
    def test_what_is_easy_to_guess_is_refused(self, owner: Person, password: str, why: str) -> None:
        with pytest.raises(Invalid, match=why):
            service.check_new_password(owner, password)

    @pytest.mark.parametrize(
        "password",
        [
            PASSWORD,
            "ärgerlich über Bananenstauden",
            "パスワードは長いほうがいいですよ",
            "7 Reiher, 1 Mühle & kein Wind!",
        ],
    )
    def test_any_characters_will_do_and_none_are_asked_for(self, owner: Person, password: str) -> None:
        assert passwords.is_password(password, service.check_new_password(owner, password))

    def test_the_same_password_from_another_keyboard_is_the_same(self) -> None:
        assert passwords.is_password(
            "Zu\u0308rich am See im Winter", passwords.hash_password("Z\u00fcrich am See im Winter")
        )

    def test_a_password_is_not_to_be_read_in_the_database(self, owner: Person) -> None:
        assert str(owner.password_hash).startswith("$argon2id$")


class TestInvitations:
    def invite(self, office: Office, role: Role = Role.FINANCE) -> str:
        with office.database.transaction() as session:
            return service.invite(
                session, email="new@narrows.test", name="<b>New</b>", role=role, occasion=an_occasion(office.clock())
            )[1]

    def accept(self, seat: Seat, token: str, password: str = PASSWORD, again: str | None = None) -> httpx.Response:
        fields = {"token": token, "password": password, "again": password if again is None else again}
        return seat.submit("/invitation", fields, page=f"/invitation?token={token}")

    def test_a_link_works_once(self, office: Office, seat: Seat) -> None:
        token = self.invite(office)
        page = seat.get(f"/invitation?token={token}").text
        assert "&lt;b&gt;New&lt;/b&gt;" in page
        assert self.accept(seat, token, again="another").status_code == 422
        assert self.accept(seat, token, "short").status_code == 422
        assert self.accept(seat, token).headers["location"] == "/account/second-factor"

        assert seat.get(f"/invitation?token={token}").status_code == 410

    def test_a_link_ends_after_a_week(self, office: Office, seat: Seat, clock: Clock) -> None:
        token = self.invite(office)
        clock.advance(days=7)

        assert seat.get(f"/invitation?token={token}").status_code == 410

    def test_a_new_link_voids_the_one_before(self, office: Office, seat: Seat) -> None:
        token = self.invite(office)
        with office.database.transaction() as session:
            person = service.require_person(session, "new@narrows.test")
            service.reset(session, person, occasion=an_occasion(office.clock()))

        assert seat.get(f"/invitation?token={token}").status_code == 410

    def test_the_only_owner_stays(self, office: Office, owner: Person) -> None:
        with office.database.transaction() as session:
            person = service.require_person(session, owner.id)
            with pytest.raises(Invalid, match="only owner"):
                service.change_role(session, person, Role.AUDITOR, occasion=an_occasion())
            with pytest.raises(Invalid, match="only owner"):
                service.disable(session, person, occasion=an_occasion())


def guess(office: Office, email: str) -> httpx.Response:
    return Seat(create_app(office)).submit("/sign-in", {"email": email, "password": "not my password at all"})


def totp(secret: str, at: datetime) -> str:
    return pyotp.TOTP(secret).at(int(at.timestamp()))


def test_pages_are_not_kept_and_run_nothing(owner: Person, office: Office) -> None:
    seat = at_a_browser(office, owner)
    for path in ("/", "/account", "/sign-in", "/account/second-factor", "/nothing"):
        headers = seat.get(path).headers
        if path != "/sign-in":
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; "), path
            assert "unsafe" not in policy, path
        assert headers["cache-control"] == "no-store", path
