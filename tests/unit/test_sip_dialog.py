"""Dialogs, keys told by INFO, reasons, and answers to challenges, by tables."""

from __future__ import annotations

import pytest

from campana.channels.voice.sip.contract import Timers
from campana.channels.voice.sip.dialog import MOST_ROUTES, Dialog
from campana.channels.voice.sip.digest import Credentials, Tries
from campana.channels.voice.sip.flow import Target
from campana.channels.voice.sip.message import Request, Response, SipSyntaxError, parse
from campana.channels.voice.sip.pressed import LONGEST_MS, read_key
from campana.channels.voice.sip.reasons import LONGEST_TEXT, Told, told_in
from campana.channels.voice.sip.replying import received_from
from campana.channels.voice.sip.uri import Transport


def invite() -> Request:
    request = Request("INVITE", "sip:1@trunk.test")
    for name, value in (
        ("From", "<sip:a@b>;tag=us"),
        ("To", "<sip:1@trunk.test>"),
        ("Call-ID", "c"),
        ("CSeq", "3 INVITE"),
    ):
        request.headers.add(name, value)
    return request


def response(*headers: tuple[str, str], status: int = 200) -> Response:
    found = Response(status, "OK")
    for name, value in (("To", "<sip:1@trunk.test>;tag=them"), *headers):
        found.headers.add(name, value)
    return found


def request_of(number: int, method: str = "INFO") -> Request:
    request = Request(method, "sip:us")
    request.headers.add("CSeq", f"{number} {method}")
    return request


def test_a_dialog_without_routes_goes_to_the_contact() -> None:
    dialog = Dialog(invite(), response(("Contact", '"x" <sip:phone@10.0.0.1;transport=TCP>;expires=60')))
    bye = dialog.request("BYE")
    assert (bye.uri, bye.headers.all("Route")) == ("sip:phone@10.0.0.1;transport=TCP", [])
    assert dialog.next_hop.host == "10.0.0.1"
    assert dialog.next_hop.transport is Transport.TCP
    assert [bye.headers.get(name) for name in ("From", "To", "Call-ID", "CSeq", "Max-Forwards")] == [
        "<sip:a@b>;tag=us",
        "<sip:1@trunk.test>;tag=them",
        "c",
        "4 BYE",
        "70",
    ]
    assert dialog.request("ACK").headers.get("CSeq") == "3 ACK"
    assert dialog.request("INFO").headers.get("CSeq") == "5 INFO"


@pytest.mark.parametrize(
    ("routes", "uri", "sent"),
    [
        ("<sip:p1;lr>, <sip:p2;lr>", "sip:phone@x", ["<sip:p2;lr>", "<sip:p1;lr>"]),
        ("<sip:p1;lr>, <sip:p2>", "sip:p2", ["<sip:p1;lr>", "<sip:phone@x>"]),
        ("<sip:p1>, <sip:p2;LR=on>", "sip:phone@x", ["<sip:p2;LR=on>", "<sip:p1>"]),
        ("garbage, <sip:p2;lr>", "sip:phone@x", ["<sip:p2;lr>"]),
    ],
)
def test_routes(routes: str, uri: str, sent: list[str]) -> None:
    dialog = Dialog(invite(), response(("Record-Route", routes), ("Contact", "<sip:phone@x>")))
    bye = dialog.request("BYE")
    assert (bye.uri, bye.headers.all("Route")) == (uri, sent)


def test_routes_are_bounded() -> None:
    dialog = Dialog(invite(), response(*[("Record-Route", "<sip:p;lr>")] * 100))
    assert len(dialog.routes) == MOST_ROUTES


@pytest.mark.parametrize("contact", ["", "*", "tel:+1", "<sip:a", "<sip:h:99999>"])
def test_an_unusable_contact_leaves_the_target(contact: str) -> None:
    assert Dialog(invite(), response(("Contact", contact))).target == "sip:1@trunk.test"


def test_the_final_response_decides_route_and_target() -> None:
    dialog = Dialog(invite(), response(("Record-Route", "<sip:early;lr>"), ("Contact", "<sip:early@x>"), status=183))
    dialog.learn(response(("Record-Route", "<sip:final;lr>"), ("Contact", "<sip:final@x>")))
    assert (dialog.routes, dialog.target) == (["<sip:final;lr>"], "sip:final@x")
    dialog.retarget(response(("Contact", "<sip:moved@x>")))
    assert (dialog.routes, dialog.target) == (["<sip:final;lr>"], "sip:moved@x")


def test_numbers_of_theirs_must_go_up() -> None:
    dialog = Dialog(invite(), response())
    assert [dialog.accept(request_of(number)) for number in (5, 5, 4, 9, 6)] == [True, False, False, True, False]


def test_a_response_without_a_readable_to_makes_no_dialog() -> None:
    bad = Response(200, "OK")
    bad.headers.add("To", "<sip:broken")
    with pytest.raises(SipSyntaxError):
        Dialog(invite(), bad)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b"Signal=5\r\nDuration=160\r\n", ("5", 160)),
        (b"Signal = *\nDuration = 100", ("*", 100)),
        (b"SIGNAL=10", ("*", 0)),
        (b"Signal=11\r\n", ("#", 0)),
        (b"Signal=12", ("A", 0)),
        (b"Signal=d\r\nDuration=999999\r\n", ("D", LONGEST_MS)),
        (b"Duration=160\r\nSignal=0\r\n", ("0", 160)),
        (b" 3 \r\n", ("3", 0)),
        (b"11", ("#", 0)),
        (b"Signal=16\r\n", None),
        (b"Signal=\r\n", None),
        (b"Signal=55\r\n", None),
        (b"", None),
        (b"hello", None),
        (b"Signal=\xd9\xa3", None),
        (b"x" * 1_000_000 + b"\r\nSignal=1", None),
    ],
)
def test_keys(body: bytes, key: tuple[str, int] | None) -> None:
    assert read_key(body) == key


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([], Told(None, "")),
        (['Q.850;cause=17;text="User busy"'], Told(17, "User busy")),
        (['SIP;cause=486;text="Busy", Q.850;cause=17'], Told(17, "Busy")),
        (['SIP;cause=200;text="Call completed elsewhere"'], Told(None, "Call completed elsewhere")),
        (["Q.850;cause=128"], Told(None, "")),
        (["Q.850;cause=<", "Q.850;cause=3"], Told(3, "")),
        ([f'Q.850;cause=1;text="{"x" * 500}"'], Told(1, "x" * LONGEST_TEXT)),
    ],
)
def test_what_is_told_of_an_end(values: list[str], told: Told) -> None:
    assert told_in(response(*[("Reason", value) for value in values])) == told


# --- credentials -------------------------------------------------------------------------------------------------


def challenged(*values: str, header: str = "WWW-Authenticate") -> Response:
    return response(*[(header, value) for value in values], status=401)


# Computed with sha256sum and md5sum: H(H(user:realm:password):nonce:H(BYE:sip:1@trunk.test)).
@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "1a0217377e3318bbdf3dfe214a6236d3"),
        ("SHA-256", "e1c3a76eff98e9990ea4a08c7e27d49b37f52ff9d4d4c30c9919e09406d08df4"),
    ],
)
def test_the_form_without_qop_to_the_octet(algorithm: str, expected: str) -> None:
    credentials = Credentials('al"ice', "pw")
    assert credentials.learn(challenged(f'Digest realm="r", nonce="n", algorithm={algorithm}, opaque="o\\"p"'), Tries())
    request = Request("BYE", "sip:1@trunk.test")
    credentials.sign(request)
    value = request.headers.get("Authorization") or ""
    assert value == (
        f'Digest username="al\\"ice", realm="r", nonce="n", uri="sip:1@trunk.test", response="{expected}", '
        f'algorithm={algorithm}, opaque="o\\"p"'
    )


def test_counts_go_up_and_begin_anew_with_a_new_nonce() -> None:
    credentials = Credentials("u", "p")
    tries = Tries()
    assert credentials.learn(challenged('Digest realm="r", nonce="1", qop="auth"'), tries)
    request = Request("BYE", "sip:x")
    counts = []
    for _ in range(3):
        credentials.sign(request)
        counts.append((request.headers.get("Authorization") or "").partition("nc=")[2])
    assert counts == ["00000001", "00000002", "00000003"]
    assert credentials.learn(challenged('Digest realm="r", nonce="2", qop="auth", stale=true'), tries)
    credentials.sign(request)
    assert "nc=00000001" in (request.headers.get("Authorization") or "")


@pytest.mark.parametrize(
    ("user", "values", "answers"),
    [
        ("", ['Digest realm="r", nonce="n"'], False),
        ("u", [], False),
        ("u", ['Digest realm="r"'], False),
        ("u", ['Digest realm="r", nonce="n", algorithm=MD5-sess'], False),
        ("u", ['Digest realm="r", nonce="n", qop="auth-int"'], False),
        ("u", ['Basic realm="r"', 'Digest realm="r", nonce="n", algorithm=md5'], True),
        ("u", ['Digest realm="r", nonce="n", qop=auth'], True),
        ("u", [f'Digest realm="r{number}", nonce="n"' for number in range(20)], False),
    ],
)
def test_which_challenges_can_be_answered(user: str, values: list[str], answers: bool) -> None:
    assert Credentials(user, "p").learn(challenged(*values), Tries()) is answers


def test_a_password_shows_nowhere() -> None:
    credentials = Credentials("u", "secret-word")
    credentials.learn(challenged('Digest realm="r", nonce="n"'), Tries())
    request = Request("BYE", "sip:x")
    credentials.sign(request)
    assert "secret-word" not in repr(credentials) + repr(list(request.headers)) + str(vars(credentials).keys())


# --- where a request came from -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        ("SIP/2.0/UDP 192.0.2.1:5060;branch=b", ["SIP/2.0/UDP 192.0.2.1:5060;branch=b"]),
        ("SIP/2.0/UDP 192.0.2.1;rport;branch=b", ["SIP/2.0/UDP 192.0.2.1;rport=4000;branch=b;received=192.0.2.1"]),
        (
            "SIP/2.0/UDP h;branch=b, SIP/2.0/UDP i;rport",
            ["SIP/2.0/UDP h;branch=b;received=192.0.2.1", "SIP/2.0/UDP i;rport"],
        ),
        ("SIP/2.0/UDP h;received=9.9.9.9;rport=1", ["SIP/2.0/UDP h;received=9.9.9.9;rport=1"]),
    ],
)
def test_where_a_request_came_from(via: str, expected: list[str]) -> None:
    head = "From: <sip:a>\r\nTo: <sip:b>\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n"
    request = parse(f"BYE sip:x SIP/2.0\r\nVia: {via}\r\n{head}".encode())
    assert isinstance(request, Request)
    received_from(request, Target(Transport.UDP, "192.0.2.1", 4000, "192.0.2.1"))
    assert request.headers.all("Via") == expected


def test_the_usual_times_are_those_of_the_rfc() -> None:
    usual = Timers()
    assert (usual.t1, usual.t2, usual.t4, usual.transaction, usual.host, usual.late) == (0.5, 4.0, 5.0, 32.0, 4.0, 180)
