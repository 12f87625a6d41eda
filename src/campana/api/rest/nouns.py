"""Owns the list of nouns: whose operations the door has, and in which order they are described.

Must not know what any of them does.
"""

from __future__ import annotations

from campana.api.rest import (
    account,
    api_keys,
    campaigns,
    contacts,
    deliveries,
    events,
    exports,
    imports,
    progress,
    routes,
    sessions,
    users,
)
from campana.api.rest.operation import Operation, Operations

NOUNS: tuple[Operations, ...] = (
    sessions.operation,
    account.operation,
    users.operation,
    api_keys.operation,
    routes.operation,
    campaigns.operation,
    contacts.operation,
    imports.operation,
    exports.operation,
    deliveries.operation,
    progress.operation,
    events.operation,
)
"""A new file of operations is added here."""

OPERATIONS: tuple[Operation, ...] = tuple(operation for noun in NOUNS for operation in noun.all)
