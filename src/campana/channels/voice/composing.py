"""Owns how a campaign's content becomes what one call is placed with.

Must not know speech, nor how a call is placed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from campana.channels.contract import Composer, Parcel
from campana.channels.errors import RefusedForGood
from campana.channels.merging import merged
from campana.channels.voice.numbers import dialled
from campana.channels.voice.settings import VoiceRouteSettings
from campana.domain.call import KEYS, CallPlan
from campana.domain.campaign import VOICE_TEXT_MAX
from campana.domain.message import Content
from campana.domain.outcome import DeliveryCode
from campana.domain.text.merge import parse_template


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a parcel of this channel carries: shared by all contacts that bring no text of their own."""

    text: str
    source: str
    """The calling number, as the campaign says it."""
    plan: CallPlan


def announcement_composer(content: Content, settings: VoiceRouteSettings) -> Composer:
    """Prepare a campaign's calls. Raises RefusedForGood(UNRENDERABLE) where nobody could be called by its plan."""
    plan = _checked(content.call)
    common = Announcement(content.text, content.source, plan)
    template = parse_template(content.text)

    def compose(
        delivery_id: int,
        attempt: int,
        destination: str,
        text: str | None,
        fields: Mapping[str, str] | None = None,
        /,
    ) -> Parcel:
        if fields is not None and (own := parse_template(text) if text else template) is not None:
            text = merged(own, fields, VOICE_TEXT_MAX)
        announcement = replace(common, text=text) if text else common
        if not announcement.text.strip():
            raise _unrenderable("There is no text.")
        try:
            dialled(destination, settings)
        except ValueError as error:
            raise RefusedForGood(DeliveryCode.VOICE_NUMBER_UNKNOWN, None, f"The number: {error}.") from error
        return Parcel(delivery_id, attempt, destination, announcement)

    return compose


def _checked(plan: CallPlan | None) -> CallPlan:
    if plan is None:
        raise _unrenderable("There is no plan for calls.")
    if plan.dial_ms <= 0 or plan.plays <= 0:
        raise _unrenderable("Dialling time and plays must be more than nothing.")
    if not KEYS.issuperset(plan.keys):
        raise _unrenderable("Acknowledging keys must be keys of a telephone.")
    return plan


def _unrenderable(why: str) -> RefusedForGood:
    return RefusedForGood(DeliveryCode.UNRENDERABLE, None, why)
