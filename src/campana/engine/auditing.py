"""Owns that the counts of campaigns are compared with their deliveries in the background, and that repairs are told.

Must not know how they are compared. It takes a small part of the database's time, and leaves the rest to deliveries.
"""

from __future__ import annotations

import asyncio

import structlog

from campana.bus.contract import Bus, Hint, News
from campana.domain.moment import HOUR
from campana.engine.duties import Duty
from campana.engine.options import Tools
from campana.storage.progress import Progress
from campana.storage.store import StoreUnavailable

log = structlog.get_logger(__name__)

EVERY_MS = HOUR
"""How often a campaign with news is audited."""
LOOK_SECONDS = 60.0
"""How often is looked for such."""
REST = 9
"""Times as long as an audit took is nothing done: so no more than a tenth of a connection's time is taken."""
AT_ONCE = 100


class Auditor:
    """Audits, a campaign at a time. Of several processes one does."""

    def __init__(self, progress: Progress, bus: Bus, duty: Duty, tools: Tools) -> None:
        self._progress = progress
        self._bus = bus
        self._duty = duty
        self._clock = tools.clock
        self._metrics = tools.metrics

    async def audit_for_ever(self) -> None:
        """Audit what is due, round by round; to be cancelled."""
        while True:
            try:
                await self.round()
            except StoreUnavailable as error:
                log.warning("auditing.store_unavailable", reason=str(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def round(self) -> None:
        """Audit all campaigns whose turn it is by now, where this process has the duty to."""
        now = asyncio.get_running_loop().time
        seen: set[int] = set()
        while due := [number for number in await self._due() if number not in seen]:
            for number in due:
                if not await self._duty.held():
                    return
                seen.add(number)
                began = now()
                await self._audit(number)
                await asyncio.sleep(REST * (now() - began))

    async def _due(self) -> list[int]:
        if not await self._duty.held():
            return []
        return await self._progress.unaudited(self._clock() - EVERY_MS, AT_ONCE)

    async def _audit(self, number: int) -> None:
        repairs = await self._progress.audit(number, self._clock())
        for repair in repairs:
            log.error(
                "auditing.repaired",
                campaign=repair.campaign,
                medium=None if repair.medium is None else repair.medium.name.lower(),
                status=None if repair.status is None else repair.status.name.lower(),
                difference=repair.difference,
            )
        if repairs:
            self._metrics.audit_repairs.add(by=len(repairs))
            self._bus.tell(Hint(News.CONTACTS, number))
