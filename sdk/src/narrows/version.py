"""The version of this release."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("narrows")
except PackageNotFoundError:  # A checkout installed through the private root.
    VERSION = "0.1.0"
