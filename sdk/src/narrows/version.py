"""The version of this release, and its date."""

from datetime import date
from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("narrows")
except PackageNotFoundError:  # A checkout installed through the private root.
    VERSION = "0.1.0"

RELEASE_DATE = date(2026, 11, 24)  # Licenses cover the releases up to the end of their maintenance.
