"""The commands and the Python of the pages about usage run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from narrows.cli.app import app
from narrows.settings import Settings
from narrows_server.cli import app as server_app
from typer.testing import CliRunner

from ..sdk.vendor import Vendor, serving

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


def commands(page: str) -> list[list[str]]:
    """What stands behind a prompt in the page's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", (HOW_TO / page).read_text(), re.S)
    return [shlex.split(line.removeprefix("$ ")) for line in "\n".join(blocks).splitlines() if line.startswith("$ ")]


def run(command: list[str], environment: dict[str, str]) -> None:
    """One command, as a shell does it."""
    if command[0] == "mv":
        Path(command[1]).rename(command[2])
        return
    arguments, target = command, None
    if ">" in command:
        at = command.index(">")
        arguments, target = command[:at], command[at + 1]
    program = {"narrows": app, "narrows-server": server_app}[arguments[0]]
    done = CliRunner(env=environment).invoke(program, arguments[1:])
    assert done.exit_code == 0, f"{command}: {done.output}"
    if target is not None:
        Path(target).write_bytes(done.stdout_bytes)


def environment_of(vendor: Vendor, machine: Settings) -> dict[str, str]:
    return {
        "NARROWS_LICENSE": str(machine.license_path),
        "NARROWS_ROOTS": str(machine.roots_path),
        "NARROWS_STATE": str(machine.state_folder),
        "NARROWS_SERVER_HOME": str(vendor.office.settings.home),
    }


def test_following_usage(vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(vendor.office) as url:
        machine = vendor.equip(url=url)
        vendor.record(machine, 2, 3)
        environment = environment_of(vendor, machine)
        page = commands("follow-your-usage.md")
        assert len(page) >= 10
        for command in page:
            run(command, environment)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        (block,) = re.findall(r"```python\n(.*?)```", (HOW_TO / "follow-your-usage.md").read_text(), re.S)
        exec(block, {})

    assert "narrows_usage_unreported_records 3" in (tmp_path / "narrows.prom").read_text()
    assert (tmp_path / "next-report.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_running_without_a_network(vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    machine = vendor.equip(url=None)
    vendor.record(machine, 2, 3)
    for command in commands("run-without-a-network.md"):
        run(command, environment_of(vendor, machine))

    assert vendor.delivered() == 5


def test_operating_a_server(vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {
        "NARROWS_SERVER_HOME": str(vendor.office.settings.home),
        "NARROWS_SERVER_PUBLIC_URL": "https://narrows.example",
    }
    page = commands("operate-a-server.md")
    assert len(page) >= 6
    for command in page:
        run(command, environment)

    assert (tmp_path / "restored" / "trust-bundle.json").exists()
