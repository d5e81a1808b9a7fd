"""`narrows-relay`: asks for a certificate, takes it in, serves, and carries reports to the vendor."""

from __future__ import annotations

import argparse
import json
import signal
import ssl
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from narrows_licensing.document import FILE_BYTES_MAX
from narrows_licensing.errors import LicensingError
from narrows_licensing.relay import VERSION
from narrows_licensing.relay.desk import Desk
from narrows_licensing.relay.forwarding import (
    LINE_CHARACTERS_MAX,
    VendorAway,
    export_lines,
    forward,
    import_lines,
    sender_to,
)
from narrows_licensing.relay.home import NotReady, RelayHome
from narrows_licensing.relay.store import Store
from narrows_licensing.relay.web import RelayServer

PORT = 8790


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; exit code 1 with a sentence if it can't be done."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (NotReady, VendorAway, LicensingError, OSError) as error:
        print(f"narrows-relay: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="narrows-relay", description="Hands out seats at a site of its own.")
    parser.add_argument("--home", type=Path, default=Path("/var/lib/narrows-relay"), help="the relay's folder")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    request = _command(
        commands,
        "request",
        "write a request for a certificate; the key is made if need be",
        example="request --license LIC-0001 --out request.txt",
    )
    request.add_argument("--license", dest="license_id", help="the id of the license to hand out")
    request.add_argument("--out", type=Path, required=True, help="the file to write")
    request.set_defaults(run=_request)

    take_in = _command(
        commands, "import", "take in the vendor's response", example="import response.json --roots roots.json"
    )
    take_in.add_argument("response", type=Path, help="the file that the vendor sent")
    take_in.add_argument("--roots", type=Path, required=True, help="the roots.json that came with your license")
    take_in.set_defaults(run=_import)

    serve = _command(
        commands,
        "serve",
        "hand out seats and keep reports, until stopped",
        example="serve --host 10.0.0.5 --port 8790 --tls-certificate relay.pem --tls-key relay.key",
    )
    serve.add_argument("--host", default="127.0.0.1", help="where to listen [default: %(default)s]")
    serve.add_argument("--port", type=int, default=PORT, help="the port to listen on [default: %(default)s]")
    serve.add_argument("--tls-certificate", type=Path, help="the certificate to serve HTTPS with, PEM; with --tls-key")
    serve.add_argument("--tls-key", type=Path, help="the key of that certificate, PEM")
    serve.set_defaults(run=_serve)

    status = _command(commands, "status", "what it hands out, and what waits for the vendor", example="status")
    status.set_defaults(run=_status)

    send = _command(
        commands,
        "forward",
        "send the reports that wait to the vendor's server",
        example="forward --to https://vendor.example",
    )
    send.add_argument("--to", required=True, help="the vendor's server")
    send.set_defaults(run=_forward)

    export = _command(
        commands,
        "export",
        "write the reports that wait to a file, where there is no way out",
        example="export --out reports.jsonl",
    )
    export.add_argument("--out", type=Path, required=True, help="the file to write")
    export.set_defaults(run=_export)

    receipts = _command(
        commands, "receipts", "take in the receipts that came back for such a file", example="receipts receipts.jsonl"
    )
    receipts.add_argument("file", type=Path, help="the file that the vendor sent")
    receipts.set_defaults(run=_receipts)
    return parser


def _command(commands: Commands, name: str, does: str, *, example: str) -> argparse.ArgumentParser:
    told = f"Example: narrows-relay --home /srv/relay {example}"
    return commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.", epilog=told)


def _request(options: argparse.Namespace) -> None:
    home = RelayHome.at(options.home)
    token = home.request(license_id=options.license_id, version=VERSION, at=_now())
    options.out.write_text(token + "\n")
    _say({"relay": home.relay_id, "request": str(options.out)})


def _import(options: argparse.Namespace) -> None:
    with options.response.open(errors="replace") as file:
        text = file.read(FILE_BYTES_MAX + 1)
    papers = RelayHome.at(options.home).take_in(text, roots=options.roots.read_text(), at=_now())
    _say({"relay": papers.certificate.relay_id, "expires_at": papers.certificate.expires_at.isoformat()})


def _serve(options: argparse.Namespace) -> None:
    home = RelayHome.at(options.home)
    store = Store(home.database)
    desk = Desk(key=home.key, papers=home.open(at=_now()), store=store, clock=_now)
    with RelayServer((options.host, options.port), desk) as server:
        if options.tls_certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(options.tls_certificate, options.tls_key)
            # The handshake is left to the thread of the request, or one silent caller would keep all others waiting.
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        _say({"relay": home.relay_id, "host": options.host, "port": server.server_port})
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            store.close()


def _status(options: argparse.Namespace) -> None:
    home, at = RelayHome.at(options.home), _now()
    store = Store(home.database)
    desk = Desk(key=home.key, papers=home.open(at=at), store=store, clock=_now)
    certificate = desk.papers.certificate
    pools = [
        {
            "license": pool.license_id,
            "seats": pool.seats,
            "taken": desk.occupied(pool.license_id, at),
        }
        for pool in certificate.pools
    ]
    _say(
        {
            "relay": home.relay_id,
            "expires_at": certificate.expires_at.isoformat(),
            "pools": pools,
            "reports_waiting": store.count_waiting(),
        }
    )
    store.close()


def _forward(options: argparse.Namespace) -> None:
    home, at = RelayHome.at(options.home), _now()
    store = Store(home.database)
    forwarded = forward(store, home.open(at=at), sender_to(options.to), at=at)
    _say({"acknowledged": forwarded.acknowledged, "refused": forwarded.refused})
    store.close()


def _export(options: argparse.Namespace) -> None:
    store = Store(RelayHome.at(options.home).database)
    with options.out.open("w") as file:
        file.writelines(f"{line}\n" for line in export_lines(store))
    _say({"reports": store.count_waiting(), "file": str(options.out)})
    store.close()


def _receipts(options: argparse.Namespace) -> None:
    home, at = RelayHome.at(options.home), _now()
    store, papers = Store(home.database), home.open(at=at)
    with options.file.open() as file:
        lines = iter(lambda: file.readline(LINE_CHARACTERS_MAX + 2).rstrip("\n"), "")
        kept = import_lines(store, papers, lines, at=at)
    _say({"acknowledged": kept, "reports_waiting": store.count_waiting()})
    store.close()


def _say(members: dict[str, object]) -> None:
    print(json.dumps(members), flush=True)  # noqa: T201


def _now() -> datetime:
    return datetime.now(UTC)
