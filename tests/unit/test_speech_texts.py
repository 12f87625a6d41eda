"""What an engine gets to see of a text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.voice.speech.texts import speakable


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Hello, world.", "Hello, world."),
        ("[[h@'loU]]", "[ [h@'loU] ]"),
        ("[[[[", "[ [ [ ["),
        ("a[0][1]", "a[0][1]"),
        ("a\0b\x07c\x1b[31m", "a b c [31m"),
        ("one\r\ntwo\rthree\n\n\n four", "one\ntwo\nthree\nfour"),
        ("\u202eabc\u202c \u2066x\u2069\ufeff", "abc x"),
        ("e\u0301", "é"),
        ("\ud83d alone", "alone"),
        ("<speak>hi</speak>", "<speak>hi</speak>"),
        ("שלום", "שלום"),
        ("👩\u200d🚒", "👩\u200d🚒"),
        (" \t\0\n ", ""),
    ],
)
def test_texts_lose_what_engines_would_obey(text: str, seen: str) -> None:
    assert speakable(text) == seen


@given(st.text())
def test_whatever_comes_is_plain_in_the_end(text: str) -> None:
    seen = speakable(text)
    assert "[[" not in seen
    assert "]]" not in seen
    assert seen == seen.strip()
    assert all(one == "\n" or unicodedata.category(one) not in {"Cc", "Cs"} for one in seen)
    seen.encode("utf-8")


@given(st.text())
def test_what_is_plain_stays(text: str) -> None:
    assert speakable(speakable(text)) == speakable(text)
