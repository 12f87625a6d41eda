"""Owns what is said: the content of a campaign on one medium, and what a person says back.

Must not know how either looks on a wire.
"""

from __future__ import annotations

from dataclasses import dataclass

from campana.domain.call import CallPlan
from campana.domain.delivery import Medium


@dataclass(frozen=True, slots=True)
class Content:
    """What a campaign says on one medium, frozen by its revision; one composer is made of it per route."""

    medium: Medium
    source: str
    """SMS: the from-number; voice: the calling number; email: the from-address (may have a display name)."""
    text: str
    """SMS: the text; voice: what is spoken; email: the html. May be blank where every contact brings its own."""
    subject: str = ""
    campaign: str = ""
    """The campaign's guid, for headers and logs."""
    call: CallPlan | None = None
    """Voice: the rest of what the campaign says of its calls."""
    merges: bool = False
    """Whether fields take their places also for contacts of whom nothing could be said."""


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message that a person sent to us (MO SMS). Numbers as the carrier gave them, E.164 with + if international."""

    route: str
    medium: Medium
    source: str
    destination: str
    text: str
    at: int
    """Epoch milliseconds."""
