"""Lists as people send them: encodings, separators, line ends, quotes, headers, and what is hostile."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campana.domain.errors import MethodCode, MethodError
from campana.services.importing.columns import layout_of, parse_map
from campana.services.importing.decoding import Encoding
from campana.services.importing.reading import Delimiter, Format, ListOptions, ListReader
from campana.services.importing.records import Broken, Row, Unreadable

HEADER = "Fullname,externalRefNo,Phone,SMS,Email"
ANN = ["Ann Müller", "7", "", "+14165550101", "ann@example.com"]
ANN_CSV = ",".join(ANN)


def read(octets: bytes, size: int = 0, **options: Any) -> tuple[list[Row], ListReader]:
    """The rows of a list that comes in pieces of a size."""
    reader = ListReader(ListOptions(**options))
    size = size or max(1, len(octets))
    rows: list[Row] = []
    for start in range(0, len(octets), size):
        rows += reader.feed(octets[start : start + size])
    rows += reader.feed(b"", final=True)
    return rows, reader


@pytest.mark.parametrize("size", [1, 2, 3, 7, 0])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("cp1252", b""),
    ],
)
def test_every_encoding_separator_and_line_end(encoding: str, mark: bytes, separator: str, end: str, size: int) -> None:
    text = end.join([HEADER, ANN_CSV, ANN_CSV]).replace(",", separator)
    rows, reader = read(mark + text.encode(encoding), size)
    assert rows == [ANN, ANN]
    assert reader.layout is not None
    assert list(reader.layout.places) == ["name", "reference", "voice", "sms", "email"]


@pytest.mark.parametrize("size", [1, 5, 0])
@pytest.mark.parametrize(
    ("line", "row"),
    [
        ('"Müller, Ann",1', ["Müller, Ann", "1"]),
        ('"a ""quoted"" word",1', ['a "quoted" word', "1"]),
        ('"two\nlines",1', ["two\nlines", "1"]),
        ('"two\r\nlines\r",1', ["two\r\nlines\r", "1"]),
        ('5" pipe,1', ['5" pipe', "1"]),
        ('"",1', ["", "1"]),
        (" a , 1 ", [" a ", " 1 "]),
        ('"\n\n\n",1', ["\n\n\n", "1"]),
        ("a\u2028b\x85c\x0bd,1", ["a\u2028b\x85c\x0bd", "1"]),
        ('"a"b,1', Broken("must have a separator or the end of the row after a closing quote.")),
    ],
)
def test_quotes(line: str, row: Any, size: int) -> None:
    rows, _ = read(f"Fullname,SMS\n{line}\nnext,2\n".encode(), size)
    assert rows == [row, ["next", "2"]]


@pytest.mark.parametrize("size", [1, 0])
def test_blank_lines_are_no_rows(size: int) -> None:
    rows, _ = read(b"\n\r\n SMS \n\n1\n\n\n2\n\n", size)
    assert rows == [["1"], ["2"]]


def test_a_list_without_a_last_line_end_has_its_last_row() -> None:
    assert read(b"SMS\n1\n2")[0] == [["1"], ["2"]]


def test_a_spreadsheet_may_say_its_separator() -> None:
    assert read(b"sep=;\r\nSMS;a\r\n1;2,3\r\n")[0] == [["1", "2,3"]]
    with pytest.raises(MethodError, match="another separator"):
        read(b"sep=;\nSMS;a\n", delimiter=Delimiter.COMMA)
    with pytest.raises(MethodError, match="another separator"):
        read(b"sep=|\nSMS|a\n")


def test_a_separator_that_is_given_is_taken() -> None:
    assert read(b"SMS;a,b\n1;2,3\n", delimiter=Delimiter.SEMICOLON, columns={"a,b": "field.ab"})[0] == [["1", "2,3"]]


def test_a_header_with_as_many_of_two_separators_is_no_guess() -> None:
    with pytest.raises(MethodError) as caught:
        read(b"SMS;a,b\n1\n")
    assert (caught.value.code, caught.value.field) == (MethodCode.INVALID_REQUEST, "delimiter")


@pytest.mark.parametrize(
    ("octets", "encoding", "said"),
    [
        (b"SMS,a\n1,\xff\xfe\n2,x\n", Encoding.UTF_8, "cannot be read as UTF-8"),
        (b"SMS,a\n1,x\n2,\xc3", Encoding.UTF_8, "cannot be read as UTF-8"),
        ("SMS,a\n1,é\n".encode() + b"2,\xe9\n", Encoding.AUTO, "cannot be read as UTF-8"),
        ("SMS,a\n1,é\n".encode("cp1252") + "2,é\n".encode(), Encoding.AUTO, "neither UTF-8 nor clearly"),
        (b"SMS,a\n1,\xe9\n2,\x81\n", Encoding.AUTO, "cannot be read as WINDOWS-1252"),
        (b"SMS,a\n1,\x9d\n", Encoding.WINDOWS_1252, "cannot be read as WINDOWS-1252"),
        (codecs.BOM_UTF16_LE + "SMS\n1\n".encode("utf-16-le") + b"x", Encoding.AUTO, "cannot be read as UTF-16-LE"),
        (codecs.BOM_UTF16_LE + "SMS\n".encode("utf-16-le") + b"\x00\xd8a\x00", Encoding.AUTO, "UTF-16-LE"),
        (codecs.BOM_UTF8 + b"SMS\n1\n", Encoding.WINDOWS_1252, "begins with the mark of UTF-8"),
        ("SMS\n1\n".encode("utf-16-le"), Encoding.UTF_16, "must begin with a byte order mark"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 0])
def test_what_cannot_be_read_ends_with_one_sentence(octets: bytes, encoding: Encoding, said: str, size: int) -> None:
    with pytest.raises((Unreadable, MethodError), match=said):
        read(octets, size, encoding=encoding)


@pytest.mark.parametrize("size", [1, 0])
def test_the_rows_before_what_cannot_be_read_are_read(size: int) -> None:
    reader, rows = ListReader(ListOptions()), list[Row]()
    octets = "SMS,a\n1,é\n2,ü\n".encode() + b"3,\xff\n4,x\n"

    def all_of_it() -> None:
        for start in range(0, len(octets), size or len(octets)):
            for row in reader.feed(octets[start : start + (size or len(octets))]):
                rows.append(row)

    with pytest.raises(Unreadable):
        all_of_it()
    assert rows == [["1", "é"], ["2", "ü"]]


def test_windows_1252_that_looks_like_utf_8_is_read_where_it_is_said() -> None:
    octets = "SMS,a\n1,CAFÉ®\n2,é\n".encode("cp1252")
    assert read(octets, encoding=Encoding.WINDOWS_1252)[0] == [["1", "CAFÉ®"], ["2", "é"]]


@pytest.mark.parametrize(
    ("header", "given", "said"),
    [
        ("", {}, "header with a column"),
        ("Fullname,Note", {}, "header with a column"),
        ("Ann,+14165550101", {}, "Column 2 of the list"),
        ("SMS,sms", {}, "Columns 1 and 2"),
        ("SMS,Fullname,name", {}, "Columns 2 and 3"),
        ("SMS,a,A", {}, "same merge field"),
        ("SMS,a{b}", {}, "Column 2"),
        ("SMS," + "x" * 65, {}, "Column 2"),
        ("SMS,a", {"b": "name"}, "does not have"),
        ("SMS,a", {"a": "nonsense"}, "map must make"),
        ("SMS,a", {"a": "field.{}"}, "A field in map"),
        (",".join(["SMS", *(f"c{number}" for number in range(200))]), {}, "200 columns"),
        (",".join(["SMS", *(f"c{number}" for number in range(10_000))]), {}, "200 columns"),
    ],
)
def test_a_header_that_cannot_be_taken_is_refused(header: str, given: Mapping[str, str], said: str) -> None:
    with pytest.raises(MethodError, match=said) as caught:
        layout_of(header.split(","), given)
    assert caught.value.code is MethodCode.INVALID_REQUEST


def test_columns_are_what_is_said_of_them() -> None:
    header = ["Handy", "id", "Stadt", "E-Mail", "Notiz", "SMS.text", "", "phone"]
    given = {"HANDY": "sms", "notiz": "-", "#8": "voice", "stadt": "field.city"}
    layout = layout_of(header, given)
    assert layout.places == {"sms": 0, "id": 1, "email": 3, "sms.text": 5, "voice": 7}
    assert (layout.fields, layout.unnamed) == (((2, "city"),), (6,))
    assert layout.name_of("sms") == "Handy"
    assert layout.name_of("email.text") == "E-Mail"


@pytest.mark.parametrize("text", ["a", "a:", ":b", "a:b,", ","])
def test_a_map_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(MethodError, match="map"):
        parse_map(text)
    assert parse_map("A b:sms, c:d:field.x") == {"A b": "sms", " c:d": "field.x"}


# --- hostile -----------------------------------------------------------------------------------------------------


def test_a_quote_that_is_never_closed_ends_the_list() -> None:
    rows = list[Row]()
    reader = ListReader(ListOptions())
    rows += reader.feed(b'SMS,a\n1,x\n2,"y\n3,z\n')
    assert rows == [["1", "x"]]
    with pytest.raises(Unreadable, match="never closed"):
        list(reader.feed(b"", final=True))


@pytest.mark.parametrize("size", [1_000, 65_536, 0])
@pytest.mark.parametrize("row", ['1,"' + "x" * 70_000 + '"', '1,"' + "x\n" * 40_000 + '"', "1," + "x" * 70_000])
def test_a_huge_row_ends_the_list_and_takes_no_memory(row: str, size: int) -> None:
    reader = ListReader(ListOptions())
    octets = f"SMS,a\n0,x\n{row}\n".encode()
    rows = list[Row]()

    def all_of_it() -> None:
        for start in range(0, len(octets), size or len(octets)):
            for one in reader.feed(octets[start : start + (size or len(octets))]):
                rows.append(one)

    with pytest.raises(Unreadable, match="65536 characters"):
        all_of_it()
    assert rows == [["0", "x"]]


def test_a_row_with_an_emails_text_may_be_long() -> None:
    html = "x" * 900_000
    assert read(f'email,email.text\na@b.test,"{html}"\n'.encode(), 65_536)[0] == [["a@b.test", html]]


def test_a_header_that_never_ends_is_refused() -> None:
    reader = ListReader(ListOptions())
    assert list(reader.feed(b"a" * 50_000)) == []
    with pytest.raises(MethodError, match="65536 characters"):
        list(reader.feed(b"a" * 50_000))
    with pytest.raises(MethodError, match="65536 characters"):
        list(ListReader(ListOptions()).feed(b"\n" * 70_000))


def test_nul_comes_through_to_be_refused_as_a_value() -> None:
    assert read(b"SMS,a\n1,x\x00y\n")[0] == [["1", "x\x00y"]]


@pytest.mark.parametrize("octets", [b"", b"\n\n", b" "])
def test_a_list_without_a_header_is_refused(octets: bytes) -> None:
    with pytest.raises(MethodError) as caught:
        read(octets)
    assert caught.value.code is MethodCode.INVALID_REQUEST


@pytest.mark.parametrize("size", [1, 10, 0])
def test_json_lines(size: int) -> None:
    lines = (
        b'{"id":"1","sms":"+1"}\r\n\n[1]\n{"a":"\\ud800"}\nnonsense\n{"a":NaN}\n' + b"[" * 3_000 + b'\n{"a":"\xc3\xa9"}'
    )
    rows, _ = read(lines, size, format=Format.JSON_LINES)
    broken = Broken("must be a JSON object.")
    assert rows[0] == {"id": "1", "sms": "+1"}
    assert rows[1] == broken
    assert rows[3:6] == [broken] * 3
    assert rows[6] == {"a": "é"}


def test_a_line_of_json_that_is_too_long_ends_the_list() -> None:
    with pytest.raises(Unreadable, match="characters"):
        read(b'{"a":"' + b"x" * 1_100_000 + b'"}', format=Format.JSON_LINES)


def test_the_digest_stands_for_rows_however_they_come() -> None:
    octets = f"{HEADER}\n{ANN_CSV}\n\n{ANN_CSV}x\n".encode()

    def digest(octets: bytes, size: int, at_once: int) -> bytes:
        rows, reader = read(octets, size)
        for start in range(0, len(rows), at_once):
            reader.count_in(rows[start : start + at_once])
        return reader.digest

    one = digest(octets, 0, 2)
    assert {digest(octets, size, at_once) for size in (1, 9, 0) for at_once in (1, 2)} == {one}
    assert digest(octets.replace(b",", b";").replace(b"\n", b"\r\n"), 0, 2) == one
    assert digest(octets.replace(b"Ann", b"Bob"), 0, 2) != one
    assert digest(octets.replace(b"SMS", b"x"), 0, 2) != one


@settings(max_examples=100)
@given(
    st.lists(st.lists(st.text(st.sampled_from('ab,;"\n\r é'), max_size=5), min_size=2, max_size=2), max_size=6),
    st.integers(1, 40),
    st.sampled_from([",", ";", "\t"]),
)
def test_what_is_written_by_the_rules_is_read(rows: Sequence[Sequence[str]], size: int, separator: str) -> None:
    written = [["SMS", "a"], *rows]
    lines = [separator.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in written]
    octets = ("\r\n".join(lines) + "\r\n").encode()
    assert read(octets, size)[0] == [list(row) for row in rows]
