"""The tables of an SMSC's codes: complete, and consistent with what each code means for trying again."""

from __future__ import annotations

import pytest
from smpplib import consts

from campana.channels.errors import Misconfigured, RefusedForGood, RefusedForNow, Throttled
from campana.channels.sms.codes import (
    STATE_BY_NUMBER,
    STATE_BY_WORD,
    STATES,
    STATUSES,
    refusal,
    status_row,
)
from campana.domain.outcome import DELIVERY_ERRORS, Class, DeliveryCode, ReceiptState

NAMES = {
    value: name.removeprefix("SMPP_")
    for name, value in vars(consts).items()
    if name.startswith("SMPP_ESME_") and value != consts.SMPP_ESME_ROK
}


def test_every_status_of_the_specification_has_a_row_with_its_name():
    assert {status: row.name for status, row in STATUSES.items()} == NAMES


@pytest.mark.parametrize("row", STATUSES.values(), ids=lambda row: row.name)
def test_a_status_is_tried_again_exactly_where_its_code_says_so(row):
    kind = DELIVERY_ERRORS[row.code].kind
    assert (kind is Class.FINAL) == (row.kind is RefusedForGood)
    assert 200 <= row.code < 300
    assert (row.code is DeliveryCode.SMS_MISCONFIGURED) == (row.kind is Misconfigured)
    assert (row.code is DeliveryCode.SMS_THROTTLED) == (row.kind is Throttled)


@pytest.mark.parametrize("status", [0x10, 0x400, 0x4FF, 0x12345678])
def test_a_status_that_no_table_knows_is_tried_again(status):
    assert status not in STATUSES
    row = status_row(status)
    assert (row.kind, row.code) == (RefusedForNow, DeliveryCode.SMS_TEMPORARY)


def test_a_refusal_carries_the_smscs_own_words():
    error = refusal(0x58)
    assert isinstance(error, Throttled)
    assert (error.carrier_code, error.carrier_text) == (
        "0x00000058",
        "ESME_RTHROTTLED: Allowed message limits exceeded",
    )
    assert refusal(0x450).carrier_text == "ESME_RESERVED: The carrier's own code"


WORDS = {
    "ENROUTE": (1, ReceiptState.INTERIM, DeliveryCode.OK),
    "DELIVRD": (2, ReceiptState.DELIVERED, DeliveryCode.OK),
    "EXPIRED": (3, ReceiptState.FAILED, DeliveryCode.SMS_EXPIRED),
    "DELETED": (4, ReceiptState.FAILED, DeliveryCode.SMS_DELETED),
    "UNDELIV": (5, ReceiptState.FAILED, DeliveryCode.SMS_UNDELIVERABLE),
    "ACCEPTD": (6, ReceiptState.INTERIM, DeliveryCode.OK),
    "UNKNOWN": (7, ReceiptState.FAILED, DeliveryCode.SMS_UNKNOWN_FATE),
    "REJECTD": (8, ReceiptState.FAILED, DeliveryCode.SMS_REJECTED),
}


@pytest.mark.parametrize(("word", "wanted"), WORDS.items())
def test_a_state_means_the_same_as_word_and_as_number(word, wanted):
    row = STATE_BY_WORD[word]
    assert (row.number, row.state, row.code) == wanted
    assert STATE_BY_NUMBER[row.number] is row


def test_the_numbers_are_those_of_the_specification():
    numbers = {
        name.removeprefix("SMPP_MESSAGE_STATE_"): value
        for name, value in vars(consts).items()
        if name.startswith("SMPP_MESSAGE_STATE_")
    }
    # The long words of table 5-5 are understood in receipts, too.
    assert {word: STATE_BY_WORD[word].number for word in numbers} == numbers


@pytest.mark.parametrize("row", STATES, ids=lambda row: row.word)
def test_only_a_failure_has_an_error_code(row):
    assert (row.code is DeliveryCode.OK) == (row.state is not ReceiptState.FAILED)
