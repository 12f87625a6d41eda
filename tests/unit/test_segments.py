"""Texts cut into short messages, as carriers count them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campana.domain.text.gsm0338 import decode_gsm
from campana.domain.text.segments import PARTS_MAX, count_segments, plan_segments

COUNTS = [
    # text, encoding, units, octets of each part with 8-bit references
    ("", "gsm", 0, [0]),
    ("a", "gsm", 1, [1]),
    ("a" * 160, "gsm", 160, [160]),
    ("a" * 161, "gsm", 161, [153, 8]),
    ("a" * 306, "gsm", 306, [153, 153]),
    ("a" * 307, "gsm", 307, [153, 153, 1]),
    ("€" * 80, "gsm", 160, [160]),
    ("€" * 81, "gsm", 162, [152, 10]),
    ("a" * 159 + "€", "gsm", 161, [153, 8]),
    ("a" * 152 + "€" + "b" * 10, "gsm", 164, [152, 12]),
    ("a" * 151 + "€" + "b" * 10, "gsm", 163, [153, 10]),
    ("a" * 152 + "€" + "b" * 151, "gsm", 305, [152, 153]),
    ("ñ" * 160, "gsm", 160, [160]),
    ("漢", "ucs2", 1, [2]),
    ("a" * 69 + "ё", "ucs2", 70, [140]),
    ("a" * 70 + "ё", "ucs2", 71, [134, 8]),
    ("ё" * 134, "ucs2", 134, [134, 134]),
    ("ё" * 135, "ucs2", 135, [134, 134, 2]),
    ("🎉" * 35, "ucs2", 70, [140]),
    ("🎉" * 36, "ucs2", 72, [132, 12]),
    ("ё" * 66 + "🎉" + "ё" * 9, "ucs2", 77, [132, 22]),
    ("ё" * 65 + "🎉" + "ё" * 9, "ucs2", 76, [134, 18]),
    ("ç" * 70, "ucs2", 70, [140]),
]


@pytest.mark.parametrize(("text", "encoding", "units", "sizes"), COUNTS)
def test_the_parts_of_a_text(text: str, encoding: str, units: int, sizes: list[int]) -> None:
    plan = plan_segments(text)
    assert (plan.encoding, plan.units, [len(part) for part in plan.parts]) == (encoding, units, sizes)
    assert count_segments(text) == len(sizes)


SIXTEEN_BITS = [
    ("a" * 160, [160]),
    ("a" * 304, [152, 152]),
    ("a" * 305, [152, 152, 1]),
    ("ё" * 132, [132, 132]),
    ("ё" * 133, [132, 132, 2]),
    ("🎉" * 66, [132, 132]),
]


@pytest.mark.parametrize(("text", "sizes"), SIXTEEN_BITS)
def test_a_wider_reference_takes_an_octet_of_each_part(text: str, sizes: list[int]) -> None:
    assert [len(part) for part in plan_segments(text, reference_bits=16).parts] == sizes


LONGEST = [("a", 8, 153), ("a", 16, 152), ("ё", 8, 67), ("ё", 16, 66)]


@pytest.mark.parametrize(("character", "bits", "room"), LONGEST)
def test_there_are_255_parts_at_most(character: str, bits: int, room: int) -> None:
    longest = character * (room * PARTS_MAX)
    assert len(plan_segments(longest, reference_bits=bits).parts) == PARTS_MAX
    with pytest.raises(ValueError, match="255 parts"):
        plan_segments(longest + character, reference_bits=bits)


def test_escapes_that_push_a_text_past_the_last_part_are_noticed() -> None:
    with pytest.raises(ValueError, match="255 parts"):
        plan_segments("€" * (153 * 255 // 2))  # 152 septets a part, for none may be cut in two
    with pytest.raises(ValueError, match="255 parts"):
        plan_segments("a" * 10_000_000)


def test_lone_surrogates_become_replacement_characters() -> None:
    plan = plan_segments("a\ud83cb\udf89")
    assert plan.parts == ["a\ufffdb\ufffd".encode("utf-16-be")]
    assert plan.units == 4


@settings(max_examples=200)
@given(st.text(alphabet="ab€{ñ\n", max_size=1_000), st.sampled_from([8, 16]))
def test_no_escape_sequence_is_cut_and_nothing_is_lost(text: str, bits: int) -> None:
    parts = plan_segments(text, reference_bits=bits).parts
    assert "".join(decode_gsm(part) for part in parts) == text
    _check_fill(parts, 160, {8: 153, 16: 152}[bits], 1)


@settings(max_examples=200)
@given(st.text(alphabet="aё🎉", min_size=1, max_size=400).map("ё".__add__), st.sampled_from([8, 16]))
def test_no_surrogate_pair_is_cut_and_nothing_is_lost(text: str, bits: int) -> None:
    parts = plan_segments(text, reference_bits=bits).parts
    assert "".join(part.decode("utf-16-be") for part in parts) == text
    _check_fill(parts, 140, {8: 134, 16: 132}[bits], 2)


def _check_fill(parts: list[bytes], single: int, room: int, unit: int) -> None:
    """Each part is as full as it can be: at most one unit, that would have been half a character, stays free."""
    if len(parts) == 1:
        assert len(parts[0]) <= single
        return
    assert sum(map(len, parts)) > single
    assert all(room - unit <= len(part) <= room for part in parts[:-1])
    assert 0 < len(parts[-1]) <= room


@given(st.text(max_size=300))
def test_any_text_can_be_cut(text: str) -> None:
    assert 1 <= count_segments(text) <= 10
