"""Owns how connections to an SMSC come about: connecting, binding, and doing so again after each loss.

Must not know what is sent over them.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from campana.channels.errors import Misconfigured, SendError, Unreachable
from campana.channels.sms import pdu
from campana.channels.sms.bodies import Bind, pack_bind, parse_bind_answer
from campana.channels.sms.codes import refusal, status_row
from campana.channels.sms.inbox import Inbox
from campana.channels.sms.link import Link, LinkLost, LinkSettings
from campana.channels.sms.outbox import Outbox
from campana.channels.sms.settings import SmsRouteSettings
from campana.domain.outcome import DeliveryCode

FAREWELL_SECONDS: Final = 2.0
"""How long the answer to our unbind is waited for."""
DURABLE_SECONDS: Final = 10.0
"""How long a connection that ends waits until what came on it is durable: longer than a message waits for its parts."""
STABLE_SECONDS: Final = 10.0
"""A connection that stood this long begins the next series of attempts anew."""

_log = structlog.get_logger(__name__)
_dice: Final = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a connection is not there: a sentence without secrets, and whether the route itself is refused."""

    sentence: str
    misconfigured: bool = False
    carrier_code: str | None = None

    def error(self) -> SendError:
        """What a parcel is told that could not leave because of this."""
        if self.misconfigured:
            return Misconfigured(DeliveryCode.SMS_MISCONFIGURED, self.carrier_code, self.sentence)
        return Unreachable(DeliveryCode.SMS_UNREACHABLE, self.carrier_code, self.sentence)


class BindRefused(Exception):
    """The SMSC answered the bind with a status other than 0."""

    def __init__(self, status: int) -> None:
        super().__init__(f"The SMSC refused the bind: {status_row(status).name} (0x{status:08X}).")
        self.status = status


@dataclass(frozen=True, slots=True)
class Connector:
    """Opens and binds connections of one route."""

    settings: SmsRouteSettings
    outbox: Outbox
    inbox: Inbox | None

    async def connect(self) -> Link:
        """Open a connection. Raises OSError (TLS and name look-up included) or TimeoutError."""
        settings, endpoint = self.settings, self.settings.endpoint
        context = settings.tls_context()
        link_settings = LinkSettings(
            settings.name,
            settings.window,
            settings.response_timeout,
            settings.enquire_link,
            final=not settings.receipts,
        )
        async with asyncio.timeout(settings.response_timeout):
            _, link = await asyncio.get_running_loop().create_connection(
                lambda: Link(link_settings, self.outbox, self.inbox),
                endpoint.host,
                endpoint.port,
                ssl=context,
                server_hostname=endpoint.host if context else None,
            )
        return link

    async def bind(self, link: Link, command: int) -> tuple[str, int | None]:
        """Bind a connection; the SMSC's system_id and version. Raises BindRefused, LinkLost or TimeoutError."""
        endpoint = self.settings.endpoint
        body = pack_bind(
            Bind(endpoint.system_id.encode(), endpoint.password.encode(), self.settings.system_type.encode())
        )
        status, answer = await link.ask(command, body)
        if status:
            raise BindRefused(status)
        try:
            return parse_bind_answer(answer)
        except pdu.PduError:
            # It said yes; what it calls itself is of no consequence.
            return "", None


class Session:
    """Keeps one connection of a route bound: connects, waits for its end, and connects again, ever more patiently."""

    def __init__(self, connector: Connector, command: int, changed: Callable[[], None]) -> None:
        """`command` is the bind request; `changed` is called whenever the connection came or went."""
        self._connector = connector
        self._command = command
        self._changed = changed
        self.link: Link | None = None
        """The bound connection, if there is one."""
        self.problem: Problem | None = None
        """Why there is none; None before the first attempt ended and while there is one."""
        self._connecting = False
        self._latest: Link | None = None
        self._leaving: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @property
    def sends(self) -> bool:
        """Whether this connection is for sending."""
        return self._command != pdu.BIND_RECEIVER

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, bound or not, or is about to be one."""
        return self._connecting or (self._latest is not None and not self._latest.closed.done())

    async def run(self) -> None:
        """Keep the connection until cancelled or told to leave; then it has ended by the time this returns."""
        failures = 0
        while not self._leaving.done():
            bound_at = await self._hold()
            stood = asyncio.get_running_loop().time() - bound_at if bound_at is not None else 0.0
            failures = 0 if stood >= STABLE_SECONDS else failures + 1
            await asyncio.wait([self._leaving], timeout=self._pause(failures))

    def leave(self, problem: Problem) -> None:
        """Take no more work from now on, finish what there is, and say goodbye. `problem` is for what nobody takes."""
        if not self._leaving.done():
            self._leaving.set_result(None)
        if self.link is not None:
            self.link.retire(problem.error)

    async def _hold(self) -> float | None:
        """One connection from its opening to its end; when it was bound on the loop's clock, None if it never was."""
        link: Link | None = None
        try:
            link = await self._connect()
            await self._connector.bind(link, self._command)
        except (OSError, TimeoutError, BindRefused) as error:
            self._note(None, problem_of(error, self._connector.settings))
            if link is not None:
                link.close("It could not be bound.")
                await asyncio.wait([link.closed])
            return None
        except asyncio.CancelledError:
            if link is not None:
                link.close("We stop.")
            raise
        bound_at = asyncio.get_running_loop().time()
        self._note(link, None)
        if not self._leaving.done():
            if self.sends:
                link.begin_sending()
            await asyncio.wait([link.closed, self._leaving], return_when=asyncio.FIRST_COMPLETED)
        if not link.closed.done():
            await self._say_goodbye(link)
        self._note(None, Problem(link.closed.result()))
        return bound_at

    async def _connect(self) -> Link:
        self._connecting = True
        try:
            self._latest = await self._connector.connect()
        finally:
            self._connecting = False
        return self._latest

    async def _say_goodbye(self, link: Link) -> None:
        await link.finish()
        await link.acknowledge_all(DURABLE_SECONDS)
        await link.unbind(FAREWELL_SECONDS)
        await asyncio.wait([link.closed])

    def _note(self, link: Link | None, problem: Problem | None) -> None:
        old, self.link, self.problem = self.problem, link, problem
        route = self._connector.settings.name
        if problem is None:
            _log.info("sms.bound", route=route, sends=self.sends)
        elif self._leaving.done():
            _log.info("sms.unbound", route=route, reason=problem.sentence)
        elif old != problem:
            _log.warning("sms.not_bound", route=route, reason=problem.sentence)
        self._changed()

    def _pause(self, failures: int) -> float:
        settings = self._connector.settings
        longest = min(settings.reconnect_max, settings.reconnect_min * 2.0 ** min(failures - 1, 30))
        return longest * _dice.uniform(0.5, 1.0)


def problem_of(error: Exception, settings: SmsRouteSettings) -> Problem:
    """Say why a connection could not be bound, without secrets."""
    endpoint = settings.endpoint
    place = f"{endpoint.host}:{endpoint.port}"
    if isinstance(error, BindRefused):
        misconfigured = isinstance(refusal(error.status), Misconfigured)
        return Problem(str(error), misconfigured, f"0x{error.status:08X}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Problem(f"The certificate of {place} is refused: {error.verify_message}.", misconfigured=True)
    if isinstance(error, ssl.SSLError):
        return Problem(f"No TLS connection to {place}: {error.reason or 'handshake failed'}.")
    if isinstance(error, FileNotFoundError | PermissionError):
        return Problem(f"tls_ca cannot be read: {error.strerror}.", misconfigured=True)
    if isinstance(error, LinkLost):
        return Problem(f"{place} hung up during the bind. {error}")
    if isinstance(error, TimeoutError):
        return Problem(f"{place} did not answer within {settings.response_timeout:g} seconds.")
    assert isinstance(error, OSError)
    return Problem(f"Cannot connect to {place}: {error.strerror or type(error).__name__}.")
