"""The estimator, asked about months of which the truth is known."""
