"""
The vendor's side of Narrows: licenses out, usage in, savings statements and invoices at month's end.

Whatever holds one of the vendor's private keys lives in this distribution, and it never ships to a customer.
The SDK is not imported here: the two meet only in the documents of `narrows_licensing` and `narrows_metering`.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
