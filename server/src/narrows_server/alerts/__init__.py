"""Alerts: what a person should look at, opened once, acknowledged by somebody, closed by itself."""
