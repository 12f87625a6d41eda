"""The grammar of header values: tables of what is read, and that hostile values cost linear time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.voice.sip.headers import (
    Reason,
    SipSyntaxError,
    SipUri,
    Via,
    parse_challenge,
    parse_cseq,
    parse_parameters,
    parse_reason,
    parse_uri,
    parse_via,
    quote,
    split_address,
    split_list,
    tag_of,
    unquote,
    uri_of,
)
from campana.channels.voice.sip.uri import Transport

READERS: tuple[Callable[[str], object], ...] = (
    split_list,
    split_address,
    tag_of,
    uri_of,
    parse_parameters,
    parse_uri,
    parse_via,
    parse_cseq,
    parse_reason,
    parse_challenge,
)


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("a", ["a"]),
        (" a , b,, c ", ["a", "b", "c"]),
        ("", []),
        (",", []),
        ("<sip:a,b>, <sip:c>", ["<sip:a,b>", "<sip:c>"]),
        ('"x, \\", <y" <sip:a>,b', ['"x, \\", <y" <sip:a>', "b"]),
        ('"never closed, <x>', ['"never closed, <x>']),
        ('<sip:"a,b>,c', ['<sip:"a,b>', "c"]),
        ("a\\,b <c>", ["a\\", "b <c>"]),
    ],
)
def test_lists(value: str, parts: list[str]) -> None:
    assert split_list(value) == parts


@pytest.mark.parametrize(
    ("value", "uri", "tag"),
    [
        ("<sip:a@b>;tag=1", "sip:a@b", "1"),
        ("<sip:a@b;tag=uri>;TAG = x;y", "sip:a@b;tag=uri", "x"),
        ("sip:a@b;tag=1", "sip:a@b", "1"),
        ('"A <b> \\" c" <sip:a@b> ; tag="q\\"1"', "sip:a@b", 'q"1'),
        ("Name Without Quotes <sip:a@b>", "sip:a@b", ""),
        ("<sip:a@b>;x;;tag=2", "sip:a@b", "2"),
        ("<sip:a@b>;tag=1;tag=2", "sip:a@b", "1"),
        ("", "", ""),
        ("*", "*", ""),
    ],
)
def test_addresses(value: str, uri: str, tag: str) -> None:
    assert (uri_of(value), tag_of(value)) == (uri, tag)


@pytest.mark.parametrize(
    "value", ["<sip:a", '"a <sip:b>', "<sip:a>tag=1", "<sip:a>;a=<b>", "<sip:a>;=x", '<sip:a>;a="b']
)
def test_addresses_that_cannot_be(value: str) -> None:
    with pytest.raises(SipSyntaxError):
        tag_of(value)


@pytest.mark.parametrize(
    ("text", "uri", "transport"),
    [
        ("sip:b", SipUri("sip", "", "b", None), Transport.UDP),
        ("SIP:a@B:5070", SipUri("sip", "a", "B", 5070), Transport.UDP),
        ("sip:+1;phone-context=x:pw@h", SipUri("sip", "+1;phone-context=x:pw", "h", None), Transport.UDP),
        ("sip:a@[2001:db8::1]:5060", SipUri("sip", "a", "2001:db8::1", 5060), Transport.UDP),
        ("sip:h;Transport=tCp;LR", SipUri("sip", "", "h", None, {"transport": "tCp", "lr": ""}), Transport.TCP),
        ("sip:h;transport=sctp", SipUri("sip", "", "h", None, {"transport": "sctp"}), Transport.UDP),
        ("sips:h;transport=tcp?Subject=x", SipUri("sips", "", "h", None, {"transport": "tcp"}), Transport.TLS),
        ("sip:under_score.test", SipUri("sip", "", "under_score.test", None), Transport.UDP),
    ],
)
def test_uris(text: str, uri: SipUri, transport: Transport) -> None:
    assert (parse_uri(text), uri.transport) == (uri, transport)


@pytest.mark.parametrize(
    "text", ["", "tel:+1", "sip:", "sip:a@", "sip:a@b@c", "sip:h:0", "sip:h:65536", "sip:h x", "h", "sip:[::1"]
)
def test_uris_that_cannot_be(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        parse_uri(text)


@pytest.mark.parametrize(
    ("value", "via"),
    [
        ("SIP/2.0/UDP h;branch=z9hG4bK1", Via("UDP", "h", None, {"branch": "z9hG4bK1"})),
        ("sip / 2.0 / tls [::1]:5061 ;rport;branch=x", Via("TLS", "::1", 5061, {"rport": "", "branch": "x"})),
        ("SIP/2.0/TCP 192.0.2.1 : 5060", Via("TCP", "192.0.2.1", 5060, {})),
    ],
)
def test_vias(value: str, via: Via) -> None:
    assert parse_via(value) == via


@pytest.mark.parametrize(
    "value", ["", "SIP/2.0/UDP", "SIP/1.0/UDP h", "UDP h", "SIP/2.0/UDP h:99999", "SIP/2.0/UDP h,"]
)
def test_vias_that_cannot_be(value: str) -> None:
    with pytest.raises(SipSyntaxError):
        parse_via(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ('Q.850;cause=16;text="Normal \\"call\\" clearing"', Reason("Q.850", 16, 'Normal "call" clearing')),
        ("q.850 ; CAUSE = 1", Reason("Q.850", 1, "")),
        ("SIP;cause=200;text=plain words", Reason("SIP", 200, "plain words")),
        ("SIP;cause=-1", Reason("SIP", None, "")),
        ("SIP;cause=1234", Reason("SIP", None, "")),
        ("", Reason("", None, "")),
    ],
)
def test_reasons(value: str, reason: Reason) -> None:
    assert parse_reason(value) == reason


@pytest.mark.parametrize(
    ("value", "scheme", "parameters"),
    [
        ('Digest realm="a, \\"b\\"",nonce=x', "digest", {"realm": 'a, "b"', "nonce": "x"}),
        ('Digest nonce=x , QOP="auth,auth-int"', "digest", {"nonce": "x", "qop": "auth,auth-int"}),
        ("DIGEST  algorithm = MD5", "digest", {"algorithm": "MD5"}),
        ("Digest a=1, a=2,", "digest", {"a": "1"}),
        ("Basic", "basic", {}),
        ('Digest realm="",stale=TRUE', "digest", {"realm": "", "stale": "TRUE"}),
    ],
)  # fmt: skip
def test_challenges(value: str, scheme: str, parameters: dict[str, str]) -> None:
    assert parse_challenge(value) == (scheme, parameters)


@pytest.mark.parametrize(
    "value", ["Digest realm", 'Digest realm="x', "Digest a=1 b=2", 'Digest a="1"b', "Bearer abc/def"]
)
def test_challenges_that_cannot_be(value: str) -> None:
    with pytest.raises(SipSyntaxError):
        parse_challenge(value)


@given(st.text(max_size=40))
def test_quoting_can_be_undone(text: str) -> None:
    assert unquote(quote(text)[1:-1]) == text


@given(st.sampled_from(READERS), st.text(st.sampled_from(' \t,;=<>"\\:@?[]*aZ0.%-_é\n'), max_size=60))
def test_readers_raise_nothing_but_syntax_errors(reader: Callable[[str], object], value: str) -> None:
    try:
        reader(value)
    except SipSyntaxError:
        return


@pytest.mark.parametrize(
    ("reader", "head", "repeated", "tail"),
    [
        (parse_challenge, "Digest a=", '"b",a=', '"('),
        (parse_challenge, "Digest", " ,", "("),
        (parse_challenge, 'Digest a="', "\\", ""),
        (tag_of, "<sip:a>", ';a="', "("),
        (tag_of, '"', "\\\\", "<"),
        (parse_parameters, "a =", " ", '"'),
        (parse_parameters, "", " ", "("),
        (parse_parameters, "a", " ;", '"'),
        (parse_via, "SIP/2.0/UDP h", " ", "x"),
        (parse_via, "SIP/2.0/UDP ", " ", ";"),
        (parse_uri, "sip:", "a-", "_;\x00"),
        (parse_uri, "sip:", "a:", ""),
        (parse_cseq, "1", " ", ""),
        (split_list, "", '"\\', ",<"),
        (split_list, "", ",", "<"),
    ],
)
def test_hostile_values_cost_linear_time(reader: Callable[[str], object], head: str, repeated: str, tail: str) -> None:
    began = time.process_time()
    with contextlib.suppress(SipSyntaxError):
        reader(head + repeated * 20_000 + tail)
    # Quadratic time would be a minute, exponential time for ever; linear is some milliseconds.
    assert time.process_time() - began < 1.0
