"""Owns what the texts of a campaign take of its contacts, and that a contact has it before it is let in.

Must not know how a text is sent. A campaign and a contact that both came over SOAP, which has no words for fields, are
taken to the letter: their client knows of no merge fields.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from campana.domain.campaign import HTML_MAX, SMS_TEXT_MAX, SUBJECT_MAX, VOICE_TEXT_MAX, Campaign, media_enabled
from campana.domain.contact import (
    SMS_SURELY_FITS,
    WIRES,
    Admitted,
    Contact,
    EditPlanner,
    MediumState,
    ReplaceMedium,
)
from campana.domain.delivery import WAITING, Medium
from campana.domain.errors import MethodCode, MethodError
from campana.domain.person import NOBODY, Person
from campana.domain.text.characters import is_blank
from campana.domain.text.merge import Template, parse_template, values_of
from campana.domain.text.segments import plan_segments

MERGED_MAX = {Medium.SMS: SMS_TEXT_MAX, Medium.VOICE: VOICE_TEXT_MAX, Medium.EMAIL: HTML_MAX}
"""Characters of a text with what it took of a contact."""
_NAMES_TOLD = 5


class Reached(NamedTuple):
    """A medium on which a contact has a destination, with the text that it brings itself, if any."""

    medium: Medium
    text: str | None


@dataclass(frozen=True)
class MergeTexts:
    """The texts of a campaign that take something of its contacts: None is one that does not."""

    media: frozenset[Medium] = frozenset()
    """Which are enabled."""
    is_for_all: bool = False
    """Also for contacts of whom nothing could be said."""
    texts: tuple[Template | None, Template | None, Template | None] = (None, None, None)
    """By medium."""
    subject: Template | None = None

    def of(self, medium: Medium, has_own_text: bool = False) -> list[Template]:
        """What takes something of a contact on a medium, besides a text of its own."""
        text = None if has_own_text else self.texts[medium]
        subject = self.subject if medium is Medium.EMAIL else None
        return [template for template in (text, subject) if template is not None]

    def required(self, medium: Medium) -> frozenset[str]:
        """The keys of what a contact without a text of its own must have."""
        return frozenset[str]().union(*(template.required for template in self.of(medium)))


def merge_texts(campaign: Campaign) -> MergeTexts:
    """Read the texts of a campaign's enabled media."""
    media = media_enabled(campaign)
    email = campaign.email if Medium.EMAIL in media else None
    texts = (
        campaign.sms.text if campaign.sms and Medium.SMS in media else None,
        campaign.voice.text if campaign.voice and Medium.VOICE in media else None,
        email.html if email else None,
    )
    sms, voice, body = (parse_template(text or "") for text in texts)
    subject = parse_template(email.subject or "") if email else None
    return MergeTexts(media, campaign.merges, (sms, voice, body), subject)


def check_merge(reached: Iterable[Reached], texts: MergeTexts, person: Person | None) -> None:
    """Refuse a contact that lacks what a text takes of it without a default, on an enabled medium.

    Raises MethodError 22 InvalidContact with the field Fields; with the medium's TextToSendOverwrite, where that takes
    it, or where the text with what it takes is blank or too long.
    """
    if person is None and not texts.is_for_all:
        return
    values: dict[str, str] | None = None
    for medium, text in reached:
        if medium not in texts.media:
            continue
        own = parse_template(text) if text else None
        campaigns = texts.of(medium, bool(text))
        if own is None and not campaigns:
            continue
        if values is None:
            values = values_of(person or NOBODY)
        wire = f"{WIRES[medium]}.TextToSendOverwrite"
        if own is not None:
            _demand(own, values, wire)
        for template in campaigns:
            _demand(template, values, "Fields")
        if texts.subject is not None and medium is Medium.EMAIL:
            _try_subject(texts.subject, values)
        main = own or (None if text else texts.texts[medium])
        if main is not None:
            _try_text(main, medium, values)


def reached_by(media: Iterable[Admitted]) -> list[Reached]:
    """The media on which a new contact is to be reached."""
    return [Reached(one.medium, one.text) for one in media if one.dial is not None]


def demand_fields(plan: EditPlanner, contact: Contact, texts: MergeTexts) -> EditPlanner:
    """A planner that also refuses what `check_merge` refuses, on the media that are still to begin or go again."""

    def checked(states: list[MediumState], kept: Person | None) -> list[ReplaceMedium]:
        changes = plan(states, kept)
        reached = [Reached(one.medium, one.text) for one in changes if one.dial is not None and _goes(one, states)]
        if contact.person is not None:
            changed = {one.medium for one in changes}
            waiting = (state for state in states if state.status in WAITING and state.medium not in changed)
            reached += [Reached(state.medium, state.text) for state in waiting]
        check_merge(reached, texts, kept if contact.person is None else contact.person)
        return changes

    return checked


def lacks(templates: Sequence[Template], person: Person | None) -> bool:
    """Tell whether a contact lacks what one of the texts takes of it."""
    values = values_of(person or NOBODY)
    return any(key not in values for template in templates for key in template.required)


def _goes(change: ReplaceMedium, states: Iterable[MediumState]) -> bool:
    standing = [state.status for state in states if state.medium is change.medium]
    return change.restart or not standing or standing[0] in WAITING


def _demand(template: Template, values: Mapping[str, str], field: str) -> None:
    missing = sorted(template.required - values.keys())
    if missing:
        named = ", ".join(missing[:_NAMES_TOLD]) + (" and more" if len(missing) > _NAMES_TOLD else "")
        said = f"{field} must come with what the text takes without a default: {named}."
        raise MethodError(MethodCode.INVALID_CONTACT, said, field=field)


def _try_subject(subject: Template, values: Mapping[str, str]) -> None:
    try:
        subject.merge(values, SUBJECT_MAX)
    except ValueError as error:
        raise MethodError(MethodCode.INVALID_CONTACT, f"Fields is refused. {error}", field="Fields") from None


def _try_text(template: Template, medium: Medium, values: Mapping[str, str]) -> None:
    quote = html.escape if medium is Medium.EMAIL else None
    try:
        merged = template.merge(values, MERGED_MAX[medium], quote)
        if is_blank(merged):
            raise ValueError("With its fields, the text is blank.")
        if medium is Medium.SMS and len(merged) > SMS_SURELY_FITS:
            plan_segments(merged, reference_bits=16)
    except ValueError as error:
        field = f"{WIRES[medium]}.TextToSendOverwrite"
        raise MethodError(MethodCode.INVALID_CONTACT, f"{field} is refused. {error}", field=field) from None
