"""Payments: money received, refunded and bounced, what it is for, and where every invoice stands."""
