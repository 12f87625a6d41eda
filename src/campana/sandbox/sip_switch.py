"""Owns what becomes of each SIP message that reaches the sandbox's carrier: whose it is, and whether it came before.

Must not know telephones, sound, or how messages travel.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from campana.channels.voice.sip.headers import SipSyntaxError, parse_via
from campana.channels.voice.sip.message import (
    Request,
    Response,
    cseq_of,
    parse,
    response_to,
    tag_of,
    uri_of,
    via_branch,
)
from campana.sandbox.sip_digest import Guard
from campana.sandbox.sip_judging import faults_of
from campana.sandbox.sip_transactions import REASONS, ClientTransaction, ServerTransaction, Way

if TYPE_CHECKING:
    from campana.sandbox.sip import SipSimulator
    from campana.sandbox.sip_call import Call

MOST_TRANSACTIONS: Final = 50_000
METHODS: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, REGISTER"

Key = tuple[str, str, str]


class Switch:
    """The transactions and dialogs of a carrier."""

    def __init__(self, carrier: SipSimulator) -> None:
        self._carrier = carrier
        self._guard = Guard(carrier.accounts or {})
        self._loop = asyncio.get_running_loop()
        self._transactions: dict[Key, ServerTransaction] = {}
        self._dialogs: dict[Key, Call] = {}
        self._calls: dict[tuple[str, str], Call] = {}
        """By Call-ID and the caller's tag, for as long as an INVITE may come again."""
        self._cancellable: dict[Key, Call] = {}
        self._asked: dict[str, ClientTransaction] = {}
        self._handlers: dict[str, Callable[[ServerTransaction], None]] = {
            "INVITE": self._invited,
            "CANCEL": self._cancelled,
            "REGISTER": self._registered,
            "OPTIONS": lambda transaction: transaction.answer(carrier.options_status),
        }
        self.requests: Counter[str] = Counter()
        self.challenged = 0

    def received(self, way: Way, data: bytes) -> None:
        """Take one message. Never raises for what it says."""
        try:
            message = parse(data)
            if isinstance(message, Request):
                self._take_request(way, message)
            else:
                self._take_response(message)
        except SipSyntaxError as error:
            self._carrier.complain(f"a message was not SIP: {error}")

    def sent(self, branch: str, transaction: ClientTransaction, about: str) -> None:
        """A telephone has asked something within its call; no success is something to complain of."""
        self._asked[branch] = transaction

        def settled(answer: asyncio.Future[int]) -> None:
            self._asked.pop(branch, None)
            if not 200 <= answer.result() < 300:
                self._carrier.complain(f"{about} was answered with {answer.result() or 'nothing'}")

        transaction.answered.add_done_callback(settled)

    def close(self) -> None:
        """Say nothing again."""
        for answering in self._transactions.values():
            answering.close()
        for asking in tuple(self._asked.values()):
            asking.close()

    # --- requests ----------------------------------------------------------------------------------------------------

    def _take_request(self, way: Way, request: Request) -> None:
        key = _key(request)
        if request.method == "ACK":
            self._acknowledged(key, request)
            return
        known = self._transactions.get(key)
        if known is not None:
            known.repeated()
            if key in self._cancellable and request.method == "INVITE":
                self._cancellable[key].record.invites += 1
            return
        if len(self._transactions) >= MOST_TRANSACTIONS:
            return
        self.requests[request.method] += 1
        for fault in faults_of(request):
            self._carrier.complain(fault)
        transaction = self._transactions[key] = ServerTransaction(way, request, self._carrier.timers)
        self._loop.call_later(self._carrier.timers.patience, self._forget, key)
        self._dispatch(transaction)

    def _dispatch(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        *_, to_tag = dialog = _dialog_key(request)
        if to_tag and request.method != "CANCEL":
            call = self._dialogs.get(dialog)
            if call is None:
                transaction.answer(481)
            else:
                call.asked(transaction)
            return
        handler = self._handlers.get(request.method)
        if handler is not None:
            handler(transaction)
        elif request.method == "BYE":
            transaction.answer(481)
        else:
            transaction.respond(self._with(transaction, 405, "Allow", [METHODS]))

    def _forget(self, key: Key) -> None:
        self._transactions.pop(key, None)
        self._cancellable.pop(key, None)

    def _acknowledged(self, key: Key, request: Request) -> None:
        """An ACK has its INVITE's branch where that failed, and one of its own within the call that it began."""
        self.requests["ACK"] += 1
        for fault in faults_of(request):
            self._carrier.complain(fault)
        transaction = self._transactions.get((*key[:2], "INVITE"))
        if transaction is not None and transaction.status >= 300:
            transaction.acknowledge()
            return
        call = self._dialogs.get(_dialog_key(request))
        if call is None:
            self._carrier.complain("ACK: belongs to no call and to no INVITE that failed")
        else:
            call.acknowledged(cseq_of(request)[0])

    def _invited(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if not self._admits(transaction, "INVITE"):
            return
        twin = _dialog_key(request)[:2]
        if twin in self._calls and not self._calls[twin].record.is_over:
            # It came by two ways (RFC 3261, section 8.2.2.2).
            transaction.answer(482)
            return
        call = self._carrier.called(transaction)
        if call is None:
            transaction.answer(503)
            return
        self._cancellable[_key(request)] = self._calls[twin] = self._dialogs[call.key] = call
        call.begin()

    def ended(self, call: Call) -> None:
        """A call is over; its last messages may still come."""
        self._loop.call_later(self._carrier.timers.patience, self._forget_call, call)

    def _forget_call(self, call: Call) -> None:
        self._dialogs.pop(call.key, None)
        if self._calls.get(call.key[:2]) is call:
            del self._calls[call.key[:2]]

    def _cancelled(self, transaction: ServerTransaction) -> None:
        key = _key(transaction.request)
        call = self._cancellable.get((*key[:2], "INVITE"))
        if call is None:
            transaction.answer(481)
            return
        transaction.answer(200, call.tag)
        if call.record.status == 0 and not call.has_said_anything:
            self._carrier.complain("CANCEL: must wait for a provisional response")
        call.cancelled()

    def _registered(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if not self._admits(transaction, "REGISTER"):
            return
        person = uri_of(request.headers.get("To") or "")
        contact = request.headers.get("Contact") or ""
        expires = request.headers.get("Expires") or "3600"
        if expires == "0" or contact.endswith("expires=0"):
            self._carrier.registered.pop(person, None)
        elif contact:
            self._carrier.registered[person] = uri_of(contact)
        bindings = [f"<{uri}>;expires={expires}" for uri in [self._carrier.registered.get(person)] if uri]
        transaction.respond(self._with(transaction, 200, "Contact", bindings))

    def _admits(self, transaction: ServerTransaction, method: str) -> bool:
        """Whether the caller may; else it is asked for its password."""
        if self._carrier.accounts is None:
            return True
        status = self._carrier.challenge
        asking, answering = {
            401: ("WWW-Authenticate", "Authorization"),
            407: ("Proxy-Authenticate", "Proxy-Authorization"),
        }[status]
        verdict = self._guard.check(method, transaction.request.headers.get(answering))
        if verdict == "ok":
            return True
        self.challenged += 1
        challenges = self._guard.challenges(stale=verdict == "stale")
        transaction.respond(self._with(transaction, status, asking, challenges))
        return False

    def _with(self, transaction: ServerTransaction, status: int, name: str, values: list[str]) -> Response:
        response = response_to(transaction.request, status, REASONS[status], "carrier")
        for value in values:
            response.headers.add(name, value)
        return response

    # --- responses ---------------------------------------------------------------------------------------------------

    def _take_response(self, response: Response) -> None:
        transaction = self._asked.get(via_branch(response))
        if transaction is not None and cseq_of(response)[1] == transaction.request.method:
            transaction.respond(response)


def _key(request: Request) -> Key:
    """What tells a transaction apart (section 17.2.3)."""
    via = parse_via(request.headers.get("Via") or "")
    return via.branch, f"{via.host}:{via.port}", request.method


def _dialog_key(request: Request) -> Key:
    """What tells a dialog apart, as the called side sees it: Call-ID, the caller's tag, ours (section 12)."""
    headers = request.headers
    return headers.get("Call-ID") or "", tag_of(headers.get("From") or ""), tag_of(headers.get("To") or "")
