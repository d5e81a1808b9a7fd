"""The whole road with the real commands and a real server, on a clip of half a second."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from narrows.errors import ReportRejected
from narrows.media.quality import available_metrics
from narrows.reporting.client import MeteringClient
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_metering.canonical import canonical_json
from narrows_metering.record import Kind
from narrows_metering.report import next_report

from ..sdk.builders import a_clip
from .demo import BIN, EXCERPT_FRAMES, Demo, demonstrate, own_clip


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("demo")
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    clip = a_clip(folder / "clip.y4m", width=192, height=176, frames=12)
    demonstrate(clip, folder / "out", crf=36)
    yield folder / "out"
    if before is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = before


@pytest.fixture(scope="module")
def summary(out: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return read


@pytest.fixture(scope="module")
def statement(out: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((out / "statement.json").read_text())
    return read


def narrows(demo: Demo, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "narrows"), *arguments]
    return subprocess.run(command, env=demo.environment, capture_output=True, text=True, check=False)


def test_the_clip_that_is_taken_where_none_is_named_begins_the_one_of_its_package(tmp_path: Path) -> None:
    with av.open(str(own_clip(tmp_path))) as container:
        assert sum(1 for _ in container.decode(video=0)) == EXCERPT_FRAMES


def test_every_frame_comes_back(out: Path, summary: dict[str, Any]) -> None:
    with av.open(str(out / "decoded.y4m")) as container:
        decoded = sum(1 for _ in container.decode(video=0))

    assert summary["frames"] == {"source": 12, "coded": 12, "decoded": 12}
    assert decoded == 12


def test_the_coded_bytes_are_the_payload_of_the_file(out: Path, summary: dict[str, Any]) -> None:
    with av.open(str(out / "coded.mkv")) as container:
        payload = sum(packet.size for packet in container.demux(container.streams.video[0]))

    assert summary["bytes"]["coded"] == payload


def cost(delivered: int, tiers: list[dict[str, Any]]) -> Fraction:
    """The tariff again, naively: what each tier takes of the bytes, at its price per GB."""
    total, start = Fraction(0), 0
    for tier in tiers:
        end = tier["up_to_bytes"]
        inside = max(0, (delivered if end is None else min(delivered, end)) - start)
        total += Fraction(inside, 10**9) * Fraction(tier["price_per_gb"])
        start = delivered if end is None else end
    return total


def test_the_invoice_is_what_the_statement_and_the_tariff_give(
    summary: dict[str, Any], statement: dict[str, Any]
) -> None:
    result, tiers = statement["result"], statement["contract"]["tariff"]["tiers"]
    percent = statement["contract"]["share"][0]["tiers"][0]["percent"]
    baseline, delivered = (round(100 * cost(result[f"{n}_bytes"], tiers)) for n in ("baseline", "delivered"))
    share = max(0, round((baseline - delivered) * Fraction(percent) / 100))

    assert result["baseline_bytes"] - result["delivered_bytes"] == result["saved_bytes"] == summary["saved_bytes"]
    assert Decimal(summary["invoice"]["total"]) == Decimal(share) / 100
    assert (share == 0) == (summary["invoice"]["reason"] is not None)


def test_a_loss_is_a_loss_and_is_not_billed(summary: dict[str, Any]) -> None:
    ours, theirs = summary["bytes"]["coded"], summary["bytes"]["baseline"]["libx265-medium.ms_ssim"]

    assert (summary["saved_bytes"] < 0) == (theirs < ours)
    if theirs < ours:
        assert summary["invoice"]["reason"] == "no_savings"


def test_a_second_report_changed_nothing(summary: dict[str, Any]) -> None:
    # Enrolment, encode, deliveries of one day, and evidence of two baselines by each metric that there is here.
    records = 3 + 2 * len(available_metrics())
    assert summary["ledger"]["reported"] == summary["ledger"]["records"] == records
    assert summary["ledger"]["reported_again"] == 0


def test_encoding_without_a_license_was_refused_with_the_next_step(summary: dict[str, Any]) -> None:
    assert "no_license" in summary["refusal_without_license"]
    assert "narrows license development" in summary["refusal_without_license"]


def test_the_invoice_is_a_pdf_that_carries_its_e_invoice(out: Path) -> None:
    paper = (out / "invoice.pdf").read_bytes()

    assert paper.startswith(b"%PDF-")
    assert b"<fx:DocumentFileName>factur-x.xml</fx:DocumentFileName>" in paper


def test_everything_behind_the_invoice_is_in_one_file(out: Path, summary: dict[str, Any]) -> None:
    names = zipfile.ZipFile(out / "audit.zip").namelist()

    assert f"audit-{summary['invoice']['number']}/README.txt" in names


def test_closing_the_month_again_gives_the_same_invoice(out: Path, summary: dict[str, Any]) -> None:
    demo = Demo(out, 36)
    month = json.loads((out / "statement.json").read_text())["period"]["month"]

    (outcome,) = demo.run_json("narrows-server", "close", "--month", month, "--early")["outcomes"]

    assert outcome["invoice"] == summary["invoice"]["number"]
    assert len(demo.run_json("narrows-server", "invoice", "list")) == 1


def test_a_statement_with_another_number_does_not_recompute(
    out: Path, statement: dict[str, Any], tmp_path: Path
) -> None:
    changed = json.loads(json.dumps(statement))
    changed["result"]["saved_bytes"] += 1
    (tmp_path / "statement.json").write_bytes(canonical_json(changed))

    done = subprocess.run(
        [str(BIN / "narrows-recompute"), str(tmp_path / "statement.json"), "--evidence", str(out / "evidence")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "/result/saved_bytes" in done.stdout + done.stderr


def test_a_flipped_byte_in_the_coded_file_is_named(out: Path, tmp_path: Path) -> None:
    data = bytearray((out / "coded.mkv").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "coded.mkv").write_bytes(data)

    done = narrows(Demo(out, 36), "decode", str(tmp_path / "coded.mkv"), str(tmp_path / "decoded.y4m"))

    assert done.returncode == 1
    assert "CorruptBitstream: corrupt bitstream at byte" in done.stderr
    assert not (tmp_path / "decoded.y4m").exists()


def test_a_flipped_byte_in_the_license_is_named(out: Path, tmp_path: Path) -> None:
    data = bytearray((out / "customer" / "license.json").read_bytes())
    data[data.index(b'"token"') + 200] ^= 1
    (tmp_path / "license.json").write_bytes(data)

    done = narrows(Demo(out, 36), "license", "verify", "--license", str(tmp_path / "license.json"))

    assert done.returncode == 1
    assert str(tmp_path / "license.json") in done.stderr
    assert "Next step:" in done.stderr


def test_a_license_of_a_vendor_that_is_not_trusted_is_refused(out: Path, tmp_path: Path) -> None:
    stranger = Demo(tmp_path, 36)
    stranger.run("narrows-server", "init")
    demo = Demo(out, 36)
    demo.environment["NARROWS_ROOTS"] = str(tmp_path / "vendor" / "roots.json")

    done = narrows(demo, "license", "verify")

    assert done.returncode == 1
    assert "untrusted_key" in done.stderr


def test_a_flipped_byte_in_the_ledger_is_named(out: Path, tmp_path: Path) -> None:
    demo = Demo(out, 36)
    state = tmp_path / "state"
    state.mkdir()
    for key in ("installation.key", "asset.key"):
        (state / key).write_bytes((out / "customer" / "state" / key).read_bytes())
    source = sqlite3.connect(out / "customer" / "state" / "ledger.sqlite")
    copy = sqlite3.connect(state / "ledger.sqlite")
    source.backup(copy)
    copy.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    source.close()
    copy.close()
    data = bytearray((state / "ledger.sqlite").read_bytes())
    data[data.index(b'"crf":36') + 7] ^= 1
    (state / "ledger.sqlite").write_bytes(data)
    demo.environment["NARROWS_STATE"] = str(state)

    done = narrows(demo, "usage", "verify")

    assert done.returncode == 1
    assert "LedgerDamaged" in done.stderr
    assert "record 2" in done.stderr


def test_a_flipped_byte_in_a_report_is_refused_and_changes_no_total(out: Path, tmp_path: Path) -> None:
    demo = Demo(out, 36)
    settings = Settings(
        license_path=out / "customer" / "license.json", roots_path=None, state_folder=tmp_path / "another"
    )
    with demo.server() as url, open_meter(settings) as meter, MeteringClient(url) as client:
        before = demo.run_json("narrows-server", "usage", "list")
        token = json.loads(settings.license_path.read_text())["token"]
        meter.ledger.append(Kind.LIFECYCLE, {"event": "enrolled"}, time=datetime.now(UTC))
        upcoming = next_report(meter.ledger, key=meter.installation.key, license_token=token, sdk="0.1.0")
        assert upcoming is not None
        body, signature = upcoming
        for position in (0, len(body) // 2, len(body) - 1):
            damaged = bytearray(body)
            damaged[position] ^= 1
            with pytest.raises(ReportRejected, match="report"):
                client.send_report(bytes(damaged), signature)
        after = demo.run_json("narrows-server", "usage", "list")

    assert before == after
