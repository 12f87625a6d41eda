"""Owns what an operator asks and says about which database this is: whether it is held, and whether it goes on.

Must not know who asks: this is reached from the machine itself, not through a client's session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from campana.domain.campaign import media_enabled
from campana.domain.delivery import Medium
from campana.domain.instance import Doubt, Found, Instance, Self, adopted, judge, retired
from campana.domain.moment import Clock
from campana.domain.schedule import is_open, next_opening, window_of
from campana.storage.beside import MemoryFile
from campana.storage.instance import Instances
from campana.storage.store import Accounts, CampaignRow, Campaigns, Contacts


@dataclass(frozen=True, slots=True)
class InstanceOptions:
    """Who asks, and where the processes of this machine remember what ran."""

    who: Self
    file: MemoryFile


@dataclass(frozen=True, slots=True)
class InstanceView:
    """A database as an operator sees it from this machine."""

    instance: Instance
    at_home: bool
    """It lies where it last ran."""
    doubt: Doubt | None
    """Why a process on this machine holds it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What would go out: campaigns that may still send, and their deliveries that have not ended."""

    campaigns: int = 0
    deliveries: Mapping[Medium, int] = field(default_factory=dict)


class InstanceStore(Protocol):
    """The part of the store that this needs."""

    @property
    def instances(self) -> Instances: ...

    @property
    def accounts(self) -> Accounts: ...

    @property
    def campaigns(self) -> Campaigns: ...

    @property
    def contacts(self) -> Contacts: ...


class InstanceService:
    """The database as such."""

    def __init__(self, store: InstanceStore, options: InstanceOptions, clock: Clock) -> None:
        self._store = store
        self._options = options
        self._clock = clock

    async def show(self) -> InstanceView:
        """Which database it is, and whether it is held."""
        memory = await self._options.file.read()
        found: Found = await self._store.instances.change(lambda found: (None, found))
        home = found.instance.home
        at_home = home is not None and home.place == found.here
        return InstanceView(found.instance, at_home, judge(found, memory, self._options.who))

    async def waiting(self) -> Waiting:
        """What would go out if it sent, now or when the windows of its campaigns open."""
        campaigns, deliveries = 0, Counter[Medium]()
        async for row in self._may_send():
            media = media_enabled(row.campaign)
            counts = {medium: await self._store.contacts.count_waiting(row.number, medium) for medium in media}
            campaigns += any(counts.values())
            deliveries.update(counts)
        return Waiting(campaigns, {medium: deliveries[medium] for medium in Medium if deliveries[medium]})

    async def resume(self) -> Instance:
        """This database goes on from here, and no copy of it does."""
        id, label = str(uuid4()), self._options.who.label

        def adopt(found: Found) -> tuple[Instance, Instance]:
            new = adopted(found, id, label)
            return new, new

        return await self._store.instances.change(adopt)

    async def retire(self) -> Instance:
        """This database is a copy, which never sends."""

        def look_only(found: Found) -> tuple[Instance, Instance]:
            new = retired(found.instance)
            return new, new

        return await self._store.instances.change(look_only)

    async def _may_send(self) -> AsyncIterator[CampaignRow]:
        now = self._clock()
        for account in await self._store.accounts.list_accounts():
            for row in await self._store.campaigns.list(account.number):
                window = window_of(row.campaign, row.zone)
                if not row.campaign.is_paused and (is_open(window, now) or next_opening(window, now) is not None):
                    yield row
