"""Signed documents that every implementation must take, and forgeries that it must refuse."""
