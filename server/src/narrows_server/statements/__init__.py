"""The close of a month: one statement and one outcome for every active contract."""
