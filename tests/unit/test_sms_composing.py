"""What the composer of an SMS route makes and refuses (its octets are judged in tests/wire)."""

from __future__ import annotations

import itertools

import pytest

from campana.channels.contract import Content
from campana.channels.errors import RefusedForGood
from campana.channels.sms import SmsRouteSettings
from campana.channels.sms.bodies import TAG_MESSAGE_PAYLOAD, parse_short_message
from campana.channels.sms.composing import Composers, relative_time
from campana.domain.delivery import Medium
from campana.domain.outcome import DeliveryCode

PHONE = "+14165550123"


def composer(text="Hello", source="+14165550000", first_reference=0, **more):
    settings = SmsRouteSettings(**({"name": "sms", "url": "smpp://id:secret@smsc.example"} | more))
    return Composers(settings, itertools.count(first_reference)).composer(Content(Medium.SMS, source, text))


def read(parcel):
    """The messages in a parcel, parsed."""
    return [parse_short_message((head + bytes(4) + rest)[16:]) for head, rest in parcel.payload]


def test_a_parcel_keeps_what_it_was_made_for():
    parcel = composer()(42, 3, PHONE, None)
    assert (parcel.delivery_id, parcel.attempt, parcel.destination) == (42, 3, PHONE)
    assert [message.octets for message in read(parcel)] == [b"Hello"]


@pytest.mark.parametrize(
    ("destination", "address"),
    [
        ("+14165550123", (1, 1, b"14165550123")),
        ("+442079460000", (1, 1, b"442079460000")),
        ("12345", (3, 0, b"12345")),
        ("004420 7946 0000", (1, 1, b"442079460000")),
    ],
)
def test_one_composer_serves_destinations_of_every_kind(destination, address):
    compose = composer()
    for _ in range(2):
        (message,) = read(compose(1, 1, destination, None))
        assert message.destination == address


def test_a_contacts_own_text_takes_the_place_of_the_campaigns():
    compose = composer()
    assert read(compose(1, 1, PHONE, "Привет"))[0].data_coding == 8
    assert read(compose(2, 1, PHONE, None))[0].octets == b"Hello"
    assert read(compose(3, 1, PHONE, ""))[0].octets == b"Hello"


def test_the_pdus_length_is_right_whatever_the_destinations():
    for digits in range(7, 21):
        parcel = composer()(1, 1, "+" + "1" * digits, None)
        head, rest = parcel.payload[0]
        assert int.from_bytes(head[:4], "big") == len(head) + 4 + len(rest)


def test_references_differ_from_message_to_message_and_begin_again():
    compose = composer("x" * 200, first_reference=254)
    references = [{message.octets[3] for message in read(compose(n, 1, PHONE, None))} for n in range(4)]
    assert references == [{254}, {255}, {0}, {1}]


def test_16_bit_references_use_both_octets():
    compose = composer("x" * 200, first_reference=0x1FFFE, long_text="udh16")
    references = [read(compose(n, 1, PHONE, None))[0].octets[3:5] for n in range(3)]
    assert references == [b"\xff\xfe", b"\xff\xff", b"\0\0"]


def test_a_short_text_has_no_reference_and_uses_none_up():
    counter = itertools.count(7)
    settings = SmsRouteSettings(name="sms", url="smpp://id:secret@smsc.example")
    compose = Composers(settings, counter).composer(Content(Medium.SMS, "12345", "Hello"))
    compose(1, 1, PHONE, None)
    assert next(counter) == 7


def test_message_payload_is_for_long_texts_only():
    compose = composer(long_text="payload")
    (short,) = read(compose(1, 1, PHONE, None))
    (long,) = read(compose(1, 1, PHONE, "x" * 161))
    assert (short.short_message, short.tlvs) == (b"Hello", {})
    assert (long.short_message, long.tlvs) == (b"", {TAG_MESSAGE_PAYLOAD: b"x" * 161})


REFUSED = [
    ("no text at all", {"text": ""}, None, PHONE, DeliveryCode.UNRENDERABLE),
    ("too long a text of the contact's", {}, "x" * 40_000, PHONE, DeliveryCode.UNRENDERABLE),
    ("no destination", {}, None, "", DeliveryCode.SMS_INVALID_DESTINATION),
    ("destination too long", {}, None, "+" + "1" * 21, DeliveryCode.SMS_INVALID_DESTINATION),
    ("destination with a NUL", {}, None, "+1416\0", DeliveryCode.SMS_INVALID_DESTINATION),
]


@pytest.mark.parametrize(("make", "text", "destination", "code"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_no_message_can_be_made_of_is_refused(make, text, destination, code):
    compose = composer(**make)
    with pytest.raises(RefusedForGood) as caught:
        compose(1, 1, destination, text)
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("make", "code"),
    [
        ({"source": ""}, DeliveryCode.SMS_INVALID_SOURCE),
        ({"source": "A name of many words"}, DeliveryCode.SMS_INVALID_SOURCE),
        ({"text": "x" * 40_000}, DeliveryCode.UNRENDERABLE),
    ],
)
def test_a_campaign_that_cannot_be_sent_is_refused_before_any_contact(make, code):
    with pytest.raises(RefusedForGood) as caught:
        composer(**make)
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        (60, b"000000000100000R"),
        (86_399, b"000000235959000R"),
        (86_400, b"000001000000000R"),
        (30 * 86_400, b"000030000000000R"),
    ],
)
def test_a_validity_period_is_written_as_the_specification_has_it(seconds, wanted):
    assert relative_time(seconds) == wanted


def test_fields_take_their_places_before_the_text_is_cut():
    compose = composer("Hi {{name|you}}")
    assert read(compose(1, 1, PHONE, None, {"name": "Ann"}))[0].octets == b"Hi Ann"
    assert read(compose(1, 1, PHONE, None, {}))[0].octets == b"Hi you"
    assert read(compose(1, 1, PHONE, None, {"name": "Я"}))[0].data_coding == 8
    assert len(read(compose(1, 1, PHONE, None, {"name": "x" * 200}))) == 2
    assert read(compose(1, 1, PHONE, "Own {{name}}", {"name": "Ann"}))[0].octets == b"Own Ann"
    assert read(compose(1, 1, PHONE, "Own", {"name": "Ann"}))[0].octets == b"Own"


def test_without_fields_a_text_is_taken_to_the_letter():
    from_all = read(composer("Hi {{name|you}}")(1, 1, PHONE, None))[0]
    assert b"name" in from_all.octets


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("Hi {{name}}", {}),
        ("{{name|}}", {}),
        ("{{name}}" * 30, {"name": "x" * 2_000}),
        ("{{name}}" * 9, {"name": "я" * 2_000}),
    ],
)
def test_what_cannot_be_merged_cannot_be_rendered(text, fields):
    with pytest.raises(RefusedForGood) as caught:
        composer(text)(1, 1, PHONE, None, fields)
    assert caught.value.code is DeliveryCode.UNRENDERABLE
