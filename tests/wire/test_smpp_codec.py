"""The codec against smpplib, byte for byte, and against anything that a peer may send."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smpp_judge import PHONE, make, parse, settings
from smpplib import consts, gsm

from campana.channels.sms import bodies, pdu
from campana.channels.sms.bodies import Address, Bind, Query, QueryAnswer, ShortMessage
from campana.channels.sms.composing import Composers
from campana.domain.delivery import Medium
from campana.domain.message import Content

GREETING = "Your table is booked for 19:30."
LONG = "Please bring your documents, and a pen. " * 9
CYRILLIC = "Привет, ждём вас завтра"
SEQUENCE = 0x01020304


def packed(source: str, text: str, **more) -> list[bytes]:
    """The submit_sm PDUs that a route would write."""
    composers = Composers(settings(2775, **more), itertools.count(0xAB))
    parcel = composers.composer(Content(Medium.SMS, source, text))(7, 1, PHONE, None)
    return [head + SEQUENCE.to_bytes(4, "big") + rest for head, rest in parcel.payload]


def expected(**fields) -> bytes:
    """The same from smpplib."""
    usual = {
        "source_addr_ton": consts.SMPP_TON_INTL,
        "source_addr_npi": consts.SMPP_NPI_ISDN,
        "source_addr": "14165550000",
        "dest_addr_ton": consts.SMPP_TON_INTL,
        "dest_addr_npi": consts.SMPP_NPI_ISDN,
        "destination_addr": "14165550123",
        "registered_delivery": 1,
    }
    return make("submit_sm", SEQUENCE, **(usual | fields))


NAME = {"source_addr_ton": 5, "source_addr_npi": 0, "source_addr": "Campana"}
CODE = {"source_addr_ton": 3, "source_addr_npi": 0, "source_addr": "12345"}

ONE_PART = [
    ("GSM", "+14165550000", GREETING, {}, {"short_message": GREETING.encode()}),
    ("GSM extension", "+14165550000", "{€}", {}, {"short_message": b"\x1b\x28\x1b\x65\x1b\x29"}),
    ("160 septets", "+14165550000", "x" * 160, {}, {"short_message": b"x" * 160}),
    ("UCS-2", "+14165550000", CYRILLIC, {}, {"short_message": CYRILLIC.encode("utf-16-be"), "data_coding": 8}),
    ("a name", "Campana", GREETING, {}, {"short_message": GREETING.encode(), **NAME}),
    ("a short code", "12345", GREETING, {}, {"short_message": GREETING.encode(), **CODE}),
    (
        "TON and NPI by settings",
        "12345",
        GREETING,
        {"source_ton": 0, "source_npi": 8, "dest_ton": 2, "dest_npi": 6},
        {"short_message": GREETING.encode(), **CODE, "source_addr_ton": 0, "source_addr_npi": 8}
        | {"dest_addr_ton": 2, "dest_addr_npi": 6},
    ),
    (
        "without receipts",
        "+14165550000",
        GREETING,
        {"receipts": False},
        {"short_message": GREETING.encode(), "registered_delivery": 0},
    ),
    (
        "service type, validity, data_coding",
        "+14165550000",
        GREETING,
        {"service_type": "CMT", "validity": 90_061, "gsm_data_coding": 241},
        {"short_message": GREETING.encode(), "service_type": "CMT", "data_coding": 241}
        | {"validity_period": "000001010101000R"},
    ),
    (
        "a long text in message_payload",
        "+14165550000",
        LONG,
        {"long_text": "payload"},
        {"message_payload": LONG.encode()},
    ),
    (
        "a long UCS-2 text in message_payload",
        "+14165550000",
        CYRILLIC * 8,
        {"long_text": "payload"},
        {"message_payload": (CYRILLIC * 8).encode("utf-16-be"), "data_coding": 8},
    ),
]


@pytest.mark.parametrize(
    ("source", "text", "more", "fields"), [row[1:] for row in ONE_PART], ids=[r[0] for r in ONE_PART]
)
def test_one_submit_sm_equals_smpplibs(source, text, more, fields):
    assert packed(source, text, **more) == [expected(**fields)]


@pytest.mark.parametrize(("text", "data_coding"), [(LONG, 0), ("Привет " * 30, 8)], ids=["GSM", "UCS-2"])
def test_parts_with_an_8_bit_reference_equal_smpplibs(text, data_coding):
    parts, encoding, esm_class = gsm.make_parts(text)
    assert encoding == data_coding
    # smpplib draws its reference by lot; ours takes its place.
    wanted = [
        expected(short_message=part[:3] + b"\xab" + part[4:], esm_class=esm_class, data_coding=encoding)
        for part in parts
    ]
    assert packed("+14165550000", text) == wanted


def test_parts_with_a_16_bit_reference():
    text = "x" * 305
    wanted = [
        expected(short_message=b"\x06\x08\x04\x00\xab\x03" + bytes((number,)) + octets, esm_class=0x40)
        for number, octets in enumerate((b"x" * 152, b"x" * 152, b"x"), start=1)
    ]
    assert packed("+14165550000", text, long_text="udh16") == wanted


BODIES = [
    (
        "bind",
        pdu.BIND_TRANSCEIVER,
        bodies.pack_bind(Bind(b"id", b"secret", b"VMA")),
        make("bind_transceiver", 1, system_id="id", password="secret", system_type="VMA"),
    ),
    (
        "query_sm",
        pdu.QUERY_SM,
        bodies.pack_query(Query(b"0042", Address(1, 1, b"14165550000"))),
        make("query_sm", 1, message_id="0042", source_addr_ton=1, source_addr_npi=1, source_addr="14165550000"),
    ),
    (
        "query_sm_resp",
        pdu.QUERY_SM | pdu.RESPONSE,
        bodies.pack_query_answer(QueryAnswer(b"0042", b"261123120000000+", 2, 7)),
        make("query_sm_resp", 1, message_id="0042", final_date="261123120000000+", message_state=2, error_code=7),
    ),
    ("enquire_link", pdu.ENQUIRE_LINK, b"", make("enquire_link", 1)),
    ("unbind", pdu.UNBIND, b"", make("unbind", 1)),
    ("deliver_sm_resp", pdu.DELIVER_SM_RESP, b"\0", make("deliver_sm_resp", 1, message_id="")),
    ("generic_nack", pdu.GENERIC_NACK, b"", make("generic_nack", 1)),
]


@pytest.mark.parametrize(("command", "body", "wanted"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
def test_other_pdus_equal_smpplibs(command, body, wanted):
    assert pdu.pack(command, 0, 1, body) == wanted


def test_a_deliver_sm_of_smpplib_is_understood():
    raw = make(
        "deliver_sm",
        9,
        source_addr_ton=1,
        source_addr="14165550123",
        destination_addr="12345",
        esm_class=4,
        data_coding=3,
        short_message=b"caf\xe9",
        receipted_message_id="0042",
        message_state=2,
        network_error_code=b"\x03\x00\x1b",
    )
    message = bodies.parse_short_message(raw[16:])
    assert (message.source, message.destination) == (Address(1, 0, b"14165550123"), Address(0, 0, b"12345"))
    assert (message.esm_class, message.data_coding, message.octets) == (4, 3, b"caf\xe9")
    assert message.tlvs == {0x001E: b"0042\0", 0x0427: b"\x02", 0x0423: b"\x03\x00\x1b"}


def test_a_data_sm_of_smpplib_is_understood():
    raw = make("data_sm", 9, source_addr="1", destination_addr="2", data_coding=8, message_payload=b"\x04\x10")
    message = bodies.parse_data(raw[16:])
    assert (message.source.text, message.destination.text) == (b"1", b"2")
    assert (message.data_coding, message.octets) == (8, b"\x04\x10")


# --- any value there and back ------------------------------------------------------------------------------------

octet = st.integers(0, 255)


def c_string(longest: int):
    return st.binary(max_size=longest).map(lambda value: value.replace(b"\0", b"0"))


addresses = st.builds(Address, octet, octet, c_string(20))
short_messages = st.builds(
    ShortMessage,
    source=addresses,
    destination=addresses,
    short_message=st.binary(max_size=254),
    esm_class=octet,
    data_coding=octet,
    registered_delivery=octet,
    service_type=c_string(5),
    protocol_id=octet,
    priority=octet,
    schedule=c_string(16),
    validity=c_string(16),
    replace_if_present=octet,
    default_message=octet,
    tlvs=st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=300), max_size=5),
)


@given(short_messages)
def test_a_short_message_comes_back_as_it_was(message):
    assert bodies.parse_short_message(bodies.pack_short_message(message)) == message


@given(st.builds(Bind, c_string(15), c_string(64), c_string(12), octet, addresses))
def test_a_bind_comes_back_as_it_was(bind):
    assert bodies.parse_bind(bodies.pack_bind(bind)) == bind


@given(st.builds(Query, c_string(64), addresses))
def test_a_query_comes_back_as_it_was(query):
    assert bodies.parse_query(bodies.pack_query(query)) == query


@given(st.builds(QueryAnswer, c_string(64), c_string(16), octet, octet))
def test_a_query_answer_comes_back_as_it_was(answer):
    assert bodies.parse_query_answer(bodies.pack_query_answer(answer)) == answer


@given(short_messages)
def test_smpplib_reads_the_same_in_a_submit_sm(message):
    message.tlvs = {}
    seen = parse(pdu.pack(pdu.SUBMIT_SM, 0, 1, bodies.pack_short_message(message)))
    assert (seen.source_addr_ton, seen.source_addr_npi, seen.source_addr) == message.source
    assert (seen.dest_addr_ton, seen.dest_addr_npi, seen.destination_addr) == message.destination
    assert (seen.esm_class, seen.data_coding, seen.registered_delivery) == (
        message.esm_class,
        message.data_coding,
        message.registered_delivery,
    )
    assert seen.sm_length == len(message.short_message)
    assert (seen.short_message or b"") == message.short_message


# --- anything that a peer may send -------------------------------------------------------------------------------

PARSERS = [
    bodies.parse_short_message,
    bodies.parse_data,
    bodies.parse_bind,
    bodies.parse_bind_answer,
    bodies.parse_query,
    bodies.parse_query_answer,
    bodies.read_message_id,
    lambda body: bodies.parse_tlvs(body, 0),
]


@given(st.sampled_from(PARSERS), st.binary(max_size=600))
def test_random_bytes_raise_nothing_but_the_declared_error(parser, body):
    status = 1
    try:
        parser(body)
    except pdu.PduError as error:
        status = error.status
    assert 0 < status <= 0xFF


@given(short_messages, st.data())
def test_a_cut_off_message_raises_the_declared_error_or_lost_whole_optional_parameters(message, data):
    body = bodies.pack_short_message(message)
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    try:
        kept = bodies.parse_short_message(cut)
    except pdu.PduError:
        return
    assert kept.short_message == message.short_message
    assert kept.tlvs.items() < message.tlvs.items()


MANDATORY = b"\0" + b"\1\1123\0" + b"\1\1456\0" + bytes(3) + b"\0\0" + bytes(4)
MALFORMED = [
    ("empty", b"", 0x15),
    ("service_type without NUL", b"CMTXYZ\0", 0x15),
    ("source address without NUL", b"\0\1\1" + b"1" * 21, 0x0A),
    ("destination address without NUL", b"\0\1\1123\0\1\1" + b"4" * 30, 0x0B),
    ("cut off after the addresses", b"\0\1\1123\0\1\1456\0\0", 0x02),
    ("sm_length beyond the end", MANDATORY + b"\x05abc", 0x01),
    ("sm_length 255", MANDATORY + b"\xff" + b"a" * 255, 0x01),
    ("half an optional parameter's header", MANDATORY + b"\x00\x04\x24", 0xC0),
    ("optional parameter beyond the end", MANDATORY + b"\x00\x04\x24\x00\x05ab", 0xC0),
]


@pytest.mark.parametrize(("body", "status"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_a_malformed_message_names_its_status(body, status):
    with pytest.raises(pdu.PduError) as caught:
        bodies.parse_short_message(body)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("body", "wanted"),
    [(b"0042\0", "0042"), (b"0042", "0042"), (b"", ""), (b"\0", ""), (b"a\0junk", "a"), (b"9" * 400, "9" * 255)],
)
def test_a_message_id_is_read_whatever_its_flaws(body, wanted):
    assert bodies.read_message_id(body) == wanted


# --- the stream --------------------------------------------------------------------------------------------------

frames = st.tuples(
    st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.binary(max_size=80)
)


@given(st.lists(frames, max_size=12), st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_pdus_are_found_whatever_pieces_they_come_in(sent, sizes):
    stream = b"".join(pdu.pack(*frame[:3], frame[3]) for frame in sent)
    framer, found, position = pdu.Framer(), [], 0
    for size in itertools.cycle(sizes):
        if position >= len(stream):
            break
        found += framer.feed(stream[position : position + size])
        position += size
    assert found == sent
    assert not framer.broken


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_a_random_stream_never_raises_and_stays_broken(pieces):
    framer = pdu.Framer()
    for piece in pieces:
        was_broken = framer.broken
        found = framer.feed(piece)
        assert not (was_broken and found)
        assert framer.broken >= was_broken


@pytest.mark.parametrize("length", [0, 4, 15, pdu.LARGEST_PDU + 1, 0xFFFFFFFF])
def test_a_length_that_cannot_be_breaks_the_stream_after_what_came_before(length):
    whole = pdu.pack(pdu.ENQUIRE_LINK, 0, 1)
    framer = pdu.Framer()
    assert framer.feed(whole + length.to_bytes(4, "big") + bytes(8) + b"\0\0\0\x2a") == [(pdu.ENQUIRE_LINK, 0, 1, b"")]
    assert framer.broken
    assert framer.broken_sequence == 42
    assert framer.feed(whole) == []


@pytest.mark.parametrize("length", [3, pdu.LARGEST_PDU + 1])
def test_a_broken_length_is_seen_before_the_rest_of_its_header(length):
    framer = pdu.Framer()
    assert framer.feed(length.to_bytes(4, "big")) == []
    assert framer.broken


def test_the_largest_pdu_passes():
    body = bytes(pdu.LARGEST_PDU - pdu.HEADER_SIZE)
    assert pdu.Framer().feed(pdu.pack(pdu.DELIVER_SM, 0, 1, body)) == [(pdu.DELIVER_SM, 0, 1, body)]
