"""Owns by which protocol an endpoint is told: http and https by POST, ws and wss over a WebSocket.

Must not know either protocol.
"""

from __future__ import annotations

import asyncio
import ssl

from campana.bus.endpoints import Answer, Message, Outlet
from campana.bus.outside import Guard
from campana.bus.webhooks import Webhooks
from campana.bus.websocket import WebSockets
from campana.domain.moment import Clock


class Outlets:
    """Tells endpoints; see the contract in bus/endpoints.py. To be closed."""

    def __init__(self, guard: Guard, clock: Clock) -> None:
        self._guard = guard
        self._clock = clock
        self._making = asyncio.Lock()
        self._webhooks: Webhooks | None = None
        self._websockets: WebSockets | None = None

    async def tell(self, endpoint: str, message: Message) -> Answer:
        """Tell an endpoint and wait for its answer."""
        return await (await self._outlet(endpoint)).tell(endpoint, message)

    async def close(self) -> None:
        """Close every connection."""
        for outlet in (self._webhooks, self._websockets):
            if outlet is not None:
                await outlet.close()
        self._guard.close()

    async def _outlet(self, endpoint: str) -> Outlet:
        """What speaks an endpoint's protocol. Both are made when the first endpoint is told: to read the certificates
        that are believed takes as long as hundreds of messages, so that it is done once, beside everything else."""
        async with self._making:
            if self._webhooks is None or self._websockets is None:
                believed = await asyncio.to_thread(ssl.create_default_context)
                self._webhooks = Webhooks(self._guard, self._clock, believed)
                self._websockets = WebSockets(self._guard, self._clock, believed)
        return self._websockets if endpoint.lower().startswith(("ws:", "wss:")) else self._webhooks
