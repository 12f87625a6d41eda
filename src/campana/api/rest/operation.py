"""Owns what an operation of the REST door is: its address, who may call it, what it takes, answers and refuses.

Must not know any noun, nor how a request is read or an answer leaves. A file per noun holds coroutines marked with
`operation`; from their types and their words come the reading of requests, the OpenAPI document and its page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from litestar import Request

from campana.domain.errors import MethodCode, MethodError
from campana.domain.ids import parse_guid
from campana.services.house import Services
from campana.services.principal import Principal
from campana.services.scopes import Scope

JSON = "application/json"

B = TypeVar("B")
Q = TypeVar("Q")
O = TypeVar("O")  # noqa: E741  # what goes Out; it stands beside B and Q alone


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, by what they showed: a session or an API key."""

    principal: Principal
    credential: bytes
    """32 bytes that stand for the session or the key."""
    scopes: frozenset[Scope]
    per_minute: int | None = None
    """Requests a minute that the key itself allows; None is what the configuration says."""
    token: str = ""
    """A session's token: it never leaves the door but to end its own session. Blank: an API key was shown."""


@dataclass(slots=True)
class Call(Generic[B, Q]):
    """A request that was read and may be carried out. `B` is its body's type, `Q` its query's; None has none."""

    services: Services
    caller: Caller | None
    request: Request[Any, Any, Any]
    """For what is streamed, and for headers of one operation alone."""
    path: Mapping[str, str]
    body: B
    query: Q
    base: str
    """The address of the API, without a slash at its end, as the client came: `https://example.com/api/v1`."""
    source: str
    """The address of the client."""
    new_id: str = ""
    """The id that a thing made by this call has where the client gives none; blank: the service chooses."""
    again: bool = False
    """Whether an earlier try with the same Idempotency-Key was cut off: what it was to make may be there, by `new_id`.
    """
    raw_key: bytes = b""
    """The Idempotency-Key; blank where there is none."""

    @property
    def who(self) -> Principal:
        """The user on whose behalf it is asked, of an operation that needs one."""
        assert self.caller is not None
        return self.caller.principal

    def guid(self, name: str) -> str:
        """An id in the path, canonical. Raises the code of what has no such id."""
        try:
            guid = parse_guid(self.path[name])
        except ValueError:
            guid = ""
        if not guid:
            raise MethodError(no_such(name))
        return guid

    def header(self, name: str) -> str:
        """A header's value; blank where it is absent."""
        return self.request.headers.get(name, "")

    def condition(self, name: str) -> str | None:
        """A header that makes the request conditional, If-Match or If-None-Match; None where it is absent."""
        found: str | None = self.request.headers.get(name)
        return found


_NO_SUCH = {"campaign": MethodCode.CAMPAIGN_NOT_FOUND, "contact": MethodCode.CONTACT_NOT_FOUND}


def no_such(name: str) -> MethodCode:
    """What is answered where a part of a path, by its name, leads nowhere."""
    return _NO_SUCH.get(name, MethodCode.NOT_FOUND)


@dataclass(frozen=True, slots=True)
class Stream:
    """A body that leaves in parts, of any length. What `parts` raises before its first part becomes a problem; later,
    the connection is dropped, so that half a list never looks whole."""

    media_type: str
    parts: AsyncIterator[bytes]
    is_live: bool = False
    """Whether its parts come as things happen: then its head leaves at once, and it ends when the client goes away."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A body that is written already."""

    media_type: str
    content: bytes


@dataclass(slots=True)
class Answer(Generic[O]):
    """What an operation answers: a value that becomes JSON, None for no body, or a Stream."""

    body: O
    status: int | None = None
    """None: what the operation says."""
    headers: dict[str, str] = field(default_factory=dict)


Work = Callable[[Call[Any, Any]], Awaitable[Answer[Any]]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address."""

    method: str
    path: str
    """With `{names}` in it, from /api/v1 on."""
    work: Work
    name: str
    """Its operationId: the coroutine's own."""
    summary: str
    description: str
    tag: str
    scope: Scope | None
    public: bool
    status: int
    refuses: tuple[MethodCode, ...]
    body: Any
    query: Any
    answer: Any
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    streams_body: bool
    idempotent: bool
    versioned: bool
    body_like: Any
    broken: MethodCode
    example: Any

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.method not in ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Says:
    """What an operation says of itself beyond its types and words."""

    scope: Scope | None = None
    """What an API key must have; None: any key will do."""
    public: bool = False
    """Whether anybody may call it, without a session or a key."""
    status: int = 200
    refuses: tuple[MethodCode, ...] = ()
    """Codes beyond those that every operation may answer (1, 3, 4, 31, 40, 42, 90, 99)."""
    takes: tuple[str, ...] = (JSON,)
    """Media types of its body."""
    gives: tuple[str, ...] = (JSON,)
    """Media types of its answer."""
    streams_body: bool = False
    """Whether it reads its body itself, without the limit of size: its body's type is None."""
    idempotent: bool = True
    """Of a POST: whether an Idempotency-Key has its answer kept. False where the noun keeps keys itself, or an answer
    may not be kept."""
    versioned: bool = False
    """Whether it obeys If-Match (writing) or If-None-Match (reading)."""
    broken: MethodCode = MethodCode.INVALID_REQUEST
    """The code of a limit that the body breaks: that of the domain's own rules, where it has one."""
    body_like: Any = None
    """What the body is described by, where it is read more freely: a part of it, as a merge patch."""
    example: Any = None
    """An example of the body."""


class Operations:
    """The operations of one noun; `tag` is the heading under which they are described."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.all: list[Operation] = []

    def __call__(
        self,
        method: str,
        path: str,
        says: Says = Says(),  # it is frozen
    ) -> Callable[[Callable[[Call[B, Q]], Awaitable[Answer[O]]]], Callable[[Call[B, Q]], Awaitable[Answer[O]]]]:
        """Mark a coroutine as an operation. Its docstring is the description, the first line of it the summary."""

        def mark(
            work: Callable[[Call[B, Q]], Awaitable[Answer[O]]],
        ) -> Callable[[Call[B, Q]], Awaitable[Answer[O]]]:
            self.all.append(_operation(method, path, says, self.tag, work))
            return work

        return mark


def _operation(method: str, path: str, says: Says, tag: str, work: Work) -> Operation:
    hints = get_type_hints(work)
    body, query = get_args(hints["call"])
    (answer,) = get_args(hints["return"])
    if isinstance(answer, UnionType):
        # None beside a value is an answer without a body, such as 304.
        answer = next(one for one in get_args(answer) if one is not type(None))
    summary, _, description = (work.__doc__ or "").strip().partition("\n")
    return Operation(
        method=method,
        path=path,
        work=work,
        name=work.__name__,
        summary=summary.rstrip("."),
        description=" ".join(description.split()),
        tag=tag,
        scope=says.scope,
        public=says.public,
        status=says.status,
        refuses=says.refuses,
        body=None if body is type(None) else body,
        query=None if query is type(None) else query,
        answer=None if answer is type(None) else answer,
        takes=says.takes,
        gives=says.gives,
        streams_body=says.streams_body,
        idempotent=says.idempotent and method == "POST",
        versioned=says.versioned,
        body_like=says.body_like,
        broken=says.broken,
        example=says.example,
    )
