"""
The relay: hands out the seats of floating licenses at a customer's site, and keeps usage reports for the vendor.

One process with one SQLite file. It holds a key of its own that the vendor has certified, and nothing of the vendor's.
"""

VERSION = "0.1.0"
"""Of this relay, as it says it in a request."""
