"""Measurements that users can repeat on their own clips. Not part of the wheel."""
