"""Owns how a call that is written once becomes a method of both clients, with its types and its words.

Must not know any call.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from dataclasses import dataclass, replace
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from campana.client.errors import read_as
from campana.client.keeping import Context, sent
from campana.client.models import Page
from campana.client.steps import Course, Finds, Hand, Request
from campana.client.taking import Awaiting, Blocking, Way

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and the type of what is answered in JSON; None where nothing is."""

    answer: type[T] | None
    request: Request


class Base:
    """What both clients have: a context that their calls share."""

    def __init__(self, context: Context) -> None:
        self.context = context


class OfBlocking(Base):
    """A client whose methods return when it is done."""

    def __init__(self, context: Context, way: Way) -> None:
        super().__init__(context)
        self.taker = Blocking(way)


class OfAwaiting(Base):
    """A client whose methods are awaited."""

    def __init__(self, context: Context, way: Way) -> None:
        super().__init__(context)
        self.taker = Awaiting(way)


class Once(Generic[P, T]):
    """A method that returns one value."""

    def __init__(self, course: Callable[Concatenate[Context, P], Course[T]]) -> None:
        self.__doc__, self.course = course.__doc__, course

    @overload
    def __get__(self, client: OfBlocking, owner: Any = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: OfAwaiting, owner: Any = None) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, client: None, owner: Any = None) -> Once[P, T]: ...

    def __get__(self, client: Any, owner: Any = None) -> Any:
        """The method of a client."""
        return self if client is None else _bound(self.course, client.context, client.taker.run)


class Many(Generic[P, T]):
    """A method that hands out one value after the other."""

    def __init__(self, course: Callable[Concatenate[Context, P], Finds[T]]) -> None:
        self.__doc__, self._course = course.__doc__, course

    @overload
    def __get__(self, client: OfBlocking, owner: Any = None) -> Callable[P, Generator[T, None, None]]: ...
    @overload
    def __get__(self, client: OfAwaiting, owner: Any = None) -> Callable[P, AsyncGenerator[T, None]]: ...
    @overload
    def __get__(self, client: None, owner: Any = None) -> Many[P, T]: ...

    def __get__(self, client: Any, owner: Any = None) -> Any:
        """The method of a client."""
        return self if client is None else _bound(self._course, client.context, client.taker.find)


def call(make: Callable[P, Call[T]]) -> Once[P, T]:
    """Make a method of a function that says which request it is."""

    @functools.wraps(make)
    def course(context: Context, /, *arguments: P.args, **named: P.kwargs) -> Course[T]:
        return fetched(context, make(*arguments, **named))

    return Once(course)


def pages(make: Callable[P, Call[Page[T]]]) -> Many[P, T]:
    """Make a method of a function that asks for the first page of a list: it hands out the items of all pages."""

    @functools.wraps(make)
    def course(context: Context, /, *arguments: P.args, **named: P.kwargs) -> Finds[T]:
        return _through(context, make(*arguments, **named))

    return Many(course)


def fetched(context: Context, one: Call[T]) -> Course[T]:
    """Make a call; what it answered."""
    reply = yield from sent(context, one.request)
    answer: T = None if one.answer is None else read_as(reply.body, one.answer)  # type: ignore[assignment]  # T is None
    return answer


def _through(context: Context, first: Call[Page[T]]) -> Finds[T]:
    one = first
    while True:
        page = yield from fetched(context, one)
        for item in page.items:
            yield Hand(item)
        if page.next is None:
            return
        query = {**first.request.query, "cursor": page.next}
        one = Call(first.answer, replace(first.request, query=query))


def _bound(course: Callable[..., Any], context: Context, take: Callable[[Any], Any]) -> Callable[..., Any]:
    @functools.wraps(course)
    def method(*arguments: Any, **named: Any) -> Any:
        return take(course(context, *arguments, **named))

    return method
