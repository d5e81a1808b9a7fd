"""Random contracts rated by the product and by a reckoning that anyone can follow."""
