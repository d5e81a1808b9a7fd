"""
Coverage-guided fuzzing of one target by atheris (libFuzzer).

    python -m tests.fuzz.run container --seconds 600

Ends with exit code 0 when the time is over, and another when something was found: the input stands then in
`fuzz-findings/` and is run again by naming the file after the target.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

FINDINGS = Path("fuzz-findings")
INPUT_BYTES_MAX = 6000
SECONDS_MAX_EACH = 20
MEGABYTES_MAX = 3000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=("container", "packet", "decoder"))
    parser.add_argument("inputs", nargs="*", type=Path, help="run these once instead of fuzzing")
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    with atheris.instrument_imports(include=["narrows.media", "narrows.codec.bitstream", "narrows.codec.range_coder"]):
        from tests.fuzz.targets import TARGETS, seeds
    if arguments.inputs:
        for path in arguments.inputs:
            TARGETS[arguments.target](path.read_bytes())
        return
    FINDINGS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds(arguments.target)):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        options = [
            f"-max_total_time={arguments.seconds}",
            f"-max_len={INPUT_BYTES_MAX}",
            f"-timeout={SECONDS_MAX_EACH}",
            f"-rss_limit_mb={MEGABYTES_MAX}",
            f"-artifact_prefix={FINDINGS}/{arguments.target}-",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *options, corpus], TARGETS[arguments.target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
