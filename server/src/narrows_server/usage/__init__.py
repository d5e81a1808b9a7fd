"""Usage as the installations report it: signed reports in, signed receipts out."""
