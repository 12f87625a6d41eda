"""What a campaign says of its calls becomes parcels, or is refused for good with the reason."""

from __future__ import annotations

import pytest

from campana.channels.errors import RefusedForGood
from campana.channels.voice.composing import Announcement, announcement_composer
from campana.channels.voice.settings import VoiceRouteSettings
from campana.domain.call import CallPlan, VoiceSuccess
from campana.domain.delivery import Medium
from campana.domain.message import Content
from campana.domain.outcome import DeliveryCode

SETTINGS = VoiceRouteSettings(name="trunk", url="sip:127.0.0.1:5060")
PLAN = CallPlan(dial_ms=30_000, plays=2, calling_name="Campana", voice="Amy")
NUMBER = "+441632960123"


def content(text: str = "Hello.", plan: CallPlan | None = PLAN) -> Content:
    return Content(Medium.VOICE, "+441632960001", text, call=plan)


def test_contacts_without_a_text_of_their_own_share_one_announcement() -> None:
    compose = announcement_composer(content(), SETTINGS)
    first, second = compose(1, 1, NUMBER, None), compose(2, 3, NUMBER, "")
    assert first.payload is second.payload
    assert first.payload == Announcement("Hello.", "+441632960001", PLAN)
    assert (second.delivery_id, second.attempt, second.destination) == (2, 3, NUMBER)


def test_a_contacts_own_text_is_spoken_instead() -> None:
    compose = announcement_composer(content(), SETTINGS)
    assert compose(1, 1, NUMBER, "Hello, Jo.").payload == Announcement("Hello, Jo.", "+441632960001", PLAN)
    assert compose(2, 1, NUMBER, None).payload.text == "Hello."


@pytest.mark.parametrize("text", ["", "  \n"])
def test_nothing_to_say_is_refused_for_each_contact_that_brings_nothing(text: str) -> None:
    compose = announcement_composer(content(text), SETTINGS)
    assert compose(1, 1, NUMBER, "Hello, Jo.").payload.text == "Hello, Jo."
    with pytest.raises(RefusedForGood) as refused:
        compose(1, 1, NUMBER, None)
    assert refused.value.code is DeliveryCode.UNRENDERABLE


@pytest.mark.parametrize(
    "plan",
    [
        None,
        CallPlan(dial_ms=0, plays=1),
        CallPlan(dial_ms=1_000, plays=0),
        CallPlan(dial_ms=1_000, plays=1, acknowledge_keys="1x"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_at_once(plan: CallPlan | None) -> None:
    with pytest.raises(RefusedForGood) as refused:
        announcement_composer(content(plan=plan), SETTINGS)
    assert refused.value.code is DeliveryCode.UNRENDERABLE


def test_what_is_no_number_is_refused_before_anything_is_spoken() -> None:
    compose = announcement_composer(content(), SETTINGS)
    with pytest.raises(RefusedForGood) as refused:
        compose(1, 1, "nobody", None)
    assert refused.value.code is DeliveryCode.VOICE_NUMBER_UNKNOWN


@pytest.mark.parametrize(
    ("success", "keys", "expected"),
    [
        (VoiceSuccess.HEARD, "", ""),
        (VoiceSuccess.ACKNOWLEDGED, "", "1"),
        (VoiceSuccess.ACKNOWLEDGED, "5#", "5#"),
        (VoiceSuccess.HEARD, "9", "9"),
    ],
)
def test_the_keys_that_acknowledge_are_the_plans(success: VoiceSuccess, keys: str, expected: str) -> None:
    plan = CallPlan(dial_ms=1_000, plays=1, success=success, acknowledge_keys=keys)
    assert announcement_composer(content(plan=plan), SETTINGS)(1, 1, NUMBER, None).payload.plan.keys == expected


def test_fields_take_their_places_in_what_is_spoken() -> None:
    compose = announcement_composer(content("Hello {{name}}."), SETTINGS)
    assert compose(1, 1, NUMBER, None, {"name": "Ann"}).payload.text == "Hello Ann."
    assert compose(1, 1, NUMBER, "Own {{name|you}}", {}).payload.text == "Own you"
    assert compose(1, 1, NUMBER, None).payload.text == "Hello {{name}}."
    for text, fields in ((None, {}), ("{{a|}}", {}), ("{{a}}" * 11, {"a": "x" * 2_000})):
        with pytest.raises(RefusedForGood):
            compose(1, 1, NUMBER, text, fields)
