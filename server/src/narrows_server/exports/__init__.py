"""What leaves for others: CSV, DATEV, FOCUS, and the audit pack of an invoice."""
