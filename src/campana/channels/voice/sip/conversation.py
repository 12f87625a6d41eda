"""Owns one dialog in use: the ACK, requests of ours within it, and its end (RFC 3261, sections 13.2.2.4 and 15).

Must not know hosts of the trunk, deadlines of dialling, or sound.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from campana.channels.voice.sip.dialog import Dialog
from campana.channels.voice.sip.digest import Credentials, Tries
from campana.channels.voice.sip.flow import Flow
from campana.channels.voice.sip.message import Request, Response, render
from campana.channels.voice.sip.server import ServerTransaction
from campana.channels.voice.sip.stack import Stack
from campana.channels.voice.sip.transaction import add_via, new_branch

OnAnswer = Callable[[Response | None], None]
"""Told of the final response to a request of ours, or None where none came."""


class Phase(Enum):
    """Where a conversation is."""

    EARLY = "early"
    CONFIRMED = "confirmed"
    LEAVING = "leaving"
    """Our BYE is on its way."""
    OVER = "over"


class Talker(Protocol):
    """Who is told what the other side wants."""

    def hung_up(self, conversation: Conversation, request: Request) -> None:
        """Their BYE came, and is answered."""

    def vanished(self, conversation: Conversation) -> None:
        """They do not acknowledge our answer to their re-INVITE: we have hung up."""

    def pressed(self, conversation: Conversation, key: str, ms: int) -> None:
        """A key was told by INFO."""

    def reoffered(self, conversation: Conversation, offer: bytes) -> bytes | None:
        """They offer sound anew, or ask for an offer (b""); our SDP, or None to refuse."""

    def reanswered(self, conversation: Conversation, answer: bytes) -> None:
        """Their answer to an offer that they asked for."""


class Conversation:
    """One dialog of one of our INVITEs."""

    def __init__(self, stack: Stack, dialog: Dialog, invite: Request, near: Flow, credentials: Credentials) -> None:
        self.dialog = dialog
        self.phase = Phase.EARLY
        self.was_confirmed = False
        self.talker: Talker | None = None
        self.early_sdp = b""
        """SDP of a provisional response: the answer, if the final one brings none."""
        self.is_agreed = False
        """Whether that SDP came reliably (RFC 3262): the offer of the INVITE is answered."""
        self.reliable_number: int | None = None
        """RSeq of the last provisional response that was acknowledged."""
        self.near = near
        self.reofferings: dict[int, tuple[ServerTransaction, bool]] = {}
        """Their re-INVITEs without an ACK yet: CSeq to the transaction, and whether the ACK brings the answer."""
        self._stack = stack
        self._invite = invite
        self._credentials = credentials
        self._lane = stack.lane(dialog.next_hop, near)
        self._ack: tuple[Flow, bytes] | None = None
        self._key = (dialog.call_id, dialog.local_tag, dialog.remote_tag)
        stack.conversations[self._key] = self

    # --- its life ------------------------------------------------------------------------------------------------

    def learn(self, response: Response) -> None:
        """Take a further response to the INVITE into account: target and routes may be new."""
        before = (self.dialog.routes, self.dialog.target)
        self.dialog.learn(response)
        if (self.dialog.routes, self.dialog.target) != before:
            self._lane = self._stack.lane(self.dialog.next_hop, self.near)

    def retarget(self, request: Request) -> None:
        """Take the remote target of a re-INVITE or UPDATE."""
        before = self.dialog.target
        self.dialog.retarget(request)
        if self.dialog.target != before:
            self._lane = self._stack.lane(self.dialog.next_hop, self.near)

    def confirm(self) -> None:
        """A 2xx came: acknowledge it."""
        self.was_confirmed = True
        self.phase = Phase.CONFIRMED
        self._lane.run(self._acknowledge)

    def _acknowledge(self, flow: Flow) -> None:
        ack = self.dialog.request("ACK")
        for name in ("Authorization", "Proxy-Authorization"):
            for value in self._invite.headers.all(name):
                ack.headers.add(name, value)
        add_via(ack, flow, new_branch())
        self._ack = (flow, render(ack))
        self.acknowledge_again()

    def acknowledge_again(self) -> None:
        """The 2xx came again: so does its ACK."""
        if self._ack is None:
            return
        flow, octets = self._ack
        try:
            flow.send(octets)
        except OSError:
            self._lane.renew()

    def hang_up(self) -> None:
        """Send a BYE, once."""
        if self.phase is not Phase.CONFIRMED:
            return
        self.phase = Phase.LEAVING
        self._stack.begin_farewell()
        self.ask("BYE", (), self._left)

    def _left(self, response: Response | None) -> None:
        """The BYE was answered, in whatever way: a dialog that they do not know is over too."""
        del response
        self._stack.end_farewell()
        self.close()

    def close(self) -> None:
        """Forget the dialog: requests within it are answered 481 from now on."""
        self.phase = Phase.OVER
        if self._stack.conversations.get(self._key) is self:
            del self._stack.conversations[self._key]
        for server, _ in self.reofferings.values():
            server.on_unacknowledged = None
            server.acknowledge()
        self.reofferings.clear()
        # The talker holds the conversation: without the circle, both are gone at once (process/call.py).
        self.talker = None

    # --- requests of ours ----------------------------------------------------------------------------------------

    def ask(self, method: str, extra: tuple[tuple[str, str], ...], then: OnAnswer) -> None:
        """Send a request within the dialog; a challenge is answered, and a broken connection replaced once."""
        _Question(self, method, extra, then).ask()

    def send(self, question: _Question) -> None:
        """Send a question, now or when the way is found."""
        self._lane.run(lambda flow: self._send_over(flow, question))

    def _send_over(self, flow: Flow, question: _Question) -> None:
        request = self.dialog.request(question.method)
        for name, value in question.extra:
            request.headers.add(name, value)
        self._credentials.sign(request)
        self._stack.transactions.ask(request, flow, (question.heard, question.failed))

    def learn_challenge(self, response: Response, tries: Tries) -> bool:
        """Whether a refusal is a challenge that can be answered."""
        return response.status in (401, 407) and self._credentials.learn(response, tries)

    def renew_lane(self) -> None:
        """The way broke."""
        self._lane.renew()


class _Question:
    """A request of ours within a dialog, until it is answered for good."""

    def __init__(
        self, conversation: Conversation, method: str, extra: tuple[tuple[str, str], ...], then: OnAnswer
    ) -> None:
        self.method = method
        self.extra = extra
        self._conversation = conversation
        self._then = then
        self._tries = Tries()
        self._was_renewed = False

    def ask(self) -> None:
        """Send it."""
        self._conversation.send(self)

    def heard(self, response: Response) -> None:
        """A response came."""
        if response.status < 200:
            return
        if self._conversation.learn_challenge(response, self._tries):
            self.ask()
            return
        self._then(response)

    def failed(self, error: OSError) -> None:
        """No response came, or the connection broke."""
        if isinstance(error, TimeoutError) or self._was_renewed:
            self._then(None)
            return
        self._was_renewed = True
        self._conversation.renew_lane()
        self.ask()
