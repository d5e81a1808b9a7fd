"""Random traffic under random tariffs, against a reckoning that anyone can follow."""
