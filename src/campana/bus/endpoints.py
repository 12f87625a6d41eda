"""Owns what it means to tell an endpoint: the message, its signature after the Standard Webhooks convention, answers.

Must not know which events a message holds, nor by which protocol it travels.
"""

from __future__ import annotations

import base64
import secrets as random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Protocol

from standardwebhooks import Webhook

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
"""Header names of https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md."""

_PREFIX = "whsec_"
_SECRET_BYTES = 24
"""The convention asks for 24 to 64."""


def new_secret() -> str:
    """A secret to sign with, in the convention's form."""
    return _PREFIX + base64.b64encode(random.token_bytes(_SECRET_BYTES)).decode("ascii")


@dataclass(frozen=True, slots=True)
class Message:
    """A batch of events for an endpoint."""

    campaign: str
    """The guid."""
    id: str
    """The same at every try."""
    last: int
    """The number of its last event."""
    body: str
    """JSON."""
    secrets: tuple[str, ...]
    """Each signs: `whsec_` and base64."""


class Outcome(Enum):
    """What became of a message."""

    TAKEN = "taken"
    FAILED = "failed"
    """It is to go again."""
    GONE = "gone"
    """The endpoint wants no more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How an endpoint answered."""

    outcome: Outcome
    reason: str = ""
    """Of what is not TAKEN, for people: it holds nothing that the endpoint said, and no address."""
    wait: float = 0.0
    """Seconds that the endpoint asks to be left alone."""


TAKEN = Answer(Outcome.TAKEN)


class Outlet(Protocol):
    """Tells endpoints. Never raises for what an endpoint, or the way to it, does."""

    async def tell(self, endpoint: str, message: Message) -> Answer:
        """Tell an endpoint (a URL) and wait for its answer, for some seconds at most."""


def signed(id: str, body: str, secrets: Sequence[str], at: int) -> Mapping[str, str]:
    """The three headers of a message that leaves at an instant (epoch milliseconds), signed with each secret."""
    moment = datetime.fromtimestamp(at // 1_000, UTC)
    signatures = " ".join(Webhook(secret).sign(id, moment, body) for secret in secrets)
    return {ID: id, TIMESTAMP: str(at // 1_000), SIGNATURE: signatures}
