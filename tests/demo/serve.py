"""
`make serve`: a fresh demo, served on this machine until Ctrl-C.

    python -m tests.demo.serve --port 8080 --home demo-output/serve
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyotp
from rich.console import Console
from rich.table import Table

from .seed import PASSWORD, SECRET, SIGN_INS, seed

SERVER_SECONDS_MAX = 60
CODE_SECONDS = 30
console = Console()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("demo-output/serve"), help="made anew each time")
    parser.add_argument("--port", type=int, default=8080, help="0 takes any free one")
    chosen = parser.parse_args(arguments)
    if chosen.home.exists() and not (chosen.home / "roots.json").exists():
        parser.error(f"{chosen.home} is there and is no demo; name another folder with --home")
    shutil.rmtree(chosen.home, ignore_errors=True)
    started = time.monotonic()
    with console.status("Half a year of reports, statements and invoices …"):
        settings = seed(chosen.home, now=datetime.now(UTC))
    console.print(f"[green]✓[/] half a year in {time.monotonic() - started:.1f} s, in {chosen.home}/")
    command = [str(Path(sys.executable).with_name("narrows-server")), "serve", "--port", str(chosen.port)]
    environment = {**os.environ, "NARROWS_SERVER_HOME": str(settings.home)}
    log = settings.home / "serve.log"  # Beside the line of the code, and not through it.
    with (
        log.open("wb") as out,
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=out) as server,
    ):
        try:
            deadline = time.monotonic() + SERVER_SECONDS_MAX
            while not settings.address.exists() and server.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            if not settings.address.exists():
                server.terminate()
                console.print(f"[red]✗[/] the server did not start:\n{log.read_text()[-2000:]}", markup=True)
                return server.wait() or 1
            _show(_port_of(settings.address), log)
            _show_codes(server)
        except KeyboardInterrupt:
            server.terminate()
        return server.wait()


def _port_of(address: Path) -> str:
    return str(json.loads(address.read_text())["url"]).rpartition(":")[2]


def _show(port: str, log: Path) -> None:
    # By this name and not by its number: a browser keeps the cookies of a session only for a machine that is its own.
    console.print(f"\n  [bold]http://localhost:{port}[/]\n")
    table = Table("role", "name", "e-mail address", "second factor", box=None, pad_edge=False, header_style="dim")
    for one in SIGN_INS:
        role = one.role.value.replace("_", " ")
        table.add_row(role, one.name, one.email, "code below" if one.has_factor else "–")
    console.print(table)
    console.print(f"\n  password for all: [bold]{PASSWORD}[/]")
    console.print(f"  for an authenticator app: {SECRET}")
    console.print(f"  what the server logs: {log}\n")


def _show_codes(server: subprocess.Popen[bytes]) -> None:
    """The six digits that an authenticator app would show; each signs one person in once."""
    while server.poll() is None:
        now = time.time()
        console.print(f"  code now: [bold]{pyotp.TOTP(SECRET).at(int(now))}[/]   (Ctrl-C stops the server)", end="\r")
        try:
            server.wait(timeout=CODE_SECONDS - now % CODE_SECONDS)
        except subprocess.TimeoutExpired:
            continue


if __name__ == "__main__":
    sys.exit(main())
