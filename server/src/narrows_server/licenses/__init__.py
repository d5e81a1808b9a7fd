"""The licenses that this vendor has issued and revoked."""
