"""Coded files made ready for delivery: HLS with fragmented MP4. Nothing is coded again, and no license is asked."""
