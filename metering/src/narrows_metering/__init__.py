"""
How Narrows and its customers agree on what was saved: ledger, reports, receipts, savings, statements.

Each module is one noun and is imported by its name (`from narrows_metering.ledger import Ledger`), so that a player
that only counts deliveries does not load a database. Needs no network, no server and no torch.
"""
