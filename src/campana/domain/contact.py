"""Owns the contact: a person in a campaign with one destination a medium, and the rules of adding and editing.

Must not know who asks, where it is stored or how it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from campana.domain.campaign import HTML_MAX, SMS_TEXT_MAX, VOICE_TEXT_MAX, Campaign
from campana.domain.delivery import IN_PROGRESS, WAITING, Medium, Status
from campana.domain.destination import dial_phone, normalise_email
from campana.domain.errors import MethodCode, MethodError
from campana.domain.person import Person
from campana.domain.text.characters import is_blank, is_keepable
from campana.domain.text.segments import plan_segments


class Communication(msgspec.Struct, frozen=True):
    """The specification's CommunicationInfo: a contact on one medium, as given and as it stands."""

    destination: str | None = None
    """As the client gave it; blank means that the medium is not tried."""
    text: str | None = None
    """TextToSendOverwrite; blank means the campaign's text."""
    status: int = Status.DO_NOT_TRY
    last_error: int = 0
    attempts_left: int = 0
    """RetryCount, 0..255."""


class Contact(msgspec.Struct, frozen=True):
    """A contact as its client described it. A medium that is None was left out."""

    guid: str
    """Canonical lower-case UUID; empty where the server is to choose."""
    campaign: str
    sms: Communication | None = None
    voice: Communication | None = None
    email: Communication | None = None
    person: Person | None = None
    """None from a door that cannot say who it is: an edit then leaves it as it is."""

    def on(self, medium: Medium) -> Communication | None:
        """The contact on one medium, or None where it was left out."""
        if medium is Medium.SMS:
            return self.sms
        return self.voice if medium is Medium.VOICE else self.email


class Admitted(msgspec.Struct, frozen=True):
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
    Otherwise the destination's spelling, text and attempts left may change; status, last error and due moment stay.
    `medium` may be one that the contact has had no delivery on.
    """

    medium: Medium
    destination: str
    dial: str | None
    text: str | None
    attempts_left: int
    restart: bool

    @property
    def begins(self) -> bool:
        """Whether there is something to be sent from now on."""
        return self.restart and self.dial is not None


class EditPlanner(Protocol):
    """Decides what an edit does to each medium of a contact, from how the media stand and who it was until now. May
    raise MethodError."""

    def __call__(self, states: list[MediumState], kept: Person | None) -> list[ReplaceMedium]: ...


# --- rules -----------------------------------------------------------------------------------------------------

DESTINATION_MAX = 320
"""Characters of a destination as given, with what stands around the number or address itself."""
ATTEMPTS_MAX = 255
DEFAULT_ATTEMPTS = 3
"""Where neither the contact, the campaign nor the configuration says how often to try."""

SMS_SURELY_FITS = 8_000
"""A text of so many characters needs fewer parts than there may be, whatever they are."""


@dataclass(frozen=True, slots=True)
class _Rules:
    """What differs between the media."""

    medium: Medium
    wire: str
    """The member of OutboundNotificationContactInfo."""
    given: Callable[[Contact], Communication | None]
    dial: Callable[[str, str], str]
    text_max: int
    enabled_without_text: Callable[[Campaign], bool]
    required: Callable[[Campaign], bool]


_RULES = (
    _Rules(
        medium=Medium.SMS,
        wire="SMSCommInfo",
        given=lambda contact: contact.sms,
        dial=dial_phone,
        text_max=SMS_TEXT_MAX,
        enabled_without_text=lambda it: it.sms is not None and it.sms.enabled and is_blank(it.sms.text),
        required=lambda it: it.sms_required,
    ),
    _Rules(
        medium=Medium.VOICE,
        wire="VoiceCommInfo",
        given=lambda contact: contact.voice,
        dial=dial_phone,
        text_max=VOICE_TEXT_MAX,
        enabled_without_text=lambda it: it.voice is not None and it.voice.enabled and is_blank(it.voice.text),
        required=lambda it: it.voice_required,
    ),
    _Rules(
        medium=Medium.EMAIL,
        wire="EmailCommInfo",
        given=lambda contact: contact.email,
        dial=lambda address, _: normalise_email(address),
        text_max=HTML_MAX,
        enabled_without_text=lambda it: it.email is not None and it.email.enabled and is_blank(it.email.html),
        required=lambda it: it.email_required,
    ),
)


WIRES = {rules.medium: rules.wire for rules in _RULES}
"""The member of OutboundNotificationContactInfo for each medium."""


def media_without_text(campaign: Campaign) -> frozenset[Medium]:
    """The enabled media on which every contact has to bring a text of its own."""
    return frozenset(rules.medium for rules in _RULES if rules.enabled_without_text(campaign))


def media_required(campaign: Campaign) -> frozenset[Medium]:
    """The media on which the campaign asks for a destination."""
    return frozenset(rules.medium for rules in _RULES if rules.required(campaign))


def admit(
    contact: Contact, campaign: Campaign, region: str, *, default_attempts: Mapping[Medium, int], agent: bool = False
) -> tuple[Admitted, ...]:
    """Make of a new contact what is to be stored, medium by medium; one with neither destination nor text is left out.

    `region` reads national phone numbers; `default_attempts` holds for contacts that give no RetryCount (voice: for
    campaigns that give no MaxDeliveryRetries). Raises MethodError: 24 for an agent where the campaign does not let
    agents add, then 22 with the field as the contract names it, then 25 for an agent where a required medium has no
    destination.
    """
    if agent and not campaign.allow_external_contacts:
        raise MethodError(MethodCode.ADDING_CONTACTS_NOT_ALLOWED)
    admitted: list[Admitted] = []
    for rules in _RULES:
        given = rules.given(contact)
        if given is not None:
            medium = _admit_medium(rules, given, campaign, region, default_attempts)
            if medium is not None:
                admitted.append(medium)
    if agent:
        demand_required(admitted, campaign)
    return tuple(admitted)


def plan_edit(
    contact: Contact,
    campaign: Campaign,
    region: str,
    default_attempts: Mapping[Medium, int],
    agent: bool = False,
) -> EditPlanner:
    """Check a contact that replaces another, and make what decides on each medium once it is seen how that stands.

    Raises what `admit` raises but 24: correcting a contact is not adding one. The planner raises MethodError 23 where
    the destination or text of a medium that is sending or delivering would change. Its answer leaves out the media
    that stay as they are.
    """
    admitted: dict[Medium, Admitted] = {}
    for rules in _RULES:
        given = rules.given(contact)
        medium = given and _admit_medium(rules, given, campaign, region, default_attempts)
        admitted[rules.medium] = medium or Admitted(rules.medium, "", None, None, 0)
    if agent:
        demand_required(list(admitted.values()), campaign)

    def plan(states: list[MediumState], kept: Person | None) -> list[ReplaceMedium]:
        known = {state.medium: state for state in states}
        changes: list[ReplaceMedium] = []
        for rules in _RULES:
            given = rules.given(contact)
            wanted = _Wanted(admitted[rules.medium], given.attempts_left if given else 0, region)
            change = _change(rules, known.get(rules.medium), wanted)
            if change is not None:
                changes.append(change)
        return changes

    return plan


def _refuse(rules: _Rules, member: str, rule: str) -> MethodError:
    field_name = f"{rules.wire}.{member}"
    return MethodError(MethodCode.INVALID_CONTACT, f"{field_name} {rule}", field=field_name)


def _admit_medium(
    rules: _Rules, given: Communication, campaign: Campaign, region: str, default_attempts: Mapping[Medium, int]
) -> Admitted | None:
    if not 0 <= given.attempts_left <= ATTEMPTS_MAX:
        raise _refuse(rules, "RetryCount", f"must be between 0 and {ATTEMPTS_MAX}.")
    destination, text = given.destination or "", given.text
    if text:
        text = _check_text(rules, text)
    if len(destination) > DESTINATION_MAX:
        raise _refuse(rules, "Destination", f"must not have more than {DESTINATION_MAX} characters.")
    if is_blank(destination):
        return Admitted(rules.medium, "", None, text, 0) if text else None
    try:
        dial = rules.dial(destination, region)
    except ValueError as error:
        raise _refuse(rules, "Destination", f"is refused. {error}") from None
    if not text and rules.enabled_without_text(campaign):
        raise _refuse(rules, "TextToSendOverwrite", "must not be blank, for the campaign has no text of its own.")
    attempts = given.attempts_left or usual_attempts(rules.medium, campaign, default_attempts)
    return Admitted(rules.medium, destination, dial, text, attempts)


def _check_text(rules: _Rules, text: str) -> str:
    """Check a text; white space alone becomes "", so that nobody takes it for a text."""
    if len(text) > rules.text_max:
        raise _refuse(rules, "TextToSendOverwrite", f"must not have more than {rules.text_max} characters.")
    if not is_keepable(text):
        raise _refuse(rules, "TextToSendOverwrite", "must not hold NUL or unpaired surrogates.")
    if rules.medium is Medium.SMS and len(text) > SMS_SURELY_FITS:
        try:
            plan_segments(text, reference_bits=16)
        except ValueError as error:
            raise _refuse(rules, "TextToSendOverwrite", f"is refused. {error}") from None
    return "" if text.isspace() else text


def usual_attempts(medium: Medium, campaign: Campaign, default_attempts: Mapping[Medium, int]) -> int:
    """Attempts of a contact that gives none itself."""
    if medium is Medium.VOICE and campaign.voice is not None and 0 < campaign.voice.max_attempts <= ATTEMPTS_MAX:
        return campaign.voice.max_attempts
    return default_attempts.get(medium, DEFAULT_ATTEMPTS)


def demand_required(media: Sequence[Admitted], campaign: Campaign) -> None:
    """Raise MethodError 25 where a medium that the campaign requires has no destination."""
    reached = {medium.medium for medium in media if medium.dial is not None}
    for rules in _RULES:
        if rules.required(campaign) and rules.medium not in reached:
            field_name = f"{rules.wire}.Destination"
            sentence = f"{field_name} must not be blank, for the campaign requires it."
            raise MethodError(MethodCode.REQUIRED_MEDIUM_MISSING, sentence, field=field_name)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What an edit asks for on one medium."""

    medium: Admitted
    attempts_given: int
    """RetryCount as given; 0 keeps what is left."""
    region: str


def _change(rules: _Rules, state: MediumState | None, wanted: _Wanted) -> ReplaceMedium | None:
    new = wanted.medium
    if state is None:
        nothing = new.dial is None and not new.text
        return None if nothing else _replace(new, new.attempts_left, restart=new.dial is not None)
    same_destination = _is_same_destination(rules, state, wanted)
    same_text = (state.text or "") == (new.text or "")
    if state.status in IN_PROGRESS and not (same_destination and same_text):
        field_name = f"{rules.wire}.{'TextToSendOverwrite' if same_destination else 'Destination'}"
        sentence = f"{field_name} cannot change while the medium is sending or delivering."
        raise MethodError(MethodCode.CONTACT_IN_PROGRESS, sentence, field=field_name)
    if not same_destination:
        return _replace(new, new.attempts_left, restart=True)
    attempts = state.attempts_left
    if wanted.attempts_given and state.status in WAITING:
        attempts = wanted.attempts_given
    if same_text and attempts == state.attempts_left and new.destination == state.destination:
        return None
    return _replace(new, attempts, restart=False)


def _is_same_destination(rules: _Rules, state: MediumState, wanted: _Wanted) -> bool:
    new = wanted.medium
    if state.destination == new.destination:
        return True
    if new.dial is None:
        return False
    # The same number or address in another spelling is the same person: writing it anew must not send again.
    try:
        return rules.dial(state.destination, wanted.region) == new.dial
    except ValueError:
        return False


def _replace(new: Admitted, attempts: int, *, restart: bool) -> ReplaceMedium:
    return ReplaceMedium(new.medium, new.destination, new.dial, new.text, attempts, restart)
