"""
Licenses for Narrows: signed documents, the strict verifier, and the decision what a license permits.

Import from the modules; importing this package alone costs nothing.
"""
