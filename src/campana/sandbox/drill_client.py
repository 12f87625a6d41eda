"""Owns the drill's customer: it adds contacts at a steady pace, and asks again, elsewhere, what was not answered.

Must not know which server is down: it finds out as any customer does. What was acknowledged is what it counts.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Collection, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode
from campana.sandbox.drill_soap import (
    Campaign,
    Line,
    Standings,
    about_campaign,
    campaign_of,
    contact_of,
    standings_of,
    text_of,
)

LINES: Final = 8
"""Connections over which contacts are added at the same time."""
ANSWER_SECONDS: Final = 3.0
"""After that an answer is waited for no longer: the server may stand still."""
LIST_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 60.0
"""For how long a request is repeated."""
PAUSE_SECONDS: Final = 0.1

_THERE: Final = (MethodCode.SUCCESS, MethodCode.CONTACT_ALREADY_EXISTS)
"""The second is what an earlier try is known by, that had come in and was not answered."""


class Refused(Exception):
    """A request was answered otherwise than it should be, or not at all: a sentence for a person."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who logs in."""

    account: str
    user: str
    password: str


async def together(*work: Coroutine[Any, Any, object]) -> None:
    """Do all at once. What goes wrong with one ends the others, too, and is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Customer:
    """A client with one session, which may ask any of several servers."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._turn: Iterator[int] = itertools.cycle(ports)
        self._session = ""
        self.acknowledged: set[int] = set()
        """Contacts that were accepted."""
        self.repeated = 0
        """Requests that were asked again."""

    async def log_in(self, credentials: Credentials) -> None:
        """Open the session. Raises Refused."""
        names = ("accountId", credentials.account), ("username", credentials.user), ("password", credentials.password)
        answer = await self._ask("OpenAPISession", "".join(f"<{name}>{value}</{name}>" for name, value in names))
        self._session = text_of(answer, "SessionId")
        if not self._session:
            raise Refused(f"the log-in was refused: {text_of(answer, 'Description')}")

    async def put_campaign(self, campaign: Campaign, *, new: bool) -> None:
        """Add a campaign, or change it. Raises Refused."""
        operation = "AddCampaign" if new else "UpdateCampaign"
        answer = await self._ask(operation, campaign_of(self._session, campaign))
        code = int(text_of(answer, f"{operation}Result"))
        if code not in ((MethodCode.SUCCESS, MethodCode.CAMPAIGN_ALREADY_EXISTS) if new else (MethodCode.SUCCESS,)):
            raise Refused(f"{operation} answered {code}")

    async def load(self, contacts: Iterable[tuple[int, str, Collection[Medium]]], rate: float) -> None:
        """Add contacts (number, campaign, media), so many a second; repeat each until it is acknowledged. Raises
        Refused."""
        began, order = time.monotonic(), itertools.count()
        waiting = iter(contacts)

        async def one_line() -> None:
            line: Line | None = None
            for number, campaign, media in waiting:
                await asyncio.sleep(max(0.0, began + next(order) / rate - time.monotonic()))
                contact = contact_of(self._session, campaign, number, media)
                line = await self._add(line, contact)
                self.acknowledged.add(number)

        await together(*(one_line() for _ in range(LINES)))

    async def standings(self, campaign: str) -> Standings:
        """How all contacts of a campaign stand. Raises Refused."""
        asked = about_campaign(self._session, campaign)
        return standings_of(await self._ask("GetCampaignContacts", asked, LIST_SECONDS))

    async def _add(self, line: Line | None, contact: str) -> Line:
        """Add a contact over a connection, or a new one; the connection that had the answer."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                line = line or await Line.open(next(self._turn))
                answer = await line.ask("AddCampaignContact", contact, within=ANSWER_SECONDS)
            except (OSError, EOFError) as error:
                line = None
                await self._pause(until, "AddCampaignContact", str(error) or type(error).__name__)
                continue
            code = int(text_of(answer, "AddCampaignContactResult"))
            if code not in _THERE:
                raise Refused(f"AddCampaignContact answered {code}")
            return line

    async def _ask(self, operation: str, inner: str, within: float = ANSWER_SECONDS) -> bytes:
        """Ask the servers in turn until one answers. Raises Refused."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                line = await Line.open(next(self._turn))
                return await line.ask(operation, inner, last=True, within=within)
            except (OSError, EOFError) as error:
                await self._pause(until, operation, str(error) or type(error).__name__)

    async def _pause(self, until: float, operation: str, reason: str) -> None:
        if time.monotonic() > until:
            raise Refused(f"{operation} was not answered for {PATIENCE_SECONDS:g} s: {reason}")
        self.repeated += 1
        await asyncio.sleep(PAUSE_SECONDS)
