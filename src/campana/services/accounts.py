"""Owns what an operator asks about accounts and users: adding them, listing them, setting passwords.

Must not know who asks: this is reached from the machine itself, not through a client's session.
"""

from __future__ import annotations

import phonenumbers

from campana.domain.schedule import is_known_zone
from campana.services.passwords import LONGEST_PASSWORD
from campana.services.principal import Principal, Role
from campana.services.tools import Tools
from campana.storage.store import AccountRow, Accounts, Conflict, UserRow

LONGEST_NAME = 64
SHORTEST_PASSWORD = 1
"""Not a policy: clients that switch to Campana bring the passwords that their other service let them have."""
ADVISED_PASSWORD = 8
"""Characters below which a password is called short (NIST SP 800-63B 5.1.1.1)."""

NOBODY = 0
"""The number of no user."""

NO_REGION = "ZZ"
"""No default region (CLDR's code for an unknown one): only numbers with a country code are understood."""


class AccountError(Exception):
    """It was refused: one sentence for a person, which names the field and the rule and never a password."""


class AccountService:
    """Accounts and their users."""

    def __init__(self, accounts: Accounts, tools: Tools) -> None:
        self._accounts = accounts
        self._clock = tools.clock
        self._passwords = tools.passwords

    async def add_account(self, id: str, time_zone: str = "UTC", region: str = NO_REGION) -> AccountRow:
        """Add an account. `time_zone` is an IANA name; `region` an ISO 3166-1 alpha-2 code for national numbers.

        Raises AccountError where a value breaks a rule or the id is in use (compared without case).
        """
        check_name("account id", id)
        if not is_known_zone(time_zone):
            raise AccountError(f'The time zone "{time_zone}" is not in the IANA database (an example: Europe/Rome).')
        region = region.upper()
        if region != NO_REGION and region not in phonenumbers.SUPPORTED_REGIONS:
            raise AccountError(f'The region "{region}" is not a country code of ISO 3166-1 (an example: IT).')
        try:
            return await self._accounts.add_account(id, time_zone, region, self._clock())
        except Conflict:
            raise AccountError(f'An account "{id}" exists already.') from None

    async def list_accounts(self) -> list[AccountRow]:
        """All accounts, by id."""
        return await self._accounts.list_accounts()

    async def add_user(self, account_id: str, name: str, role: str, password: str) -> UserRow:
        """Add a user to an account. Raises AccountError where a value breaks a rule or the name is in use."""
        check_name("user name", name)
        if role not in set(Role):
            raise AccountError(f'The role "{role}" is not one of {", ".join(Role)}.')
        check_password(password)
        account = await self._find(account_id)
        hashed = await self._passwords.hash(password)
        try:
            return await self._accounts.add_user(account.number, name, role, hashed, self._clock())
        except Conflict:
            raise AccountError(f'The account "{account.id}" has a user "{name}" already.') from None

    async def list_users(self, account_id: str) -> list[UserRow]:
        """All users of an account, by name. Raises AccountError where there is no such account."""
        return await self._accounts.list_users((await self._find(account_id)).number)

    async def set_password(self, account_id: str, name: str, password: str) -> None:
        """Set a user's password and end all of the user's sessions. Raises AccountError."""
        check_password(password)
        account = await self._find(account_id)
        user = await self._accounts.find_user(account_id, name)
        if user is None:
            raise AccountError(f'The account "{account.id}" has no user "{name}".')
        await self._accounts.set_password(user.number, await self._passwords.hash(password))

    async def operator_of(self, account_id: str) -> Principal:
        """Who asks from the machine itself: like an admin of the account, and none of its users.

        Raises AccountError where there is no such account.
        """
        return Principal(UserRow(NOBODY, await self._find(account_id), "", Role.ADMIN, "", 0), agent=False)

    async def _find(self, account_id: str) -> AccountRow:
        account = await self._accounts.find_account(account_id)
        if account is None:
            raise AccountError(f'There is no account "{account_id}".')
        return account


def check_name(what: str, name: str) -> None:
    """Raises AccountError where a name cannot be that of an account or user; `what` says which."""
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise AccountError(f"The {what} should be 1 to {LONGEST_NAME} printable characters without blanks at its ends.")


def check_password(password: str) -> None:
    """Raises AccountError where a password has too many characters, or none."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise AccountError(f"The password should have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
