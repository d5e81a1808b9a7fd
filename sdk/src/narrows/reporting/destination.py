"""
Where reports go: the server that the license names, under which token, and which keys its answers are checked with.

Read anew for each round of reports, so that a renewed license counts from the next one on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from narrows_licensing.license import Kind, License, MeteringMode
from narrows_licensing.trust import Role
from narrows_licensing.verdict import Refused

from narrows.errors import UsageError
from narrows.license.gate import read_license, refusal
from narrows.reporting.client import MeteringClient
from narrows.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Who is reported to. *url* is None where reports travel as files."""

    url: str | None
    license_token: str
    receipt_keys: Mapping[str, Ed25519PublicKey]


def find_destination(settings: Settings, at: datetime) -> Destination:
    """
    The destination under the present license, whether or not it still permits encoding: usage is owed all the same.

    Raises LicenseRefused for a license that can't be read, UsageError for one that nobody meters.
    """
    read = read_license(settings, at)
    if isinstance(read, Refused):
        raise refusal(read, settings.license_path)
    token, opened = read
    if opened.bundle is None or opened.license.kind is Kind.DEVELOPMENT:
        raise UsageError("this license is not metered by a server: there is nowhere to report to")
    keys = opened.bundle.keys_for(Role.RECEIPT, at)
    return Destination(url=opened.license.metering.report_url, license_token=token, receipt_keys=keys)


def require_url(destination: Destination) -> str:
    """The server's URL; raises UsageError where reports travel as files."""
    if destination.url is None:
        raise UsageError(
            "this license names no server to report to. Next step: `narrows usage export FILE` writes the reports "
            "to a file, which you send to your vendor"
        )
    return destination.url


def reports_by_itself(license: License, settings: Settings) -> bool:
    """
    Whether an encoder under *license* reports in the background.

    A license without a server has nowhere to report to, one for development nothing. Where the contract asks for
    reports they are sent; where it does not, the settings may leave that to `narrows usage report`.
    """
    if license.kind is Kind.DEVELOPMENT or license.metering.report_url is None:
        return False
    return license.metering.mode is MeteringMode.REQUIRED or settings.reports_in_background


def connect(settings: Settings, url: str) -> MeteringClient:
    """A client for the server at *url*, by way of the proxy and the authorities that the settings name."""
    return MeteringClient(url, proxy=settings.proxy, ca_bundle=settings.ca_bundle)
