"""Owns the steps that every call is made of, as values: what to send, to read, to wait for, and what to hand out.

Must not do any of it. A course is a generator that yields steps and is told what came of them, so that all rules stand
once, whether steps are taken by blocking or by awaiting (taking.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Body(ABC):
    """A body that is sent in parts."""

    @abstractmethod
    def parts(self) -> Iterator[bytes]:
        """Begin it, for the first time or anew."""

    @abstractmethod
    def why_not_again(self) -> Exception | None:
        """What to raise instead of sending it once more; None where that can be done."""

    @abstractmethod
    def came_further(self) -> bool:
        """Whether the last try sent more of it than any before."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request below the API's address."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Body = b""
    patience_s: float | None = None
    """How long the answer may take; None is what is usual."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes = b""


class Lost(Exception):
    """The connection could not be made, or broke before the answer was whole: a sentence for a person."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request and read its answer: a Reply. Lost is thrown into the course where that fails."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request whose answer is read in parts: a Reply without its body, unless its status is 400 or more."""

    request: Request


@dataclass(frozen=True, slots=True)
class Read:
    """Read the next part of what is open: bytes, none at its end. Lost is thrown where it breaks."""


@dataclass(frozen=True, slots=True)
class Shut:
    """Be done with what is open."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hand(Generic[T]):
    """Hand a value to whoever goes through what the course finds."""

    value: T


Step = Send | Open | Read | Shut | Pause
Course = Generator[Step, Any, T]
"""A call: its steps, and what it returns."""
Finds = Generator[Step | Hand[T], Any, None]
"""A call that finds one value after the other."""
