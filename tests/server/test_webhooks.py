"""Webhooks: written with the change, sent until they arrive, signed, and never to where they must not go."""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from narrows_server import audit
from narrows_server.access.roles import Role
from narrows_server.errors import Invalid
from narrows_server.licenses import service as licenses
from narrows_server.office import Office
from narrows_server.webhooks import service
from narrows_server.webhooks.addresses import check_url, is_public
from narrows_server.webhooks.deliveries import CLAIM, Courier, deliver_due
from narrows_server.webhooks.models import Delivery, Webhook
from narrows_server.webhooks.schedule import ATTEMPTS_MAX, DELAYS, JITTER, next_attempt
from narrows_server.webhooks.sender import Answered, Letter, Sender
from sqlalchemy import select
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from .api import a_program
from .builders import NOW, Clock, FailingAfter, PowerCut, a_contract, a_license, an_occasion

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "not an address",
]


@dataclass
class Receiver:
    """A receiver on a loopback port: answers as it is told, and keeps what came."""

    url: str = ""
    answers: list[int] = field(default_factory=list)  # The last one stays.
    headers: dict[str, str] = field(default_factory=dict)
    came: list[tuple[dict[str, str], str]] = field(default_factory=list)
    drips: bool = False


@contextmanager
def receiving(receiver: Receiver, *, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            receiver.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status = receiver.answers.pop(0) if len(receiver.answers) > 1 else [*receiver.answers, 204][0]
            with suppress(OSError):
                if receiver.drips:
                    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        time.sleep(0.05)
                    return
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()

        do_GET = do_POST  # noqa: N815 - the name that the standard library calls

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    receiver.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}/hook"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(Receiver()) as receiver:
        yield receiver


class Post:
    """A sender that answers what it is told."""

    def __init__(self, answer: Answered) -> None:
        self.answer = answer
        self.letters: list[Letter] = []

    def __call__(self, letter: Letter, *, at: datetime) -> Answered:
        self.letters.append(letter)
        return self.answer


def a_webhook(
    office: Office, url: str = "https://hooks.test/", *, types: Sequence[str] = ("*",), customer_id: str | None = None
) -> tuple[str, str]:
    """A webhook: its id and its secret."""
    with office.database.transaction() as session:
        webhook, secret = service.add(
            session,
            url,
            types=types,
            customer_id=customer_id,
            console_secret=office.keyring.console_secret,
            is_development=url.startswith("http:") or "127.0.0.1" in url,
            occasion=an_occasion(office.clock()),
        )
    return webhook.id, secret


def something_happens(office: Office, *, customer_id: str = "kanal") -> None:
    """An event of the type license.issued."""
    a_license(office, customer_id=customer_id, contract_id=f"{customer_id}-1")


def deliver(office: Office, send: object, *, clock: object = None) -> int:
    courier = Courier(
        database=office.database,
        send=send,  # type: ignore[arg-type]
        console_secret=office.keyring.console_secret,
        clock=clock or office.clock,  # type: ignore[arg-type]
        chance=lambda: 0.5,
    )
    return deliver_due(courier)


def deliveries(office: Office) -> list[Delivery]:
    with office.database.snapshot() as session:
        return list(session.scalars(select(Delivery).order_by(Delivery.created_at, Delivery.id)))


GOOD, BAD = Post(Answered(status=204)), Post(Answered(status=500))


class TestTheOutbox:
    def test_an_event_is_written_with_the_change(self, office: Office) -> None:
        a_contract(office)
        a_webhook(office)
        something_happens(office)
        (delivery,) = deliveries(office)

        assert delivery.event.type == "license.issued"
        assert json.loads(delivery.event.body)["data"]["customer_id"] == "kanal"
        assert delivery.state == "pending"

    @pytest.mark.parametrize("statements", [2, 4, 6, 8, 10, 12, 14])
    def test_there_is_never_one_without_the_other(self, office: Office, statements: int) -> None:
        a_contract(office)
        a_webhook(office)
        with FailingAfter(office.database, statements), suppress(PowerCut):
            something_happens(office)
        with office.database.snapshot() as session:
            issued = [row for row in audit.trail(session) if row.action == "license.issued"]

        assert len(deliveries(office)) == len(issued)

    def test_a_webhook_gets_the_types_that_it_wants(self, office: Office) -> None:
        a_contract(office)
        a_webhook(office, types=["license.revoked"])
        something_happens(office)

        assert deliveries(office) == []

    def test_a_customer_gets_its_own_events_and_no_other(self, office: Office) -> None:
        a_contract(office)
        a_contract(office, customer_id="other", contract_id="other-1")
        webhook_id, _ = a_webhook(office, customer_id="kanal")
        something_happens(office, customer_id="other")
        assert deliveries(office) == []
        license_id, _ = a_license(office)
        with office.database.transaction() as session:
            licenses.revoke(session, license_id, keyring=office.keyring, occasion=an_occasion())

        assert sorted((delivery.webhook_id, delivery.event.type) for delivery in deliveries(office)) == [
            (webhook_id, "license.issued"),
            (webhook_id, "license.revoked"),
        ]


class TestDelivering:
    def test_a_receiver_can_verify_what_it_gets(self, office: Office, receiver: Receiver) -> None:
        a_contract(office)
        _, secret = a_webhook(office, receiver.url)
        something_happens(office)
        assert deliver(office, Sender(is_development=True), clock=lambda: datetime.now(UTC)) == 1

        ((headers, body),) = receiver.came
        told = Verifier(secret).verify(body, headers)
        assert told["type"] == "license.issued"
        assert headers["webhook-id"] == deliveries(office)[0].event_id
        with pytest.raises(WebhookVerificationError):
            Verifier(secret).verify(body.replace("kanal", "other"), headers)
        assert deliveries(office)[0].state == "delivered"
        assert deliver(office, Sender(is_development=True)) == 0

    def test_it_is_tried_ten_times_over_more_than_a_day_with_the_same_id_and_bytes(
        self, office: Office, clock: Clock
    ) -> None:
        a_contract(office)
        a_webhook(office)
        something_happens(office)
        began, post = clock.at, Post(Answered(status=503))
        while (due := deliveries(office)[0].next_at) is not None:
            clock.at = due
            assert deliver(office, post) == 1
        (delivery,) = deliveries(office)

        assert len(post.letters) == delivery.attempts == ATTEMPTS_MAX == 10
        assert len({(letter.event_id, letter.body) for letter in post.letters}) == 1
        assert clock.at - began > timedelta(hours=24)
        assert (delivery.state, delivery.last_status) == ("failed", 503)

    @given(st.integers(1, ATTEMPTS_MAX + 2), st.floats(0, 1))
    def test_the_jitter_stays_within_its_bounds(self, attempts: int, chance: float) -> None:
        due = next_attempt(attempts, at=NOW, chance=chance)
        if attempts >= ATTEMPTS_MAX:
            assert due is None
            return
        assert due is not None
        delay = DELAYS[attempts - 1]
        assert delay * (1 - JITTER) <= due - NOW <= delay * (1 + JITTER)

    def test_the_shortest_schedule_is_longer_than_a_day(self) -> None:
        assert sum(DELAYS, timedelta(0)) * (1 - JITTER) > timedelta(hours=24)

    def test_what_failed_can_be_sent_again_by_hand(self, office: Office, clock: Clock) -> None:
        a_contract(office)
        a_webhook(office)
        something_happens(office)
        while (due := deliveries(office)[0].next_at) is not None:
            clock.at = due
            deliver(office, BAD)
        (delivery,) = deliveries(office)
        replayed = a_program(office).post(f"/v1/deliveries/{delivery.id}/replay").json()
        assert (replayed["state"], replayed["attempts"]) == ("pending", 0)
        post = Post(Answered(status=200))
        deliver(office, post)

        assert post.letters[0].event_id == delivery.event_id
        assert deliveries(office)[0].state == "delivered"

    def test_a_process_that_died_while_sending_has_it_sent_again(self, office: Office, clock: Clock) -> None:
        a_contract(office)
        a_webhook(office)
        something_happens(office)

        class Died(Exception):
            pass

        def die(letter: Letter, *, at: datetime) -> Answered:
            raise Died

        with pytest.raises(Died):
            deliver(office, die)
        assert deliver(office, GOOD) == 0
        clock.at += CLAIM

        assert deliver(office, GOOD) == 1
        assert deliveries(office)[0].attempts == 2

    def test_with_two_secrets_both_verify_and_after_a_day_only_the_new_one(
        self, office: Office, receiver: Receiver
    ) -> None:
        a_contract(office)
        webhook_id, old = a_webhook(office, receiver.url)
        now = datetime.now(UTC)
        with office.database.transaction() as session:
            webhook = service.require_webhook(session, webhook_id)
            new = service.rotate_secret(
                session, webhook, console_secret=office.keyring.console_secret, occasion=an_occasion(now)
            )
        something_happens(office)
        deliver(office, Sender(is_development=True), clock=lambda: now)
        headers, body = receiver.came[0]
        for secret in (old, new):
            Verifier(secret).verify(body, headers)
        with office.database.snapshot() as session:
            webhook = service.require_webhook(session, webhook_id)
            later = service.secrets_of(
                webhook, console_secret=office.keyring.console_secret, at=now + timedelta(days=1)
            )
        assert later == [new]

    def test_a_webhook_that_fails_for_five_days_is_disabled_and_goes_on_when_enabled(
        self, office: Office, clock: Clock
    ) -> None:
        a_contract(office)
        webhook_id, _ = a_webhook(office)
        for _ in range(6):
            something_happens(office)
            deliver(office, BAD)
            clock.advance(days=1)
        owner = a_program(office)
        shown = owner.get(f"/v1/webhooks/{webhook_id}").json()
        assert shown["disabled_because"] == "nothing arrived for 5 days"
        assert deliver(office, GOOD) == 0
        assert owner.post(f"/v1/webhooks/{webhook_id}/test").status_code == 422
        owner.post(f"/v1/webhooks/{webhook_id}/enable")

        assert deliver(office, GOOD) > 0
        assert owner.post(f"/v1/webhooks/{webhook_id}/test").json()["type"] == "webhook.tested"

    def test_one_success_starts_the_count_of_days_anew(self, office: Office, clock: Clock) -> None:
        a_contract(office)
        webhook_id, _ = a_webhook(office)
        for day in range(8):
            something_happens(office)
            deliver(office, GOOD if day == 4 else BAD)
            clock.advance(days=1)

        assert a_program(office).get(f"/v1/webhooks/{webhook_id}").json()["disabled_at"] is None

    def test_a_receiver_that_says_gone_is_disabled_at_once(self, office: Office) -> None:
        a_contract(office)
        webhook_id, _ = a_webhook(office)
        something_happens(office)
        deliver(office, Post(Answered(status=410)))

        assert "410" in a_program(office).get(f"/v1/webhooks/{webhook_id}").json()["disabled_because"]

    def test_the_secret_is_not_to_be_read_in_the_database(self, office: Office) -> None:
        _, secret = a_webhook(office)
        with office.database.snapshot() as session:
            (row,) = session.scalars(select(Webhook))

        assert secret.removeprefix("whsec_") not in str(vars(row))

    def test_a_removed_webhook_takes_its_deliveries_along(self, office: Office) -> None:
        a_contract(office)
        webhook_id, _ = a_webhook(office)
        something_happens(office)
        assert a_program(office).send("DELETE", f"/v1/webhooks/{webhook_id}").status_code == 204

        assert deliveries(office) == []


def attempt(sender: Sender, url: str) -> Answered:
    letter = Letter(url=url, event_id="evt_1", body="{}", secrets=["whsec_c2VjcmV0"])
    return sender(letter, at=NOW)


class TestWhereTheyMustNotGo:
    @pytest.mark.parametrize("address", PRIVATE)
    def test_a_name_that_leads_to_a_private_address_is_not_connected_to(self, address: str) -> None:
        answered = attempt(Sender(resolve=lambda host, port: [address]), "https://hooks.test/")

        assert (answered.status, answered.error) == (None, "the address is not public")

    def test_nor_one_that_leads_to_a_public_and_a_private_one(self) -> None:
        sender = Sender(resolve=lambda host, port: ["93.184.215.14", "127.0.0.1"])

        assert attempt(sender, "https://hooks.test/").error == "the address is not public"

    def test_the_connection_goes_to_the_very_address_that_was_checked(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name is asked for once: what it would say the second time does not matter."""
        answers = iter(["93.184.215.14", "127.0.0.1"])
        asked: list[str] = []
        connected: list[object] = []

        def resolve(host: str, port: int) -> list[str]:
            asked.append(host)
            return [next(answers)]

        def connect(address: object, *arguments: object, **named: object) -> socket.socket:
            connected.append(address)
            raise ConnectionRefusedError

        monkeypatch.setattr(socket, "create_connection", connect)
        attempt(Sender(resolve=resolve), f"https://hooks.test:{receiver.url.split(':')[2].split('/')[0]}/")

        assert asked == ["hooks.test"]
        assert [address[0] for address in connected] == ["93.184.215.14"]  # type: ignore[index]
        assert receiver.came == []

    def test_a_redirect_is_an_answer_and_is_not_followed(self, receiver: Receiver) -> None:
        receiver.answers, receiver.headers = [302], {"Location": receiver.url.replace("/hook", "/inside")}
        answered = attempt(Sender(is_development=True), receiver.url)

        assert (answered.status, answered.is_delivered) == (302, False)
        assert len(receiver.came) == 1

    @pytest.mark.parametrize(
        "url",
        [
            "http://hooks.test/",
            "ftp://hooks.test/",
            "file:///etc/passwd",
            "gopher://hooks.test/",
            "//hooks.test/",
            "https://",
            "https://user:secret@hooks.test/",
            "https://hooks.test/#fragment",
            "https://hooks.test:22/",
            "https://hooks.test:99999/",
            "https://hooks.test/\r\nX-Injected: 1",
            "https://hooks.test/ x",
            "https://hooks.test\\@evil.test/",
            "https://localhost/",
            "https://db.internal/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://169.254.169.254/latest/meta-data/",
            "https://höoks.test/",
            "https://hooks.test/" + "x" * 500,
        ],
    )
    def test_what_can_be_seen_from_the_url_is_refused_when_it_is_added(self, office: Office, url: str) -> None:
        with pytest.raises(Invalid):
            check_url(url)
        assert a_program(office).post("/v1/webhooks", {"url": url}).status_code == 422

    @pytest.mark.parametrize("url", ["https://2130706433/", "https://0x7f.1/", "https://0177.0.0.1/"])
    def test_an_address_in_disguise_is_refused_when_it_is_connected_to(self, url: str) -> None:
        assert attempt(Sender(), url).status is None

    @given(st.ip_addresses(v=4))
    def test_no_disguise_of_a_private_address_in_an_ipv6_address_is_public(self, inner: ipaddress.IPv4Address) -> None:
        number = int(inner)
        for prefix in ("::ffff:0:0", "64:ff9b::", "::"):
            disguised = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + number)
            assert not is_public(disguised) or is_public(inner)
        assert is_public(ipaddress.IPv6Address((0x2002 << 112) + (number << 80))) <= is_public(inner)

    def test_a_receiver_that_drips_does_not_hold_a_worker(self, receiver: Receiver) -> None:
        receiver.drips = True
        began = time.monotonic()
        answered = attempt(Sender(is_development=True, seconds_max=0.5), receiver.url)

        assert answered.error == "no answer in time"
        assert time.monotonic() - began < 3

    def test_nobody_listening_is_an_answer_like_any_other(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        answered = attempt(Sender(is_development=True), f"http://127.0.0.1:{port}/")

        assert str(answered.error).startswith("no connection")

    def test_the_certificate_is_checked_against_the_name_and_not_the_address(self, tmp_path: Path) -> None:
        trusting, serving = a_certificate("hooks.test", tmp_path)
        with receiving(Receiver(), context=serving) as receiver:
            port = receiver.url.split(":")[2].split("/")[0]
            sender = Sender(is_development=True, resolve=lambda host, port: ["127.0.0.1"], ssl_context=trusting)

            assert attempt(sender, f"https://hooks.test:{port}/hook").is_delivered
            assert attempt(sender, f"https://other.test:{port}/hook").status is None
            assert attempt(Sender(is_development=True), receiver.url).status is None


class TestTheApi:
    def test_from_adding_to_removing(self, office: Office) -> None:
        owner = a_program(office)
        added = owner.post("/v1/webhooks", {"url": "https://hooks.test/", "types": ["alert.opened"]})
        assert added.status_code == 201
        assert added.json()["secret"].startswith("whsec_")
        path = f"/v1/webhooks/{added.json()['id']}"
        assert "secret" not in owner.get(path).json()
        assert owner.post(f"{path}/rotate-secret").json()["secret"] != added.json()["secret"]
        assert owner.post(f"{path}/disable").json()["disabled_because"] == "by hand"
        assert owner.post(f"{path}/enable").json()["disabled_at"] is None
        owner.post(f"{path}/test")
        assert [row["type"] for row in owner.items(f"{path}/deliveries")] == ["webhook.tested"]
        assert owner.post("/v1/webhooks", {"url": "https://hooks.test/", "types": ["nonsense"]}).status_code == 422

    def test_a_customer_has_webhooks_of_its_own(self, office: Office) -> None:
        a_contract(office)
        customer = a_program(office, Role.CUSTOMER, customer_id="kanal")
        a_webhook(office)
        added = customer.post("/v1/webhooks", {"url": "https://hooks.test/"}).json()

        assert added["customer_id"] == "kanal"
        assert [row["id"] for row in customer.items("/v1/webhooks")] == [added["id"]]


def a_certificate(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A certificate of its own for *name*: what trusts it, and what shows it."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "chain.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + pem
    )
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "chain.pem")
    return ssl.create_default_context(cadata=pem.decode()), serving
