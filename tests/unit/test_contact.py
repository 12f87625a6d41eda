"""The rules of adding and editing contacts, as tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from campana.domain.campaign import Campaign, EmailSettings, SmsSettings, VoiceSettings
from campana.domain.contact import (
    Admitted,
    Communication,
    Contact,
    MediumState,
    ReplaceMedium,
    admit,
    plan_edit,
)
from campana.domain.delivery import Medium, Status
from campana.domain.errors import MethodCode, MethodError

NUMBER, OTHER_NUMBER, ADDRESS = "+14165550123", "+14165550199", "john@example.test"
SMS, VOICE, EMAIL = Medium.SMS, Medium.VOICE, Medium.EMAIL
DEFAULTS = {SMS: 3, EMAIL: 4}
CAMPAIGN = Campaign(
    guid="c",
    name="Reminder",
    sms=SmsSettings(enabled=True, from_number="12345", text="Hello"),
    voice=VoiceSettings(enabled=True, text="Hello", max_attempts=7),
    email=EmailSettings(enabled=True, from_address="a@example.test", subject="Hello", html="Hello"),
)
SILENT = replace(
    CAMPAIGN,
    sms=SmsSettings(enabled=True, text=" "),
    voice=VoiceSettings(enabled=True),
    email=EmailSettings(enabled=True, html=""),
)


def contact(**media: Communication | None) -> Contact:
    return Contact(guid="k", campaign="c", **media)


def to(destination: str | None = None, text: str | None = None, attempts: int = 0) -> Communication:
    return Communication(destination=destination, text=text, attempts_left=attempts)


ADMITTED: list[tuple[str, dict[str, Any], tuple[Admitted, ...]]] = [
    ("nothing at all", {}, ()),
    ("blank media are left out", {"sms": to(), "voice": to("", ""), "email": to(" ", " ")}, ()),
    (
        "a number as given and as dialled",
        {"sms": to("(416) 555-0123")},
        (Admitted(SMS, "(416) 555-0123", NUMBER, None, 3),),
    ),
    (
        "all three, in the order of the media",
        {"email": to("John@Example.test", "<p>", 1), "sms": to(NUMBER, "Hi", 255), "voice": to(NUMBER)},
        (
            Admitted(SMS, NUMBER, NUMBER, "Hi", 255),
            Admitted(VOICE, NUMBER, NUMBER, None, 7),
            Admitted(EMAIL, "John@Example.test", "John@example.test", "<p>", 1),
        ),
    ),
    ("email has its own default", {"email": to(ADDRESS)}, (Admitted(EMAIL, ADDRESS, ADDRESS, None, 4),)),
    ("a text without destination is kept", {"sms": to(None, "Hi", 9)}, (Admitted(SMS, "", None, "Hi", 0),)),
    ("a blank destination has no attempts", {"voice": to("  ", "Hi", 9)}, (Admitted(VOICE, "", None, "Hi", 0),)),
    ("white space is no text", {"sms": to(NUMBER, " \n")}, (Admitted(SMS, NUMBER, NUMBER, "", 3),)),
    (
        "a destination in much white space",
        {"email": to(ADDRESS.ljust(320))},
        (Admitted(EMAIL, ADDRESS.ljust(320), ADDRESS, None, 4),),
    ),
    ("the longest SMS", {"sms": to(NUMBER, "a" * 38_760)}, (Admitted(SMS, NUMBER, NUMBER, "a" * 38_760, 3),)),
    (
        "status and last error are ignored",
        {"sms": Communication(NUMBER, None, status=4, last_error=9, attempts_left=2)},
        (Admitted(SMS, NUMBER, NUMBER, None, 2),),
    ),
]


@pytest.mark.parametrize(("media", "expected"), [row[1:] for row in ADMITTED], ids=[row[0] for row in ADMITTED])
def test_what_is_stored_of_a_contact(media: dict[str, Any], expected: tuple[Admitted, ...]) -> None:
    assert admit(contact(**media), CAMPAIGN, "CA", default_attempts=DEFAULTS) == expected


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("SMSCommInfo.Destination", {"sms": to("hello")}),
    ("SMSCommInfo.Destination", {"sms": to("+1416555\r\n0123")}),
    ("SMSCommInfo.Destination", {"sms": to("+14165550123x5")}),
    ("SMSCommInfo.Destination", {"sms": to(ADDRESS)}),
    ("SMSCommInfo.Destination", {"sms": to(" " * 321)}),
    ("SMSCommInfo.RetryCount", {"sms": to(NUMBER, None, 256)}),
    ("SMSCommInfo.RetryCount", {"sms": to(None, None, -1)}),
    ("SMSCommInfo.TextToSendOverwrite", {"sms": to(NUMBER, "a" * 38_761)}),
    ("SMSCommInfo.TextToSendOverwrite", {"sms": to(NUMBER, "ё" * 16_831)}),
    ("SMSCommInfo.TextToSendOverwrite", {"sms": to(NUMBER, "nul \x00")}),
    ("SMSCommInfo.TextToSendOverwrite", {"sms": to(NUMBER, "half \ud83c")}),
    ("VoiceCommInfo.Destination", {"voice": to("12")}),
    ("VoiceCommInfo.RetryCount", {"voice": to(NUMBER, None, 1_000)}),
    ("VoiceCommInfo.TextToSendOverwrite", {"voice": to(NUMBER, "a" * 20_001)}),
    ("EmailCommInfo.Destination", {"email": to(NUMBER)}),
    ("EmailCommInfo.Destination", {"email": to("john@example.test\r\nBcc: x@example.test")}),
    ("EmailCommInfo.TextToSendOverwrite", {"email": to(None, "a" * 1_000_001)}),
]


@pytest.mark.parametrize(("field", "media"), REFUSED)
def test_a_broken_rule_names_its_field_and_never_the_value(field: str, media: dict[str, Any]) -> None:
    with pytest.raises(MethodError) as refused:
        admit(contact(**media), CAMPAIGN, "CA", default_attempts=DEFAULTS)
    assert (refused.value.code, refused.value.field) == (MethodCode.INVALID_CONTACT, field)
    sentence = refused.value.sentence
    assert sentence.startswith(f"{field} ")
    assert sentence.isascii()
    assert sentence.isprintable()
    assert ADDRESS not in sentence
    assert NUMBER not in sentence
    with pytest.raises(MethodError) as refused_edit:
        plan_edit(contact(**media), CAMPAIGN, "CA", DEFAULTS)
    assert refused_edit.value.field == field


@pytest.mark.parametrize(
    ("name", "member", "destination"),
    [("sms", "SMSCommInfo", NUMBER), ("voice", "VoiceCommInfo", NUMBER), ("email", "EmailCommInfo", ADDRESS)],
)
def test_a_contact_brings_the_text_that_an_enabled_medium_lacks(name: str, member: str, destination: str) -> None:
    for text in (None, "", "  "):
        with pytest.raises(MethodError) as refused:
            admit(contact(**{name: to(destination, text)}), SILENT, "CA", default_attempts=DEFAULTS)
        assert (refused.value.code, refused.value.field) == (
            MethodCode.INVALID_CONTACT,
            f"{member}.TextToSendOverwrite",
        )
    assert admit(contact(**{name: to(destination, "Hi")}), SILENT, "CA", default_attempts=DEFAULTS)
    assert admit(contact(**{name: to()}), SILENT, "CA", default_attempts=DEFAULTS) == ()
    without = replace(SILENT, sms=None, voice=VoiceSettings(enabled=False), email=None)
    assert admit(contact(**{name: to(destination)}), without, "CA", default_attempts=DEFAULTS)


@pytest.mark.parametrize(
    ("voice", "attempts"),
    [
        (VoiceSettings(enabled=True, text="Hi", max_attempts=9), 9),
        (VoiceSettings(max_attempts=9), 9),
        (VoiceSettings(max_attempts=255), 255),
        (VoiceSettings(max_attempts=256), 5),
        (VoiceSettings(max_attempts=0), 5),
        (VoiceSettings(max_attempts=1_000), 5),
        (None, 5),
    ],
)
def test_voice_takes_its_attempts_from_the_campaign(voice: VoiceSettings | None, attempts: int) -> None:
    campaign = replace(CAMPAIGN, voice=voice)
    (admitted,) = admit(contact(voice=to(NUMBER)), campaign, "CA", default_attempts={VOICE: 5})
    assert admitted.attempts_left == attempts


def test_attempts_have_a_default_where_nobody_says_any() -> None:
    (admitted,) = admit(contact(sms=to(NUMBER)), CAMPAIGN, "CA", default_attempts={})
    assert admitted.attempts_left == 3


OPEN_TO_AGENTS = replace(CAMPAIGN, allow_external_contacts=True)
AGENTS: list[tuple[dict[str, Any], dict[str, Any], MethodCode, str | None]] = [
    ({}, {"sms": to(NUMBER)}, MethodCode.SUCCESS, None),
    ({"allow_external_contacts": False}, {"sms": to(NUMBER)}, MethodCode.ADDING_CONTACTS_NOT_ALLOWED, None),
    ({"allow_external_contacts": False}, {"sms": to("x")}, MethodCode.ADDING_CONTACTS_NOT_ALLOWED, None),
    ({"sms_required": True}, {"sms": to(NUMBER)}, MethodCode.SUCCESS, None),
    ({"sms_required": True}, {"email": to(ADDRESS)}, MethodCode.REQUIRED_MEDIUM_MISSING, "SMSCommInfo.Destination"),
    ({"sms_required": True}, {"sms": to(" ", "Hi")}, MethodCode.REQUIRED_MEDIUM_MISSING, "SMSCommInfo.Destination"),
    ({"voice_required": True}, {"sms": to(NUMBER)}, MethodCode.REQUIRED_MEDIUM_MISSING, "VoiceCommInfo.Destination"),
    ({"email_required": True}, {"sms": to(NUMBER)}, MethodCode.REQUIRED_MEDIUM_MISSING, "EmailCommInfo.Destination"),
    ({"email_required": True}, {"sms": to("x")}, MethodCode.INVALID_CONTACT, "SMSCommInfo.Destination"),
]


@pytest.mark.parametrize(("rules", "media", "code", "field"), AGENTS)
def test_agents_are_bound_by_the_campaigns_flags(
    rules: dict[str, Any], media: dict[str, Any], code: MethodCode, field: str | None
) -> None:
    campaign = replace(OPEN_TO_AGENTS, **rules)
    if code is MethodCode.SUCCESS:
        assert admit(contact(**media), campaign, "CA", default_attempts=DEFAULTS, agent=True)
        return
    with pytest.raises(MethodError) as refused:
        admit(contact(**media), campaign, "CA", default_attempts=DEFAULTS, agent=True)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_other_roles_are_not() -> None:
    strict = replace(CAMPAIGN, sms_required=True, voice_required=True, email_required=True)
    assert admit(contact(), strict, "CA", default_attempts=DEFAULTS) == ()


def state(medium: Medium = SMS, destination: str = NUMBER, **more: Any) -> MediumState:
    values: dict[str, Any] = {"text": None, "status": Status.PENDING, "last_error": 0, "attempts_left": 2}
    return MediumState(medium, destination, **(values | more))


EDITS: list[tuple[str, dict[str, Any], list[MediumState], list[ReplaceMedium]]] = [
    ("nothing was, nothing is", {}, [], []),
    ("nothing changes", {"sms": to(NUMBER)}, [state()], []),
    ("an empty text is no text", {"sms": to(NUMBER, "")}, [state()], []),
    ("the same attempts", {"sms": to(NUMBER, None, 2)}, [state()], []),
    ("a medium is added", {"sms": to(NUMBER)}, [], [ReplaceMedium(SMS, NUMBER, NUMBER, None, 3, True)]),
    ("a text alone is added", {"sms": to(None, "Hi")}, [], [ReplaceMedium(SMS, "", None, "Hi", 0, False)]),
    (
        "a changed destination starts again with the default",
        {"sms": to(OTHER_NUMBER)},
        [state(status=Status.SUCCESS, attempts_left=0)],
        [ReplaceMedium(SMS, OTHER_NUMBER, OTHER_NUMBER, None, 3, True)],
    ),
    (
        "or with the attempts given",
        {"sms": to(OTHER_NUMBER, "Hi", 9)},
        [state(status=Status.PERMANENT_FAILURE)],
        [ReplaceMedium(SMS, OTHER_NUMBER, OTHER_NUMBER, "Hi", 9, True)],
    ),
    (
        "a destination where there was none",
        {"sms": to(NUMBER)},
        [state(destination="", status=Status.DO_NOT_TRY, attempts_left=0)],
        [ReplaceMedium(SMS, NUMBER, NUMBER, None, 3, True)],
    ),
    (
        "a destination is taken away",
        {"sms": to("", "Hi", 9)},
        [state()],
        [ReplaceMedium(SMS, "", None, "Hi", 0, True)],
    ),
    (
        "a medium left out is blanked",
        {"email": to(ADDRESS)},
        [state(text="Hi"), state(EMAIL, ADDRESS)],
        [ReplaceMedium(SMS, "", None, None, 0, True)],
    ),
    (
        "a text left out is blanked",
        {},
        [state(destination="", text="Hi", status=Status.DO_NOT_TRY, attempts_left=0)],
        [ReplaceMedium(SMS, "", None, None, 0, False)],
    ),
    (
        "the same number in another spelling is not sent again",
        {"sms": to("(416) 555-0123")},
        [state(status=Status.SUCCESS)],
        [ReplaceMedium(SMS, "(416) 555-0123", NUMBER, None, 2, False)],
    ),
    (
        "nor the same address",
        {"email": to("john@EXAMPLE.test")},
        [state(EMAIL, ADDRESS, status=Status.SUCCESS)],
        [ReplaceMedium(EMAIL, "john@EXAMPLE.test", ADDRESS, None, 2, False)],
    ),
    (
        "a local part in other letters is another address",
        {"email": to("John@example.test")},
        [state(EMAIL, ADDRESS)],
        [ReplaceMedium(EMAIL, "John@example.test", "John@example.test", None, 4, True)],
    ),
    (
        "a number kept under another region's rules is read anew",
        {"sms": to(NUMBER)},
        [state(destination="0151 12345678")],
        [ReplaceMedium(SMS, NUMBER, NUMBER, None, 3, True)],
    ),
    (
        "attempts replace those left while it is pending",
        {"sms": to(NUMBER, None, 9)},
        [state()],
        [ReplaceMedium(SMS, NUMBER, NUMBER, None, 9, False)],
    ),
    (
        "and while it waits for a retry",
        {"sms": to(NUMBER, None, 1)},
        [state(status=Status.WAITING_FOR_RETRY)],
        [ReplaceMedium(SMS, NUMBER, NUMBER, None, 1, False)],
    ),
    ("attempts are ignored after success", {"sms": to(NUMBER, None, 9)}, [state(status=Status.SUCCESS)], []),
    ("after failure", {"sms": to(NUMBER, None, 9)}, [state(status=Status.PERMANENT_FAILURE)], []),
    ("after cancelling", {"sms": to(NUMBER, None, 9)}, [state(status=Status.CANCELLED)], []),
    ("while it is sending", {"sms": to(NUMBER, None, 9)}, [state(status=Status.SENDING)], []),
    ("while it is delivering", {"sms": to(NUMBER, None, 9)}, [state(status=Status.DELIVERING)], []),
    (
        "a changed text keeps status and attempts",
        {"sms": to(NUMBER, "Hi")},
        [state(status=Status.WAITING_FOR_RETRY, attempts_left=1)],
        [ReplaceMedium(SMS, NUMBER, NUMBER, "Hi", 1, False)],
    ),
    (
        "each medium by itself",
        {"sms": to(NUMBER), "voice": to(OTHER_NUMBER), "email": to(ADDRESS, "Hi")},
        [state(), state(VOICE), state(EMAIL, ADDRESS)],
        [
            ReplaceMedium(VOICE, OTHER_NUMBER, OTHER_NUMBER, None, 7, True),
            ReplaceMedium(EMAIL, ADDRESS, ADDRESS, "Hi", 2, False),
        ],
    ),
    (
        "what is in progress may be spelled anew",
        {"sms": to("416 555 0123", "Hi")},
        [state(status=Status.DELIVERING, text="Hi")],
        [ReplaceMedium(SMS, "416 555 0123", NUMBER, "Hi", 2, False)],
    ),
    (
        "status and last error are ignored",
        {"sms": Communication(NUMBER, None, status=7, last_error=104)},
        [state()],
        [],
    ),
]


@pytest.mark.parametrize(("media", "states", "expected"), [row[1:] for row in EDITS], ids=[row[0] for row in EDITS])
def test_what_an_edit_does(media: dict[str, Any], states: list[MediumState], expected: list[ReplaceMedium]) -> None:
    assert plan_edit(contact(**media), CAMPAIGN, "CA", DEFAULTS)(states, None) == expected


IN_PROGRESS: list[tuple[dict[str, Any], MediumState, str]] = [
    ({"sms": to(OTHER_NUMBER)}, state(status=Status.SENDING), "SMSCommInfo.Destination"),
    ({"sms": to(OTHER_NUMBER, "Hi")}, state(status=Status.DELIVERING), "SMSCommInfo.Destination"),
    ({"sms": to("")}, state(status=Status.SENDING), "SMSCommInfo.Destination"),
    ({}, state(status=Status.DELIVERING), "SMSCommInfo.Destination"),
    ({"sms": to(NUMBER, "Hi")}, state(status=Status.SENDING), "SMSCommInfo.TextToSendOverwrite"),
    ({"sms": to(NUMBER)}, state(status=Status.DELIVERING, text="Hi"), "SMSCommInfo.TextToSendOverwrite"),
    ({"voice": to(OTHER_NUMBER)}, state(VOICE, status=Status.SENDING), "VoiceCommInfo.Destination"),
    (
        {"email": to(ADDRESS, "Hi")},
        state(EMAIL, ADDRESS, status=Status.DELIVERING),
        "EmailCommInfo.TextToSendOverwrite",
    ),
]


@pytest.mark.parametrize(("media", "standing", "field"), IN_PROGRESS)
def test_what_is_in_progress_cannot_change(media: dict[str, Any], standing: MediumState, field: str) -> None:
    with pytest.raises(MethodError) as refused:
        plan_edit(contact(**media), CAMPAIGN, "CA", DEFAULTS)([standing], None)
    assert (refused.value.code, refused.value.field) == (MethodCode.CONTACT_IN_PROGRESS, field)
    assert NUMBER not in refused.value.sentence


def test_agents_may_correct_where_they_may_not_add_but_not_blank_what_is_required() -> None:
    closed = replace(CAMPAIGN, allow_external_contacts=False, sms_required=True)
    plan = plan_edit(contact(sms=to(OTHER_NUMBER)), closed, "CA", DEFAULTS, agent=True)
    assert [change.restart for change in plan([state()], None)] == [True]
    with pytest.raises(MethodError) as refused:
        plan_edit(contact(email=to(ADDRESS)), closed, "CA", DEFAULTS, agent=True)
    assert refused.value.code is MethodCode.REQUIRED_MEDIUM_MISSING
    assert plan_edit(contact(email=to(ADDRESS)), closed, "CA", DEFAULTS)([state(EMAIL, ADDRESS)], None) == []


def test_a_plan_can_be_asked_again() -> None:
    """The store may run it once more after a failed transaction."""
    plan = plan_edit(contact(sms=to(OTHER_NUMBER)), CAMPAIGN, "CA", DEFAULTS)
    assert plan([state()], None) == plan([state()], None)
    assert plan([state(destination=OTHER_NUMBER)], None) == []


def test_a_contact_answers_by_medium() -> None:
    sms, voice, email = to("1"), to("2"), to("3")
    full = contact(sms=sms, voice=voice, email=email)
    assert [full.on(medium) for medium in Medium] == [sms, voice, email]
