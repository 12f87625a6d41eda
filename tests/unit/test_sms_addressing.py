"""The rule that makes an SMPP address of a number or name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.sms.addressing import AddressError, Override, from_address, to_address
from campana.channels.sms.bodies import Address

RULE = [
    ("E.164", "+14165550123", (1, 1, b"14165550123")),
    ("E.164 with separators", " +1 (416) 555-0123 ", (1, 1, b"14165550123")),
    ("international prefix 00", "0044 20 7946 0000", (1, 1, b"442079460000")),
    ("long digits without +", "14165550123", (1, 1, b"14165550123")),
    ("nine digits", "123456789", (1, 1, b"123456789")),
    ("eight digits", "12345678", (3, 0, b"12345678")),
    ("short code", "12345", (3, 0, b"12345")),
    ("short code with leading zeros", "0042", (3, 0, b"0042")),
    ("short number with +", "+12345", (1, 1, b"12345")),
    ("name", "Campana", (5, 0, b"Campana")),
    ("name with digits and space", "Shop 24", (5, 0, b"Shop 24")),
    ("name of eleven characters", "Campana Ltd", (5, 0, b"Campana Ltd")),
    ("+ within", "1+1", (5, 0, b"1+1")),
]


@pytest.mark.parametrize(("text", "wanted"), [row[1:] for row in RULE], ids=[row[0] for row in RULE])
def test_the_rule(text, wanted):
    assert to_address(text) == wanted


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        (Override(), (1, 1)),
        (Override(ton=0), (0, 1)),
        (Override(npi=0), (1, 0)),
        (Override(2, 8), (2, 8)),
    ],
)
def test_settings_override_the_rule(override, wanted):
    assert to_address("+14165550123", override)[:2] == wanted


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "blank"),
        ("   ", "blank"),
        ("Campana Limited", "at most 11 characters"),
        ("1" * 21, "at most 20 digits"),
        ("Кампана", "ASCII"),
        ("Cam\tpana", "ASCII"),
        ("a\0b", "ASCII"),
        ("１２３", "ASCII"),
    ],
)
def test_what_cannot_be_an_address_is_refused_without_being_quoted(text, rule):
    with pytest.raises(AddressError, match=rule) as caught:
        to_address(text)
    assert not text.strip() or text.strip() not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_an_address_that_fits_or_refused(text):
    try:
        address = to_address(text)
    except AddressError:
        return
    assert 1 <= len(address.text) <= 20
    assert b"\0" not in address.text


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        (Address(1, 1, b"14165550123"), "+14165550123"),
        (Address(2, 1, b"4165550123"), "4165550123"),
        (Address(3, 0, b"12345"), "12345"),
        (Address(5, 0, b"Caf\xe9"), "Café"),
        (Address(1, 1, b"nonsense"), "nonsense"),
        (Address(1, 1, b""), ""),
    ],
)
def test_an_address_as_people_write_it(address, wanted):
    assert from_address(address) == wanted
