"""Owns the door for bounces: an LMTP (RFC 2033) or SMTP server that takes mail for our own envelope senders only.

Must not know what becomes of a receipt. A bounce is acknowledged once it is durable, never earlier.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import Literal, cast

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from campana.channels.contract import Inbound
from campana.channels.email.bounces import Verdict, judge_notice
from campana.channels.email.dsn import read_notice
from campana.channels.email.settings import EmailRouteSettings
from campana.channels.email.verp import BounceDomain, read_envelope_sender
from campana.channels.settings import RouteSettings
from campana.domain.moment import Clock
from campana.domain.outcome import Receipt

_MESSAGE_LIMIT = 2 * 1024 * 1024
_LINE_LIMIT = 64 * 1024
_CONNECTIONS = 100
_RECIPIENTS = 100
_SILENCE_SECONDS = 120.0
_COMMANDS = 2000
_NULL_SENDERS = frozenset({"", "<>", None})

log = structlog.get_logger(__name__)


class BounceListener:
    """Takes bounces for the routes that have a bounce domain. Lives in the event loop that starts it."""

    def __init__(
        self,
        address: tuple[str, int],
        protocol: Literal["lmtp", "smtp"],
        routes: Sequence[RouteSettings],
        inbound: Inbound,
        clock: Clock,
    ) -> None:
        """`address` is host and port, 0 for any free one. Routes without a bounce domain are passed over."""
        self._address = address
        self._lmtp = protocol == "lmtp"
        self._desk = _Desk(_bounce_domains(routes), inbound, clock, lmtp=self._lmtp)
        self._server: asyncio.Server | None = None
        # aiosmtpd writes addresses and whole commands at its lower levels.
        logging.getLogger("mail.log").setLevel(logging.ERROR)

    @property
    def port(self) -> int:
        """The port that it listens on; known once started."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, *, reuse_port: bool = False) -> None:
        """Listen. Raises OSError where the address cannot be had.

        With `reuse_port`, several processes of one user may listen on the same address, and the kernel spreads the
        connections over them (SO_REUSEPORT); all of them must ask for it.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._open_door, *self._address, reuse_port=reuse_port)

    async def stop(self) -> None:
        """Stop listening and close what is open; a bounce that was not acknowledged is sent again."""
        if self._server is None:
            return
        self._server.close()
        for transport in list(self._desk.transports):
            transport.abort()
        await self._server.wait_closed()

    def _open_door(self) -> SMTP:
        door = _LmtpDoor if self._lmtp else _SmtpDoor
        return door(
            self._desk,
            data_size_limit=_MESSAGE_LIMIT,
            enable_SMTPUTF8=True,
            hostname=socket.gethostname(),
            ident="Campana",
            timeout=_SILENCE_SECONDS,
            command_call_limit=_COMMANDS,
            loop=asyncio.get_running_loop(),
        )


class _SmtpDoor(SMTP):
    """One connection, with the limits that aiosmtpd does not set: connections in all, and octets in a message."""

    line_length_limit = _LINE_LIMIT  # mail servers quote each other in lines longer than RFC 5321 allows
    octets = 0
    """Since the last message."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = cast(asyncio.Transport, transport)
        if len(self.event_handler.transports) >= _CONNECTIONS:
            peer.abort()
        else:
            self.event_handler.transports.add(peer)

    def connection_lost(self, error: Exception | None) -> None:
        self.event_handler.transports.discard(self.transport)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self.octets += len(data)
        if self.octets > 2 * _MESSAGE_LIMIT:
            cast(asyncio.Transport, self.transport).abort()
        else:
            super().data_received(data)


class _LmtpDoor(_SmtpDoor, LMTP):
    """The same, greeted with LHLO."""


class _Desk:
    """What aiosmtpd asks about each command; the names of the methods are its own."""

    def __init__(self, domains: list[BounceDomain], inbound: Inbound, clock: Clock, *, lmtp: bool) -> None:
        self.transports: set[asyncio.Transport] = set()
        self._domains = domains
        self._inbound = inbound
        self._clock = clock
        self._lmtp = lmtp

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take only what we sealed ourselves."""
        if read_envelope_sender(address, self._domains) is None:
            return "550 5.1.1 No such address here"
        if len(envelope.rcpt_tos) >= _RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: _SmtpDoor, session: Session, envelope: Envelope) -> str:
        """Keep what the message says of each delivery; only then is it taken."""
        server.octets = 0
        content = envelope.content
        verdict = self._judge(content if isinstance(content, bytes) else b"", envelope.mail_from in _NULL_SENDERS)
        receipts = [] if verdict is None else self._receipts(verdict, envelope.rcpt_tos)
        if receipts:
            await self._inbound.receipts(receipts)
        answers = len(envelope.rcpt_tos) if self._lmtp else 1  # RFC 2033 section 4.2
        return "\r\n".join(["250 2.0.0 OK"] * answers)

    async def handle_exception(self, error: Exception) -> str:
        """A defect of ours, or the database is away: the mail server keeps the bounce and comes again."""
        log.error("email.bounce_failed", error=type(error).__name__)
        return "451 4.3.0 Try again later"

    def _judge(self, content: bytes, null_sender: bool) -> Verdict | None:
        try:
            verdict = judge_notice(read_notice(content), null_sender=null_sender)
        except Exception:
            # Refused, it would come again for days and fail each time; there is nothing in it for us anyway.
            log.exception("email.bounce_unreadable", octets=len(content))
            return None
        if verdict is None:
            log.info("email.no_bounce", octets=len(content))
        return verdict

    def _receipts(self, verdict: Verdict, recipients: list[str]) -> list[Receipt]:
        receipts = []
        for recipient in recipients:
            sealed = read_envelope_sender(recipient, self._domains)
            if sealed is None:
                continue
            domain, delivery_id, attempt = sealed
            receipt = Receipt(
                route=domain.route,
                state=verdict.state,
                code=verdict.code,
                at=self._clock(),
                delivery_id=delivery_id,
                attempt=attempt,
                bounce=True,
                carrier_code=verdict.carrier_code,
                carrier_text=verdict.carrier_text,
            )
            receipts.append(receipt)
        return receipts


def _bounce_domains(routes: Sequence[RouteSettings]) -> list[BounceDomain]:
    return [
        BounceDomain(route.name, route.bounce_domain, route.verp_secret)
        for route in routes
        if isinstance(route, EmailRouteSettings) and route.bounce_domain and route.verp_secret
    ]
