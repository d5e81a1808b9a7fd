"""What a program that checks a license loads: the verifier, and nothing that could reach a network."""

from __future__ import annotations

import json
import subprocess
import sys

UNWANTED = ["socket", "ssl", "http.client", "urllib.request", "asyncio", "joserfc", "pydantic", "sqlalchemy", "httpx"]


def test_checking_a_license_loads_no_network_code() -> None:
    program = (
        "import json, sys\n"
        "import narrows_licensing.document, narrows_licensing.policy\n"
        f"print(json.dumps([name for name in {UNWANTED!r} if name in sys.modules]))\n"
    )
    # Isolated and without the site hooks of a test run, which may load anything.
    result = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, check=True, text=True)

    assert json.loads(result.stdout) == []
