"""Owns one call at the sandbox's carrier: a telephone that rings, answers and listens as its number's fate says.

Must not know sockets, other calls, or which number has which fate.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Final

from campana.channels.voice.sip.headers import SipSyntaxError, parse_uri
from campana.channels.voice.sip.message import Request, Response, cseq_of, response_to, tag_of, uri_of
from campana.channels.voice.sip.sdp import LocalMedia, MediaOffer, SdpError, make_answer, parse_offer
from campana.sandbox import sip_tones
from campana.sandbox.magic_voice import Fate
from campana.sandbox.sip_judging import MAGIC_COOKIE
from campana.sandbox.sip_phones import EndedBy, Moment, PhoneCall
from campana.sandbox.sip_sound import Handset
from campana.sandbox.sip_transactions import REASONS, SIP_PORT, ClientTransaction, ServerTransaction

if TYPE_CHECKING:
    from campana.sandbox.sip import SipSimulator

DTMF_PAYLOAD: Final = 101
_PRESS_MS: Final = 100


class Call:
    """A call from its INVITE to its end: the answering side of a dialog (RFC 3261, sections 12 and 13.3)."""

    def __init__(self, carrier: SipSimulator, invite: ServerTransaction, record: PhoneCall, fate: Fate) -> None:
        self.record = record
        self.tag = secrets.token_hex(8)
        self._carrier = carrier
        self._invite = invite
        self._fate = fate
        self._loop = asyncio.get_running_loop()
        self._way = invite.way
        self._from = invite.request.headers.get("From") or ""
        self._to = f"{invite.request.headers.get('To') or ''};tag={self.tag}"
        self._target = _contact_of(invite.request)
        self._route = invite.request.headers.all("Record-Route")
        self._heard_cseq = cseq_of(invite.request)[0]
        self._cseq = secrets.randbelow(10_000)
        self._handset: Handset | None = None
        self._media: LocalMedia | None = None
        self._body = b""
        self._version = 0
        self._text = asyncio.Event()
        self._latest = invite
        """The INVITE that is answered to at present: the first, or one within the call."""
        self._task: asyncio.Task[None] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells the dialog apart: Call-ID, the caller's tag, ours."""
        return self.record.call_id, tag_of(self._from), self.tag

    @property
    def has_said_anything(self) -> bool:
        """Whether the INVITE was answered in any way."""
        return self._invite.status > 0

    def begin(self) -> None:
        """Live."""
        self._task = self._loop.create_task(self._live())

    # --- the story ---------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            if await self._is_answered():
                await self._listen()

    async def _is_answered(self) -> bool:
        """Ring, then answer or refuse; tell whether it was answered."""
        fate = self._fate
        if not fate.trying:
            await asyncio.sleep(self._carrier.timers.patience)
            self._ended(EndedBy.NOBODY)
            return False
        self._invite.answer(100)
        if fate.ringing and not self._rings():
            return False
        await asyncio.sleep(self._carrier.ring if fate.ring is None else fate.ring)
        if fate.refuse and self._is_its_turn():
            self._refuse(fate.refuse, fate.cause)
            return False
        if not fate.answers:
            await asyncio.sleep(self._carrier.longest)
            self._refuse(480, 19)
            return False
        return self._answers()

    async def _listen(self) -> None:
        """Be a person on the telephone, or a voicemail."""
        fate = self._fate
        if fate.greets:
            await self._greet()
        if fate.hangs_up and self._is_its_turn():
            await self._hear(self._carrier.hang_up_after)
            self.hang_up()
        elif fate.presses:
            await self._hear(self._carrier.press_after)
            self.press(fate.presses, fate.by_info)

    def _is_its_turn(self) -> bool:
        return self._fate.times is None or self.record.attempt <= self._fate.times

    async def _hear(self, seconds: float) -> None:
        """Wait until the text has been heard for so long."""
        await self._text.wait()
        await asyncio.sleep(seconds)

    async def _greet(self) -> None:
        if self._handset is not None and self.record.law is not None:
            self._handset.listens = False
            spoken = asyncio.Event()
            self._handset.say(sip_tones.greeting(self._carrier.greeting, self.record.law), spoken.set)
            await spoken.wait()
            self._handset.listens = True

    def _watch(self, packets: int = -1) -> None:
        """Hang up when nothing has come for a while: a caller that died says no more."""
        record = self.record
        if record.is_over or record.answered_at is None:
            return
        if record.packets == packets or self._loop.time() - record.answered_at > self._carrier.longest:
            self._bye()
            self._ended(EndedBy.NOBODY)
        else:
            self._loop.call_later(self._carrier.silence, self._watch, record.packets)

    # --- ringing, answering, refusing --------------------------------------------------------------------------------

    def _rings(self) -> bool:
        status = self._fate.ringing
        if status == 183:
            if not self._agrees():
                return False
            self._play_ringing()
        self.record.rang_at = self._loop.time()
        self._invite.respond(self._response(status, self._body))
        self._carrier.phones.tell(self.record, Moment.RINGING)
        return True

    def _play_ringing(self) -> None:
        if self._handset is not None and self.record.law is not None and self.record.answered_at is None:
            self._handset.listens = False
            self._handset.say(sip_tones.ringing(self.record.law), self._play_ringing)

    def _answers(self) -> bool:
        if self._handset is None and not self._agrees():
            return False
        if self._handset is not None:
            self._handset.hush()
            self._handset.listens = True
        self.record.status = 200
        self.record.answered_at = self._loop.time()
        self._invite.respond(self._response(200, self._body), self._unacknowledged)
        self._carrier.phones.tell(self.record, Moment.ANSWERED)
        self._watch()
        return True

    def _agrees(self) -> bool:
        """Agree on sound and connect it, or refuse the call."""
        try:
            offer = parse_offer(self._invite.request.body)
            self._handset = self._carrier.sounds.open(self.record, self._carrier.address_towards(self._way))
            self._handset.on_text = self._text_began
            address, port = self._handset.local
            session = secrets.randbits(48)
            self._media = LocalMedia(address, port, self._carrier.codecs, DTMF_PAYLOAD, session)
            self._body = self._connected(offer)
        except SdpError as error:
            self._carrier.complain(f"the offer of {self.record.call_id}: {error}")
            self._refuse(488)
        except OSError:
            self._refuse(503, 34)
        else:
            return True
        return False

    def _connected(self, offer: MediaOffer) -> bytes:
        """The answer to an offer, in force."""
        if self._media is None or self._handset is None:
            raise SdpError("there must be sound already")
        body, answer = make_answer(offer, self._media, self._version, keep=self.record.law)
        self._version += 1
        self._handset.connect(answer)
        return body

    def _refuse(self, status: int, cause: int = 0) -> None:
        response = self._response(status)
        if cause:
            response.headers.add("Reason", f"Q.850;cause={cause}")
        self.record.status = status
        self._invite.respond(response, self._unacknowledged)
        self._ended(EndedBy.CALLER if status == 487 else EndedBy.PHONE)

    def _response(self, status: int, body: bytes = b"") -> Response:
        response = response_to(self._invite.request, status, REASONS[status], self.tag)
        return self._dressed(response, body)

    def _dressed(self, response: Response, body: bytes) -> Response:
        response.headers.add("Contact", f"<{self._carrier.contact(self._way)}>")
        response.headers.add("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO")
        if body:
            response.headers.add("Content-Type", "application/sdp")
            response.body = body
        return response

    def _unacknowledged(self) -> None:
        self._carrier.complain(f"{self._latest.status} to an INVITE of {self.record.call_id} was never acknowledged")
        if not self.record.is_over:
            self._bye()
            self._ended(EndedBy.NOBODY)

    def _text_began(self) -> None:
        self._text.set()
        if not self.record.is_over:
            self._carrier.phones.tell(self.record, Moment.TEXT)

    # --- what the caller asks within the call ------------------------------------------------------------------------

    def cancelled(self) -> None:
        """CANCEL has come; too late, it does nothing."""
        self.record.cancels += 1
        if self._invite.status < 200:
            self._refuse(487)

    def acknowledged(self, number: int) -> None:
        """The ACK to a 2xx has come, with the CSeq of its INVITE."""
        if number == cseq_of(self._latest.request)[0]:
            self._latest.acknowledge()
        else:
            self._carrier.complain("ACK: CSeq must be that of its INVITE")

    def asked(self, transaction: ServerTransaction) -> None:
        """A request within the call, once each."""
        number, method = cseq_of(transaction.request)
        if number <= self._heard_cseq:
            self._carrier.complain(f"{method}: CSeq must be higher than before in a call")
            transaction.answer(500)
            return
        self._heard_cseq = number
        if method == "BYE":
            self._farewell(transaction)
        elif self.record.is_over:
            transaction.answer(481)
        elif method == "INVITE":
            self._asked_again(transaction)
        else:
            transaction.answer(200 if method in ("INFO", "OPTIONS") else 405)

    def _farewell(self, transaction: ServerTransaction) -> None:
        self.record.byes += 1
        transaction.answer(481 if self.record.is_over else 200)
        if self._invite.status < 200:
            self._refuse(487)
        self._ended(EndedBy.CALLER)

    def _asked_again(self, transaction: ServerTransaction) -> None:
        """An INVITE within the call: other sound, or the same again to show that it lives."""
        if self._invite.status < 200 or not self._latest.is_acknowledged:
            transaction.answer(500)
            return
        self._latest = transaction
        self._target = _contact_of(transaction.request)
        try:
            body = self._connected(parse_offer(transaction.request.body))
        except SdpError:
            transaction.answer(488)
            return
        response = response_to(transaction.request, 200, REASONS[200])
        transaction.respond(self._dressed(response, body), self._unacknowledged)

    # --- what the telephone does -------------------------------------------------------------------------------------

    def press(self, keys: str, by_info: bool = False) -> None:
        """Press keys, by RTP (RFC 4733) or INFO."""
        for key in keys:
            if by_info:
                self._ask("INFO", ("application/dtmf-relay", f"Signal={key}\r\nDuration={_PRESS_MS}\r\n"))
            elif self._handset is None or not self._handset.press(key):
                self._carrier.complain(f"{self.record.call_id} agreed on no telephone-event: no key can be pressed")
                return
            self.record.pressed += key
            self._carrier.phones.tell(self.record, Moment.PRESSED)

    def hang_up(self) -> None:
        """Hang up; before the answer, decline."""
        if self._invite.status < 200:
            self._refuse(603, 21)
        elif not self.record.is_over:
            self._bye()
            self._ended(EndedBy.PHONE)

    def _bye(self) -> None:
        self._ask("BYE")

    def _ask(self, method: str, content: tuple[str, str] = ("", "")) -> None:
        """Send a request within the call; an answer that is no success is the caller's fault."""
        self._cseq += 1
        branch = MAGIC_COOKIE + secrets.token_hex(12)
        request = Request(method, self._target)
        headers = request.headers
        headers.add("Via", f"SIP/2.0/{self._carrier.via(self._way)};branch={branch};rport")
        headers.add("Max-Forwards", "70")
        for value in self._route:
            headers.add("Route", value)
        for name, value in (("From", self._to), ("To", self._from), ("Call-ID", self.record.call_id)):
            headers.add(name, value)
        headers.add("CSeq", f"{self._cseq} {method}")
        headers.add("Contact", f"<{self._carrier.contact(self._way)}>")
        kind, text = content
        if text:
            headers.add("Content-Type", kind)
            request.body = text.encode()
        transaction = ClientTransaction(self._way, self._place(), request, self._carrier.timers)
        self._carrier.sent(branch, transaction, f"{method} in {self.record.call_id}")

    def _place(self) -> tuple[str, int]:
        """Where requests go to over UDP: the caller's Contact, or back where the INVITE came from where proxies are."""
        if not self._route:
            with contextlib.suppress(SipSyntaxError):
                target = parse_uri(self._target)
                if self._carrier.is_address(target.host):
                    return target.host, target.port or SIP_PORT
        return self._way.source

    # --- the end -----------------------------------------------------------------------------------------------------

    def _ended(self, by: EndedBy) -> None:
        if self.record.is_over:
            return
        if self._handset is not None:
            self._handset.drain()
            self._handset.close()
        self.record.ended_by = by
        self.record.ended_at = self._loop.time()
        self._carrier.ended(self)
        self._carrier.phones.tell(self.record, Moment.ENDED)
        self.close()

    def close(self) -> None:
        """Stop living, without a word to the caller."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        if self._handset is not None and not self.record.is_over:
            self._handset.close()


def _contact_of(request: Request) -> str:
    """The URI that a caller wants requests at; where it named none, the one it called from."""
    return uri_of(request.headers.get("Contact") or request.headers.get("From") or "")
