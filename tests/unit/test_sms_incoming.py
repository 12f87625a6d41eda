"""How a person's message is read: alphabets, headers, and the joining of parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.sms.bodies import Address, ShortMessage
from campana.channels.sms.incoming import Concatenation, Desk, decode_text, split_header

ANN, BOB, CODE = Address(1, 1, b"14165550101"), Address(1, 1, b"14165550102"), Address(3, 0, b"12345")

ALPHABETS = [
    (0x00, b"\x00 \x1b\x65", "@ €"),
    (0x01, b"plain", "plain"),
    (0x02, b"\x00\xff", "00ff"),
    (0x03, b"caf\xe9", "café"),
    (0x04, b"\x00\xff", "00ff"),
    (0x06, b"\xbf\xe0", "Пр"),
    (0x07, b"\xf9\xec", "של"),
    (0x08, b"\x04\x1f\xd8\x3d\xdc\x4b", "П👋"),
    (0x08, b"\x04\x1f\x04", "П\ufffd"),
    (0x08, b"\xd8\x3d", "\ufffd"),
    (0x0C, b"caf\xe9", "café"),
    (0x11, b"\x00", "@"),
    (0x18, b"\x04\x1f", "П"),
    (0xF1, b"\x00", "@"),
    (0xF5, b"\x0a", "0a"),
    (0x03, b"a\0b", "ab"),
]


@pytest.mark.parametrize(("data_coding", "octets", "text"), ALPHABETS)
def test_the_alphabet_follows_the_data_coding(data_coding, octets, text):
    assert decode_text(octets, data_coding) == text


@given(st.binary(max_size=300), st.integers(0, 255))
def test_any_octets_make_a_text_that_can_be_stored(octets, data_coding):
    text = decode_text(octets, data_coding)
    assert "\0" not in text
    text.encode("utf-8")


def message(octets, source=ANN, **more):
    return ShortMessage(source, CODE, octets, **more)


HEADERS = [
    ("none", message(b"hi"), b"hi", None),
    ("8-bit reference", message(b"\x05\x00\x03\x07\x02\x01hi", esm_class=0x40), b"hi", (7, 2, 1)),
    ("16-bit reference", message(b"\x06\x08\x04\x01\x07\x03\x03hi", esm_class=0x40), b"hi", (263, 3, 3)),
    (
        "behind another element",
        message(b"\x0b\x05\x04\x0b\x84\x23\xf0\x00\x03\x07\x02\x01hi", esm_class=0x40),
        b"hi",
        (7, 2, 1),
    ),
    ("SAR parameters", message(b"hi", tlvs={0x20C: b"\x01\x07", 0x20E: b"\x02", 0x20F: b"\x02"}), b"hi", (263, 2, 2)),
    ("SAR in part", message(b"hi", tlvs={0x20C: b"\x01\x07", 0x20E: b"\x02"}), b"hi", None),
    ("part 0", message(b"\x05\x00\x03\x07\x02\x00hi", esm_class=0x40), b"hi", None),
    ("part beyond the total", message(b"\x05\x00\x03\x07\x02\x03hi", esm_class=0x40), b"hi", None),
    ("the only part", message(b"\x05\x00\x03\x07\x01\x01hi", esm_class=0x40), b"hi", None),
    (
        "header beyond the end",
        message(b"\x7f\x00\x03\x07\x02\x01hi", esm_class=0x40),
        b"\x7f\x00\x03\x07\x02\x01hi",
        None,
    ),
    ("element beyond the header", message(b"\x05\x00\x09\x07\x02\x01hi", esm_class=0x40), b"hi", None),
    ("flagged and empty", message(b"", esm_class=0x40), b"", None),
]


@pytest.mark.parametrize(("whole", "octets", "place"), [row[1:] for row in HEADERS], ids=[row[0] for row in HEADERS])
def test_the_header_is_split_off(whole, octets, place):
    assert split_header(whole) == (octets, Concatenation(*place) if place else None)


@given(st.binary(max_size=60), st.dictionaries(st.sampled_from([0x20C, 0x20E, 0x20F, 0x424]), st.binary(max_size=4)))
def test_no_header_whatsoever_raises(octets, tlvs):
    rest, place = split_header(message(octets, esm_class=0x40, tlvs=tlvs))
    assert len(rest) <= max(len(octets), 4)
    assert place is None or 1 <= place.number <= place.total


def part(number, total=2, reference=7, source=ANN, text=b"?"):
    return message(bytes((5, 0, 3, reference, total, number)) + text, source, esm_class=0x40)


def desk(capacity=10):
    return Desk[str](patience=5.0, capacity=capacity)


def test_a_message_of_one_part_is_given_at_once():
    (letter,) = desk().put(message(b"hi"), "a", now=0)
    assert (letter.source, letter.destination, letter.text, letter.attached) == (ANN, CODE, "hi", ["a"])


def test_parts_are_joined_in_order_with_all_that_hangs_on_them():
    mine = desk()
    assert list(mine.put(part(3, 3, text=b"c"), "x", now=0)) == []
    assert list(mine.put(part(1, 3, text=b"a"), "y", now=1)) == []
    (letter,) = mine.put(part(2, 3, text=b"b"), "z", now=2)
    assert (letter.text, letter.attached) == ("abc", ["x", "y", "z"])
    assert mine.next_deadline() is None


def test_a_part_that_comes_twice_counts_once_and_is_answered_twice():
    mine = desk()
    for attached in ("x", "again"):
        assert list(mine.put(part(1, text=b"a"), attached, now=0)) == []
    (letter,) = mine.put(part(2, text=b"b"), "z", now=0)
    assert (letter.text, letter.attached) == ("ab", ["x", "again", "z"])


@pytest.mark.parametrize(
    "other", [part(2, reference=8), part(2, source=BOB), part(2, total=3)], ids=["reference", "source", "total"]
)
def test_parts_of_different_messages_are_kept_apart(other):
    mine = desk()
    list(mine.put(part(1), "x", now=0))
    assert list(mine.put(other, "y", now=0)) == []


def test_what_is_not_completed_in_time_is_given_as_it_came():
    mine = desk()
    list(mine.put(part(2, text=b"b"), "x", now=0))
    list(mine.put(part(1, reference=8, text=b"a"), "y", now=1))
    assert mine.next_deadline() == 5
    assert list(mine.overdue(4.9)) == []
    assert [letter.text for letter in mine.overdue(5.0)] == ["b"]
    assert mine.next_deadline() == 6
    assert [letter.text for letter in mine.overdue(float("inf"))] == ["a"]


def test_unfinished_messages_make_room_for_new_ones():
    mine = desk(capacity=2)
    for reference in (1, 2):
        list(mine.put(part(1, reference=reference, text=b"%d" % reference), "x", now=0))
    (oldest,) = mine.put(part(1, reference=3), "x", now=0)
    assert oldest.text == "1"
    (done,) = mine.put(part(2, reference=2, text=b"!"), "x", now=0)
    assert done.text == "2!"
