"""Owns how requests of the other side are answered, within a dialog and outside of any.

Must not know how answers travel, nor what becomes of a call. (RFC 3261, sections 8.2, 12.2.2 and 14.2; RFC 3311;
RFC 6086.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from campana.channels.voice.sip.conversation import Conversation, Phase
from campana.channels.voice.sip.dialog import ALLOW, USER_AGENT
from campana.channels.voice.sip.flow import Flow
from campana.channels.voice.sip.message import Request, Response, cseq_of, response_to
from campana.channels.voice.sip.pressed import CONTENT_TYPES, read_key
from campana.channels.voice.sip.server import ServerTransaction
from campana.channels.voice.sip.stack import contact_of

PHRASES: Final = {
    200: "OK",
    403: "Forbidden",
    405: "Method Not Allowed",
    415: "Unsupported Media Type",
    420: "Bad Extension",
    481: "Call/Transaction Does Not Exist",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
}

ALLOWED: Final = frozenset(ALLOW.split(", "))
SUPPORTED: Final = frozenset({"100rel"})
MOST_REOFFERINGS: Final = 16
"""re-INVITEs that are waiting for their ACK at a time; there is no honest reason for more than one."""


def reply(request: Request, status: int, tag: str = "") -> Response:
    """A response without a body."""
    response = response_to(request, status, PHRASES[status], tag)
    response.headers.add("User-Agent", USER_AGENT)
    if status == 405 or request.method == "OPTIONS":
        response.headers.add("Allow", ALLOW)
    return response


def answer_stranger(request: Request, tag: str) -> Response:
    """The answer to a request outside of any dialog that we know: we take no calls."""
    _, to_tag = request.headers.get("To"), "tag=" in (request.headers.get("To") or "").lower()
    if request.method == "OPTIONS" and not to_tag:
        response = reply(request, 200, tag)
        response.headers.add("Accept", "application/sdp")
        response.headers.add("Supported", "100rel")
        return response
    if to_tag or request.method in ("BYE", "CANCEL"):
        return reply(request, 481, tag)
    return reply(request, 403 if request.method == "INVITE" else 405, tag)


def answer_within(conversation: Conversation, server: ServerTransaction, flow: Flow) -> None:
    """Answer a request within a dialog, and tell the talker what it asks for."""
    request = server.request
    if not conversation.dialog.accept(request):
        server.respond(reply(request, 500))
        return
    unknown = [name for name in request.headers.all("Require") if name.lower() not in SUPPORTED]
    if request.method not in _ANSWERS:
        server.respond(reply(request, 405))
    elif unknown and request.method != "BYE":
        response = reply(request, 420)
        response.headers.add("Unsupported", ", ".join(unknown)[:500])
        server.respond(response)
    elif conversation.phase is Phase.LEAVING and request.method != "BYE":
        server.respond(reply(request, 481))
    else:
        _ANSWERS[request.method](conversation, server, flow)


def acknowledged(conversation: Conversation, ack: Request) -> None:
    """An ACK within the dialog came: for a re-INVITE of theirs, whose answer it may bring."""
    number, _ = cseq_of(ack)
    server, brings_answer = conversation.reofferings.pop(number, (None, False))
    if server is None:
        return
    server.on_unacknowledged = None
    server.acknowledge()
    if brings_answer and ack.body and conversation.talker is not None:
        conversation.talker.reanswered(conversation, ack.body)


# --- one function a method ---------------------------------------------------------------------------------------


def _bye(conversation: Conversation, server: ServerTransaction, flow: Flow) -> None:
    del flow
    server.respond(reply(server.request, 200))
    if conversation.phase is Phase.LEAVING:
        return  # both hung up at once: our own BYE ends it
    talker = conversation.talker
    conversation.close()
    if talker is not None:
        talker.hung_up(conversation, server.request)


def _invite(conversation: Conversation, server: ServerTransaction, flow: Flow) -> None:
    request = server.request
    if conversation.phase is Phase.EARLY or len(conversation.reofferings) >= MOST_REOFFERINGS:
        server.respond(reply(request, 491))
        return
    conversation.retarget(request)
    ours = conversation.talker.reoffered(conversation, request.body) if conversation.talker else None
    if ours is None:
        server.respond(reply(request, 488))
        return
    number, _ = cseq_of(request)
    conversation.reofferings[number] = (server, not request.body)
    server.on_unacknowledged = lambda: _unacknowledged(conversation)
    server.respond(_with_sdp(request, flow, ours))


def _unacknowledged(conversation: Conversation) -> None:
    """No ACK came for so long: they are gone (section 13.3.1.4)."""
    conversation.hang_up()
    if conversation.talker is not None:
        conversation.talker.vanished(conversation)


def _update(conversation: Conversation, server: ServerTransaction, flow: Flow) -> None:
    request = server.request
    if request.body and conversation.phase is Phase.EARLY and not conversation.is_agreed:
        server.respond(reply(request, 491))
        return
    conversation.retarget(request)
    ours: bytes | None = b""
    if request.body:
        ours = conversation.talker.reoffered(conversation, request.body) if conversation.talker else None
    server.respond(reply(request, 488) if ours is None else _with_sdp(request, flow, ours))


def _with_sdp(request: Request, flow: Flow, sdp: bytes) -> Response:
    response = reply(request, 200)
    response.headers.add("Contact", contact_of(flow))
    response.headers.add("Allow", ALLOW)
    response.headers.add("Supported", "100rel")
    if sdp:
        response.headers.add("Content-Type", "application/sdp")
        response.body = sdp
    return response


def _info(conversation: Conversation, server: ServerTransaction, flow: Flow) -> None:
    del flow
    request = server.request
    kind = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if request.body and kind not in CONTENT_TYPES:
        response = reply(request, 415)
        response.headers.add("Accept", ", ".join(CONTENT_TYPES))
        server.respond(response)
        return
    server.respond(reply(request, 200))
    pressed = read_key(request.body) if request.body else None
    if pressed is not None and conversation.phase is Phase.CONFIRMED and conversation.talker is not None:
        conversation.talker.pressed(conversation, *pressed)


def _nothing(conversation: Conversation, server: ServerTransaction, flow: Flow) -> None:
    """OPTIONS asks whether we are there; what NOTIFY tells does not matter to a call of ours."""
    del conversation, flow
    server.respond(reply(server.request, 200))


_ANSWERS: Final[dict[str, Callable[[Conversation, ServerTransaction, Flow], None]]] = {
    "BYE": _bye,
    "INVITE": _invite,
    "UPDATE": _update,
    "INFO": _info,
    "OPTIONS": _nothing,
    "NOTIFY": _nothing,
}
