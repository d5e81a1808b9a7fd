"""The console: what the vendor's people see of the server in a browser."""
