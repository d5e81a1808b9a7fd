"""
Where a page is read: a vendor with a server, a customer with a license, a month that was invoiced, and the files of
which pages speak. Made once; each page gets a copy.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from narrows.cli.app import app as narrows
from narrows_metering.endorsement import Signer, check_endorsements
from narrows_server.cli import app as narrows_server
from narrows_server.office import open_office
from narrows_server.settings import Settings as ServerSettings
from typer.testing import CliRunner

from ..sdk.builders import a_clip
from ..sdk.vendor import serving
from .blocks import Step, script

VAT_ID = "DE136695976"
SECONDS_MAX = 1_200
"""No page takes longer; one whose command waits for ever is at fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """*folder* is where the reader stands; the server listens on *port* while a page is read."""

    folder: Path
    port: int
    month: str  # The one that was invoiced, which is not over.
    month_before: str
    license_id: str
    installation_id: str
    signed_by: str

    def environment(self) -> dict[str, str]:
        """What the reader has exported."""
        return environment_of(self.folder)

    def copied_to(self, folder: Path) -> World:
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)

    def as_here(self, step: Step) -> Step:
        """*step* with the names that this world has for what pages call so."""
        command = step.command
        names = {
            "2026-11": self.month,
            "INV-2026-": f"INV-{self.month[:4]}-",
            "lic_…": self.license_id,
            "con_…": "acme-1",
            "--signed-by KEY": f"--signed-by {self.signed_by}",
            "receipts/ID": f"receipts/{self.installation_id}",
            "/srv/": f"{self.folder}/srv/",
            "/media/": f"{self.folder}/media/",
            "--root … --root …": " ".join(f"--root {self.folder}/vendor/keys/root/root-{n}.pem" for n in (1, 2)),
        }
        for name, here in names.items():
            command = command.replace(name, here)
        return replace(step, command=command)

    def follow(self, steps: Sequence[Step]) -> None:
        """Type *steps*; what ends otherwise than the page says is an AssertionError with all that was printed."""
        with (
            open_office(ServerSettings.read({}, home=self.folder / "vendor")) as office,
            serving(office, port=self.port),
        ):
            read, write = os.pipe()
            with subprocess.Popen(
                ["bash", "-c", f"exec 3>&{write}\n{script([self.as_here(step) for step in steps])}"],
                cwd=self.folder,
                env=self.environment(),
                pass_fds=[write],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                process_group=0,
            ) as shell:
                os.close(write)
                try:
                    printed, _ = shell.communicate(timeout=SECONDS_MAX)
                except subprocess.TimeoutExpired:
                    os.killpg(shell.pid, signal.SIGKILL)  # With all that it started, or nobody would ever return.
                    printed, _ = shell.communicate()
            with os.fdopen(read) as told:
                ended = [int(line.split()[1]) for line in told]
        assert ended == [step.exit_code for step in steps], printed


def environment_of(folder: Path) -> dict[str, str]:
    kept = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    return kept | {
        # The commands of this Python, whether or not its environment was activated.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(folder / "home"),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "NARROWS_LICENSE": str(folder / "acme.json"),
        "NARROWS_ROOTS": str(folder / "vendor" / "roots.json"),
        "NARROWS_STATE": str(folder / "state"),
        "NARROWS_SERVER_HOME": str(folder / "vendor"),
    }


def make_world(folder: Path) -> World:
    """A vendor, a customer and the month that has begun, in *folder*."""
    folder.mkdir(parents=True)
    (folder / "home").mkdir()
    today = datetime.now(UTC)
    month = f"{today:%Y-%m}"
    before = f"{today.replace(day=1) - timedelta(days=1):%Y-%m}"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    a_clip(folder / "talk.mp4", width=192, height=176, frames=3)  # FFmpeg looks at what is in a file.
    _write_json(folder / "tariff.json", {"name": "CDN", "currency": "EUR", "tiers": [{"price_per_gb": "0.085"}]})
    contract = {"customer": "acme", "currency": "EUR", "starts_on": f"{before}-01", "tariff": "cdn-europe"}
    contract |= {"baseline": "libx264-medium", "metric": "ms_ssim", "acceptance": "on_close"}
    _write_json(folder / "contract.json", {**contract, "share": [{"percent": "20"}]})

    def run(*command: str) -> str:
        return _run(command, environment_of(folder), folder)

    run("narrows-server", "init", "--vendor-name", "Narrows", "--vendor-country", "DE", "--vendor-vat-id", VAT_ID)
    run("narrows-server", "customer", "add", "Acme", "--id", "acme")
    run("narrows-server", "billing", "set", "acme", "--country", "DE")
    run("narrows-server", "tariff", "add", str(folder / "tariff.json"), "--id", "cdn-europe")
    run("narrows-server", "contract", "add", str(folder / "contract.json"), "--id", "acme-1")
    issued = run(
        *("narrows-server", "license", "issue", "--customer", "acme", "--contract", "acme-1", "--report-url", url),
        *("--out", str(folder / "acme.json"), "--json"),
    )
    shutil.copy(folder / "vendor" / "roots.json", folder)
    run("narrows", "encode", str(folder / "talk.mp4"), str(folder / "talk.mkv"), "--crf", "48", "--preset", "fast")
    run("narrows", "evidence", str(folder / "talk.mp4"), str(folder / "talk.mkv"), "--baseline", "libx264-medium")
    _write_files(folder, today)
    run("narrows", "usage", "import", str(folder / "logs" / "one.gz"), "--map", f"/videos/talk.mkv={folder}/talk.mkv")
    with open_office(ServerSettings.read({}, home=folder / "vendor")) as office, serving(office, port=port):
        run("narrows", "usage", "report")
    run("narrows-server", "close", "--month", month, "--early")
    run("narrows-server", "statement", "show", f"acme-1.{month}", "--out", str(folder / "statement.json"))
    run("narrows-server", "statement", "records", f"acme-1.{month}", "--out", str(folder / "records"))
    shutil.copy(folder / "statement.json", folder / "terms.json")
    signers = check_endorsements(json.loads((folder / "statement.json").read_text()))
    return World(
        folder=folder,
        port=port,
        month=month,
        month_before=before,
        license_id=str(json.loads(issued)["id"]),
        installation_id=str(json.loads(run("narrows", "usage", "status", "--json"))["installation"]),
        signed_by=signers[Signer.VENDOR],
    )


def _run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> str:
    program = {"narrows": narrows, "narrows-server": narrows_server}[command[0]]
    done = CliRunner(env=environment).invoke(program, command[1:])
    assert done.exit_code == 0, f"{command}: {done.output} {done.exception!r}"
    return done.stdout


def _write_files(folder: Path, today: datetime) -> None:
    """What pages take to be there: logs, a CDN's bill, a library, terms, a passphrase."""
    size = (folder / "talk.mkv").stat().st_size
    head = "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes cs-method cs(Host) cs-uri-stem sc-status\n"
    line = f"{today:%Y-%m-%d}\t00:00:01\tFRA56\t{size}\tGET\tcdn.example\t%s\t200\n"
    for made in ("logs", "videos", "media", "srv"):
        (folder / made).mkdir()
    (folder / "logs" / "one.gz").write_bytes(gzip.compress((head + line % "/videos/talk.mkv").encode()))
    (folder / "november.log.gz").write_bytes(gzip.compress((head + line % "/talk.mp4").encode()))
    (folder / "bill.csv").write_text(f"region,day,bytes\n,{today:%Y-%m-%d},{size}\n")
    (folder / "library.csv").write_text("source,coded\ntalk.mp4,talk.mkv\n")
    (folder / "media" / "passphrase").write_text("correct horse battery staple")
    shutil.copy(folder / "talk.mp4", folder / "videos")


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))
