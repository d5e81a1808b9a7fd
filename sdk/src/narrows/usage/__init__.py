"""The usage of this machine: its installation's ledger, and how one installation hands over to the next."""
