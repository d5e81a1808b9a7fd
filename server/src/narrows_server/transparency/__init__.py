"""The transparency log: one tree over all accepted reports, which anybody may ask for proofs."""
