"""Who may do what: roles and actions, callers, and the API keys of programs. People are in `people`."""
