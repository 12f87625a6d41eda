"""Owns the part of the store contract for telling endpoints: how far each was told, and the secrets that sign it.

Must not know which database it is, nor how an endpoint is told. Instants are epoch milliseconds. Every method may raise
StoreUnavailable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Publication:
    """How far the endpoint of a campaign was told."""

    campaign: int
    endpoint: str
    """A URL; blank where the campaign has none any more."""
    sent: int = 0
    """The number of the last event that it has taken."""
    offered: int = 0
    """Above `sent`: the last event of a batch that may have arrived, and that goes again as it was."""
    failures: int = 0
    """In a row."""
    failing_since: int | None = None
    next_at: int = 0
    """It is left alone until then."""
    stopped_at: int | None = None
    """When it was given up; it is told nothing before a person says so, or the endpoint is another one."""
    last_success_at: int | None = None
    last_error_at: int | None = None
    last_error: str | None = None
    """For people: it names no address and nothing that the endpoint said."""


@dataclass(frozen=True, slots=True)
class Behind:
    """A campaign whose endpoint has something to be told."""

    campaign: int
    account: int
    next_at: int
    """It is left alone until then."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An endpoint did not take a batch."""

    at: int
    reason: str
    next_at: int | None
    """When it goes again; None where it was given up."""


@dataclass(frozen=True, slots=True)
class Census:
    """How endpoints are, of campaigns that are not deleted."""

    failing: int
    stopped: int
    behind: int
    """Events that are to be told, stopped ones' left out."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What signs an account's messages."""

    secret: str
    earlier: str | None = None
    """The one before, which signs as well ..."""
    earlier_until: int | None = None
    """... until then."""


class Publications(Protocol):
    """Endpoints of campaigns, and the secrets of their accounts.

    What is said of an endpoint counts only as long as the campaign still has it: news of one that was replaced
    meanwhile change nothing.
    """

    async def address(self, campaign: int, endpoint: str) -> Publication:
        """Note which endpoint a campaign has, blank for none. Another one than before begins with a clean state where
        the old one stood."""

    async def find(self, campaign: int) -> Publication | None:
        """How far a campaign's endpoint was told; None where it never had one that was told anything."""

    async def behind(self, after: int, limit: int) -> list[Behind]:
        """Campaigns above `after`, in order, whose endpoints have something to be told and were not given up; also
        those that are to be left alone for now."""

    async def offer(self, told: Publication, upto: int) -> bool:
        """Keep that the batch up to an event is about to be told. False where that is not so any more: the endpoint is
        another one, or was told more."""

    async def taken(self, told: Publication, upto: int, at: int) -> None:
        """It has taken all events up to one. Never goes back."""

    async def failed(self, told: Publication, failure: Failure) -> None:
        """It has not taken a batch."""

    async def retry(self, campaign: int) -> bool:
        """Go on now, also where it was given up; False where nothing was ever told."""

    async def census(self) -> Census:
        """How they are."""

    async def secrets(self, account: int) -> Secrets | None:
        """The secrets of an account; None where it has none yet."""

    async def begin_secret(self, account: int, secret: str) -> Secrets:
        """Give an account its first secret, unless it has one; what it has then."""

    async def rotate_secret(self, account: int, secret: str, earlier_until: int) -> Secrets:
        """Give an account a new secret; the one that it had signs as well until an instant."""
