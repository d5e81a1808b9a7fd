"""Readers of other people's delivery logs, one module per format; each gives totals per rendition and UTC day."""
