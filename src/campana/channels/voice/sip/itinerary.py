"""Owns where an INVITE may go, one place after the other: hosts of the trunk, and where a redirection points.

Must not know how an INVITE is sent. (RFC 3261, section 8.1.3.4; RFC 3263, section 4.3.)
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from campana.channels.voice.sip.flow import Target
from campana.channels.voice.sip.headers import parse_parameters, parse_uri, split_address
from campana.channels.voice.sip.inviting import Inviting
from campana.channels.voice.sip.message import Response, SipSyntaxError
from campana.channels.voice.sip.problem import Problem
from campana.channels.voice.sip.stack import Stack

MOST_REDIRECTIONS: Final = 5
"""Contacts that a call follows, all together."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One place to send the INVITE to."""

    uri: str
    target: Target
    has_next: bool
    """There is another place for the same URI."""


class Itinerary:
    """The places for one call."""

    def __init__(self, stack: Stack, inviting: Inviting) -> None:
        self._stack = stack
        self._inviting = inviting
        self._places: deque[tuple[str, Target]] = deque()
        self._contacts: deque[str] = deque()
        self._seen: set[str] = set()
        self._was_redirected = False
        self._followed = 0

    async def prepare(self) -> None:
        """Find the hosts of the trunk."""
        targets = await self._stack.locator.targets()
        self._places.extend((self._inviting.uri(target), target) for target in targets)
        self._seen.update(uri for uri, _ in self._places)

    async def next_stop(self) -> Stop | None:
        """The next place; None where all were tried."""
        while not self._places and self._contacts:
            uri = self._contacts.popleft()
            self._places.extend((uri, target) for target in await self._look_up(uri))
            self._inviting.count()
        if not self._places:
            return None
        uri, target = self._places.popleft()
        return Stop(uri, target, bool(self._places))

    async def _look_up(self, uri: str) -> list[Target]:
        locator = self._stack.locator
        if self._stack.settings.proxy:
            return await locator.targets()
        parsed = parse_uri(uri)
        return await locator.resolve(parsed.host, parsed.port, parsed.transport)

    def goes_on(self, response: Response | None, problem: Problem | None, rang: bool) -> bool:
        """Whether the next place is to be tried after what became of this one.

        Not after anybody's phone may have rung, and not after an answer that another place would only repeat.
        """
        if rang:
            return False
        if response is None:
            return problem in (Problem.TIMEOUT, Problem.TRANSPORT)
        if 300 <= response.status < 400:
            self._redirect(response)
            self._places.clear()
            return True
        if response.status == 503:
            return True
        if response.status >= 600 or not self._was_redirected:
            return False
        self._places.clear()
        return problem is not Problem.AUTHENTICATION

    def _redirect(self, response: Response) -> None:
        """Note the contacts of a 3xx, those with the highest q first; none twice, and not too many."""
        self._was_redirected = True
        found: list[tuple[float, str]] = []
        for value in response.headers.all("Contact"):
            try:
                uri, parameters = split_address(value)
                parse_uri(uri)
                found.append((_quality(parse_parameters(parameters).get("q", "")), uri.partition("?")[0]))
            except SipSyntaxError:
                continue
        for _, uri in sorted(found, key=lambda pair: -pair[0]):
            if uri not in self._seen and self._followed < MOST_REDIRECTIONS:
                self._followed += 1
                self._seen.add(uri)
                self._contacts.append(uri)


def _quality(text: str) -> float:
    """A q value (RFC 3261, section 20.10): 0 to 1 with three digits; 1 where none can be read."""
    try:
        quality = float(text) if len(text) <= 5 else 1.0
    except ValueError:
        return 1.0
    return quality if 0.0 <= quality <= 1.0 else 1.0
