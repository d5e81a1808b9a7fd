"""How the weights are made: data, stages, losses, export. Not part of the wheel."""
