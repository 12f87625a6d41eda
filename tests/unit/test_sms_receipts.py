"""Receipts as carriers really write them, and the spellings of ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.sms.bodies import Address, QueryAnswer, ShortMessage
from campana.channels.sms.receipts import candidates, is_receipt, read_query_answer, read_receipt
from campana.domain.outcome import DeliveryCode, ReceiptState

PERSON, CODE = Address(1, 1, b"14165550123"), Address(3, 0, b"12345")
DELIVERED, FAILED, INTERIM = ReceiptState.DELIVERED, ReceiptState.FAILED, ReceiptState.INTERIM
C = DeliveryCode


def message(text=b"", **more):
    return ShortMessage(PERSON, CODE, text, **({"esm_class": 4} | more))


def read(text=b"", spelling="text", **more):
    return read_receipt(message(text, **more), "sms", 1_000, spelling)


REST = "sub:001 dlvrd:001 submit date:2611231200 done date:2611231201"
TEXTS = [
    ("as appendix B has it", f"id:0123456789 {REST} stat:DELIVRD err:000 text:Hi", "0123456789", DELIVERED, C.OK),
    ("upper case labels", f"ID:42 {REST} STAT:UNDELIV ERR:001 TEXT:", "42", FAILED, C.SMS_UNDELIVERABLE),
    ("lower case state", "id:42 stat:expired err:0", "42", FAILED, C.SMS_EXPIRED),
    ("spaces after the colons", "id: 42 stat: REJECTD err: 5", "42", FAILED, C.SMS_REJECTED),
    ("another order", "stat:DELETED err:000 id:42 sub:001", "42", FAILED, C.SMS_DELETED),
    (
        "fields run together",
        "id:42 submitdate:180122 donedate:000000 stat:UNKNOWN err:375",
        "42",
        FAILED,
        C.SMS_UNKNOWN_FATE,
    ),
    (
        "id of a UUID",
        "id:7f9c2ba4-e88f-4d2b-8f6a-1f2e3d4c5b6a stat:DELIVRD",
        "7f9c2ba4-e88f-4d2b-8f6a-1f2e3d4c5b6a",
        DELIVERED,
        C.OK,
    ),
    ("id in hexadecimal", "id:00A1b2C3 stat:DELIVRD", "00A1b2C3", DELIVERED, C.OK),
    ("leading zeros", "id:0000000042 stat:DELIVRD", "0000000042", DELIVERED, C.OK),
    ("long word", "id:42 stat:DELIVERED", "42", DELIVERED, C.OK),
    ("undelivered", "id:42 stat:UNDELIVERED", "42", FAILED, C.SMS_UNDELIVERABLE),
    ("on its way", "id:42 stat:ENROUTE", "42", INTERIM, C.OK),
    ("accepted", "id:42 stat:ACCEPTD", "42", INTERIM, C.OK),
    ("state nobody knows", "id:42 stat:BUFFERED", "42", INTERIM, C.OK),
    ("no state", "id:42", "42", INTERIM, C.OK),
    (
        "labels in the quoted text",
        "id:42 stat:UNDELIV err:001 text:id:99 stat:DELIVRD",
        "42",
        FAILED,
        C.SMS_UNDELIVERABLE,
    ),
    ("quoted text first", "text:Hello id:42 stat:DELIVRD", "42", DELIVERED, C.OK),
    ("labels that only end alike", "msgid:99 id:42 laststat:EXPIRED stat:DELIVRD", "42", DELIVERED, C.OK),
    ("line ends", "id:42\r\nstat:DELIVRD\r\nerr:000\r\n", "42", DELIVERED, C.OK),
]


@pytest.mark.parametrize(("text", "id", "state", "code"), [row[1:] for row in TEXTS], ids=[row[0] for row in TEXTS])
def test_the_text_form(text, id, state, code):
    receipt = read(text.encode("latin-1"))
    assert (receipt.carrier_ids, receipt.state, receipt.code) == ((id,), state, code)
    assert (receipt.route, receipt.at, receipt.bounce, receipt.delivery_id) == ("sms", 1_000, False, None)


def test_a_text_in_ucs_2_is_read_too():
    assert read("id:42 stat:DELIVRD".encode("utf-16-be"), data_coding=8).carrier_ids == ("42",)


def test_a_header_before_the_text_is_left_out():
    assert read(b"\x05\x00\x03\x01\x01\x01id:42 stat:DELIVRD", esm_class=0x44).state is DELIVERED


@pytest.mark.parametrize("text", [b"", b"Your message was delivered", b"id: stat:DELIVRD", b"id:", b"\xff" * 200])
def test_a_receipt_that_names_no_message_is_none(text):
    assert read(text) is None


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (b"id:1 stat:UNDELIV err:027", "UNDELIV", "err:027"),
        (b"id:1 stat:DELIVRD err:000", "DELIVRD", None),
        (b"id:1 stat:FOO err:E-7", "FOO", "err:E-7"),
        (b"id:1", None, None),
    ],
)
def test_the_carriers_own_words_are_kept(text, code, words):
    receipt = read(text)
    assert (receipt.carrier_code, receipt.carrier_text) == (code, words)


def test_the_message_itself_is_not_kept():
    receipt = read(b"id:1 stat:UNDELIV err:027 text:Dear Ann")
    assert "Ann" not in repr(receipt)


TLVS = [
    ("delivered", {0x1E: b"0042\0", 0x427: b"\x02"}, ("0042",), DELIVERED, C.OK, None),
    ("without its NUL", {0x1E: b"0042", 0x427: b"\x02"}, ("0042",), DELIVERED, C.OK, None),
    (
        "with the network's error",
        {0x1E: b"1\0", 0x427: b"\x05", 0x423: b"\x03\x00\x1b"},
        ("1",),
        FAILED,
        C.SMS_UNDELIVERABLE,
        "GSM error 27",
    ),
    (
        "a network nobody knows",
        {0x1E: b"1\0", 0x427: b"\x08", 0x423: b"\x09\x01\x00"},
        ("1",),
        FAILED,
        C.SMS_REJECTED,
        "network 9 error 256",
    ),
    ("a state nobody knows", {0x1E: b"1\0", 0x427: b"\x63"}, ("1",), INTERIM, C.OK, None),
    ("empty parameters", {0x1E: b"1\0", 0x427: b"", 0x423: b""}, ("1",), INTERIM, C.OK, None),
]


@pytest.mark.parametrize(("tlvs", "ids", "state", "code", "words"), [r[1:] for r in TLVS], ids=[r[0] for r in TLVS])
def test_the_form_by_optional_parameters(tlvs, ids, state, code, words):
    receipt = read(tlvs=tlvs)
    assert (receipt.carrier_ids, receipt.state, receipt.code, receipt.carrier_text) == (ids, state, code, words)


def test_of_both_forms_the_parameters_say_the_state_and_both_ids_count():
    receipt = read(b"id:0042 stat:DELIVRD err:000", tlvs={0x1E: b"2a\0", 0x427: b"\x05"})
    assert (receipt.carrier_ids, receipt.code) == (("2a", "0042"), C.SMS_UNDELIVERABLE)


def test_the_texts_state_counts_where_the_parameters_say_none():
    assert read(b"id:0042 stat:EXPIRED", tlvs={0x1E: b"0042\0"}).code is C.SMS_EXPIRED


def test_an_intermediate_notification_moves_nothing():
    assert read(b"id:42 stat:DELIVRD", esm_class=0x20).state is INTERIM


SPELLINGS = [
    (("0042",), "text", ("0042",)),
    (("2A",), "hex", ("2A", "42", "0000000042")),
    (("0000002a",), "hex", ("0000002a", "42", "0000000042")),
    (("not a number",), "hex", ("not a number",)),
    (("169552957",), "dec", ("169552957", "a1b2c3d", "A1B2C3D", "0a1b2c3d", "0A1B2C3D")),
    (("12345678901234567890",), "dec", ("12345678901234567890", "ab54a98ceb1f0ad2", "AB54A98CEB1F0AD2")),
    (("2a",), "dec", ("2a",)),
    (("٤٢",), "dec", ("٤٢",)),
    (("9" * 200,), "dec", ("9" * 200,)),
    (("2a", "2A"), "hex", ("2a", "2A", "42", "0000000042")),
    (("7",), "dec", ("7", "00000007")),
]


@pytest.mark.parametrize(("ids", "spelling", "wanted"), SPELLINGS)
def test_the_spellings_of_an_id(ids, spelling, wanted):
    assert candidates(ids, spelling) == wanted


@given(st.integers(0, 2**63), st.integers(0, 20))
def test_the_id_of_the_answer_is_among_the_spellings(number, width):
    assert f"{number:x}" in candidates((f"{number:0{width}d}",), "dec")
    assert str(number) in candidates((f"{number:0{width}x}",), "hex")


@pytest.mark.parametrize(
    ("esm_class", "tlvs", "wanted"),
    [
        (0x00, {}, False),
        (0x04, {}, True),
        (0x44, {}, True),
        (0x20, {}, True),
        (0x08, {}, False),
        (0x10, {}, False),
        (0x40, {}, False),
        (0x03, {}, False),
        (0x00, {0x1E: b"1\0"}, True),
    ],
)
def test_what_is_a_receipt_is_told_by_flags_and_parameters_alone(esm_class, tlvs, wanted):
    text = b"id:42 sub:001 stat:DELIVRD"
    assert is_receipt(message(text, esm_class=esm_class, tlvs=tlvs)) is wanted


QUERIED = [
    (1, 0, INTERIM, C.OK, "ENROUTE", None),
    (2, 0, DELIVERED, C.OK, "DELIVRD", None),
    (3, 8, FAILED, C.SMS_EXPIRED, "EXPIRED", "err:008"),
    (5, 255, FAILED, C.SMS_UNDELIVERABLE, "UNDELIV", "err:255"),
    (6, 0, INTERIM, C.OK, "ACCEPTD", None),
]


@pytest.mark.parametrize(("number", "error", "state", "code", "word", "words"), QUERIED)
def test_the_answer_to_a_query_is_news_of_the_message_asked_for(number, error, state, code, word, words):
    receipt = read_query_answer(QueryAnswer(b"42", b"", number, error), "0042", "sms", 1_000)
    assert (receipt.carrier_ids, receipt.state, receipt.code) == (("0042",), state, code)
    assert (receipt.carrier_code, receipt.carrier_text) == (word, words)


@pytest.mark.parametrize("number", [7, 10, 255])
def test_a_state_that_says_nothing_is_no_news(number):
    assert read_query_answer(QueryAnswer(b"42", b"", number, 0), "0042", "sms", 1_000) is None


@given(
    st.binary(max_size=2_000), st.integers(0, 255), st.sampled_from([0, 3, 8]), st.sampled_from(["text", "hex", "dec"])
)
def test_no_text_whatsoever_raises(text, esm_class, data_coding, spelling):
    receipt = read(text[:254], spelling, esm_class=esm_class, data_coding=data_coding, tlvs={0x424: text})
    assert receipt is None or receipt.carrier_ids


@given(st.dictionaries(st.sampled_from([0x1E, 0x423, 0x424, 0x427]), st.binary(max_size=40)))
def test_no_parameters_whatsoever_raise(tlvs):
    receipt = read(tlvs=tlvs)
    assert receipt is None or all(receipt.carrier_ids)
