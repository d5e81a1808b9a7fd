"""Webhooks by the Standard Webhooks specification: events in an outbox, deliveries until they arrive."""
