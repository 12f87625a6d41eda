"""SIP messages: what is written to the octet, what is read of others' dialects, and that nothing else gets out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.voice.sip.message import (
    LARGEST,
    MOST_HEADERS,
    Headers,
    Request,
    Response,
    SipSyntaxError,
    cseq_of,
    parse,
    render,
    response_to,
    via_branch,
)

BASE = (
    b"Via: SIP/2.0/UDP host:5060;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: id\r\n"
    b"CSeq: 1 OPTIONS\r\n"
)
START = b"OPTIONS sip:c@d SIP/2.0\r\n"
TORTUOUS = (
    # After RFC 4475, section 3.1.1.1: folding, compact forms, lists, odd case and white space.
    b"INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n"
    b"TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n"
    b'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
    b"MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\nContent-Length   : 5\r\ncseq: 0009\r\n  INVITE\r\n"
    b"Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\n"
    b"NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
    b"v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
    b" SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
    b'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n  secondparam ;'
    b" q = 0.33\r\n"
    b"\r\nv=0\r\nignored"
)


def message(start: bytes = START, headers: bytes = BASE, body: bytes = b"") -> bytes:
    return start + headers + b"\r\n" + body


def test_a_request_to_the_octet() -> None:
    request = Request("BYE", "sip:c@d", body=b"x")
    request.headers.add("v", "SIP/2.0/UDP h")
    request.headers.add("Content-Length", "99")
    request.headers.add("X-Own", "é")
    assert render(request) == (
        b"BYE sip:c@d SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nX-Own: \xc3\xa9\r\nContent-Length: 1\r\n\r\nx"
    )


def test_a_response_repeats_what_it_must() -> None:
    request = parse(message(headers=b"Record-Route: <sip:p;lr>\r\nVia: SIP/2.0/TCP far\r\nX: y\r\n" + BASE))
    assert isinstance(request, Request)
    response = response_to(request, 200, "OK", "mine")
    assert render(response) == (
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP far\r\nVia: SIP/2.0/UDP host:5060;branch=z9hG4bK1\r\n"
        b"Record-Route: <sip:p;lr>\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=mine\r\nCall-ID: id\r\n"
        b"CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    again = response_to(Request("X", "y", response.headers), 200, "OK", "other")
    assert again.headers.get("To") == "<sip:c@d>;tag=mine"


def test_a_tortuous_message_is_read() -> None:
    request = parse(TORTUOUS)
    assert isinstance(request, Request)
    headers = request.headers
    assert request.uri == "sip:vivekg@chair-dnrc.example.com;unknownparam"
    assert request.body == b"v=0\r\n"
    assert cseq_of(request) == (9, "INVITE")
    assert len(headers.all("Via")) == 3
    assert via_branch(request) == "390skdjuw"
    assert headers.get("subject") == ""
    assert headers.get("NEWFANGLEDHEADER") == "newfangled value continued newfangled value"
    assert headers.all("Contact") == [
        '"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam = newvalue ; secondparam ; q = 0.33'
    ]


@pytest.mark.parametrize(
    ("data", "status", "reason", "body"),
    [
        (message(b"SIP/2.0 200 OK\r\n", BASE + b"l: 2\r\n", b"abcd"), 200, "OK", b"ab"),
        (message(b"SIP/2.0 486 \r\n"), 486, "", b""),
        (message(b"SIP/2.0 486\r\n"), 486, "", b""),
        (message(b"sip/2.0 180 Es l\xc3\xa4utet\r\n", body=b"all of it"), 180, "Es läutet", b"all of it"),
        (message(b"\r\n\r\nSIP/2.0 100 Late\xff\r\n"), 100, "Late�", b""),
    ],
)
def test_responses(data: bytes, status: int, reason: str, body: bytes) -> None:
    response = parse(data)
    assert isinstance(response, Response)
    assert (response.status, response.reason, response.body) == (status, reason, body)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "empty line"),
        (START + BASE, "empty line"),
        (message(b"OPTIONS sip:c@d SIP/3.0\r\n"), "start line"),
        (message(b"OPTIONS  sip:c@d SIP/2.0\r\n"), "start line"),
        (message(b"OPTIONS sip:c d SIP/2.0\r\n"), "start line"),
        (message(b"OPTIONS <sip:c@d> SIP/2.0\r\n"), "start line"),
        (message(b"SIP/2.0 99 Low\r\n"), "start line"),
        (message(b"SIP/2.0 700 High\r\n"), "start line"),
        (message(b"SIP/2.0 200 O\x00K\r\n"), "control characters"),
        (message(headers=BASE + b"X: a\x00b\r\n"), "control characters"),
        (message(headers=BASE + b"X: a\rb\r\n"), "control characters"),
        (message(headers=BASE + b"X: a\nb\r\n"), "control characters"),
        (message(headers=BASE + b"No colon\r\n"), "NAME: VALUE"),
        (message(headers=BASE + b"B\xc3\xa4d: x\r\n"), "token"),
        (message(headers=BASE + b": x\r\n"), "token"),
        (message(headers=BASE + b"N" * 65 + b": x\r\n"), "token"),
        (message(headers=BASE + b"X: " + b"y" * 8_193 + b"\r\n"), "8192"),
        (message(headers=BASE + b"X: y\r\n" * MOST_HEADERS), "200 headers"),
        (message(headers=BASE + b"Content-Length: 3\r\n", body=b"ab"), "as many octets"),
        (message(headers=BASE + b"Content-Length: -1\r\n"), "number"),
        (message(headers=BASE + b"Content-Length: 9999999\r\n"), "number"),
        (message(headers=BASE + "Content-Length: ²\r\n".encode()), "number"),
        (message(headers=BASE.replace(b"1 OPTIONS", b"1 BYE")), "request's method"),
        (message(headers=BASE.replace(b"1 OPTIONS", b"2147483648 OPTIONS")), "CSeq"),
        (message(headers=BASE.replace(b"1 OPTIONS", b"OPTIONS")), "CSeq"),
        (b"x" * (LARGEST + 1), "65536"),
        *(
            (message(headers=BASE.replace(name + b":", b"X:")), name.decode().lower())
            for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
        ),
    ],
)
def test_what_is_not_sip_is_refused_by_rule(data: bytes, rule: str) -> None:
    with pytest.raises(SipSyntaxError, match=rule):
        parse(data)


def test_headers_keep_their_order_and_compare_without_case() -> None:
    headers = Headers()
    for name, value in (("X-One", "1"), ("ROUTE", "<sip:a,b;lr>, <sip:c>"), ("k", "timer"), ("x-one", "2,3")):
        headers.add(name, value)
    assert list(headers) == [
        ("X-One", "1"),
        ("ROUTE", "<sip:a,b;lr>, <sip:c>"),
        ("Supported", "timer"),
        ("x-one", "2,3"),
    ]
    assert headers.all("Route") == ["<sip:a,b;lr>", "<sip:c>"]
    assert headers.get("route") == "<sip:a,b;lr>"
    assert headers.all("x-ONE") == ["1", "2,3"]
    assert "supported" in headers
    assert headers.get("absent") is None
    twin = headers.copy()
    headers.set("X-One", "4")
    headers.prepend("Via", "v")
    headers.remove("route")
    assert list(headers) == [("Via", "v"), ("Supported", "timer"), ("X-One", "4")]
    assert len(twin) == 4


@pytest.mark.parametrize("value", ["a\r\nEvil: 1", "a\nb", "a\rb", "a\0b", "\x7f"])
def test_nothing_can_be_smuggled_into_a_header_or_a_start_line(value: str) -> None:
    with pytest.raises(SipSyntaxError):
        Headers().add("Subject", value)
    with pytest.raises(SipSyntaxError):
        Headers().add(value, "x")
    with pytest.raises(SipSyntaxError):
        render(Request("BYE", value))
    with pytest.raises(SipSyntaxError):
        render(Response(200, value))


_LINES = st.sampled_from(
    [*BASE.split(b"\r\n"), START, b"SIP/2.0 200 OK", b" folded", b"l: 3", b"v:", b":", b"", b"\x00"]
)


@given(
    st.one_of(
        st.binary(max_size=200), st.lists(st.one_of(_LINES, st.binary(max_size=20)), max_size=12).map(b"\r\n".join)
    )
)
def test_hostile_octets_are_read_or_refused(data: bytes) -> None:
    try:
        found = parse(data)
    except SipSyntaxError:
        return
    assert parse(render(found)).body == found.body


_TEXT = st.text(st.characters(blacklist_categories=["Cc", "Cs"]), max_size=30).map(str.strip)


@given(
    st.lists(st.tuples(st.from_regex(r"X-[A-Za-z0-9]{1,10}", fullmatch=True), _TEXT), max_size=8),
    st.binary(max_size=50),
)
def test_what_is_written_is_read_again(fields: list[tuple[str, str]], body: bytes) -> None:
    request = Request("OPTIONS", "sip:c@d", body=body)
    for line in BASE.decode().split("\r\n")[:-1]:
        name, _, value = line.partition(": ")
        request.headers.add(name, value)
    for name, value in fields:
        request.headers.add(name, value)
    again = parse(render(request))
    request.headers.add("Content-Length", str(len(body)))
    assert (list(again.headers), again.body) == (list(request.headers), body)
