"""The GSM alphabet against the tables of 3GPP TS 23.038."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.domain.text.gsm0338 import decode_gsm, encode_gsm

# Section 6.2.1, a column of the printed table a line: code of its first row, then the sixteen characters.
COLUMNS = [
    (0x00, "@ £ $ ¥ è é ù ì ò Ç LF Ø ø CR Å å"),
    (0x10, "Δ _ Φ Γ Λ Ω Π Ψ Σ Θ Ξ ESC Æ æ ß É"),
    (0x20, "SP ! \" # ¤ % & ' ( ) * + , - . /"),
    (0x30, "0 1 2 3 4 5 6 7 8 9 : ; < = > ?"),
    (0x40, "¡ A B C D E F G H I J K L M N O"),
    (0x50, "P Q R S T U V W X Y Z Ä Ö Ñ Ü §"),
    (0x60, "¿ a b c d e f g h i j k l m n o"),
    (0x70, "p q r s t u v w x y z ä ö ñ ü à"),
]
NAMED = {"LF": "\n", "CR": "\r", "SP": " "}
BASIC = {
    NAMED.get(character, character): start + row
    for start, column in COLUMNS
    for row, character in enumerate(column.split(" "))
    if character != "ESC"
}
# Section 6.2.1.1
EXTENSION = {"\f": 0x0A, "^": 0x14, "{": 0x28, "}": 0x29, "\\": 0x2F, "[": 0x3C, "~": 0x3D, "]": 0x3E, "|": 0x40}
EXTENSION["€"] = 0x65
ALPHABET = "".join(BASIC) + "".join(EXTENSION)


def test_the_tables_are_whole() -> None:
    assert len(BASIC) == 127
    assert len(EXTENSION) == 10


@pytest.mark.parametrize(("character", "code"), BASIC.items())
def test_a_character_of_the_basic_table_is_one_septet(character: str, code: int) -> None:
    assert encode_gsm(character) == bytes([code])
    assert decode_gsm(bytes([code])) == character


@pytest.mark.parametrize(("character", "code"), EXTENSION.items())
def test_a_character_of_the_extension_is_two(character: str, code: int) -> None:
    assert encode_gsm(character) == bytes([0x1B, code])
    assert decode_gsm(bytes([0x1B, code])) == character


@pytest.mark.parametrize(
    "text", ["ç", "`", "Α", "漢", "🎉", "\x1b", "\t", "\x00", "\ufffe", "\ud800", "’", "\xa0", "a" * 500 + "ё"]
)
def test_a_text_outside_both_tables_is_not_approximated(text: str) -> None:
    assert encode_gsm(text) is None


@pytest.mark.parametrize(
    ("septets", "text"),
    [
        (b"", ""),
        (b"a\x1be", "a€"),
        (b"\x1bA", "A"),  # not in the extension table: the character of the basic table
        (b"\x1b\x0d", "\r"),
        (b"\x1b\x1be", " e"),  # reserved for a further table: a space
        (b"abc\x1b", "abc "),
        (b"\x1b\x80", "\ufffd"),
        (b"\x80\xff", "\ufffd\ufffd"),
    ],
)
def test_what_a_receiver_makes_of_septets(septets: bytes, text: str) -> None:
    assert decode_gsm(septets) == text


@given(st.text(alphabet=ALPHABET, max_size=400))
def test_a_text_comes_back(text: str) -> None:
    septets = encode_gsm(text)
    assert septets is not None
    assert max(septets, default=0) < 0x80
    assert len(septets) == sum(2 if character in EXTENSION else 1 for character in text)
    assert decode_gsm(septets) == text


@given(st.text(max_size=60))
def test_exactly_the_alphabet_can_be_encoded(text: str) -> None:
    assert (encode_gsm(text) is None) == any(character not in ALPHABET for character in text)


@given(st.binary(max_size=200))
def test_any_octets_can_be_read(septets: bytes) -> None:
    assert len(decode_gsm(septets)) <= len(septets)
