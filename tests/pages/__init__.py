"""How long pages take over the rollups of a large vendor, on a real PostgreSQL: `make pages`."""
