"""Single sign-on against a real issuer on a loopback port: who gets in, and which answers are not believed."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI
from joserfc.jwk import RSAKey
from narrows_server.access.roles import Role
from narrows_server.app import create_app
from narrows_server.errors import Invalid, SignInRefused
from narrows_server.office import Office
from narrows_server.people import service
from narrows_server.people.sso import SingleSignOn, require_secure
from narrows_server.people.sso_settings import SsoSettings
from narrows_server.settings import Settings

from .builders import Clock, an_occasion
from .issuer import CLIENT_ID, CLIENT_SECRET, Issuer, issuing, query_of
from .people import Seat, a_person

CALLBACK = "/sign-in/sso/callback"


@pytest.fixture
def issuer(clock: Clock) -> Iterator[Issuer]:
    with issuing(Issuer(clock)) as issuer:
        yield issuer


@pytest.fixture
def app(office: Office, issuer: Issuer) -> FastAPI:
    settings = SsoSettings(
        issuer=issuer.url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uri=f"https://narrows.test{CALLBACK}",
    )
    return create_app(office, single_sign_on=SingleSignOn(settings))


@pytest.fixture
def seat(app: FastAPI) -> Seat:
    return Seat(app)


def go_to_issuer(seat: Seat, target: str = "/account") -> str:
    """Begin, and come back from the issuer: the path with the answer."""
    begun = seat.get(f"/sign-in/sso?{urlencode({'next': target})}")
    assert begun.status_code == 303
    answered = httpx.get(begun.headers["location"])
    return answered.headers["location"].removeprefix("https://narrows.test")


def is_in(seat: Seat) -> bool:
    return seat.get("/account").status_code == 200


class TestGettingIn:
    def test_who_was_invited_comes_in_and_to_where_they_wanted(self, office: Office, seat: Seat) -> None:
        person = a_person(office, with_factor=False)
        assert "Sign in with your company" in seat.get("/sign-in").text
        done = seat.get(go_to_issuer(seat))
        assert (done.status_code, done.headers["location"]) == (303, "/account")
        with office.database.snapshot() as session:
            linked = service.require_person(session, person.id)
        assert (linked.sso_subject, linked.signed_in_at) == ("idp-anna", office.clock())

    def test_somebody_without_a_password_needs_no_second_factor_here(self, office: Office, seat: Seat) -> None:
        with office.database.transaction() as session:
            service.invite(session, email="owner@narrows.test", name="A", role=Role.OWNER, occasion=an_occasion())
        seat.get(go_to_issuer(seat))

        assert is_in(seat)

    def test_the_issuers_own_id_counts_once_it_is_known_and_not_the_address(
        self, office: Office, issuer: Issuer, app: FastAPI
    ) -> None:
        a_person(office)
        first = Seat(app)
        first.get(go_to_issuer(first))
        issuer.email = "married@elsewhere.test"
        again = Seat(app)
        assert again.get(go_to_issuer(again)).status_code == 303
        issuer.email, issuer.subject = "owner@narrows.test", "idp-somebody-else"
        thief = Seat(app)

        assert thief.get(go_to_issuer(thief)).status_code == 403

    def test_a_new_key_of_the_issuer_is_learnt(self, office: Office, issuer: Issuer, app: FastAPI) -> None:
        a_person(office)
        first = Seat(app)
        first.get(go_to_issuer(first))
        issuer.key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
        second = Seat(app)

        assert second.get(go_to_issuer(second)).status_code == 303

    def test_an_account_that_nobody_invited_or_that_is_disabled_stays_out(
        self, office: Office, issuer: Issuer, seat: Seat
    ) -> None:
        assert seat.get(go_to_issuer(seat)).status_code == 403
        person = a_person(office, Role.AUDITOR)
        issuer.email = person.email
        with office.database.transaction() as session:
            service.disable(session, service.require_person(session, person.id), occasion=an_occasion())
        assert seat.get(go_to_issuer(seat)).status_code == 403

    def test_an_address_that_the_issuer_has_not_verified_opens_no_account(
        self, office: Office, issuer: Issuer, seat: Seat
    ) -> None:
        a_person(office)
        issuer.email_verified = False

        assert seat.get(go_to_issuer(seat)).status_code == 403


LIES: dict[str, dict[str, object]] = {
    "another issuer": {"iss": "https://evil.test"},
    "for somebody else": {"aud": "another-client"},
    "for somebody else as well": {"aud": [CLIENT_ID, "another-client"]},
    "expired": {"exp": 1_700_000_000},
    "issued in the future": {"iat": 2_000_000_000},
    "not valid yet": {"nbf": 2_000_000_000},
    "another nonce": {"nonce": "of another request"},
    "no nonce": {"nonce": None},
    "no end": {"exp": None},
    "nobody": {"sub": None},
}


class TestWhatIsNotBelieved:
    @pytest.mark.parametrize("lie", LIES)
    def test_a_lie_opens_nothing(self, office: Office, issuer: Issuer, seat: Seat, lie: str) -> None:
        a_person(office)
        issuer.lies = dict(LIES[lie])
        answer = seat.get(go_to_issuer(seat))

        assert answer.status_code == 403
        assert not is_in(seat)

    def test_a_token_signed_by_another_key_opens_nothing(self, office: Office, issuer: Issuer, seat: Seat) -> None:
        a_person(office)
        issuer.signing_key = RSAKey.generate_key(2048)

        assert seat.get(go_to_issuer(seat)).status_code == 403

    @pytest.mark.parametrize("algorithm", ["none", "HS256"])
    def test_a_token_that_anybody_could_have_made_opens_nothing(
        self, office: Office, issuer: Issuer, seat: Seat, algorithm: str
    ) -> None:
        a_person(office)
        issuer.signs_with = algorithm

        assert seat.get(go_to_issuer(seat)).status_code == 403

    def test_an_answer_is_taken_once(self, office: Office, app: FastAPI, seat: Seat) -> None:
        a_person(office)
        path = go_to_issuer(seat)
        assert seat.get(path).status_code == 303

        again = seat.get(path)
        # Our own word, and not the issuer's, who refuses the code as well.
        assert (again.status_code, "was answered already" in again.text) == (403, True)

    def test_an_answer_that_was_begun_in_another_browser_is_not_taken_nor_is_it_afterwards(
        self, office: Office, app: FastAPI, seat: Seat
    ) -> None:
        a_person(office)
        victim = Seat(app)
        victim.get("/sign-in")
        path = go_to_issuer(seat)
        assert victim.get(path).status_code == 403
        assert not is_in(victim)

        assert seat.get(path).status_code == 403

    def test_a_state_that_nobody_asked_for_is_not_taken(self, office: Office, seat: Seat) -> None:
        a_person(office)
        path = go_to_issuer(seat)
        asked = query_of(path)

        assert seat.get(f"{CALLBACK}?{urlencode(asked | {'state': 'x'})}").status_code == 403
        assert seat.get(CALLBACK).status_code == 403

    def test_an_answer_that_comes_too_late_is_not_taken(self, office: Office, clock: Clock, seat: Seat) -> None:
        a_person(office)
        path = go_to_issuer(seat)
        clock.advance(minutes=10)

        assert seat.get(path).status_code == 403

    def test_a_code_of_another_request_fails_on_pkce(self, office: Office, app: FastAPI, seat: Seat) -> None:
        a_person(office)
        stolen = query_of(go_to_issuer(Seat(app)))["code"]
        own = query_of(go_to_issuer(seat))

        assert seat.get(f"{CALLBACK}?{urlencode(own | {'code': stolen})}").status_code == 403

    def test_an_answer_of_another_issuer_is_told_apart(self, office: Office, seat: Seat) -> None:
        a_person(office)

        assert seat.get(go_to_issuer(seat) + "&iss=https%3A%2F%2Fevil.test").status_code == 403

    def test_an_issuer_that_calls_itself_something_else_is_not_asked(self, issuer: Issuer, seat: Seat) -> None:
        issuer.discovery_lies = {"issuer": "https://evil.test"}

        assert seat.get("/sign-in/sso").status_code == 403

    @pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
    def test_an_endpoint_without_tls_is_not_asked(self, issuer: Issuer, seat: Seat, endpoint: str) -> None:
        issuer.discovery_lies = {endpoint: "http://issuer.test/x"}

        assert seat.get("/sign-in/sso").status_code == 403

    def test_after_signing_in_nobody_is_sent_to_another_site(self, office: Office, seat: Seat) -> None:
        a_person(office)

        assert seat.get(go_to_issuer(seat, "//evil.test/")).headers["location"] == "/"


def test_without_a_setting_there_is_no_single_sign_on(office: Office) -> None:
    seat = Seat(create_app(office))

    assert "company" not in seat.get("/sign-in").text
    assert seat.get("/sign-in/sso").status_code == 403


def test_half_a_setting_is_refused(tmp_path: object) -> None:
    settings = Settings.read({"NARROWS_SERVER_HOME": str(tmp_path), "NARROWS_SERVER_OIDC_ISSUER": "https://idp.test"})
    with pytest.raises(Invalid, match="NARROWS_SERVER_OIDC_CLIENT_ID"):
        settings.single_sign_on()


def test_only_this_machine_goes_without_tls() -> None:
    require_secure("http://127.0.0.1:1/", "x")
    with pytest.raises(SignInRefused):
        require_secure("http://127.0.0.1.evil.test/", "x")
