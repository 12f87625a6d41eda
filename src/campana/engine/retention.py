"""Owns what is removed when it has been kept long enough: campaigns that are over, deleted ones' records, messages.

Must not know how it is removed. It takes a small part of the database's time, and leaves the rest to deliveries.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import structlog

from campana.bus.contract import Bus, Hint, News
from campana.domain.moment import Clock
from campana.domain.schedule import ends_at, window_of
from campana.engine.duties import Duty
from campana.engine.options import RetentionOptions
from campana.storage.retention import Retention
from campana.storage.store import CampaignRow, StoreUnavailable

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 0.05
"""The least between two transactions."""
REST = 9
"""Times as long as a transaction took is nothing done: so no more than a tenth of a connection's time is taken."""
AT_ONCE = 100
"""Campaigns that are read in one go."""


class Remover:
    """Removes old data, a round every now and then."""

    def __init__(self, store: Retention, bus: Bus, options: RetentionOptions, *, duty: Duty, clock: Clock) -> None:
        self._store = store
        self._duty = duty
        self._bus = bus
        self._options = options
        self._clock = clock

    async def remove_for_ever(self) -> None:
        """Remove what has been kept long enough, round by round; to be cancelled."""
        while True:
            try:
                await self.round()
            except StoreUnavailable as error:
                log.warning("retention.store_unavailable", reason=str(error))
            await asyncio.sleep(self._options.round_ms / 1_000)

    async def round(self) -> None:
        """Remove everything that has been kept long enough by now, where this process has the duty to."""
        if not await self._duty.held():
            return
        if self._options.ended_ms:
            await self._delete_ended(self._clock() - self._options.ended_ms)
        if self._options.deleted_ms:
            await self._remove_deleted(self._clock() - self._options.deleted_ms)
        if self._options.incoming_ms:
            removed = await self._slowly(self._store.remove_incoming(self._clock() - self._options.incoming_ms))
            if removed:
                log.info("retention.messages_removed", messages=removed)

    async def _delete_ended(self, before: int) -> None:
        """Delete campaigns whose last window closed, or that were cancelled, before an instant."""
        after = 0
        while rows := await self._store.campaigns(after, AT_ONCE):
            for row in rows:
                if _is_over(row, before) and await self._store.delete(row, self._clock()):
                    log.info("retention.campaign_deleted", campaign=row.number)
                    self._bus.tell(Hint(News.CAMPAIGN, row.number))
            after = rows[-1].number

    async def _remove_deleted(self, before: int) -> None:
        after, something = 0, False
        while numbers := await self._store.expired(before, after, AT_ONCE):
            for number in numbers:
                if not await self._duty.held():
                    return
                removed = await self._slowly(self._store.remove(number))
                if removed:
                    log.info("retention.campaign_removed", campaign=number, rows=removed)
                    something = True
            after = numbers[-1]
        if something:
            await self._slowly(self._store.remove_handovers())

    async def _slowly(self, portions: AsyncIterator[int]) -> int:
        """Take portions one by one, with rests between them, as long as the duty is ours; how many rows there were."""
        clock = asyncio.get_running_loop().time
        rows, began = 0, clock()
        async for some in portions:
            rows += some
            await asyncio.sleep(max(PAUSE_SECONDS, REST * (clock() - began)))
            if not await self._duty.held():
                break
            began = clock()
        return rows


def _is_over(row: CampaignRow, before: int) -> bool:
    ends = (ends_at(window_of(row.campaign, row.zone)), row.cancelled_at)
    return any(end is not None and end <= before for end in ends)
