"""A vendor with customers, half a year of usage and everything that can be the matter: what `make serve` opens."""
