"""The examples of a deployment are valid, and name commands, paths and variables that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from narrows_server import settings
from narrows_server.cli import app
from narrows_server.office import initialise
from narrows_server.operation import endpoints
from narrows_server.settings import Settings
from typer.main import get_command

from ..builders import VENDOR, Clock

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "server" / "deploy"
VARIABLES = {value for name, value in vars(settings).items() if name.endswith("_VARIABLE")}


def kubernetes() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))


@pytest.mark.parametrize("name", ["narrows-server.service", "Containerfile", "kubernetes.yaml"])
def test_only_variables_that_the_server_reads_are_set(name: str) -> None:
    assert set(re.findall(r"NARROWS_\w+", (DEPLOY / name).read_text())) <= VARIABLES


@pytest.mark.parametrize("name", ["narrows-server.service", "kubernetes.yaml"])
def test_only_commands_that_exist_are_called(name: str) -> None:
    called = set(re.findall(r"narrows-server (\w+)", re.sub("#.*", "", (DEPLOY / name).read_text())))

    assert called
    assert called <= set(get_command(app).commands)  # type: ignore[attr-defined]  # A group has them.


def test_the_kubernetes_objects_are_valid() -> None:
    for document in kubernetes():
        kubernetes_validate.validate(document, "1.30", strict=True)


def test_the_probes_ask_what_the_server_answers() -> None:
    (deployment,) = [one for one in kubernetes() if one["kind"] == "Deployment"]
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    paths = {server[f"{probe}Probe"]["httpGet"]["path"] for probe in ("liveness", "readiness", "startup")}

    assert paths == {"/live", "/health"}
    assert paths <= {getattr(route, "path", "") for route in endpoints.router.routes}


def test_the_secret_has_what_a_server_needs_of_its_state_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    initialise(Settings.read({}, home=home), VENDOR, clock=Clock())
    needed = {
        path.relative_to(home).as_posix()
        for path in home.rglob("*")
        if path.is_file() and "root" not in path.parts and path.suffix not in {".sqlite", ".key"}
    }
    for kind in ("Deployment", "CronJob"):
        text = yaml.safe_dump([one for one in kubernetes() if one["kind"] == kind])
        assert set(re.findall(r"path: ((?:keys/)?[a-z-]+\.(?:pem|json|secret))", text)) == needed


def test_the_unit_is_understood_by_systemd(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    unit = tmp_path / "narrows-server.service"
    # Where it will be installed there is nothing here.
    unit.write_text((DEPLOY / unit.name).read_text().replace("/opt/narrows/bin/narrows-server", "/bin/true"))

    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
