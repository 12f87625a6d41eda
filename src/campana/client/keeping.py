"""Owns how a client keeps at it: who it says it is, when a request is made again and how long it waits before.

Must not know any operation, nor how bytes travel.
"""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import msgspec

from campana.client.errors import Unreachable, read_as, refused
from campana.client.steps import Body, Course, Lost, Open, Pause, Reply, Request, Send, Step

KEY = "idempotency-key"
LONGEST_KEY = 255
TRY_AGAIN = frozenset({429, 502, 503, 504})
STILL_S = 5.0


@dataclass(frozen=True, slots=True)
class Retries:
    """How long a request is made again, in seconds."""

    patience_s: float = 45.0
    """Since it failed first; 0 gives up at once."""
    first_s: float = 0.2
    """The first pause, at most; each is twice as long as the one before, and up to half of each is left to chance."""
    longest_s: float = 5.0


class Trial:
    """One request's tries. Instants are seconds of a clock that only goes forward."""

    def __init__(self, retries: Retries) -> None:
        self.tries = 0
        self._retries = retries
        self._patience = retries.patience_s
        self._failed = 0
        self._since = 0.0

    def again_in(self, least_s: float = 0.0) -> float | None:
        """After a failure: the seconds to wait before the next try, `least_s` by the server's word; None: give up."""
        now = time.monotonic()
        self._failed += 1
        if self._failed == 1:
            self._since = now
        most = min(self._retries.longest_s, self._retries.first_s * 2 ** min(self._failed - 1, 20))
        pause = max(least_s, most * random.uniform(0.5, 1.0))  # noqa: S311 - spreads clients, hides nothing
        return pause if now + pause - self._since <= self._patience else None

    def allow(self, seconds: float) -> None:
        """Be patient for so long at least."""
        self._patience = max(self._patience, seconds)

    def came_further(self) -> None:
        """Be as patient as at first: the try that failed had come further than those before it."""
        self._failed = 0


@dataclass(frozen=True, slots=True)
class LogIn:
    """Who opens a session."""

    account: str
    user: str
    password: str


class _Opened(msgspec.Struct):
    token: str


@dataclass(slots=True)
class Context:
    """What all calls of one client share."""

    retries: Retries
    token: str = ""
    """An API key or a session's; blank: a session is to be opened first, where there is a log-in."""
    log_in: LogIn | None = None
    place: str = ""
    """Where the server is, for a person."""

    def authorised(self, request: Request) -> Request:
        """The request with the token, where there is one."""
        if not self.token:
            return request
        return replace(request, headers={**request.headers, "authorization": f"Bearer {self.token}"})


def sent(context: Context, request: Request) -> Course[Reply]:
    """Send a request until it is answered, in the caller's name; the answer is below 400.

    Raises Refused, and Unreachable where nobody answers.
    """
    return _until_answered(context, request, Send)


def opened(context: Context, request: Request) -> Course[Reply]:
    """The same, for an answer that is then read in parts."""
    return _until_answered(context, request, Open)


def _until_answered(context: Context, request: Request, step: type[Send] | type[Open]) -> Course[Reply]:
    trial, renewed, lost_one = Trial(context.retries), False, False
    while True:
        if not context.token and context.log_in is not None:
            yield from _log_in(context, context.log_in)
        trial.tries += 1
        try:
            reply: Reply = yield step(context.authorised(request))
        except Lost as lost:
            lost_one = True
            check_body(request.body, trial)
            yield from pause(context, trial, lost)
            continue
        if reply.status < 400:
            return reply
        if reply.status == 401 and context.log_in is not None and not renewed:
            # The session came to its end meanwhile.
            context.token, renewed = "", True
            continue
        if reply.status == 404 and request.method == "DELETE" and lost_one:
            # An earlier try did it, whose answer was lost.
            return Reply(204, reply.headers)
        yield from may_try_again(trial, reply)
        check_body(request.body, trial)


def check_body(body: bytes | Body, trial: Trial) -> None:
    """Before another try of what is sent in parts. Raises what says that there can be none."""
    if isinstance(body, Body):
        why_not = body.why_not_again()
        if why_not is not None:
            raise why_not
        if body.came_further():
            trial.came_further()


def pause(context: Context, trial: Trial, lost: Lost) -> Generator[Step, Any, None]:
    """Wait before the next try after a connection was lost. Raises Unreachable."""
    seconds = trial.again_in()
    if seconds is None:
        raise Unreachable(f"The server at {context.place} cannot be reached: {lost}.") from lost
    yield Pause(seconds)


def may_try_again(trial: Trial, reply: Reply) -> Generator[Step, Any, None]:
    """Wait before the next try after an answer of 400 or more. Raises Refused where there is to be none."""
    said = reply.headers.get("retry-after", "")
    after = float(said) if said.isdecimal() else 0.0
    if reply.status == 409 and said:
        # An earlier try of the same request is still at it, or was cut off: it is over by then, and mostly long before.
        trial.allow(after + STILL_S)
        after = 0.0
    if reply.status in TRY_AGAIN or (reply.status == 409 and said):
        seconds = trial.again_in(after)
        if seconds is not None:
            yield Pause(seconds)
            return
    raise refused(reply.status, reply.body)


def _log_in(context: Context, who: LogIn) -> Course[None]:
    body = msgspec.json.encode({"account": who.account, "user": who.user, "password": who.password})
    reply = yield from sent(
        replace(context, token="", log_in=None), Request("POST", "/sessions", headers=json_headers(), body=body)
    )
    context.token = read_as(reply.body, _Opened).token


def log_out(context: Context) -> Course[None]:
    """Close the session that the client opened, if it can be done at once."""
    if context.log_in is None or not context.token:
        return
    request = context.authorised(Request("DELETE", "/sessions/current"))
    context.token = ""
    try:
        yield Send(request)
    except Lost:
        # It ends by itself after a while.
        return


def json_headers(key: str | None = None) -> Mapping[str, str]:
    """The headers of a body in JSON that is posted, under a key of its own or the one given."""
    return {"content-type": "application/json", KEY: checked(key or new_key())}


def checked(key: str) -> str:
    """An Idempotency-Key that can be sent. Raises ValueError."""
    if not (len(key) <= LONGEST_KEY and key.isascii() and key.isprintable() and " " not in key):
        raise ValueError(f"the key should be at most {LONGEST_KEY} visible ASCII characters")
    return key


def new_key() -> str:
    """An Idempotency-Key that nobody had before."""
    return str(uuid4())
