"""Personal data as logs may show it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.domain.text.masking import mask_address, mask_number, mask_text

NUMBERS = [
    ("+14165550123", "+1416***0123"),
    ("14165550123", "1416***0123"),
    ("+1 (416) 555-0123", "+1416***0123"),
    ("+4915112345678", "+4915***5678"),
    ("4165550123", "***23"),
    ("+4670123", "+***23"),
    ("12345", "***45"),
    ("1234", "***"),
    ("", "***"),
    ("Jane Doe", "***"),
    ("+14165550123\n", "***"),
    ("١٢٣٤٥٦٧٨٩٠١٢", "***"),
]


@pytest.mark.parametrize(("number", "shown"), NUMBERS)
def test_a_number_keeps_too_little_to_be_called(number: str, shown: str) -> None:
    assert mask_number(number) == shown


ADDRESSES = [
    ("john.doe@example.com", "j***@example.com"),
    ("j@example.com", "***@example.com"),
    ("éva@example.com", "é***@example.com"),
    ('"odd@one"@example.com', "***@example.com"),
    ("@example.com", "***"),
    ("not an address", "***"),
    ("", "***"),
    ("a@b\r\nX-Header: 1", "***"),
    ("a@jane doe", "***"),
    ("a@" + "b" * 300, "***"),
]


@pytest.mark.parametrize(("address", "shown"), ADDRESSES)
def test_an_address_keeps_its_domain(address: str, shown: str) -> None:
    assert mask_address(address) == shown


def test_a_text_keeps_its_length() -> None:
    assert mask_text("Your code is 123456.") == "<20 characters>"


@given(st.text(max_size=40))
def test_what_is_shown_is_one_printable_line(text: str) -> None:
    for shown in (mask_number(text), mask_address(text), mask_text(text)):
        assert shown.isprintable()


@given(st.from_regex(r"\+[0-9]{3,15}", fullmatch=True))
def test_three_digits_at_least_stay_hidden(number: str) -> None:
    assert sum(map(str.isdigit, mask_number(number))) <= max(len(number) - 1 - 3, 0)
