"""Owns who asks: the user of a session with a role, and whether the request was made for an agent.

Must not know what a role may do (access.py), nor how a session is found (sessions.py).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from campana.storage.store import AccountRow, UserRow


class Role(StrEnum):
    """What a user is to an account."""

    ADMIN = "admin"
    OPERATOR = "operator"
    API = "api"
    AGENT = "agent"


class Principal(msgspec.Struct, frozen=True):
    """The user on whose behalf something is asked.

    `agent` is True for a user with the role agent and for every request marked as made for one: the campaign's
    rules for external applications bind it. The mark takes nothing else away from the user's role.
    """

    user: UserRow
    agent: bool

    @property
    def account(self) -> AccountRow:
        """The user's account: the tenant, beyond which nothing is seen or touched."""
        return self.user.account

    @property
    def role(self) -> str:
        """The user's role."""
        return self.user.role
