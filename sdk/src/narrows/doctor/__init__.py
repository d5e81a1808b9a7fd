"""What this machine can do, and what stands in its way: the software, the license, the state folder, the server."""
