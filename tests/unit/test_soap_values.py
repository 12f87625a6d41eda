"""The lexical forms of the contract's simple types, as tables."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from campana.api.soap.values import (
    boolean,
    escape,
    guid,
    integer,
    is_plain,
    wall_clock,
    write_boolean,
    write_instant,
    write_wall_clock,
)


def is_xml_char(char: str) -> bool:
    """Production 2 of XML 1.0."""
    return char in "\t\n\r" or " " <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char > "\uffff"


GUID = "0123abcd-89ab-cdef-0123-456789abcdef"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-0", 0),
        ("+7", 7),
        (" \t\r\n42\n", 42),
        ("0000000000000000000000000000012", 12),
        ("2147483647", 2147483647),
        ("-2147483648", -2147483648),
    ],
)
def test_integer(text: str, value: int) -> None:
    assert integer(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "abc", "1.0", "1e3", "0x10", "1_000", "1,000", "--1", "+", "١٢", "²", "２", "1 2", "\u00a01"),
        *("2147483648", "-2147483649", "9" * 40, "1" * 41, "true", "1\x00"),
        pytest.param("9" * 100_000, id="very long"),
    ],
)
def test_integer_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be an integer"):
        integer(text)


@pytest.mark.parametrize(("text", "value"), [("true", True), (" 1 ", True), ("false", False), ("0\n", False)])
def test_boolean(text: str, value: bool) -> None:
    assert boolean(text) is value


@pytest.mark.parametrize("text", ["", "True", "TRUE", "yes", "2", "on", "tru e", "01"])
def test_boolean_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be true, false, 1 or 0$"):
        boolean(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (GUID, GUID),
        (GUID.upper(), GUID),
        (f"{{{GUID}}}", GUID),
        (f"\n  {GUID} ", GUID),
        ("00000000-0000-0000-0000-000000000000", ""),
        ("{00000000-0000-0000-0000-000000000000}", ""),
        ("", ""),
        ("  ", ""),
    ],
)
def test_guid(text: str, value: str) -> None:
    assert guid(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "0123abcd89abcdef0123456789abcdef",
        f"{{{GUID}",
        f"{GUID}}}",
        f"({GUID})",
        f"urn:uuid:{GUID}",
        GUID[:-1],
        f"{GUID}0",
        GUID.replace("a", "g"),
        GUID.replace("0", "٠"),
        "nonsense",
        pytest.param("0" * 100_000, id="very long"),
    ],
)
def test_guid_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a Guid such as"):
        guid(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-23T08:00:00", datetime(2026, 11, 23, 8)),
        (" 2026-11-23T08:00:00\n", datetime(2026, 11, 23, 8)),
        ("2026-11-23T08:00:00Z", datetime(2026, 11, 23, 8)),
        ("2026-11-23T08:00:00+14:00", datetime(2026, 11, 23, 8)),
        ("2026-11-23T08:00:00-05:30", datetime(2026, 11, 23, 8)),
        ("2026-11-23T08:00:00.5", datetime(2026, 11, 23, 8, microsecond=500_000)),
        ("2026-11-23T08:00:00.1234567", datetime(2026, 11, 23, 8, microsecond=123_456)),
        ("2026-11-23T08:00:00.123456789012345Z", datetime(2026, 11, 23, 8, microsecond=123_456)),
        ("2026-11-23T24:00:00", datetime(2026, 11, 24)),
        ("2026-12-31T24:00:00.000", datetime(2027, 1, 1)),
        ("2024-02-29T00:00:00", datetime(2024, 2, 29)),
        ("0001-01-01T08:30:00", datetime(1, 1, 1, 8, 30)),
        ("9999-12-31T23:59:59.9999999", datetime(9999, 12, 31, 23, 59, 59, 999_999)),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+02:00", None),
    ],
)
def test_wall_clock(text: str, value: datetime | None) -> None:
    assert wall_clock(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "2026-11-23", "08:00:00", "2026-11-23 08:00:00", "2026-11-23T08:00", "20261123T080000"),
        *("2026-02-30T00:00:00", "2026-13-01T00:00:00", "2026-11-23T25:00:00", "2026-11-23T24:00:01"),
        *("2026-11-23T24:00:00.1", "2026-11-23T08:60:00", "2026-11-23T08:00:60", "9999-12-31T24:00:00"),
        *("0000-01-01T00:00:00", "-2026-11-23T08:00:00", "12026-11-23T08:00:00", "2026-11-23T08:00:00."),
        *("2026-11-23T08:00:00+14:01", "2026-11-23T08:00:00+15:00", "2026-11-23T08:00:00+5:00", "2026-W47-1T08:00:00"),
        *("٢٠٢٦-11-23T08:00:00", "Mon Nov 23 2026", "2026-11-23T08:00:00z", "2026-11-23t08:00:00"),
    ],
)
def test_wall_clock_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a date"):
        wall_clock(text)


@given(st.datetimes())
def test_wall_clock_comes_back_as_it_went(value: datetime) -> None:
    expected = None if value == datetime(1, 1, 1) else value
    assert wall_clock(write_wall_clock(value)) == expected


def test_writing() -> None:
    assert write_wall_clock(None) == "0001-01-01T00:00:00"
    assert write_wall_clock(datetime(987, 1, 2, 3, 4, 5)) == "0987-01-02T03:04:05"
    assert write_instant(0) == "1970-01-01T00:00:00Z"
    assert write_instant(1_795_443_652_005) == "2026-11-23T14:20:52.005Z"
    assert (write_boolean(True), write_boolean(False)) == ("true", "false")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain é 漢字 📞", "plain é 漢字 📞"),
        ("<b>&amp;</b>", "&lt;b&gt;&amp;amp;&lt;/b&gt;"),
        ("]]>", "]]&gt;"),
        ("\"'", "\"'"),
        (" a\t\nb ", " a\t\nb "),
        ("a\r\nb\r", "a&#13;\nb&#13;"),
        ("\x00\x08\x0b\x0c\x1f", "\ufffd" * 5),
        ("\ud800\udfff\ufffe\uffff", "\ufffd" * 4),
        ("\x7f\x85\u2028", "\x7f\x85\u2028"),
    ],
)
def test_escape(text: str, written: str) -> None:
    assert escape(text) == written


@given(st.text(alphabet=st.characters(codec=None), max_size=50))
def test_whatever_is_escaped_is_read_back_but_for_what_xml_forbids(text: str) -> None:
    read = etree.fromstring(f"<a>{escape(text)}</a>".encode()).text or ""
    assert read == "".join(char if is_xml_char(char) else "\ufffd" for char in text)


@given(st.text(alphabet=st.characters(codec=None)))
def test_what_is_called_plain_needs_no_escaping(text: str) -> None:
    if is_plain(text):
        assert escape(text) == text


def test_most_texts_are_plain() -> None:
    assert is_plain("+14165550111ana@example.testBonjour, ça va ? 漢字 📞")
