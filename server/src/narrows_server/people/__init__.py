"""The people who sign in: accounts, passwords, second factors, single sign-on, sessions."""
