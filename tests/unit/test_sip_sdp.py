"""Offers and answers of sound: what is written, what is read of others' dialects, and that nothing else gets out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.voice.sip.sdp import (
    LARGEST,
    LocalMedia,
    MediaAnswer,
    SdpError,
    answer_offer,
    make_answer,
    make_offer,
    parse_answer,
    parse_offer,
)

OURS = LocalMedia("192.0.2.1", 16_384, ("PCMA", "PCMU"), 101, 4711)
OURS_6 = LocalMedia("2001:db8::1", 16_384, ("PCMU",), 96, 4711)


def body(*lines: str, address: str = "192.0.2.9") -> bytes:
    head = ["v=0", f"o=- 1 1 IN IP4 {address}", "s=x", f"c=IN IP4 {address}", "t=0 0"]
    return "\r\n".join([*head, *lines, ""]).encode()


def agreed(**changed: object) -> MediaAnswer:
    usual: dict[str, object] = {
        "address": "192.0.2.9",
        "port": 4000,
        "law": "PCMA",
        "payload": 8,
        "dtmf_payloads": frozenset({101}),
        "ptime_ms": 20,
        "rtcp": ("192.0.2.9", 4001),
        "held": False,
    }
    return MediaAnswer(**{**usual, **changed})  # type: ignore[arg-type]  # a table of any of the fields


def test_an_offer_is_written_as_the_standards_say():
    assert make_offer(OURS).decode().split("\r\n") == [
        "v=0",
        "o=- 4711 0 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "m=audio 16384 RTP/AVP 8 0 101",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
        "a=ptime:20",
        "a=sendrecv",
        "",
    ]


def test_an_offer_over_ipv6_and_of_a_later_version():
    lines = make_offer(OURS_6, 3).decode().split("\r\n")
    assert lines[1] == "o=- 4711 3 IN IP6 2001:db8::1"
    assert lines[3] == "c=IN IP6 2001:db8::1"
    assert lines[5] == "m=audio 16384 RTP/AVP 0 96"


AUDIO = "m=audio 4000 RTP/AVP 8 101"
EVENTS = "a=rtpmap:101 telephone-event/8000"

ANSWERS: list[tuple[str, bytes, MediaAnswer]] = [
    ("plain", body(AUDIO, "a=rtpmap:8 PCMA/8000", EVENTS), agreed()),
    ("static payload without rtpmap", body("m=audio 4000 RTP/AVP 0"), agreed(law="PCMU", payload=0)),
    ("both laws: the first", body("m=audio 4000 RTP/AVP 0 8"), agreed(law="PCMU", payload=0)),
    ("a law after others", body("m=audio 4000 RTP/AVP 18 9 8 0"), agreed()),
    ("names without case", body("m=audio 4000 RTP/AVP 8", "a=rtpmap:8 pcma/8000/1"), agreed()),
    ("a law under a number of its own", body("m=audio 4000 RTP/AVP 97", "a=rtpmap:97 PCMU/8000"), agreed(
        law="PCMU", payload=97)),
    ("a static number that means something else", body("m=audio 4000 RTP/AVP 8 0", "a=rtpmap:8 G729/8000"), agreed(
        law="PCMU", payload=0)),
    ("keys under another number", body("m=audio 4000 RTP/AVP 8 96", "a=rtpmap:96 Telephone-Event/8000"), agreed(
        dtmf_payloads=frozenset({96, 101}))),
    ("keys at another rate are no keys", body("m=audio 4000 RTP/AVP 8 96", "a=rtpmap:96 telephone-event/48000"),
        agreed()),
    ("our number for keys taken by the law", body("m=audio 4000 RTP/AVP 101", "a=rtpmap:101 PCMA/8000"), agreed(
        payload=101, dtmf_payloads=frozenset())),
    ("address of the line before that of the session", body(AUDIO, "c=IN IP4 192.0.2.10"), agreed(
        address="192.0.2.10", rtcp=("192.0.2.10", 4001))),
    ("address with a TTL", body(AUDIO, "c=IN IP4 192.0.2.10/127"), agreed(
        address="192.0.2.10", rtcp=("192.0.2.10", 4001))),
    ("several lines, some refused", body(
        "m=audio 0 RTP/AVP 8", "m=video 5000 RTP/AVP 31", "m=audio 6000 RTP/SAVP 8", AUDIO), agreed()),
    ("attributes of another line", body(AUDIO, "m=video 0 RTP/AVP 31", "a=inactive", "a=ptime:60"), agreed()),
    ("RTCP elsewhere", body(AUDIO, "a=rtcp:5005"), agreed(rtcp=("192.0.2.9", 5005))),
    ("RTCP at another host", body(AUDIO, "a=rtcp:5005 IN IP4 192.0.2.11"), agreed(rtcp=("192.0.2.11", 5005))),
    ("RTCP of nonsense", body(AUDIO, "a=rtcp:70000"), agreed()),
    ("the last port", body("m=audio 65535 RTP/AVP 8"), agreed(port=65_535, rtcp=("192.0.2.9", 65_535))),
    ("ptime", body(AUDIO, "a=ptime:30"), agreed(ptime_ms=30)),
    ("ptime with a fraction", body(AUDIO, "a=ptime:20.0"), agreed()),
    ("ptime of nonsense", body(AUDIO, "a=ptime:7"), agreed()),
    ("held by direction", body(AUDIO, "a=sendonly"), agreed(held=True)),
    ("held for both", body(AUDIO, "a=inactive"), agreed(held=True)),
    ("held in the session's part", body("a=inactive", AUDIO), agreed(held=True)),
    ("the line's direction before the session's", body("a=inactive", AUDIO, "a=sendrecv"), agreed()),
    ("one that only listens is not held", body(AUDIO, "a=recvonly"), agreed()),
    ("held as of old", body(AUDIO, "c=IN IP4 0.0.0.0"), agreed(
        address="0.0.0.0", rtcp=("0.0.0.0", 4001), held=True)),
    ("lines ended by LF alone, and by NUL", body(AUDIO).replace(b"\r\n", b"\n") + b"\n\0", agreed()),
    ("letters that nobody knows", body("k=clear:x", "x=y", AUDIO), agreed()),
    ("text that is not UTF-8", body(AUDIO).replace(b"s=x", b"s=\xff\xfe"), agreed()),
]  # fmt: skip


@pytest.mark.parametrize(("given_body", "wanted"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_answers_of_all_kinds(given_body, wanted):
    assert parse_answer(given_body, OURS) == wanted


def test_an_answer_over_ipv6():
    answer = body("m=audio 4000 RTP/AVP 0").replace(b"IP4 192.0.2.9", b"IP6 2001:DB8::9")
    found = parse_answer(answer, OURS_6)
    assert (found.address, found.rtcp) == ("2001:db8::9", ("2001:db8::9", 4001))


REFUSED: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "begin with v=0"),
    ("no version", b"s=x\r\n", "begin with v=0"),
    ("another version", b"v=1\r\n", "begin with v=0"),
    ("only a version", b"v=0\r\n", "audio line"),
    ("the audio refused", body("m=audio 0 RTP/AVP 8"), "audio line"),
    ("encrypted sound", body("m=audio 4000 RTP/SAVP 8"), "audio line"),
    ("no law of ours", body("m=audio 4000 RTP/AVP 18 101", EVENTS), "audio line"),
    ("a law at another rate", body("m=audio 4000 RTP/AVP 97", "a=rtpmap:97 PCMA/16000"), "audio line"),
    ("no address", body(AUDIO).replace(b"c=IN IP4 192.0.2.9\r\n", b""), "c= must say where"),
    ("a name for an address", body(AUDIO, "c=IN IP4 media.test"), "IP address"),
    ("many hosts", body(AUDIO, "c=IN IP4 224.2.1.1/127"), "one host"),
    ("the other IP version", body(AUDIO, "c=IN IP6 2001:db8::9"), "IP version"),
    ("a port that cannot be", body("m=audio 65536 RTP/AVP 8"), "port"),
    ("an m= line without formats", body("m=audio 4000 RTP/AVP"), "formats"),
    ("a line without =", body(AUDIO, "nonsense"), "every line"),
    ("a line too long", body(AUDIO, "a=" + "x" * 1_000), "every line"),
    ("too many lines", body(*["a=x"] * 400, AUDIO), "400 lines"),
    ("too many media", body(*["m=video 0 RTP/AVP 31"] * 17), "16 m= lines"),
    ("too large", body(AUDIO) + b"\r\n" * LARGEST, "octets"),
]


@pytest.mark.parametrize(("given_body", "rule"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_no_sound_can_be_agreed_on_with_is_refused_by_its_rule(given_body, rule):
    with pytest.raises(SdpError, match=rule):
        parse_answer(given_body, OURS)


def test_a_law_that_we_did_not_offer_is_not_agreed_on():
    with pytest.raises(SdpError, match="common"):
        parse_answer(body(AUDIO), LocalMedia("192.0.2.1", 16_384, ("PCMU",), 101, 1))


def test_a_phone_answers_an_offer_and_both_ends_agree():
    phone = LocalMedia("192.0.2.9", 4000, ("PCMU", "PCMA"), 101, 7)
    offer = parse_offer(make_offer(OURS))
    assert (offer.address, offer.port, offer.laws, offer.dtmf_payload) == (
        "192.0.2.1",
        16_384,
        (("PCMA", 8), ("PCMU", 0)),
        101,
    )
    answer, phones = make_answer(offer, phone)
    ours = parse_answer(answer, OURS)
    assert (ours.law, phones.law) == ("PCMA", "PCMA")
    assert (ours.address, ours.port) == (phone.address, phone.port)
    assert (phones.address, phones.port) == (OURS.address, OURS.port)


def test_a_re_offer_is_answered_with_our_same_place_a_later_version_and_their_numbers():
    offer = body("m=audio 6000 RTP/AVP 0 8 98", "a=rtpmap:98 telephone-event/8000", "m=video 7000 RTP/AVP 31 34")
    answer, found = answer_offer(offer, OURS, 1)
    assert answer.decode().split("\r\n") == [
        "v=0",
        "o=- 4711 1 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "m=audio 16384 RTP/AVP 0 98",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:98 telephone-event/8000",
        "a=fmtp:98 0-16",
        "a=ptime:20",
        "a=sendrecv",
        "m=video 0 RTP/AVP 31 34",
        "",
    ]
    assert found == agreed(
        port=6000, law="PCMU", payload=0, rtcp=("192.0.2.9", 6001), dtmf_payloads=frozenset({98, 101})
    )


@pytest.mark.parametrize(("keep", "wanted"), [("PCMA", "PCMA"), ("PCMU", "PCMU"), (None, "PCMU")])
def test_a_re_offer_of_both_laws_keeps_the_one_in_use(keep, wanted):
    assert answer_offer(body("m=audio 6000 RTP/AVP 0 8"), OURS, 1, keep)[1].law == wanted


def test_a_re_offer_without_the_law_in_use_changes_it():
    assert answer_offer(body("m=audio 6000 RTP/AVP 0"), OURS, 1, "PCMA")[1].law == "PCMU"


@pytest.mark.parametrize(
    ("lines", "direction", "held"),
    [
        ([], "sendrecv", False),
        (["a=sendonly"], "recvonly", True),
        (["a=recvonly"], "sendonly", False),
        (["a=inactive"], "inactive", True),
        (["c=IN IP4 0.0.0.0"], "sendrecv", True),
        (["c=IN IP6 ::"], "sendrecv", True),
    ],
)
def test_hold_is_answered_in_kind(lines, direction, held):
    answer, found = answer_offer(body(AUDIO, *lines), OURS, 1)
    assert f"a={direction}\r\n" in answer.decode()
    assert found.held is held


def test_an_offer_without_keys_is_answered_without_them():
    answer, found = answer_offer(body("m=audio 6000 RTP/AVP 8"), OURS, 1)
    assert b"telephone-event" not in answer
    assert found.dtmf_payloads == {101}


# --- hostile ones ------------------------------------------------------------------------------------------------

_words = st.sampled_from(
    [
        "v=",
        "o=",
        "s=",
        "c=",
        "t=",
        "m=",
        "a=",
        "audio",
        "video",
        "RTP/AVP",
        "RTP/SAVP",
        "0",
        "8",
        "101",
        "4000",
        "65536",
        "IN",
        "IP4",
        "IP6",
        "192.0.2.9",
        "::1",
        "0.0.0.0",
        "rtpmap:",
        "fmtp:",
        "rtcp:",
        "ptime:",
        "PCMA/8000",
        "telephone-event/8000",
        "sendonly",
        "inactive",
        "v=0",
        "\r\n",
        "\n",
        "\r",
        "\x00",
        "²",
        "٣",
        "/",
        ":",
        "é",
    ]
)
_lines = st.sampled_from(["v=0", "c=IN IP4 192.0.2.9", AUDIO, EVENTS, "a=sendonly", "m=video 0 RTP/AVP 31", "t=0 0"])
_texts = st.lists(_words | _lines.map(lambda line: line + "\r\n"), max_size=40).map(" ".join)
_bodies = st.binary(max_size=300) | _texts.map(str.encode) | _texts.map(lambda text: b"v=0\r\n" + text.encode())


@given(_bodies)
def test_of_whatever_comes_only_sdp_errors_leave(hostile):
    for read in (lambda: parse_answer(hostile, OURS), lambda: answer_offer(hostile, OURS, 1)):
        try:
            found = read()
        except SdpError:
            continue
        assert isinstance(found, MediaAnswer | tuple)


@given(st.integers(0, 3_000), st.binary(min_size=1, max_size=8))
def test_a_damaged_answer_is_read_or_refused(at, damage):
    whole = body(AUDIO, EVENTS, "a=ptime:20", "a=rtcp:5005 IN IP4 192.0.2.11", "m=video 0 RTP/AVP 31")
    cut = at % len(whole)
    hostile = whole[:cut] + damage + whole[cut + len(damage) :]
    try:
        answer, found = answer_offer(hostile, OURS, 1)
    except SdpError:
        return
    assert 0 < found.port <= 65_535
    assert all(32 <= octet < 127 for octet in answer.replace(b"\r\n", b""))
