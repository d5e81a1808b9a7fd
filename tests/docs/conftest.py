"""A vendor for the pages that need one."""

from __future__ import annotations

from ..sdk.vendor import made_vendor_home, vendor

__all__ = ["made_vendor_home", "vendor"]
