"""
What a license check costs, beside joserfc in the same run: importing the verifier, and opening one license.

    python sdk/benchmarks/licensing.py

Prints medians and ratios. Exits with 1 if a bar is missed: 60 ms of processor time to import, 1 ms to open and decide.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from joserfc import jws
from joserfc.jwk import OKPKey
from narrows_licensing.document import LicenseFile, OpenedFile, open_file
from narrows_licensing.policy import Circumstances, evaluate
from narrows_licensing.revocation import RevocationList, read_revocations, sign_revocations
from narrows_licensing.signature import Typ, public_key_to_text, verify
from narrows_licensing.testing import NOW, Vendor, a_license
from narrows_licensing.trust import Role
from narrows_licensing.verdict import Granted

VERIFY_MILLISECONDS_MAX = 1.0
IMPORT_MILLISECONDS_MAX = 60.0
REPEATS = 1_000
IMPORTS = 15


def main() -> int:
    """Measure and print; 1 if a bar is missed."""
    vendor = Vendor()
    text = vendor.license_file(a_license(), revoked=[5])
    token = LicenseFile.from_json(text).token
    keys = vendor.bundle().keys_for(Role.LICENSE, NOW)
    public_key = public_key_to_text(vendor.key(Role.LICENSE).public_key())
    jwk = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": public_key})

    def decide() -> None:
        opened = open_file(text, roots=vendor_roots, at=NOW)
        assert isinstance(opened, OpenedFile)
        assert isinstance(evaluate(opened.license, Circumstances(now=NOW, status=opened.status)), Granted)

    vendor_roots = vendor.roots
    ours = _median(lambda: verify(token, typ=Typ.LICENSE, keys=keys))
    theirs = _median(lambda: jws.deserialize_compact(token, jwk, algorithms=["Ed25519"]))
    decided = _median(decide)
    own_import = _import_milliseconds("narrows_licensing.document, narrows_licensing.policy")
    their_import = _import_milliseconds("joserfc.jws, joserfc.jwk")
    numbers = random.Random(1).sample(range(4_000_000), 1_000_000)
    million = sign_revocations(
        RevocationList.of(version=1, issued_at=NOW, revoked=numbers), key=vendor.key(Role.REVOCATION)
    )
    listed = read_revocations(million, vendor.bundle().keys_for(Role.REVOCATION, NOW))
    looked_up = _median(lambda: listed.status_of(numbers[0]))

    _print("verify one token", ours, theirs)
    _print("import the verifier", own_import, their_import)
    print(f"{'open file (license, bundle, list) and decide':46}{decided:9.3f} ms")
    print(f"{'look up one of 1,000,000 revoked':46}{looked_up * 1000:9.3f} µs; list of {len(million):,} bytes")
    return int(max(ours, decided) > VERIFY_MILLISECONDS_MAX or own_import > IMPORT_MILLISECONDS_MAX)


def _median(call: Callable[[], object]) -> float:
    """The median of many calls, in milliseconds."""
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return 1000 * statistics.median(taken)


def _import_milliseconds(modules: str) -> float:
    """The median processor time that importing *modules* takes in a fresh interpreter; others may be at work here."""
    program = f"import time; t = time.process_time(); import {modules}; print(time.process_time() - t)"
    runs = [
        float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)
        for _ in range(IMPORTS)
    ]
    return 1000 * statistics.median(runs)


def _print(what: str, ours: float, theirs: float) -> None:
    print(f"{what:46}{ours:9.3f} ms; joserfc {theirs:.3f} ms, {theirs / ours:.1f} times as long")


if __name__ == "__main__":
    sys.exit(main())
