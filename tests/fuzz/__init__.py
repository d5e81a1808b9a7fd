"""Hostile bytes, found by coverage: `make fuzz SECONDS=600`."""
