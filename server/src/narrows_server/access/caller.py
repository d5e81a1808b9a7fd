"""
Whoever asks, once we know who it is: a person, or a program with an API key.

A caller has the actions that it may take and, if it belongs to one, a customer. Everything of any other customer does
not exist for it: whoever reads for a caller passes `customer_id` to the query, or what was found to `require_own`.
"""

from __future__ import annotations

from dataclasses import dataclass

from narrows_server.access.roles import MEANINGS, Action
from narrows_server.errors import NotFound, NotPermitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, what they may do, and for which customer they do it (None for the vendor's people and programs)."""

    actor: str  # As the audit log names it: "person:anna@example.com", "key:key_7mbd…".
    human: str  # The person behind it: of a key, whoever made it. Two of them are needed where two people are.
    actions: frozenset[Action]
    customer_id: str | None = None

    def may(self, action: Action) -> bool:
        """Whether *action* is permitted."""
        return action in self.actions

    def require(self, action: Action) -> None:
        """Raises `NotPermitted` unless *action* is permitted."""
        if not self.may(action):
            raise NotPermitted(f"this takes the permission {action.value}, to {MEANINGS[action]}; an owner gives it")

    def owns(self, customer_id: str | None) -> bool:
        """Whether what belongs to *customer_id* exists for this caller; None is the vendor's own."""
        return self.customer_id is None or self.customer_id == customer_id

    def require_own(self, customer_id: str | None, what: str) -> None:
        """Raises `NotFound` in the words that a thing that does not exist gets, unless it belongs to the caller."""
        if not self.owns(customer_id):
            raise NotFound(f"there is no {what}")
