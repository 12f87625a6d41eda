"""Owns the email route: settings, messages and connections brought together behind the channels' contract.

Must not know campaigns' rules, retries or storage. Bounces come in over listener.py, not over a route.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from campana.channels.contract import (
    NONE_LEFT,
    Composer,
    Health,
    Inbound,
    Parcel,
    Permit,
    Result,
    RouteReport,
    RouteState,
)
from campana.channels.email.jobs import JobQueue
from campana.channels.email.message import Letter, SenderOf, letter_composer
from campana.channels.email.opening import open_session, tls_context
from campana.channels.email.pool import Pool
from campana.channels.email.session import Session
from campana.channels.email.settings import EmailRouteSettings
from campana.channels.email.signing import Signer
from campana.channels.email.signing_key import load_signing_key
from campana.channels.email.verp import envelope_senders
from campana.channels.errors import SendError, Unreachable
from campana.domain.delivery import Medium
from campana.domain.message import Content
from campana.domain.moment import Clock
from campana.domain.outcome import DeliveryCode, Receipt

log = structlog.get_logger(__name__)

_GOODBYE_SECONDS = 2.0
_MOST_THREADS = 8
"""With an RSA key of 2048 bits, more would sign faster than the event loop can send."""
_SLICE = 16
"""Messages that one thread signs in one go: few enough to share between threads, enough to be worth the way there."""


class EmailRoute:
    """A mail relay as a way out. Make it inside the event loop or before; use it from one loop."""

    def __init__(self, settings: EmailRouteSettings, clock: Clock) -> None:
        """Raises ValueError, naming the setting, where a file that it names cannot be used."""
        self.name = settings.name
        self.medium = Medium.EMAIL
        self.state = RouteState(since=clock())
        self._settings = settings
        self._clock = clock
        self._inbound: Inbound | None = None
        self._tls = tls_context(settings)
        self._signer = _signer(settings, clock)
        self._sender_of = _sender_of(settings)
        self._threads = _threads(self.name) if self._signer is not None and self._signer.key.slow else None
        self._allowed = settings.connections
        self._pool: Pool | None = None

    @property
    def connections(self) -> int:
        """Connections that stand, are opened or say goodbye."""
        return 0 if self._pool is None else self._pool.connections

    def allow(self, connections: int) -> None:
        """Have at most so many connections from now on (see the contract)."""
        self._allowed = min(connections, self._settings.connections)
        if self._pool is not None:
            self._pool.allow(self._allowed)
        else:
            self._note(Health.CONNECTING, "" if self._allowed else NONE_LEFT)

    async def start(self, inbound: Inbound) -> None:
        """Connect in the background; the state tells how it went."""
        self._inbound = inbound
        if self._signer is not None and self._signer.key.weakness:
            log.warning("dkim.weak_key", route=self.name, weakness=self._signer.key.weakness)
        self._pool = Pool(self._settings, self._tls, self._note)
        self._pool.allow(self._allowed)

    async def stop(self, budget: float) -> None:
        """Let written messages be answered within `budget` seconds, then close."""
        threads, self._threads = self._threads, None
        if self._pool is not None:
            await self._pool.stop(budget)
        if threads is not None:
            threads.shutdown(wait=False)

    def composer(self, content: Content) -> Composer:
        """Encode the campaign's message once. Raises RefusedForGood(UNRENDERABLE)."""
        return letter_composer(content, self._clock, self._sender_of, self._signer)

    async def send(self, parcels: Sequence[Parcel], permit: Permit) -> list[Result]:
        """Spread the parcels over the connections. `permit` is asked before MAIL and again before the message.

        A message of which the end was not written was provably not taken, whatever else was (RFC 5321 section
        4.1.1.4); only from there on silence is Uncertain.
        """
        if self._pool is None:
            raise RuntimeError("send before start")
        if self._threads is None or not self._allowed:
            return await self._pool.send(parcels, permit)
        loop = asyncio.get_running_loop()
        slices = [parcels[at : at + _SLICE] for at in range(0, len(parcels), _SLICE)]
        # All at once, before anything is awaited: a route that stops takes no more work for its threads.
        signed = [loop.run_in_executor(self._threads, _sign, some) for some in slices]
        sent = [_send_signed(self._pool, one, some, permit) for one, some in zip(signed, slices, strict=True)]
        return [result for results in await asyncio.gather(*sent) for result in results]

    async def query(self, carrier_id: str, source: str, destination: str) -> Receipt | None:
        """SMTP cannot be asked what became of a message."""
        return None

    async def check(self) -> RouteReport:
        """Connect once and say what the server is and offers."""
        settings = self._settings
        facts = [("server", f"{settings.host}:{settings.port}")]
        gone = asyncio.Event()
        session = Session(settings, JobQueue(), lambda session: None, lambda session, error: gone.set())
        try:
            opened = await open_session(session, settings, self._tls)
        except SendError as error:
            problem = " ".join(part for part in (error.carrier_code, error.carrier_text) if part)
            return RouteReport(ok=False, facts=facts, problem=problem or error.code.name)
        facts += [
            ("greeting", opened.greeting),
            ("TLS", opened.tls),
            ("user", opened.user or "none"),
            ("offers", " ".join(session.abilities.keywords) or "nothing beyond HELO"),
            ("largest message", str(session.abilities.size or "not said")),
            ("DKIM", "no" if self._signer is None else str(self._signer)),
            ("bounces to", settings.bounce_domain or "the from-address"),
        ]
        session.quit()
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await gone.wait()
        except TimeoutError:
            session.abort(Unreachable(DeliveryCode.EMAIL_UNREACHABLE))
        return RouteReport(ok=True, facts=facts)

    def _note(self, health: Health, reason: str) -> None:
        changed = health is not self.state.health
        if changed:
            self.state.since = self._clock()
        self.state.health = health
        self.state.reason = reason
        if changed and self._inbound is not None:
            self._inbound.route_changed(self.name)


def _signer(settings: EmailRouteSettings, clock: Clock) -> Signer | None:
    if settings.dkim_domain is None or settings.dkim_selector is None or settings.dkim_key is None:
        return None
    return Signer(settings.dkim_domain, settings.dkim_selector, load_signing_key(settings.dkim_key), clock)


def _threads(route: str) -> ThreadPoolExecutor:
    """Threads to sign in: OpenSSL computes outside of Python's lock, on all cores, and the event loop stays free."""
    return ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS), thread_name_prefix=f"dkim-{route}")


async def _send_signed(
    pool: Pool, signed: asyncio.Future[None], parcels: Sequence[Parcel], permit: Permit
) -> list[Result]:
    await signed
    return await pool.send(parcels, permit)


def _sign(parcels: Sequence[Parcel]) -> None:
    for parcel in parcels:
        letter: Letter = parcel.payload
        letter.sign()


def _sender_of(settings: EmailRouteSettings) -> SenderOf | None:
    if settings.bounce_domain is None or settings.verp_secret is None:
        return None
    return envelope_senders(settings.bounce_domain, settings.verp_secret)
