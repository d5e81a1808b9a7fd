"""`make recompute`: how long an auditor waits for a statement over a million records, without a network if possible."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from narrows_metering.canonical import canonical_json
from narrows_metering.evidence import read_evidence, write_evidence
from narrows_metering.record import Kind, Record, genesis
from narrows_metering.statement import draw_up
from narrows_metering.testing import (
    NOVEMBER,
    NOW,
    a_delivery,
    an_encode,
    an_evidence,
    an_id,
    an_installation_id,
    some_terms,
)

INSTALLATIONS = 4
RECORDS_PER_FILM = 20  # An encode, a piece of evidence, and 18 days of deliveries.


def some_usage(installation_id: str, count: int) -> Iterator[Record]:
    """*count* records of one installation."""
    prev, evidence = genesis(installation_id), an_evidence()
    for number in range(count):
        film, part = f"{installation_id}-{number // RECORDS_PER_FILM}", number % RECORDS_PER_FILM
        kind, payload = Kind.DELIVERY, {}
        if part == 0:
            kind, payload = Kind.ENCODE, an_encode(film, asset=film)
        elif part == 1:
            kind, payload = Kind.EVIDENCE, evidence | {"asset": an_id(film), "rendition": an_id(film)}
        else:
            start = datetime(2026, 11, 1 + part, tzinfo=UTC)
            payload = a_delivery(film, delivered=10**8 + number, start=start)
        record = Record.seal(number + 1, prev, NOW + timedelta(seconds=number), kind, payload)
        prev = record.hash
        yield record


def main() -> int:
    """The exit code of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    options = parser.parse_args()
    with TemporaryDirectory(prefix="narrows-recompute-") as name:
        folder = Path(name)
        paths = {}
        for number in range(INSTALLATIONS):
            installation = an_installation_id(str(number))
            usage = some_usage(installation, options.records // INSTALLATIONS)
            paths[installation] = write_evidence(folder, installation, usage)
        statement = draw_up(
            some_terms(),
            period=NOVEMBER,
            records_by_installation={installation: read_evidence(path) for installation, path in paths.items()},
            drawn_up_at=datetime(2026, 12, 4, tzinfo=UTC),
        )
        (folder / "records").mkdir()
        for path in paths.values():
            path.rename(folder / "records" / path.name)
        (folder / "statement.json").write_bytes(canonical_json(statement))
        return _recompute(folder)


def _recompute(folder: Path) -> int:
    unshare = shutil.which("unshare")
    alone = [unshare, "-rn"] if unshare and not subprocess.run([unshare, "-rn", "true"], check=False).returncode else []
    program = "from narrows_metering.recompute import main; main()"
    arguments = [str(folder / "statement.json"), "--evidence", str(folder / "records"), "--json"]
    started, before = time.monotonic(), os.times()
    done = subprocess.run(
        [*alone, sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    seconds, after = time.monotonic() - started, os.times()
    busy = after.children_user - before.children_user + after.children_system - before.children_system
    agrees = done.returncode == 0 and json.loads(done.stdout)["agrees"]
    where = "without a network" if alone else "with a network, because namespaces are not permitted here"
    sys.stdout.write(f"agrees: {agrees}; {seconds:.1f} s, of which {busy:.1f} s on a processor; {where}\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
