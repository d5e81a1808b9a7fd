"""
The one table of who may do what: roles, actions, and which role may take which action.

An action is also the scope of an API key. `docs/reference/roles.md` is written from this table, and a test asks every
endpoint as every role whether it holds. What belongs to one customer is narrowed further by the caller's customer:
see `caller`.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What a person is here for."""

    OWNER = "owner"
    LICENSE_ADMIN = "license_admin"
    FINANCE = "finance"
    AUDITOR = "auditor"
    CUSTOMER = "customer"


class Action(StrEnum):
    """Something that may be permitted. Its text is the scope of an API key."""

    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"
    CONTRACTS_READ = "contracts:read"
    CONTRACTS_WRITE = "contracts:write"
    LICENSES_READ = "licenses:read"
    LICENSES_WRITE = "licenses:write"
    LICENSES_DOWNLOAD = "licenses:download"
    INSTALLATIONS_READ = "installations:read"
    STATEMENTS_READ = "statements:read"
    STATEMENTS_WRITE = "statements:write"
    STATEMENTS_ANSWER = "statements:answer"
    INVOICES_READ = "invoices:read"
    INVOICES_WRITE = "invoices:write"
    BOOKS_READ = "books:read"
    BOOKS_WRITE = "books:write"
    PROPOSALS_READ = "proposals:read"
    PROPOSALS_DECIDE = "proposals:decide"
    ALERTS_READ = "alerts:read"
    ALERTS_WRITE = "alerts:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    API_KEYS_READ = "api_keys:read"
    API_KEYS_WRITE = "api_keys:write"
    PEOPLE_READ = "people:read"
    PEOPLE_WRITE = "people:write"
    AUDIT_READ = "audit:read"


MEANINGS = MappingProxyType(
    {
        Action.CUSTOMERS_READ: "see customers",
        Action.CUSTOMERS_WRITE: "add and change customers",
        Action.CONTRACTS_READ: "see contracts and tariffs",
        Action.CONTRACTS_WRITE: "make contracts and tariffs",
        Action.LICENSES_READ: "see licenses and the seats that are taken",
        Action.LICENSES_WRITE: "issue, renew, suspend and revoke licenses",
        Action.LICENSES_DOWNLOAD: "get license files; whoever has one can use the license",
        Action.INSTALLATIONS_READ: "see installations, their usage, gaps and forks",
        Action.STATEMENTS_READ: "see savings statements",
        Action.STATEMENTS_WRITE: "close months, draw up and send statements",
        Action.STATEMENTS_ANSWER: "accept or dispute a statement in the customer's name",
        Action.INVOICES_READ: "see invoices and credit notes",
        Action.INVOICES_WRITE: "issue invoices and credit notes",
        Action.BOOKS_READ: "see payments, the journal and exports",
        Action.BOOKS_WRITE: "record payments, write exports",
        Action.PROPOSALS_READ: "see what waits for a second person",
        Action.PROPOSALS_DECIDE: "approve or reject what another person proposed, if one may do it oneself",
        Action.ALERTS_READ: "see alerts",
        Action.ALERTS_WRITE: "acknowledge alerts",
        Action.WEBHOOKS_READ: "see webhooks and their deliveries",
        Action.WEBHOOKS_WRITE: "add and change webhooks, replay deliveries",
        Action.API_KEYS_READ: "see API keys (never the keys themselves)",
        Action.API_KEYS_WRITE: "make, rotate and revoke API keys",
        Action.PEOPLE_READ: "see people and their roles",
        Action.PEOPLE_WRITE: "invite people, change roles, end sessions",
        Action.AUDIT_READ: "read and export the audit log",
    }
)

_READ = frozenset(action for action in Action if action.value.endswith(":read"))
# Only the customer answers for the customer: not even an owner accepts a statement in somebody else's name.
_VENDOR = frozenset(Action) - {Action.STATEMENTS_ANSWER}

PERMISSIONS = MappingProxyType(
    {
        Role.OWNER: _VENDOR,
        Role.LICENSE_ADMIN: frozenset(
            {
                Action.CUSTOMERS_READ,
                Action.CONTRACTS_READ,
                Action.LICENSES_READ,
                Action.LICENSES_WRITE,
                Action.LICENSES_DOWNLOAD,
                Action.INSTALLATIONS_READ,
                Action.PROPOSALS_READ,
                Action.PROPOSALS_DECIDE,
                Action.ALERTS_READ,
                Action.ALERTS_WRITE,
                Action.WEBHOOKS_READ,
                Action.WEBHOOKS_WRITE,
            }
        ),
        Role.FINANCE: frozenset(
            {
                Action.CUSTOMERS_READ,
                Action.CUSTOMERS_WRITE,
                Action.CONTRACTS_READ,
                Action.CONTRACTS_WRITE,
                Action.LICENSES_READ,
                Action.INSTALLATIONS_READ,
                Action.STATEMENTS_READ,
                Action.STATEMENTS_WRITE,
                Action.INVOICES_READ,
                Action.INVOICES_WRITE,
                Action.BOOKS_READ,
                Action.BOOKS_WRITE,
                Action.PROPOSALS_READ,
                Action.PROPOSALS_DECIDE,
                Action.ALERTS_READ,
                Action.ALERTS_WRITE,
            }
        ),
        Role.AUDITOR: _READ,
        Role.CUSTOMER: frozenset(
            {
                Action.LICENSES_READ,
                Action.LICENSES_DOWNLOAD,
                Action.INSTALLATIONS_READ,
                Action.STATEMENTS_READ,
                Action.STATEMENTS_ANSWER,
                Action.INVOICES_READ,
                Action.ALERTS_READ,
                Action.WEBHOOKS_READ,
                Action.WEBHOOKS_WRITE,
                Action.API_KEYS_READ,
                Action.API_KEYS_WRITE,
            }
        ),
    }
)

# Takes a person: a program that approves what a program proposed would be one person, not two.
PEOPLE_ONLY = frozenset({Action.PROPOSALS_DECIDE, Action.PEOPLE_WRITE})


def permitted(role: Role) -> frozenset[Action]:
    """The actions that *role* may take."""
    return PERMISSIONS[role]
