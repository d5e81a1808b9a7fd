"""Encoding and decoding frame by frame."""
