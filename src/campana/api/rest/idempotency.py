"""Owns the Idempotency-Key of POST requests: which requests have one, and how an answer is given again.

Must not know where answers are kept. Only success is kept: what is refused has changed nothing, and may be tried again
with the same key, as it was or mended.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from campana.api.rest.operation import JSON, Answer, Call, Operation, Raw
from campana.domain.errors import MethodCode, MethodError
from campana.services.answers import Errand, Given

HEADER = "idempotency-key"
REPLAYED = "idempotency-replayed"

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_encode = msgspec.json.Encoder().encode


def key_of(call: Call[Any, Any]) -> str:
    """The Idempotency-Key of a request; blank where it has none. Raises 42 InvalidRequest."""
    key = call.header(HEADER)
    if HEADER in call.request.headers and _KEY.fullmatch(key) is None:
        said = "The Idempotency-Key should be 1 to 255 visible ASCII characters."
        raise MethodError(MethodCode.INVALID_REQUEST, said)
    return key


async def carried_out_once(operation: Operation, call: Call[Any, Any], content: bytes) -> Answer[Any]:
    """Carry a request out, or give the answer again that it had."""
    key = key_of(call) if operation.method == "POST" else ""
    call.raw_key = key.encode()
    if not key or not operation.idempotent or call.caller is None:
        return await operation.work(call)
    user, scope = call.who.user, call.request.scope
    query = scope["query_string"] + b" " + call.header("content-type").encode() + b" "
    # A user's number alone would not do: that of one who was removed may be given to another, of any account.
    owner = f"{user.account.number} {user.number} {user.name.casefold()}".encode()
    errand = Errand(owner, f"POST {scope['path']}", key, query + content)
    answers = call.services.answers
    turn = await answers.claim(errand)
    if turn.given is not None:
        return Answer(
            Raw(JSON, turn.given.body) if turn.given.body else None,
            turn.given.status,
            {**turn.given.headers, REPLAYED: "true"},
        )
    call.new_id, call.again = turn.new_id, turn.again
    try:
        answer = await operation.work(call)
    except MethodError:
        await answers.release(errand)
        raise
    body = b"" if answer.body is None else _encode(answer.body)
    await answers.keep(errand, Given(answer.status or operation.status, answer.headers, body))
    return answer
