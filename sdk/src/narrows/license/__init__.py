"""The license on this machine: the gate in front of an encode, bindings, seats, and what is the matter."""
