"""Owns the sandbox's telephone network: a SIP carrier on UDP and TCP whose telephones each meet their number's fate.

Must not know anything of Campana but the wire format that both speak.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self, TypedDict, Unpack
from urllib.parse import unquote as unescape

from campana.channels.voice.addresses import source_address
from campana.channels.voice.media.laws import Law
from campana.channels.voice.sip.headers import SipSyntaxError, parse_uri, unquote
from campana.channels.voice.sip.message import Request, uri_of
from campana.sandbox.magic_voice import LISTENS, fate_of
from campana.sandbox.simulator import Simulator, run
from campana.sandbox.sip_call import Call
from campana.sandbox.sip_link import SipLink, SipSocket
from campana.sandbox.sip_phones import Moment, PhoneCall, Telephones
from campana.sandbox.sip_sound import Sounds
from campana.sandbox.sip_switch import Switch
from campana.sandbox.sip_transactions import ClientTransaction, ServerTransaction, Timers, Way

MOST_CALLS: Final = 2_000
MOST_COMPLAINTS: Final = 1_000

_TRIES: Final = 20
"""To find a port that is free for UDP and TCP."""
_DISPLAY_NAME: Final = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^"<]*))\s*<')
_IDENTITIES: Final = ("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID")


class SipOptions(TypedDict, total=False):
    """What may be set of a simulator; all but the first four also later, as attributes of the same names."""

    keep: int
    """Calls to keep with what they heard; 0 only counts (10,000)."""
    folder: Path | None
    """Where the WAV files of what was heard go (nowhere)."""
    t1: float
    """T1 of RFC 3261 in seconds; T2 is eight times as much (0.5)."""
    accounts: dict[str, str] | None
    """Passwords by user; none lets everybody call."""
    challenge: int
    """Status that asks for a password: 401 or 407 (401)."""
    codecs: tuple[Law, ...]
    """The laws that telephones speak; which is taken is up to the caller's order (both)."""
    magic: bool
    """Magic numbers meet their fates (true), or every telephone answers and listens."""
    ring: float
    """Seconds from ringing to the answer or refusal (0.1)."""
    hang_up_after: float
    """Seconds of the text after which impatient people hang up (1)."""
    press_after: float
    """Seconds of the text after which keys are pressed (0.5)."""
    greeting: float
    """Seconds that a voicemail speaks before its beep (2)."""
    silence: float
    """Seconds without a packet of sound after which a telephone hangs up (30)."""
    longest: float
    """Seconds that anything rings or listens at most (3,600)."""
    options_status: int
    """What OPTIONS is answered with (200)."""
    silent: bool
    """Answer nothing at all, as a peer does whose host has died (false)."""


class SipSimulator(Simulator[SipLink]):
    """A SIP carrier with its telephones for tests, the demo and benchmarks. `start` it, give `port` to a caller."""

    sounds: Sounds
    switch: Switch

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        on_moment: Callable[[PhoneCall, Moment], None] | None = None,
        journal: Path | None = None,
        tls: ssl.SSLContext | None = None,
        **options: Unpack[SipOptions],
    ) -> None:
        """`on_moment` hears of everything that telephones live through. With `tls`, connections are TLS."""
        super().__init__(host, port, journal)
        self.keep = options.get("keep", 10_000)
        self.phones = Telephones(max(self.keep, MOST_CALLS), options.get("folder"), self._moment)
        self.timers = Timers(options.get("t1", 0.5), 8 * options.get("t1", 0.5))
        self.accounts = options.get("accounts")
        self.challenge = options.get("challenge", 401)
        self.codecs: tuple[Law, ...] = options.get("codecs", ("PCMA", "PCMU"))
        self.magic = options.get("magic", True)
        self.ring = options.get("ring", 0.1)
        self.hang_up_after = options.get("hang_up_after", 1.0)
        self.press_after = options.get("press_after", 0.5)
        self.greeting = options.get("greeting", 2.0)
        self.silence = options.get("silence", 30.0)
        self.longest = options.get("longest", 3_600.0)
        self.options_status = options.get("options_status", 200)
        self.silent = options.get("silent", False)
        self.complaints: deque[str] = deque(maxlen=MOST_COMPLAINTS)
        """What callers did against the rules, a sentence each. Tests ask that there is none."""
        self.registered: dict[str, str] = {}
        """Contacts by address of record."""
        self.live: dict[str, Call] = {}
        """Calls that are not over, by Call-ID."""
        self.most_live = 0
        """How many calls there were at a time, at most."""
        self._complained = asyncio.Event()
        self._on_moment = on_moment
        self._tls = tls
        self._socket: SipSocket | None = None

    # --- its life ----------------------------------------------------------------------------------------------------

    async def start(self) -> Self:
        """Listen on UDP and TCP. Raises OSError where the port is taken."""
        self.sounds = Sounds(self.keep > 0, lambda call, fault: self.complain(f"the sound of {call.call_id}: {fault}"))
        self.switch = Switch(self)
        wanted = self.port
        for last in range(_TRIES - 1, -1, -1):
            try:
                await self._listen()
                break
            except OSError:
                self.port = wanted
                if wanted or not last:
                    self.sounds.close()
                    raise
        return self

    async def _listen(self) -> None:
        """UDP on the port asked for, or any, and TCP on the same one."""
        loop, place = asyncio.get_running_loop(), (self.host, self.port)
        transport, socket = await loop.create_datagram_endpoint(lambda: SipSocket(self), local_addr=place)
        self.port = transport.get_extra_info("sockname")[1]
        try:
            await super().start()
        except OSError:
            socket.close()
            raise
        self._socket = socket

    def _link(self) -> SipLink:
        return SipLink(self)

    def _tls_from_the_start(self) -> ssl.SSLContext | None:
        return self._tls

    async def _end(self) -> None:
        for call in tuple(self.live.values()):
            call.close()
        self.switch.close()
        if self._socket is not None:
            self._socket.close()
        self.sounds.close()

    # --- what tests ask of it ----------------------------------------------------------------------------------------

    @property
    def calls(self) -> deque[PhoneCall]:
        """The latest calls, oldest first, over or not."""
        return self.phones.calls

    @property
    def counts(self) -> Counter[str]:
        """Calls by number; an INVITE that was only asked for a password is none."""
        return self.phones.counts

    @property
    def requests(self) -> Counter[str]:
        """Requests by method; those that came again are not counted again, but for ACK."""
        return self.switch.requests

    @property
    def challenged(self) -> int:
        """Requests that were asked for a password."""
        return self.switch.challenged

    def calls_to(self, number: str) -> list[PhoneCall]:
        """All calls to a number that are kept, oldest first."""
        return [call for call in self.calls if call.number == number]

    async def expect(self, number: str, within: float = 10.0) -> PhoneCall:
        """The oldest call to `number` that has ended and was not expected before.

        Raises TimeoutError after `within` seconds.
        """
        found = await self.phones.expect(lambda call: call.number == number, within)
        if found is None:
            raise TimeoutError(f"no call to {number} has ended within {within:g} s")
        return found

    async def until(self, number: str, moment: Moment, attempt: int = 1, within: float = 10.0) -> PhoneCall:
        """The call to `number` of this attempt, once it has come to `moment`. Raises TimeoutError."""
        found = await self.phones.until(
            lambda call: (call.number, call.attempt) == (number, attempt) and moment in call.moments, within
        )
        if found is None:
            raise TimeoutError(f"call {attempt} to {number} was not {moment.value} within {within:g} s")
        return found

    async def complained(self, within: float = 10.0) -> None:
        """Wait until there is something to complain of. Raises TimeoutError."""
        async with asyncio.timeout(within):
            await self._complained.wait()

    def on_line(self, number: str) -> Call:
        """The latest call to `number` that is not over, to `press` keys or to `hang_up`. Raises LookupError."""
        for call in reversed(self.live.values()):
            if call.record.number == number:
                return call
        raise LookupError(f"nobody is on the line at {number}")

    # --- what its links, its switch and its calls ask of it ----------------------------------------------------------

    def received(self, way: Way, data: bytes) -> None:
        """A message came."""
        if not self.silent:
            self.switch.received(way, data)

    def complain(self, sentence: str) -> None:
        """Note what a caller did against the rules."""
        self.complaints.append(sentence)
        self._complained.set()

    def called(self, invite: ServerTransaction) -> Call | None:
        """A new call to the telephone that the request URI names; None where no line is free."""
        if len(self.live) >= MOST_CALLS:
            return None
        record = _record(invite.request, asyncio.get_running_loop().time())
        call = Call(self, invite, record, fate_of(record.number) if self.magic else LISTENS)
        self.live[record.call_id] = call
        self.most_live = max(self.most_live, len(self.live))
        self.phones.ring(record)
        return call

    def ended(self, call: Call) -> None:
        """A call is over."""
        self.live.pop(call.record.call_id, None)
        self.switch.ended(call)

    def sent(self, branch: str, transaction: ClientTransaction, about: str) -> None:
        """A telephone has asked something within its call."""
        self.switch.sent(branch, transaction, about)

    def address_towards(self, way: Way) -> str:
        """Our address as the other end of a way reaches it."""
        any_address = self.is_address(self.host) and ipaddress.ip_address(self.host).is_unspecified
        return source_address(way.source[0]) if any_address or not self.is_address(self.host) else self.host

    def via(self, way: Way) -> str:
        """Transport, host and port for a Via of ours."""
        return f"{self._transport(way)} {_host(self.address_towards(way))}:{self.port}"

    def contact(self, way: Way) -> str:
        """The URI at which a telephone hears requests."""
        place = f"{_host(self.address_towards(way))}:{self.port}"
        return f"sip:telephone@{place};transport={self._transport(way).lower()}"

    def _transport(self, way: Way) -> str:
        if not way.is_reliable:
            return "UDP"
        return "TLS" if self._tls is not None else "TCP"

    @staticmethod
    def is_address(host: str) -> bool:
        """Whether a host is an IP address."""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    def _moment(self, call: PhoneCall, moment: Moment) -> None:
        if self._journal is not None:
            self._journal.note(_entry(call, moment, self.looks.since, self.clock()))
            self._journal.flush()
        if self._on_moment is not None:
            self._on_moment(call, moment)
        if moment is Moment.ENDED and not self.keep:
            call.heard.clear()


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _record(invite: Request, now: float) -> PhoneCall:
    """The call as its telephone first sees it."""
    caller = invite.headers.get("From") or ""
    return PhoneCall(
        number=_user(invite.uri),
        attempt=0,
        call_id=invite.headers.get("Call-ID") or "",
        caller=_user(uri_of(caller)),
        caller_name=_display_name(caller),
        identity=tuple((name, value) for name in _IDENTITIES for value in invite.headers.all(name)),
        invited_at=now,
    )


def _user(uri: str) -> str:
    """The user part of a URI without its parameters and escapes; blank where it is none of SIP."""
    try:
        return unescape(parse_uri(uri).user.partition(";")[0].partition(":")[0])
    except SipSyntaxError:
        return ""


def _display_name(address: str) -> str:
    found = _DISPLAY_NAME.match(address)
    if found is None:
        return ""
    return unquote(found["quoted"]) if found["quoted"] is not None else found["plain"].strip()


def _entry(call: PhoneCall, moment: Moment, since: int, at: int) -> dict[str, object]:
    """What the journal notes of a moment."""
    return {
        "at": at,
        "since": since,
        "moment": moment.value,
        "number": call.number,
        "attempt": call.attempt,
        "call": call.call_id,
        "status": call.status,
        "by": call.ended_by.value if call.ended_by else None,
        "heard_ms": round(call.heard_seconds * 1_000),
    }


async def serve_sip(
    host: str,
    port: int,
    journal: Path | None = None,
    ready: Callable[[int], None] | None = None,
    **options: Unpack[SipOptions],
) -> None:
    """Run a simulator until cancelled; `ready` is told the port. Raises OSError where the port is taken."""
    await run(SipSimulator(host, port, journal=journal, **options), ready)
