"""Invoices: numbered without gaps, unchangeable once issued, printed with typst."""
