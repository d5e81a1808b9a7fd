"""Each defence of the server taken out of a copy of it: `make defences`."""
