"""Owns where a SIP URI leads: hosts of the trunk in the order to try, by address, DNS SRV and hosts file (RFC 3263).

Must not know sockets of SIP, nor what is sent to the targets.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import structlog

from campana.channels.voice.addresses import family_of
from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.sip.flow import Target
from campana.channels.voice.sip.resolving import NameResolver, Resolver, SrvRecord, UnresolvedError
from campana.channels.voice.sip.uri import Transport, TrunkUri, parse_trunk

AVOID_SECONDS: Final = 60.0
"""How long a target that failed is tried after all others."""
SHORTEST_TTL: Final = 30.0
LONGEST_TTL: Final = 3_600.0
UNKNOWN_SECONDS: Final = 2.0
"""How long a name of which nothing is known is not asked for again."""
PATIENCE_SECONDS: Final = 0.5
"""How long a call waits for a newer answer than the one that is known already."""
MOST_ANSWERS: Final = 256
MOST_FAILURES: Final = 1_000
MOST_TARGETS: Final = 32
"""Targets of one name at most."""

DEFAULT_PORTS: Final = {Transport.UDP: 5060, Transport.TCP: 5060, Transport.TLS: 5061}
SERVICES: Final = {Transport.UDP: "_sip._udp", Transport.TCP: "_sip._tcp", Transport.TLS: "_sips._tcp"}

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    """One host of an answer: its addresses, and its rank among the others (RFC 2782)."""

    addresses: tuple[str, ...]
    port: int
    priority: int = 0
    weight: int = 0


@dataclass(slots=True)
class _Answer:
    """What is known of a name, and for how long."""

    places: tuple[_Place, ...] = ()
    expires: float = 0.0
    problem: str = ""
    refreshing: asyncio.Task[None] | None = field(default=None, repr=False)


class Locator:
    """Finds and orders the targets of one route."""

    def __init__(
        self,
        settings: VoiceRouteSettings,
        resolver: Resolver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._resolver: Resolver = resolver or NameResolver()
        self._clock = clock
        self._random = secrets.SystemRandom()
        self._answers: dict[TrunkUri, _Answer] = {}
        self._failures: dict[tuple[Transport, str, int], float] = {}
        self.problem = ""
        """Why the last question for the trunk's targets found none; blank where it found any."""

    async def targets(self) -> list[Target]:
        """Return the targets of the trunk, or of its outbound proxy, in the order in which to try them.

        That is the order of the configuration, within a name that of its SRV records, and those that failed lately
        last. Empty where nothing could be found out, now or before; `problem` says why.
        """
        uris = (parse_trunk(self._settings.proxy),) if self._settings.proxy else self._settings.trunks
        answers = await asyncio.gather(*(self._answer(uri) for uri in uris))
        found = [
            target for uri, answer in zip(uris, answers, strict=True) for target in self._ordered(uri, answer.places)
        ]
        self.problem = "" if found else next((answer.problem for answer in answers if answer.problem), "no address")
        return self._avoiding(found)

    async def resolve(self, host: str, port: int | None, transport: Transport) -> list[Target]:
        """Return the targets of a URI's host and port, as found in Contact, Record-Route or a redirection.

        Any text will do; empty where it leads nowhere.
        """
        name = host.strip().removeprefix("[").removesuffix("]")
        if not (_is_address(name) or _HOST.fullmatch(name)) or not 0 < (port or 1) <= 65_535:
            return []
        uri = TrunkUri(name, port, transport)
        return self._avoiding(self._ordered(uri, (await self._answer(uri)).places))

    def failed(self, target: Target) -> None:
        """Try the target after all others for a while."""
        now = self._clock()
        if len(self._failures) >= MOST_FAILURES:
            self._failures = {place: at for place, at in self._failures.items() if now - at < AVOID_SECONDS}
        if len(self._failures) < MOST_FAILURES:
            self._failures[_place_of(target)] = now

    def worked(self, target: Target) -> None:
        """Forget that the target ever failed."""
        self._failures.pop(_place_of(target), None)

    # --- order ---------------------------------------------------------------------------------------------------

    def _avoiding(self, targets: Iterable[Target]) -> list[Target]:
        """Each target once, those that failed lately last."""
        since = self._clock() - AVOID_SECONDS
        return sorted(dict.fromkeys(targets), key=lambda target: self._failures.get(_place_of(target), since) > since)

    def _ordered(self, uri: TrunkUri, places: tuple[_Place, ...]) -> list[Target]:
        """The targets of a name: by priority, and by lot within one, the heavier the likelier (RFC 2782)."""
        left = sorted(places, key=lambda place: place.priority)
        found: list[Target] = []
        name = uri.host.rstrip(".")
        while left and len(found) < MOST_TARGETS:
            peers = [place for place in left if place.priority == left[0].priority]
            # Without any weight all are alike; with some, one without has a small chance still.
            chosen = self._random.choices(peers, [place.weight or 0.01 for place in peers])[0]
            left.remove(chosen)
            found += [Target(uri.transport, address, chosen.port, name) for address in chosen.addresses]
        return found[:MOST_TARGETS]

    # --- answers -------------------------------------------------------------------------------------------------

    async def _answer(self, uri: TrunkUri) -> _Answer:
        """What is known of a name; found out where it is not known, or not any more."""
        if _is_address(uri.host):
            address = str(ipaddress.ip_address(uri.host))
            return _Answer((_Place((address,), uri.port or DEFAULT_PORTS[uri.transport]),))
        answer = self._answers.pop(uri, None) or _Answer()
        self._answers[uri] = answer
        if len(self._answers) > MOST_ANSWERS:
            del self._answers[next(iter(self._answers))]
        if self._clock() >= answer.expires:
            if answer.refreshing is None:
                answer.refreshing = asyncio.create_task(self._refresh(uri, answer))
            await asyncio.wait({answer.refreshing}, timeout=PATIENCE_SECONDS if answer.places else None)
        return answer

    async def _refresh(self, uri: TrunkUri, answer: _Answer) -> None:
        """Look a name up; where that fails, what was known before stays."""
        try:
            answer.places, ttl = await self._look_up(uri, known=bool(answer.places))
            answer.problem = ""
        except UnresolvedError as error:
            answer.problem, ttl = str(error), 0.0
            _log.warning("sip.name_unresolved", route=self._settings.name, reason=str(error), kept=len(answer.places))
        finally:
            answer.refreshing = None
        holds = min(max(ttl, SHORTEST_TTL), LONGEST_TTL) if answer.places else UNKNOWN_SECONDS
        answer.expires = self._clock() + holds

    async def _look_up(self, uri: TrunkUri, known: bool) -> tuple[tuple[_Place, ...], float]:
        """The places of a name and how long they hold (RFC 3263, section 4.2). Raises UnresolvedError."""
        if uri.port is None and "." in uri.host.rstrip("."):
            try:
                records, ttl = await self._resolver.services(f"{SERVICES[uri.transport]}.{uri.host}")
            except UnresolvedError:
                if known:
                    raise
                # A name that only the hosts file knows is found even without any name server.
                records, ttl = [], 0.0
            if records:
                return await self._places(records), ttl
        addresses = await self._addresses(uri.host)
        return (_Place(addresses, uri.port or DEFAULT_PORTS[uri.transport]),), SHORTEST_TTL

    async def _places(self, records: list[SrvRecord]) -> tuple[_Place, ...]:
        """The places of SRV records; those whose host has no address are left out. Raises UnresolvedError."""
        usable = [record for record in records if record.host not in ("", ".") and record.port][:MOST_TARGETS]
        if not usable:
            raise UnresolvedError("its SRV record says that there is no such service")
        found = await asyncio.gather(*(self._addresses(record.host) for record in usable), return_exceptions=True)
        places: list[_Place] = []
        for record, addresses in zip(usable, found, strict=True):
            if isinstance(addresses, UnresolvedError):
                continue
            if isinstance(addresses, BaseException):
                raise addresses
            places.append(_Place(addresses, record.port, record.priority, record.weight))
        if not places:
            raise UnresolvedError("no host of its SRV records has an address")
        return tuple(places)

    async def _addresses(self, host: str) -> tuple[str, ...]:
        """The addresses of a host, of the IP version of `local_address` where that is set. Raises UnresolvedError."""
        addresses = (host,) if _is_address(host) else await self._resolver.addresses(host)
        own = self._settings.local_address
        usable = [address for address in addresses if not own or family_of(address) == family_of(own)]
        if not usable:
            raise UnresolvedError("the name has no address that local_address can reach")
        return tuple(dict.fromkeys(usable))[:MOST_TARGETS]


def _place_of(target: Target) -> tuple[Transport, str, int]:
    return target.transport, target.address, target.port


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host
