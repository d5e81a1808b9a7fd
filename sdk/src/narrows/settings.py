"""
Where things are: arguments first, then `NARROWS_*` variables, then the places that the platform suggests.

The only reader of the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

APPLICATION = "narrows"
WORKLOAD_TOKEN_PATH = Path("/var/run/secrets/narrows/token")  # Where a pod has its token projected to.


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    *license_path*: the license file. *roots_path*: the vendor's root keys when they are not those of this release.
    *state_folder*: the ledger and this installation's keys; keep it on a disk that survives a restart.

    *proxy* (a URL) and *ca_bundle* (a PEM file) are for reports. Without them the variables that other programs follow
    hold: `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, `SSL_CERT_FILE` and `SSL_CERT_DIR`, which `httpx` reads.
    *reports_in_background*: whether an open encoder reports by itself where its license leaves the choice.
    *application_id*, *workload_token_path*: who this is, for licenses bound to an application or a workload.
    *relay_url*: who is asked for seats of a floating license instead of the vendor's server.
    """

    license_path: Path
    roots_path: Path | None
    state_folder: Path
    proxy: str | None = None
    ca_bundle: Path | None = None
    reports_in_background: bool = True
    application_id: str | None = None
    workload_token_path: Path = WORKLOAD_TOKEN_PATH
    relay_url: str | None = None

    @property
    def ledger_path(self) -> Path:
        return self.state_folder / "ledger.sqlite"

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ, *, license_path: Path | None = None) -> Settings:
        """
        Read `NARROWS_LICENSE`, `NARROWS_ROOTS`, `NARROWS_STATE`, `NARROWS_PROXY`, `NARROWS_CA_BUNDLE`,
        `NARROWS_REPORTING` (`background`, or `manual`), `NARROWS_APPLICATION`, `NARROWS_WORKLOAD_TOKEN` and
        `NARROWS_RELAY`.

        *license_path* wins over its variable.

        >>> Settings.read({"NARROWS_STATE": "/var/lib/narrows"}).ledger_path
        PosixPath('/var/lib/narrows/ledger.sqlite')
        """
        roots = environment.get("NARROWS_ROOTS")
        named = environment.get("NARROWS_LICENSE")
        state = environment.get("NARROWS_STATE")
        ca_bundle = environment.get("NARROWS_CA_BUNDLE")
        token = environment.get("NARROWS_WORKLOAD_TOKEN")
        return cls(
            license_path=license_path or (Path(named) if named else default_license_path()),
            roots_path=Path(roots) if roots else None,
            state_folder=Path(state) if state else Path(platformdirs.user_state_dir(APPLICATION)),
            proxy=environment.get("NARROWS_PROXY") or None,
            ca_bundle=Path(ca_bundle) if ca_bundle else None,
            reports_in_background=environment.get("NARROWS_REPORTING") != "manual",
            application_id=environment.get("NARROWS_APPLICATION") or None,
            workload_token_path=Path(token) if token else WORKLOAD_TOKEN_PATH,
            relay_url=environment.get("NARROWS_RELAY") or None,
        )


def default_license_path() -> Path:
    """Where a license is looked for when none is named."""
    return Path(platformdirs.user_config_dir(APPLICATION)) / "license.json"
