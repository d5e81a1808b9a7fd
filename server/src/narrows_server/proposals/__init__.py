"""Two people for what is dangerous: one proposes it, another approves it, and only then is it done."""
