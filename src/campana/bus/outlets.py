"""Owns by which protocol an endpoint is told: http and https by POST, ws and wss over a WebSocket.

Must not know either protocol.
"""

from __future__ import annotations

from campana.bus.endpoints import Answer, Message
from campana.bus.outside import Guard
from campana.bus.webhooks import Webhooks
from campana.bus.websocket import WebSockets
from campana.domain.moment import Clock


class Outlets:
    """Tells endpoints; see the contract in bus/endpoints.py. To be closed."""

    def __init__(self, guard: Guard, clock: Clock) -> None:
        self._guard = guard
        self._webhooks = Webhooks(guard, clock)
        self._websockets = WebSockets(guard, clock)

    async def tell(self, endpoint: str, message: Message) -> Answer:
        """Tell an endpoint and wait for its answer."""
        is_websocket = endpoint.lower().startswith(("ws:", "wss:"))
        return await (self._websockets if is_websocket else self._webhooks).tell(endpoint, message)

    async def close(self) -> None:
        """Close every connection."""
        await self._webhooks.close()
        await self._websockets.close()
        self._guard.close()
