"""The double-entry journal: every event of money posts balanced entries, and nothing is ever changed."""
