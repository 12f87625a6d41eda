"""Owns the table of transactions: to which one a message that came in belongs (RFC 3261, sections 17.1.3 and 17.2.3).

Must not know dialogs. Bounded: what does not fit is left unanswered.
"""

from __future__ import annotations

from typing import Final

from campana.channels.voice.sip.contract import Timers
from campana.channels.voice.sip.flow import Flow, Target
from campana.channels.voice.sip.message import Request, Response, cseq_of, via_branch
from campana.channels.voice.sip.server import Key, ServerTransaction, key_of
from campana.channels.voice.sip.transaction import ClientTransaction, InviteTransaction, OnFailure, OnResponse

MOST_SERVED: Final = 20_000
"""Requests of others that are remembered at a time."""
MOST_OF_A_CALL: Final = 256
"""Of them, those of one call: far more than people press keys, and few enough that no call keeps others from being
heard. A BYE is heard always; there is one a dialog."""


class Transactions:
    """All transactions of a process."""

    def __init__(self, timers: Timers) -> None:
        self.timers = timers
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._servers: dict[Key, ServerTransaction] = {}
        self._of_calls: dict[str, int] = {}
        """Requests that are remembered, by Call-ID."""
        self._waiting: dict[Target, dict[tuple[str, str], ClientTransaction]] = {}
        """Those that a broken way may concern. One that is told and does not wait any more is taken out, so that a host
        that is not there costs the same for every call, however many were given up before."""

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    def ask(self, request: Request, flow: Flow, listeners: tuple[OnResponse, OnFailure], branch: str = "") -> None:
        """Send a request other than INVITE and ACK; its Via is added."""
        self._start(ClientTransaction(request, flow, self.timers, listeners, branch))

    def invite(self, request: Request, flow: Flow, listeners: tuple[OnResponse, OnFailure]) -> InviteTransaction:
        """Send an INVITE; its Via is added."""
        transaction = InviteTransaction(request, flow, self.timers, listeners)
        self._start(transaction)
        return transaction

    def _start(self, transaction: ClientTransaction) -> None:
        self._clients[transaction.key] = transaction
        self._waiting.setdefault(transaction.flow.target, {})[transaction.key] = transaction
        transaction.on_done = lambda: self._forget(transaction)
        transaction.start()

    def _forget(self, transaction: ClientTransaction) -> None:
        self._clients.pop(transaction.key, None)
        waiting = self._waiting.get(transaction.flow.target)
        if waiting is not None:
            waiting.pop(transaction.key, None)
            if not waiting:
                del self._waiting[transaction.flow.target]

    def heard(self, response: Response) -> bool:
        """Hand a response to its transaction; whether there is one. Raises SipSyntaxError for an unreadable Via."""
        transaction = self._clients.get((via_branch(response), cseq_of(response)[1]))
        if transaction is None or len(response.headers.all("Via")) != 1:
            return False
        transaction.heard(response)
        return True

    def serve(self, request: Request, flow: Flow) -> ServerTransaction | None:
        """Begin a transaction for a request of others; None where nothing is left to do: it came before, or no room is.

        Not for ACK, which has none of its own: see `served`. Raises SipSyntaxError for an unreadable Via.
        """
        key = key_of(request)
        known = self._servers.get(key)
        if known is not None:
            known.came_again()
            return None
        call_id = request.headers.get("Call-ID") or ""
        count = self._of_calls.get(call_id, 0)
        if request.method != "BYE" and (count >= MOST_OF_A_CALL or len(self._servers) >= MOST_SERVED):
            return None
        transaction = ServerTransaction(request, flow, self.timers, lambda: self._released(key, call_id))
        self._servers[key] = transaction
        self._of_calls[call_id] = count + 1
        return transaction

    def came_again(self, request: Request) -> bool:
        """Answer a request again that came before, though its dialog is over; whether it did. Raises SipSyntaxError."""
        known = self._servers.get(key_of(request))
        if known is not None:
            known.came_again()
        return known is not None

    def _released(self, key: Key, call_id: str) -> None:
        if self._servers.pop(key, None) is not None:
            left = self._of_calls.pop(call_id) - 1
            if left:
                self._of_calls[call_id] = left

    def served(self, request: Request) -> ServerTransaction | None:
        """The transaction that an ACK or a CANCEL means, if there is one. Raises SipSyntaxError."""
        branch, host, port, call_id, number, _ = key_of(request)
        return self._servers.get((branch, host, port, call_id, number, "INVITE"))

    def broke(self, flow: Flow, error: OSError) -> None:
        """A flow broke: whoever waits for an answer over it hears of it."""
        told = self._waiting.pop(flow.target, {})
        for transaction in told.values():
            transaction.broke(error)
        still = {key: transaction for key, transaction in told.items() if transaction.is_waiting}
        if still:
            self._waiting.setdefault(flow.target, {}).update(still)

    def close(self) -> None:
        """Forget all."""
        for client in list(self._clients.values()):
            client.close()
        for server in list(self._servers.values()):
            server.close()
