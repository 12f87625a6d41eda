"""Owns receipts from the end of their calls until they are durable: in order, in small batches, none lost.

Must not know calls.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from campana.channels.contract import Inbound
from campana.domain.outcome import Receipt

COLLECT_SECONDS: Final = 0.02
BATCH: Final = 200
RETRY_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class Postbox:
    """Receipts on their way to `inbound`."""

    def __init__(self, route: str) -> None:
        self._route = route
        self._waiting: list[Receipt] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, receipt: Receipt) -> None:
        """Take a receipt."""
        self._waiting.append(receipt)
        self._idle.clear()
        self._wake.set()

    def holds(self, call_id: str) -> bool:
        """Whether a receipt of a call has not been handed in yet."""
        return any(call_id in receipt.carrier_ids for receipt in self._waiting)

    async def run(self, inbound: Inbound) -> None:
        """Hand in what comes, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(COLLECT_SECONDS)
            most = BATCH
            while self._waiting:
                if not await self._hand_in(inbound, self._waiting[:most]):
                    # It may be the fault of one of them: each by itself, until none is left.
                    most = 1
            self._idle.set()

    async def drain(self, budget: float) -> None:
        """Wait at most `budget` seconds until everything is handed in."""
        try:
            async with asyncio.timeout(budget):
                await self._idle.wait()
        except TimeoutError:
            log.error("voice.receipts_not_kept_at_stop", route=self._route, count=len(self._waiting))

    async def _hand_in(self, inbound: Inbound, batch: list[Receipt]) -> bool:
        """Hand in those that wait longest; whether they were kept. What was not goes behind the others."""
        try:
            await inbound.receipts(batch)
        except Exception:
            # Whatever went wrong above us, nobody else knows how these calls ended.
            log.exception("voice.receipts_not_kept", route=self._route, count=len(batch))
            self._waiting[:] = self._waiting[len(batch) :] + batch
            await asyncio.sleep(RETRY_SECONDS)
            return False
        del self._waiting[: len(batch)]
        return True
