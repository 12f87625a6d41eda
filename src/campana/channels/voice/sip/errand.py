"""Owns a request of ours outside of any call: OPTIONS and REGISTER, answered or not.

Must not know what follows from the answer.
"""

from __future__ import annotations

import asyncio
import secrets

from campana.channels.voice.sip.dialog import USER_AGENT
from campana.channels.voice.sip.digest import Credentials, Tries
from campana.channels.voice.sip.flow import Flow, Target
from campana.channels.voice.sip.inviting import uri_at
from campana.channels.voice.sip.message import Request, Response
from campana.channels.voice.sip.stack import Stack, contact_of
from campana.channels.voice.sip.uri import parse_trunk


class Errand:
    """Requests of one kind to the trunk: the same Call-ID and tag, and numbers that go up (section 10.2)."""

    def __init__(self, stack: Stack, method: str) -> None:
        self._stack = stack
        self._method = method
        self._call_id = secrets.token_hex(16)
        self._tag = secrets.token_hex(8)
        self._number = 0
        self._credentials: Credentials = stack.credentials()

    async def run(self, target: Target, extra: tuple[tuple[str, str], ...] = ()) -> Response:
        """Ask one host and return its final response; challenges are answered where we can.

        Raises OSError where it cannot be reached, TimeoutError (one too) where it says nothing for `timers.host`.
        """
        tries = Tries()
        async with asyncio.timeout(self._stack.timers.host):
            flow = await self._stack.flow(target)
            while True:
                response = await self._ask(self._request(flow, extra), flow)
                if response.status not in (401, 407) or not self._credentials.learn(response, tries):
                    return response

    async def _ask(self, request: Request, flow: Flow) -> Response:
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def heard(response: Response) -> None:
            if response.status >= 200 and not answer.done():
                answer.set_result(response)

        def failed(error: OSError) -> None:
            if not answer.done():
                answer.set_exception(error)

        self._stack.transactions.ask(request, flow, (heard, failed))
        return await answer

    def _request(self, flow: Flow, extra: tuple[tuple[str, str], ...]) -> Request:
        settings = self._stack.settings
        trunk = settings.trunks[0]
        host = settings.from_domain or (f"[{trunk.host}]" if ":" in trunk.host else trunk.host)
        us = f"<sip:{settings.username or 'campana'}@{host}>"
        request = Request(self._method, uri_at(trunk))
        headers = request.headers
        self._number += 1
        if settings.proxy:
            headers.add("Route", f"<{uri_at(parse_trunk(settings.proxy))};lr>")
        headers.add("Max-Forwards", "70")
        headers.add("From", f"{us};tag={self._tag}")
        headers.add("To", us if self._method == "REGISTER" else f"<{uri_at(trunk)}>")
        headers.add("Call-ID", self._call_id)
        headers.add("CSeq", f"{self._number} {self._method}")
        headers.add("Contact", contact_of(flow))
        headers.add("User-Agent", USER_AGENT)
        for name, value in extra:
            headers.add(name, value)
        self._credentials.sign(request)
        return request
