"""Narrows beside other encoders on a clip of the user's own: measured, and shown on one page."""
