"""Owns what may be asked about the secret that signs what an account's endpoints are told: reading it, renewing it.

Must not know how it signs.
"""

from __future__ import annotations

from campana.bus.endpoints import new_secret
from campana.domain.errors import MethodCode, MethodError
from campana.domain.moment import DAY
from campana.services.principal import Principal, Role
from campana.services.tools import Tools
from campana.storage.publications import Publications, Secrets

EARLIER_MS = DAY
"""So long the secret before signs as well, so that receivers can be given the new one in their own time."""


class WebhookService:
    """The signing secret of the account of whoever asks: an admin. Used from one event loop."""

    def __init__(self, publications: Publications, tools: Tools) -> None:
        self._publications = publications
        self._clock = tools.clock

    async def secret(self, who: Principal) -> Secrets:
        """The account's secrets, those alone that sign now; the first one is made here. Raises 3 AccessDenied."""
        _demand_admin(who)
        account = who.account.number
        secrets = await self._publications.secrets(account)
        if secrets is None:
            secrets = await self._publications.begin_secret(account, new_secret())
        return self._as_of_now(secrets)

    async def rotate(self, who: Principal) -> Secrets:
        """Renew the secret: the one so far signs as well for a day, and the one before that no more.

        Raises 3 AccessDenied.
        """
        _demand_admin(who)
        account = who.account.number
        if await self._publications.secrets(account) is None:
            return self._as_of_now(await self._publications.begin_secret(account, new_secret()))
        until = self._clock() + EARLIER_MS
        return self._as_of_now(await self._publications.rotate_secret(account, new_secret(), until))

    def _as_of_now(self, secrets: Secrets) -> Secrets:
        is_valid = secrets.earlier_until is not None and secrets.earlier_until > self._clock()
        return secrets if is_valid else Secrets(secrets.secret)


def _demand_admin(who: Principal) -> None:
    if who.role != Role.ADMIN:
        raise MethodError(MethodCode.ACCESS_DENIED, f"The role {who.role} may not see the account's signing secret.")
