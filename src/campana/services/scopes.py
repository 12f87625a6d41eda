"""Owns what a program's key may be let do: a closed list of scopes.

Must not know what a role may do (access.py): a key acts for a user, within its scopes.
"""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """What an API key may be used for. A session has all of them."""

    CAMPAIGNS_READ = "campaigns:read"
    CAMPAIGNS_WRITE = "campaigns:write"
    CONTACTS_READ = "contacts:read"
    CONTACTS_WRITE = "contacts:write"
    EVENTS_READ = "events:read"
    ACCOUNT_ADMIN = "account:admin"


SCOPE_MEANING: dict[Scope, str] = {
    Scope.CAMPAIGNS_READ: "Read campaigns, their balance and report, and the routes.",
    Scope.CAMPAIGNS_WRITE: "Add, change, delete, pause, resume and cancel campaigns.",
    Scope.CONTACTS_READ: "Read contacts, deliveries, attempts and imports.",
    Scope.CONTACTS_WRITE: "Add, change, delete and import contacts; decide what becomes of uncertain deliveries.",
    Scope.EVENTS_READ: "Read what happens in campaigns, and how their endpoints are told.",
    Scope.ACCOUNT_ADMIN: "Read and change the account, its users, keys and secrets, as far as the user's role may.",
}

ALL_SCOPES = frozenset(Scope)
