"""Owns what may be asked about an account's own settings: its time zone and the region of its phone numbers.

Must not know how a door words them.
"""

from __future__ import annotations

import phonenumbers

from campana.domain.errors import MethodCode, MethodError
from campana.domain.schedule import is_known_zone
from campana.services.accounts import NO_REGION
from campana.services.principal import Principal, Role
from campana.storage.store import AccountRow, Accounts


class SettingService:
    """The account of whoever asks. Used from one event loop."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def get(self, who: Principal) -> AccountRow:
        """The account."""
        return who.account

    async def change(self, who: Principal, time_zone: str | None, region: str | None) -> AccountRow:
        """Change the time zone (an IANA name) or the default region of phone numbers (ISO 3166-1 alpha-2, `ZZ` for
        none); None leaves it. Raises 3 AccessDenied, 42 InvalidRequest.
        """
        if who.role != Role.ADMIN:
            raise MethodError(MethodCode.ACCESS_DENIED, f"The role {who.role} may not change the account.")
        if time_zone is not None and not is_known_zone(time_zone):
            rule = "should be a name of the IANA time zone database, such as Europe/Rome."
            raise MethodError(MethodCode.INVALID_REQUEST, f"time_zone {rule}", field="time_zone")
        if region is not None and region != NO_REGION and region not in phonenumbers.SUPPORTED_REGIONS:
            rule = "should be a country code of ISO 3166-1, such as IT, or ZZ."
            raise MethodError(MethodCode.INVALID_REQUEST, f"region {rule}", field="region")
        now = who.account
        changed = await self._accounts.set_account(now.number, time_zone or now.time_zone, region or now.region)
        if changed is None:
            raise MethodError(MethodCode.NOT_FOUND, "The account is gone.")
        return changed
