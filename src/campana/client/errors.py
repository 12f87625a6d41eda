"""Owns what a client's caller hears where a call was not carried out: an exception for each kind of refusal.

Must not know which call it was, nor when one is made again.
"""

from __future__ import annotations

from typing import Any

import msgspec


class FieldProblem(msgspec.Struct, frozen=True):
    """A field that breaks a rule."""

    field: str = ""
    code: int = 0
    detail: str = ""


class Problem(msgspec.Struct, frozen=True):
    """Why a call was not carried out, as the server says it (RFC 9457)."""

    status: int
    detail: str = ""
    code: int = 0
    title: str = ""
    field: str = ""
    errors: list[FieldProblem] = []


class CampanaError(Exception):
    """Something was not done: one sentence for a person."""


class Unreachable(CampanaError):
    """The server did not answer, however often it was tried."""


class NotUnderstood(CampanaError):
    """What answered is no Campana server, or one of a version that is too far from this client's."""


class BrokenOff(CampanaError):
    """What was being sent or read cannot be taken up again from here, since its source or its place cannot go back."""

    def __init__(self, sentence: str, key: str = "") -> None:
        super().__init__(sentence)
        self.key = key
        """The Idempotency-Key under which the same thing, sent again from its beginning, goes on."""


class Refused(CampanaError):
    """The server answered that it does not do it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail or f"The server answered with HTTP status {problem.status}.")
        self.problem = problem

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def code(self) -> int:
        """The code, as docs/error-codes.md lists them; 0 where something else than Campana answered."""
        return self.problem.code

    @property
    def title(self) -> str:
        """The code's name, for example `InvalidCampaign`."""
        return self.problem.title

    @property
    def field(self) -> str:
        """The field that breaks a rule, for example `sms.from`; blank where there is none."""
        return self.problem.field

    @property
    def detail(self) -> str:
        """What is wrong, for a person."""
        return str(self)


class BadRequest(Refused):
    """400, 405, 406, 413, 415: it is no request that the server understands."""


class NotAuthenticated(Refused):
    """401: the key, the session or the password is wrong, or too old."""


class NotAllowed(Refused):
    """403: the user or the key may not do it."""


class NotFound(Refused):
    """404: there is no such thing that the user may know of."""


class Conflict(Refused):
    """409: it does not go with what is there."""


class VersionMismatch(Refused):
    """412: the campaign was changed since it was read."""


class Invalid(Refused):
    """422: a field breaks a rule."""


class TooMany(Refused):
    """429: too many requests, or too many failed attempts to log in."""


class Unavailable(Refused):
    """502, 503, 504: it cannot be done right now, and it was tried for as long as the client has patience."""


class ServerFailed(Refused):
    """Any other 5xx: a defect; the server's log has it."""


_KINDS: dict[int, type[Refused]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    412: VersionMismatch,
    422: Invalid,
    429: TooMany,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}

_decode = msgspec.json.Decoder(Problem).decode


def no_such_thing() -> NotFound:
    """The exception for an id that can be nobody's: it would lead to another address."""
    return NotFound(Problem(404, "There is nothing with such an id.", 40, "NotFound"))


def read_as(body: bytes, kind: Any) -> Any:
    """Read an answer in JSON. Raises NotUnderstood."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotUnderstood("The answer is not one of the API: is there a Campana server, of this version?") from error


def refused(status: int, body: bytes) -> Refused:
    """The exception for an answer of 400 or more. What is no problem of Campana's, a proxy's page, tells its status."""
    try:
        problem = msgspec.structs.replace(_decode(body), status=status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = Problem(status)
    kind = _KINDS.get(status) or (ServerFailed if status >= 500 else BadRequest)
    return kind(problem)
