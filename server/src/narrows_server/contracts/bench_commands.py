"""`narrows-server bench`: what a set of clips saves, signed, for the first months of a contract (M1)."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from narrows_metering.bench import BenchClip, sign_bench

from narrows_server.errors import Invalid
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, write_file

benches = group("What a set of clips saves per class of content, measured and signed.")

_EVIDENCE_FORMAT: Final = "narrows-evidence/1"
_EVIDENCE_BYTES_MAX: Final = 2**20


@benches.command("sign")
def sign(
    clips: Annotated[Path, typer.Argument(help="CSV with the columns evidence and content_class.")],
    bench_id: Annotated[str, typer.Option("--id", help="The bench's name, such as bench-2026-11.")],
    out: Annotated[Path, typer.Option(help="The file to write; a contract takes it as evidence.bench.")],
    baseline: Annotated[str, typer.Option(help="The baseline that the contract compares with.")] = "libx265-medium",
    metric: Annotated[str, typer.Option(help="What equal quality means.")] = "ms_ssim",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Sign a bench over what `narrows savings measure` found: one line of the CSV for each of its files.

    A clip without a pair at equal quality refuses the bench: leaving it out is a decision, not a default.

    [dim]narrows-server bench sign clips.csv --id bench-2026-11 --out bench.json[/]
    """
    found = [_clip(clips.parent / row["evidence"], row["content_class"], baseline, metric) for row in _rows(clips)]
    with office_of(home) as office:
        bench = sign_bench(bench_id, baseline_id=baseline, metric=metric, clips=found, key=office.keyring.receipt)
    write_file(out, json.dumps(bench.to_dict(), indent=2).encode() + b"\n")
    if as_json:
        show_json({"bench": bench_id, "sha256": bench.digest(), "saved_ppm": bench.saved_ppm()})
        return
    for name, ppm in bench.saved_ppm().items():
        say(f"{name}: {ppm / 10_000:+.1f} % of the delivered bytes")
    say(f"wrote {quoted(out)}, signed by {quoted(bench.signed_by)}")


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: {error}") from error
    if not rows or not all(row.get("evidence") and row.get("content_class") for row in rows):
        raise Invalid(f"{path}: needs the columns evidence and content_class, and a line for each clip")
    return rows


def _clip(path: Path, content_class: str, baseline: str, metric: str) -> BenchClip:
    document = _evidence(path)
    for item in document["evidence"]:
        if (item.get("baseline"), item.get("metric")) == (baseline, metric):
            if item.get("status") != "measured":
                raise Invalid(f"{path}: no pair at equal {metric}: {item.get('status')}")
            try:
                return BenchClip(
                    name=Path(document["source"]["path"]).name,
                    content_class=content_class,
                    bytes_ours=item["bytes"],
                    bytes_baseline=item["baseline_bytes"],
                )
            except (KeyError, TypeError, ValueError) as error:
                raise Invalid(f"{path}: not evidence: {error}") from error
    raise Invalid(f"{path}: holds nothing on {baseline} at equal {metric}")


def _evidence(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _EVIDENCE_BYTES_MAX:
            raise Invalid(f"{path}: more than {_EVIDENCE_BYTES_MAX} bytes")
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Invalid(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict) or document.get("format") != _EVIDENCE_FORMAT:
        raise Invalid(f"{path}: format: not {_EVIDENCE_FORMAT}; it comes from `narrows savings measure`")
    if not isinstance(document.get("evidence"), list) or not all(isinstance(one, dict) for one in document["evidence"]):
        raise Invalid(f"{path}: evidence: not a list of objects")
    return document
