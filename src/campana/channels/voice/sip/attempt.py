"""Owns one INVITE to one host, from its leaving until nobody can answer it any more.

It outlives the call: whatever answers late is acknowledged and hung up. Must not know which host comes next, nor why
a call is given up. (RFC 3261, sections 9.1 and 13.2; RFC 3262.)
"""

from __future__ import annotations

from typing import Final, Protocol

import structlog

from campana.channels.voice.sip.conversation import Conversation, Phase, Talker
from campana.channels.voice.sip.dialog import Dialog
from campana.channels.voice.sip.digest import Credentials
from campana.channels.voice.sip.flow import Flow
from campana.channels.voice.sip.headers import tag_of
from campana.channels.voice.sip.message import Request, Response
from campana.channels.voice.sip.stack import Stack
from campana.channels.voice.sip.transaction import InviteTransaction, cancel_of

MOST_FORKS: Final = 32
"""Phones that one INVITE may reach by forking."""

_log = structlog.get_logger(__name__)


class Caller(Talker, Protocol):
    """Who wants the call, and talks in its dialogs."""

    def progressed(self, attempt: Attempt, response: Response) -> None:
        """A provisional response came."""

    def picked_up(self, attempt: Attempt, conversation: Conversation, response: Response) -> None:
        """The first 2xx came; its ACK is on its way."""

    def refused(self, attempt: Attempt, response: Response) -> None:
        """A final response of 300 and above came; its ACK has left."""

    def failed(self, attempt: Attempt, error: OSError) -> None:
        """Nothing came in time (TimeoutError), or the way broke."""


class Attempt:
    """One INVITE transaction and the dialogs that come of it."""

    def __init__(self, stack: Stack, request: Request, flow: Flow, credentials: Credentials, caller: Caller) -> None:
        self.request = request
        self.flow = flow
        self.was_heard = False
        """A provisional response came: a CANCEL may leave."""
        self.rang = False
        """One above 100 came: somebody's phone may have rung."""
        self._stack = stack
        self._credentials = credentials
        self._caller: Caller | None = caller
        self._transaction: InviteTransaction | None = None
        self._forks: dict[str, Conversation] = {}
        self._is_crowded = False
        self._cancel_wanted = False
        self._was_cancelled = False
        self._is_decided = False

    def start(self) -> None:
        """Send the INVITE."""
        listeners = (self._heard, self._failed)
        self._transaction = self._stack.transactions.invite(self.request, self.flow, listeners)

    @property
    def may_have_arrived(self) -> bool:
        """Whether an error says nothing of the INVITE: a connection broke behind it, or only a later copy is meant."""
        return self.flow.is_reliable or (self._transaction is not None and self._transaction.was_repeated)

    def cancel(self) -> None:
        """Send a CANCEL as soon as a provisional response allows it."""
        self._cancel_wanted = not self._is_decided
        if self.was_heard and self._cancel_wanted:
            self._send_cancel()

    def abandon(self) -> None:
        """Nobody wants this call any more: whatever rings is cancelled, and whoever answers is hung up."""
        self._caller = None
        self.cancel()
        if self._transaction is not None:
            self._transaction.abandon()
        self._close_forks()

    # --- what comes ----------------------------------------------------------------------------------------------

    def _heard(self, response: Response) -> None:
        if response.status < 200:
            self._progressed(response)
        elif response.status < 300:
            self._accepted(response)
        else:
            self._decided()
            if self._caller is not None:
                self._caller.refused(self, response)

    def _decided(self) -> None:
        self._is_decided = True
        self._cancel_wanted = False
        self._close_forks()

    def _failed(self, error: OSError) -> None:
        caller, self._caller = self._caller, None
        self._cancel_wanted = True
        if self.was_heard and not isinstance(error, TimeoutError):
            # The connection broke while a phone may be ringing: a new one can still carry a CANCEL.
            self._stack.spawn(self._cancel_anew())
        self._close_forks()
        if caller is not None:
            caller.failed(self, error)

    async def _cancel_anew(self) -> None:
        try:
            self.flow = await self._stack.flow(self.flow.target)
        except OSError:
            return
        self.cancel()

    def _progressed(self, response: Response) -> None:
        self.was_heard = True
        self.rang = self.rang or response.status > 100
        if self._cancel_wanted:
            self._send_cancel()
        conversation = self._fork(response) if response.status > 100 else None
        if conversation is not None and not self._acknowledge_provisional(conversation, response):
            return
        if conversation is not None and response.body:
            conversation.early_sdp = response.body
        if self._caller is not None:
            self._caller.progressed(self, response)

    def _acknowledge_provisional(self, conversation: Conversation, response: Response) -> bool:
        """Send a PRACK where one is asked for (RFC 3262, section 4); False where the response is out of order."""
        if "100rel" not in [name.lower() for name in response.headers.all("Require")]:
            return True
        number = response.headers.get("RSeq") or ""
        if not (number.isascii() and number.isdigit() and len(number) <= 10):
            return True
        known = conversation.reliable_number
        if known is not None and int(number) != known + 1:
            return False
        conversation.reliable_number = int(number)
        conversation.is_agreed = conversation.is_agreed or bool(response.body)
        cseq = self.request.headers.get("CSeq") or ""
        conversation.ask("PRACK", (("RAck", f"{number} {cseq}"),), lambda _: None)
        return True

    def _fork(self, response: Response) -> Conversation | None:
        """The dialog of a response, begun with the first response of its To-tag."""
        tag = tag_of(response.headers.get("To") or "")
        if not tag and response.status < 200:
            return None
        conversation = self._forks.get(tag)
        if conversation is not None and (conversation.phase is not Phase.OVER or conversation.was_confirmed):
            if conversation.phase is Phase.EARLY:
                conversation.learn(response)
            return conversation
        if len(self._forks) >= MOST_FORKS:
            if not self._is_crowded:
                _log.warning("voice.too_many_forks", call_id=self.request.headers.get("Call-ID"))
            self._is_crowded = True
            return None
        dialog = Dialog(self.request, response)
        conversation = Conversation(self._stack, dialog, self.request, self.flow, self._credentials)
        conversation.talker = self._caller
        self._forks[tag] = conversation
        return conversation

    def _accepted(self, response: Response) -> None:
        """A 2xx came: the first one is taken, and everyone else who answers is hung up."""
        conversation = self._fork(response)
        if conversation is None:
            return
        if conversation.phase is not Phase.EARLY:
            conversation.acknowledge_again()
            return
        conversation.confirm()
        self._decided()
        caller, self._caller = self._caller, None
        if caller is None:
            conversation.hang_up()
            return
        caller.picked_up(self, conversation, response)

    # --- taking it back ------------------------------------------------------------------------------------------

    def _send_cancel(self) -> None:
        if self._was_cancelled or self._transaction is None:
            return
        self._was_cancelled = True
        self._stack.begin_farewell()
        ended = self._stack.end_farewell
        listeners = (lambda response: ended() if response.status >= 200 else None, lambda _: ended())
        self._stack.transactions.ask(cancel_of(self.request), self.flow, listeners, self._transaction.branch)

    def _close_forks(self) -> None:
        """Early dialogs end with their INVITE."""
        for conversation in list(self._forks.values()):
            if conversation.phase is Phase.EARLY:
                conversation.close()
        self._forks = {tag: one for tag, one in self._forks.items() if one.phase is not Phase.OVER}
