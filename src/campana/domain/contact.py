"""Owns the contact: a person in a campaign with one destination a medium, and the rules of adding and editing.

Must not know who asks, where it is stored or how it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from campana.domain.delivery import Medium, Status


@dataclass(frozen=True, slots=True)
class Communication:
    """The specification's CommunicationInfo: a contact on one medium, as given and as it stands."""

    destination: str | None = None
    """As the client gave it; blank means that the medium is not tried."""
    text: str | None = None
    """TextToSendOverwrite; blank means the campaign's text."""
    status: int = Status.DO_NOT_TRY
    last_error: int = 0
    attempts_left: int = 0
    """RetryCount, 0..255."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact as its client described it. A medium that is None was left out."""

    guid: str
    """Canonical lower-case UUID; empty where the server is to choose."""
    campaign: str
    sms: Communication | None = None
    voice: Communication | None = None
    email: Communication | None = None

    def on(self, medium: Medium) -> Communication | None:
        """The contact on one medium, or None where it was left out."""
        if medium is Medium.SMS:
            return self.sms
        return self.voice if medium is Medium.VOICE else self.email


@dataclass(frozen=True, slots=True)
class Admitted:
    """One medium of a contact that passed the rules, ready to be stored.

    `dial` is the destination as it is dialled (E.164 with +) or addressed; None where the destination is blank.
    """

    medium: Medium
    destination: str
    dial: str | None
    text: str | None
    attempts_left: int
    """0 where the destination is blank."""


@dataclass(frozen=True, slots=True)
class MediumState:
    """A delivery as it stands, for the rules of editing."""

    medium: Medium
    destination: str
    text: str | None
    status: int
    last_error: int
    attempts_left: int


@dataclass(frozen=True, slots=True)
class ReplaceMedium:
    """What an edit does to one medium.

    `restart`: the destination changed, the delivery starts again (status 1, or 0 where `dial` is None).
    Otherwise only text and attempts left change; status, last error and due moment stay.
    """

    medium: Medium
    destination: str
    dial: str | None
    text: str | None
    attempts_left: int
    restart: bool


class EditPlanner(Protocol):
    """Decides what an edit does to each medium of a contact, from how the media stand. May raise MethodError."""

    def __call__(self, states: list[MediumState]) -> list[ReplaceMedium]: ...
