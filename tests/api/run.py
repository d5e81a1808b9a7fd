"""
schemathesis against a real server with real data: `make api`.

Sends every operation what its description permits and what it does not, and checks each answer against the description.
Exits with 1 if an answer is not as described, or a server fails.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from narrows_server.access.roles import Role
from narrows_server.alerts import service as alerts
from narrows_server.app import create_app
from narrows_server.office import Office, initialise, open_office
from narrows_server.settings import Settings

from ..server.api import a_program
from ..server.builders import VENDOR, Browser, a_contract, a_license, a_site, send, some_usage
from ..server.people import a_person, at_a_browser

HERE = Path(__file__).parent
# A person sends these, with the token of a form; they are walked by the tests of permissions.
ROLES = {"owner": (Role.OWNER, None), "customer": (Role.CUSTOMER, "kanal")}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make api", description="Send the API what it expects and what it does not.")
    parser.add_argument("--examples", type=int, default=50, help="for each operation and phase [%(default)s]")
    parser.add_argument("--phases", default="examples,coverage,fuzzing", help="of schemathesis [%(default)s]")
    parser.add_argument("--seed", type=int, help="repeats a run")
    parser.add_argument("--role", choices=ROLES, default="owner", help="whose API key is used [%(default)s]")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="narrows-api-") as folder, an_office(Path(folder)) as office:
        fill(office, Path(folder))
        role, customer_id = ROLES[options.role]
        key = a_program(office, role, customer_id=customer_id).key
        with serving(office) as url:
            return ask(url, key, examples=options.examples, phases=options.phases, seed=options.seed)


def ask(url: str, key: str, *, examples: int, phases: str, seed: int | None = None) -> int:
    """Run schemathesis; its exit code."""
    command = [
        str(Path(sysconfig.get_path("scripts")) / "schemathesis"),
        f"--config-file={HERE / 'schemathesis.toml'}",
        "run",
        f"{url}/v1/openapi.json",
        f"--header=Authorization: Bearer {key}",
        f"--max-examples={examples}",
        f"--phases={phases}",
        "--checks=all",
        "--mode=all",
        "--suppress-health-check=all",
        "--warnings=off",
        "--no-color",
        *([f"--seed={seed}"] if seed is not None else []),
    ]
    # Its notes lie in the folder that it runs in, and its telemetry, if any, goes nowhere.
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": ""}
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


@contextmanager
def an_office(folder: Path) -> Iterator[Office]:
    """A fresh state folder, opened; the clock is the real one."""
    settings = Settings.read({}, home=folder / "home")
    initialise(settings, VENDOR)
    with open_office(settings, clock=lambda: datetime.now(UTC)) as office:
        yield office


def fill(office: Office, folder: Path) -> None:
    """One of everything: a list that is empty is never described wrongly."""
    a_contract(office)
    a_license(office, days=20)
    site = a_site(office, folder / "site")
    site.record(*some_usage(), at=office.clock())
    assert send(Browser(create_app(office)), site.report()).status_code == 200
    with office.database.transaction() as session:
        alerts.check(session, at=office.clock())
    owner = a_program(office)
    webhook = owner.post("/v1/webhooks", {"url": "https://hooks.example.com/"}).json()
    owner.post(f"/v1/webhooks/{webhook['id']}/test")
    owner.post(f"/v1/webhooks/{webhook['id']}/disable")  # Nothing leaves this machine.
    assert at_a_browser(office, a_person(office)).get("/account").status_code == 200


@contextmanager
def serving(office: Office) -> Iterator[str]:
    """The application on a loopback port; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(create_app(office), log_level="critical", ws="none", access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


if __name__ == "__main__":
    sys.exit(main())
