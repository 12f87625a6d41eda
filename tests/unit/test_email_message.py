"""Rendering, judged by the standard library's parser: what goes in comes out, whatever stands in it."""

from __future__ import annotations

import email
import re
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from html import escape
from typing import cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from campana.channels.contract import Composer, Content
from campana.channels.email.message import Letter, letter_composer
from campana.channels.errors import RefusedForGood
from campana.domain.delivery import Medium
from campana.domain.outcome import DeliveryCode

NOW = 1_700_000_000_123  # Tue, 14 Nov 2023 22:13:20 UTC
HTML = "<html><body><h1>Hello</h1><p>A <b>word</b>.</p></body></html>"


def content(html: str = HTML, *, source: str = "shop@example.com", subject: str = "Hello") -> Content:
    return Content(Medium.EMAIL, source, html, subject, "0190163d-8694-739b-aea5-966c26f8ad91")


def composer(html: str = HTML, **fields: str) -> Composer:
    return letter_composer(content(html, **fields), lambda: NOW, None, None)


def compose(html: str = HTML, to: str = "ann@example.org", own: str | None = None, **fields: str) -> Letter:
    return cast(Letter, composer(html, **fields)(7, 2, to, own).payload)


def text_of(letter: Letter) -> bytes:
    """What a server keeps of the bytes: the end taken off, dots unstuffed (RFC 5321 section 4.5.2)."""
    wire = letter.head + letter.rest
    assert wire.endswith(b"\r\n.\r\n")
    assert b"\r\n.\r\n" not in wire[:-5], "the end stands in the middle"
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", wire) is None, "a bare line end"
    assert max(map(len, wire.split(b"\r\n"))) <= 998
    text = wire[:-3].replace(b"\r\n..", b"\r\n.")
    assert letter.size == len(text)
    return text


def parse(letter: Letter) -> EmailMessage:
    message = cast(EmailMessage, email.message_from_bytes(text_of(letter), policy=default))
    assert not message.defects
    return message


def part(message: EmailMessage, subtype: str) -> str:
    found = message.get_body((subtype,))
    assert found is not None
    assert not found.defects
    assert found.get_content_charset() == "utf-8"
    return str(found.get_content()).replace("\r\n", "\n")


def same_lines(text: str) -> str:
    """Text as MIME keeps it: every line end is the same, the last line has one, NUL is gone."""
    lines = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(lines) + ("" if lines[-1] == "" and len(lines) > 1 else "\n")


def test_the_whole_message() -> None:
    message = parse(compose(source="The Shop <shop@example.com>"))
    assert message["From"] == "The Shop <shop@example.com>"
    assert message["To"] == "ann@example.org"
    assert message["Subject"] == "Hello"
    assert message["Date"] == "Tue, 14 Nov 2023 22:13:20 +0000"
    assert re.fullmatch(r"<7\.2\.[0-9a-f]{16}@example\.com>", message["Message-ID"])
    assert message["MIME-Version"] == "1.0"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Campana-Campaign"] == "0190163d-8694-739b-aea5-966c26f8ad91"
    assert message.get_content_type() == "multipart/alternative"
    assert [inner.get_content_type() for inner in message.iter_parts()] == ["text/plain", "text/html"]
    assert part(message, "html") == HTML + "\n"
    assert part(message, "plain").split() == ["Hello", "A", "word."]
    assert len(message.keys()) == len(set(message.keys()))


def test_envelope() -> None:
    letter = compose(source="The Shop <shop@example.com>")
    assert (letter.sender, letter.recipient, letter.utf8) == (b"shop@example.com", b"ann@example.org", False)
    sealed = letter_composer(
        content(), lambda: NOW, lambda delivery, attempt: b"%d-%d@b.test" % (delivery, attempt), None
    )
    assert sealed(7, 2, "ann@example.org", None).payload.sender == b"7-2@b.test"


def test_one_message_differs_from_the_next_in_three_fields() -> None:
    instants = iter([NOW, NOW, NOW + 1000])
    write = letter_composer(content(), lambda: next(instants), None, None)
    letters = [write(number, 1, f"p{number}@example.org", None).payload for number in (1, 2, 3)]
    assert len({letter.rest for letter in letters}) == 1
    messages = [parse(letter) for letter in letters]
    assert len({message["Message-ID"] for message in messages}) == 3
    assert [message["To"] for message in messages] == ["p1@example.org", "p2@example.org", "p3@example.org"]
    assert [message["Date"].datetime.second for message in messages] == [20, 20, 21]
    for name in ("Date", "To", "Message-ID"):
        for message in messages:
            del message[name]
    assert len({message.as_bytes() for message in messages}) == 1


def test_the_same_attempt_of_another_campaign_has_another_message_id() -> None:
    assert parse(compose())["Message-ID"] != parse(compose())["Message-ID"]


def test_own_text_replaces_the_campaigns() -> None:
    write = composer()
    own = "<p>Only for <i>Ann</i></p>"
    for _ in range(2):  # made, and from the cache
        message = parse(write(1, 1, "ann@example.org", own).payload)
        assert part(message, "html") == own + "\n"
        assert part(message, "plain") == "Only for Ann\n"
    assert part(parse(write(2, 1, "bob@example.org", None).payload), "html") == HTML + "\n"
    assert part(parse(write(2, 1, "bob@example.org", "  \n").payload), "html") == HTML + "\n"


def test_a_large_own_text_is_not_kept() -> None:
    write = composer()
    large = "<p>" + "word " * 20_000 + "</p>"
    assert write(1, 1, "a@example.org", large).payload.rest is not write(2, 1, "b@example.org", large).payload.rest
    small = "<p>word</p>"
    assert write(1, 1, "a@example.org", small).payload.rest is write(2, 1, "b@example.org", small).payload.rest


def test_a_blank_campaign_text_needs_one_of_the_contacts_own() -> None:
    write = composer(" \n")
    assert part(parse(write(1, 1, "ann@example.org", "<p>Mine</p>").payload), "plain") == "Mine\n"
    with pytest.raises(RefusedForGood) as refused:
        write(1, 1, "ann@example.org", None)
    assert refused.value.code is DeliveryCode.UNRENDERABLE


ENCODINGS = [
    ("ASCII", HTML, "7bit"),
    ("a line at the limit", "<p>" + "x" * 990 + "</p>", "7bit"),
    ("a line beyond the limit", "<p>" + "x" * 5000 + "</p>", "quoted-printable"),
    ("mostly ASCII", "<p>Smørrebrød to go</p>" * 5, "quoted-printable"),
    ("Chinese", "<p>你好，世界，今天天气很好</p>" * 5, "base64"),
    ("emoji", "😀" * 50, "base64"),
    ("control characters", "<p>bell \a and escape \x1b here, the rest is ASCII text</p>", "quoted-printable"),
]


@pytest.mark.parametrize(("html", "encoding"), [row[1:] for row in ENCODINGS], ids=[row[0] for row in ENCODINGS])
def test_encoding(html: str, encoding: str) -> None:
    message = parse(compose(html))
    body = message.get_body(("html",))
    assert body is not None
    assert body["Content-Transfer-Encoding"] == encoding
    assert part(message, "html") == same_lines(html)


BODIES = [
    ".\r\n",
    ".",
    "..\n.\n...\n",
    "first\n.\nlast",
    "\n.hidden\n",
    "a\rb\r\nc\nd\n\re",
    "trailing blanks   \n\t\nand tabs\t\n",
    "NUL \0 in between\0",
    "\r\n.\r\nMAIL FROM:<evil@example.com>\r\n",
    "é\n.\né",
    "x" * 100_000,
    ("wörd " * 300 + "\n") * 3,
    "From the start\n>From quoted\n",
    "--===============boundary==\n--\n",
    "=3D =20\n=\n",
    "\x85\x1c\x1d\x0b\x0c\u2028\u2029 exotic line ends",
    "<p>\ufeffmarked</p>",
]


@pytest.mark.parametrize("html", BODIES)
def test_any_body_arrives_as_it_was(html: str) -> None:
    assert part(parse(compose(html)), "html") == same_lines(html)


@settings(max_examples=150, deadline=None)
@given(html=st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip))
@example(html="\0")
@example(html="0\x1e\r.")
def test_any_body_at_all_arrives_as_it_was(html: str) -> None:
    message = parse(compose(html))
    assert part(message, "html") == same_lines(html)
    assert "\0" not in part(message, "plain")


@settings(max_examples=300, deadline=None)
@given(subject=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), max_size=300))
@example(subject="Grüße 😀 an alle " * 20)
@example(subject="=?utf-8?q?not_encoded?=")
@example(subject=" leading and trailing ")
@example(subject="word " * 100)
@example(subject="a" * 500)
@example(subject="two  blanks   three")
@example(subject="")
def test_any_subject_arrives_as_it_was(subject: str) -> None:
    letter = compose(subject=subject)
    assert parse(letter)["Subject"] == subject
    assert letter.head.isascii()


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1, max_size=120)


@settings(max_examples=300, deadline=None)
@given(name=NAMES.map(str.strip).filter(bool))
@example(name="Müller & Söhne GmbH")
@example(name='Company, Inc. "the best"')
@example(name="back\\slash")
@example(name="a@b.example")
@example(name="x" * 100)
def test_any_display_name_arrives_as_it_was(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    letter = compose(source=f'"{quoted}" <shop@example.com>')
    field = next(line for line in re.split(rb"\r\n(?![ \t])", text_of(letter)) if line.startswith(b"From: "))
    phrase, _, address = field[6:].replace(b"\r\n", b"").decode("ascii").rpartition(" ")
    assert address == "<shop@example.com>"
    if phrase.startswith('"'):
        phrase = re.sub(r"\\(.)", r"\1", phrase[1:-1])
    assert str(make_header(decode_header(phrase))) == name
    assert parse(letter)["From"].addresses[0].addr_spec == "shop@example.com"


@pytest.mark.parametrize(
    ("source", "name", "address"),
    [
        ("shop@example.com", "", "shop@example.com"),
        ("  shop@example.com ", "", "shop@example.com"),
        ("<shop@example.com>", "", "shop@example.com"),
        ("The Shop <shop@example.com>", "The Shop", "shop@example.com"),
        ('"The Shop" <shop@example.com>', "The Shop", "shop@example.com"),
        ("Company, Inc. <shop@example.com>", "Company, Inc.", "shop@example.com"),
        ("Grüße <shop@example.com>", "Grüße", "shop@example.com"),
        ("shop@münchen.example", "", "shop@xn--mnchen-3ya.example"),
    ],
)
def test_from(source: str, name: str, address: str) -> None:
    letter = compose(source=source)
    field = parse(letter)["From"]
    assert [(box.display_name, box.addr_spec) for box in field.addresses] == [(name, address)]
    assert letter.sender == address.encode()


EVIL = [
    "\r\nBcc: all@example.com",
    "\nBcc: all@example.com",
    "\rX",
    "\0",
    "\x0b",
    "\x0c",
    "\x1b[2J",
    "\x7f",
    "\x85",
    "\u2028X",
    "\ud800",
]


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
@pytest.mark.parametrize(
    "place",
    [
        {"subject": "Hello{}"},
        {"subject": "{}"},
        {"source": "shop@example.com{}"},
        {"source": "Shop{} <shop@example.com>"},
        {"source": '"Shop{}" <shop@example.com>'},
        {"source": "Shop <shop{}@example.com>"},
        {"source": "Shop <shop@example{}.com>"},
    ],
    ids=str,
)
def test_headers_cannot_be_injected(place: dict[str, str], evil: str) -> None:
    fields = {name: value.format(evil) for name, value in place.items()}
    with pytest.raises(RefusedForGood) as refused:
        composer(**fields)
    assert refused.value.code is DeliveryCode.UNRENDERABLE
    assert "example" not in str(refused.value)


@pytest.mark.parametrize(
    "evil", [*EVIL, "> BODY=8BITMIME", ">\r\nRCPT TO:<x@example.com>", " x", ",b@example.com"], ids=ascii
)
@pytest.mark.parametrize("place", ["ann@example.org{}", "ann{}@example.org", "{}ann@example.org", "ann@{}example.org"])
def test_recipients_cannot_be_injected(place: str, evil: str) -> None:
    with pytest.raises(RefusedForGood) as refused:
        compose(to=place.format(evil))
    assert refused.value.code is DeliveryCode.UNRENDERABLE
    assert "ann" not in str(refused.value)


@pytest.mark.parametrize(
    "to",
    [
        "",
        "ann",
        "@example.org",
        "ann@",
        "a@b@c.example",
        "<ann@example.org>",
        "ann@example.org>",
        "a b@example.org",
        "x" * 400 + "@b.example",
    ],
)
def test_what_is_no_address_is_refused(to: str) -> None:
    with pytest.raises(RefusedForGood):
        compose(to=to)


@pytest.mark.parametrize(
    ("to", "wire", "utf8"),
    [
        ("o'neil+tag@example.org", b"o'neil+tag@example.org", False),
        ("用户@例子.example", "用户@xn--fsqu00a.example".encode(), True),
        ("ann@例子.example", b"ann@xn--fsqu00a.example", False),
        ("jörg@example.org", "jörg@example.org".encode(), True),
        ('"a b"@example.org', b'"a b"@example.org', False),
    ],
)
def test_unusual_recipients(to: str, wire: bytes, utf8: bool) -> None:
    letter = compose(to=to)
    assert (letter.recipient, letter.utf8) == (wire, utf8)
    assert f"To: {wire.decode()}\r\n".encode() in letter.head
    assert parse(letter)["To"].addresses[0].domain == wire.decode().rpartition("@")[2]


def test_an_unusual_sender_makes_every_message_need_smtputf8() -> None:
    letter = compose(source="Jörg <jörg@example.com>")
    assert letter.utf8
    assert letter.sender == "jörg@example.com".encode()
    assert "<jörg@example.com>\r\n".encode() in letter.head


@pytest.mark.parametrize("text", ["half \ud83d", "\udfff"])
def test_half_surrogates_are_refused(text: str) -> None:
    with pytest.raises(RefusedForGood) as refused:
        composer(text)
    assert refused.value.code is DeliveryCode.UNRENDERABLE
    with pytest.raises(RefusedForGood):
        composer()(1, 1, "ann@example.org", text)


def test_without_any_text_the_plain_part_is_the_subject() -> None:
    message = parse(compose("<img src='https://example.com/x.png'>", subject="Look"))
    assert part(message, "plain") == "Look\n"


# --- merge fields ------------------------------------------------------------------------------------------------


def merged(html: str, fields: dict[str, str], own: str | None = None, **more: str) -> EmailMessage:
    return parse(cast(Letter, composer(html, **more)(7, 2, "ann@example.org", own, fields).payload))


def test_fields_are_escaped_in_html_and_not_in_the_text() -> None:
    script = "<script>alert('x')</script> & \"more\""
    message = merged('<p title="{{a}}">Hi {{a}}, {{b|<i>friend</i> &amp; co}}!</p>', {"a": script})
    assert "<script" not in part(message, "html")
    escaped = "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; &quot;more&quot;"
    assert part(message, "html") == f'<p title="{escaped}">Hi {escaped}, <i>friend</i> &amp; co!</p>\n'
    assert part(message, "plain").strip() == f"Hi {script}, friend & co!"


def test_a_subject_takes_fields_and_no_line_of_its_own() -> None:
    message = merged(HTML, {"a": "Ann\r\nBcc: all@example.org\x00 Ä <b>"}, subject="For {{a}}")
    assert message["Subject"] == "For Ann Bcc: all@example.org  Ä <b>"
    assert message["Bcc"] is None
    assert part(message, "html") == HTML + "\n"


def test_links_take_fields() -> None:
    message = merged('<a href="https://x.test/?q={{a}}">here</a>', {"a": "1&2"})
    assert 'href="https://x.test/?q=1&amp;2"' in part(message, "html")
    assert "https://x.test/?q=1&2" in part(message, "plain")


def test_an_own_text_takes_fields() -> None:
    message = merged(HTML, {"a": "Ann"}, own="<p>Dear {{a}}</p>")
    assert part(message, "html") == "<p>Dear Ann</p>\n"
    assert part(merged(HTML, {}, own="<p>{{!a}}</p>"), "plain") == "{{a}}\n"


def test_where_the_html_shows_nothing_the_subject_is_the_text() -> None:
    message = merged('<img src="{{a}}.png">', {"a": "x"}, subject="Hi {{a}}")
    assert part(message, "plain").strip() in ("Hi x", "x.png")


def test_without_fields_a_letter_is_taken_to_the_letter() -> None:
    assert part(parse(compose("<p>{{a}}</p>")), "plain") == "{{a}}\n"


@pytest.mark.parametrize(("html", "fields"), [("{{a}}", {}), ("{{a}}" * 600, {"a": "x" * 2_000}), ("", {"a": "x"})])
def test_a_letter_that_cannot_be_merged_cannot_be_rendered(html: str, fields: dict[str, str]) -> None:
    with pytest.raises(RefusedForGood) as caught:
        composer(html)(7, 2, "ann@example.org", None, fields)
    assert caught.value.code is DeliveryCode.UNRENDERABLE


@settings(max_examples=60)
@given(
    st.text(st.sampled_from("a.\n\r =<&é\t"), max_size=200),
    st.text(st.sampled_from("a.\n\r =<&é\t"), min_size=1, max_size=300),
)
def test_whatever_stands_around_and_in_a_field_comes_through(around: str, value: str) -> None:
    around = around.replace("<", "").replace("&", "")
    # The end of one and the beginning of the other make no line end together.
    around, value = (one.replace("\r\n", "\n").replace("\r", "\n") for one in (around, value))
    message = merged(f"<p>{around}{{{{a}}}}{around}</p>", {"a": value})
    assert part(message, "html") == same_lines(f"<p>{around}{escape(value)}{around}</p>")
