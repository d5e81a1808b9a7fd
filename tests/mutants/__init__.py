"""How many mutants of rating, rounding and numbering the tests notice."""
