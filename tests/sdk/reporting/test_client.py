"""The calls to the server end in time, whatever comes back, and say what it was."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from narrows.errors import ReportRejected, UsageError
from narrows.reporting.client import ANSWER_BYTES_MAX, CallOverdue, MeteringClient
from narrows.reporting.deadline import Deadline, DeadlinePassed
from narrows.settings import Settings

SOON = 0.2  # Seconds, in place of the three that a call may take.


@contextmanager
def a_server(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A listener on loopback that does *behave* with each connection, until it raises OSError; its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    behave(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def silent(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def trickling(start: bytes) -> Callable[[socket.socket], None]:
    """Sends *start* and then a byte at a time, each well within every timeout."""

    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(start)
        pause = threading.Event()
        while not pause.wait(SOON / 10):
            connection.sendall(b"x")

    return behave


class TestDeadline:
    @pytest.mark.parametrize(
        "behave",
        [
            silent,
            trickling(b"HTTP/1.1 200 OK\r\nX-Long: "),
            trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
        ],
        ids=["says nothing", "trickles its header", "trickles its answer"],
    )
    def test_a_call_is_over_in_time_though_each_wait_is_short(self, behave: Callable[[socket.socket], None]) -> None:
        with a_server(behave) as url, MeteringClient(url, timeout_seconds=SOON) as client:
            for _ in range(2):  # And the next one is not held up by it.
                started = time.monotonic()
                with pytest.raises(CallOverdue, match="Nothing is lost"):
                    client.send_report(b"report", "signature")
                assert time.monotonic() - started < 10 * SOON
                # The connection is cut, so the thread that waited for it ends too, though the server goes on.
                for thread in threading.enumerate():
                    if thread.name == "narrows-call":
                        thread.join(10)
                        assert not thread.is_alive()

    def test_where_nobody_listens_a_smaller_call_would_not_do(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with MeteringClient(f"http://127.0.0.1:{port}") as client, pytest.raises(UsageError) as raised:
            client.send_report(b"report", "signature")
        assert type(raised.value) is UsageError

    def test_a_call_that_cannot_be_ended_leaves_one_thread_and_no_more(self) -> None:
        hangs = threading.Event()
        deadline = Deadline(0.01, abandon=lambda: None)
        before = threading.active_count()
        for _ in range(3):
            with pytest.raises(DeadlinePassed):
                deadline.call(hangs.wait)
        assert threading.active_count() == before + 1

        hangs.set()
        while threading.active_count() > before:
            pass
        assert deadline.call(lambda: 7) == 7

    def test_what_a_call_raises_is_raised_where_it_is_waited_for(self) -> None:
        def fails() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            Deadline(10, abandon=lambda: None).call(fails)


def answering(answer: httpx.Response) -> MeteringClient:
    return MeteringClient("http://narrows.test", transport=httpx.MockTransport(lambda _: answer))


class TestAnswers:
    @pytest.mark.parametrize(
        ("headers", "asked"),
        [
            ({"Retry-After": "30"}, timedelta(seconds=30)),
            ({"Retry-After": "999999"}, timedelta(hours=1)),
            # The difference between two times of the server: our own clock plays no part.
            (
                {"Retry-After": "Mon, 01 Jan 2001 00:01:00 GMT", "Date": "Mon, 01 Jan 2001 00:00:00 GMT"},
                timedelta(minutes=1),
            ),
            ({}, None),
        ],
    )
    def test_a_refusal_says_how_long_to_wait(self, headers: dict[str, str], asked: timedelta | None) -> None:
        with answering(httpx.Response(503, headers=headers)) as client, pytest.raises(ReportRejected) as refused:
            client.send_report(b"", "")
        assert (refused.value.retry_after, refused.value.code) == (asked, "503")

    def test_a_problem_document_is_read(self) -> None:
        problem = {"code": "gap", "detail": "send from 3", "request_id": "req_1", "expected_seq": 3, "seq": "x"}
        with answering(httpx.Response(409, json=problem)) as client, pytest.raises(ReportRejected) as refused:
            client.send_report(b"", "")
        assert (refused.value.code, refused.value.expected_seq, refused.value.seq) == ("gap", 3, None)
        assert str(refused.value) == "req_1: send from 3 [gap]"

    @pytest.mark.parametrize(
        "content", [b"", b"<html>", b"[]", b'{"receipt": 7}', b"[" * 100_000, b" " * (ANSWER_BYTES_MAX + 1)]
    )
    def test_an_answer_that_is_no_receipt_is_an_error_of_ours(self, content: bytes) -> None:
        with answering(httpx.Response(200, content=content)) as client, pytest.raises(UsageError):
            client.send_report(b"", "")

    @pytest.mark.parametrize("path", ["no list", [7], ["zz"], None])
    def test_an_answer_that_is_no_proof_is_an_error_of_ours(self, path: object) -> None:
        with answering(httpx.Response(200, json={"path": path})) as client, pytest.raises(UsageError, match="proof"):
            client.get_consistency(1, 2)


class TestTheWay:
    def test_reports_go_through_the_proxy_that_is_named(self) -> None:
        seen = list[bytes]()

        def proxy(connection: socket.socket) -> None:
            seen.append(connection.recv(65_536).split(b"\r\n")[0])
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"receipt":"r"}')

        with a_server(proxy) as url, MeteringClient("http://vendor.test", proxy=url) as client:
            assert client.send_report(b"", "") == "r"
        assert seen == [b"POST http://vendor.test/v1/reports HTTP/1.1"]

    def test_the_environments_proxy_is_used_where_none_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def proxy(connection: socket.socket) -> None:
            connection.recv(65_536)
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"receipt":"p"}')

        with a_server(proxy) as url:
            monkeypatch.setenv("HTTP_PROXY", url)
            with MeteringClient("http://vendor.test") as client:
                assert client.send_report(b"", "") == "p"

    def test_a_bundle_of_authorities_that_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"NARROWS_CA_BUNDLE \(.*none\.pem\)"):
            MeteringClient("https://vendor.test", ca_bundle=tmp_path / "none.pem")

    def test_the_named_bundle_is_what_a_server_is_checked_against(self, authority: tuple[Path, Path]) -> None:
        certificate, key = authority
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        def answer(connection: socket.socket) -> None:
            with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(65_536)
                secured.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"receipt":"s"}')

        with a_server(answer) as url:
            secure = url.replace("http:", "https:")
            with MeteringClient(secure, ca_bundle=certificate) as client:
                assert client.send_report(b"", "") == "s"
            with MeteringClient(secure) as stranger, pytest.raises(UsageError, match="CERTIFICATE_VERIFY_FAILED"):
                stranger.send_report(b"", "")

    def test_the_settings_are_the_readers_of_the_variables(self) -> None:
        read = Settings.read(
            {"NARROWS_PROXY": "http://p:1", "NARROWS_CA_BUNDLE": "/ca.pem", "NARROWS_REPORTING": "manual"}
        )
        assert (read.proxy, read.ca_bundle, read.reports_in_background) == ("http://p:1", Path("/ca.pem"), False)
        plain = Settings.read({})
        assert (plain.proxy, plain.ca_bundle, plain.reports_in_background) == (None, None, True)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    import ipaddress
    from datetime import UTC, datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("authority")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "ca.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, secret
