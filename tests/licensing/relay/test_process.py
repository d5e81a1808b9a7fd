"""`narrows-relay serve` as a process of its own: it is killed, it speaks TLS, and it needs little to run."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from narrows_licensing.lease import Lease, read_lease
from narrows_licensing.lease_request import LEASES_PATH
from narrows_licensing.relay.home import RelayHome
from narrows_licensing.relay.store import Store

from .sites import VENDOR, Pod, a_floating_license, a_response

TIMEOUT_SECONDS = 60


@pytest.fixture
def home(tmp_path: Path) -> RelayHome:
    """A relay with one seat, certified today."""
    home = RelayHome.at(tmp_path / "relay")
    now = datetime.now(UTC)
    response = a_response(home, seats=1, issued_at=now, expires_at=now + timedelta(days=1))
    home.take_in(response, roots=VENDOR.roots.to_json(), at=now)
    return home


@contextmanager
def running(home: RelayHome, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A relay process, and the port that it has found."""
    command = ("-c", "import sys; from narrows_licensing.relay.cli import main; sys.exit(main(sys.argv[1:]))")
    process = subprocess.Popen(
        [sys.executable, *command, "--home", str(home.folder), "serve", "--port", "0", *options], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())["port"]
    finally:
        process.terminate()
        process.communicate(timeout=TIMEOUT_SECONDS)


def ask(connection: HTTPConnection, pod: Pod) -> Lease | int:
    now = datetime.now(UTC)
    connection.request("POST", LEASES_PATH, pod.request(now).encode())
    response = connection.getresponse()
    document = response.read().decode()
    connection.close()
    return read_lease(document, VENDOR.bundle(), None, at=now) if response.status == 200 else response.status


def a_pod() -> Pod:
    now = datetime.now(UTC)
    return Pod(license=a_floating_license(1, issued_at=now, not_before=now, expires_at=now + timedelta(days=9)))


def test_a_relay_that_is_killed_and_started_again_knows_who_sits(home: RelayHome) -> None:
    pod = a_pod()
    with running(home) as (process, port):
        first = ask(HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS), pod)
        process.kill()
        process.wait()
    with running(home) as (process, port):
        assert ask(HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS), a_pod()) == 409
        again = ask(HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS), pod)
        process.terminate()
        assert process.wait(timeout=TIMEOUT_SECONDS) == 0

    assert isinstance(first, Lease)
    assert isinstance(again, Lease)
    assert again.lease_id == first.lease_id


def test_a_relay_speaks_tls_and_a_silent_caller_keeps_nobody_waiting(home: RelayHome, tmp_path: Path) -> None:
    certificate, key = a_certificate(tmp_path)
    with (
        running(home, "--tls-certificate", str(certificate), "--tls-key", str(key)) as (_, port),
        socket.create_connection(("127.0.0.1", port)),
    ):
        context = ssl.create_default_context(cafile=str(certificate))
        connection = HTTPSConnection("127.0.0.1", port, context=context, timeout=TIMEOUT_SECONDS)
        assert isinstance(ask(connection, a_pod()), Lease)


def test_a_relay_runs_on_the_standard_library_and_the_verifier() -> None:
    program = (
        "import sys, narrows_licensing.relay.cli\n"
        "heavy = {'httpx', 'sqlalchemy', 'fastapi', 'pydantic', 'typer', 'rich', 'numpy', 'narrows', 'joserfc'}\n"
        "print(sorted(heavy & {name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_two_processes_may_use_one_folder_at_once(home: RelayHome) -> None:
    with running(home) as (_, port):
        store = Store(home.database)
        assert store.keep_report(b"report", "a..b", at=datetime.now(UTC)) is None
        assert isinstance(ask(HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS), a_pod()), Lease)
        assert store.count_seats(expires_after=datetime.now(UTC)) == 1
        store.close()


def a_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "relay")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
    paths = folder / "relay.pem", folder / "relay.key.pem"
    paths[0].write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths
