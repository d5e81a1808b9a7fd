"""Keeping a server alive: backup and restore, the doctor, probes, metrics and the log."""
