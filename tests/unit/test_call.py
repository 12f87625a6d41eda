"""When a call has delivered its message: every way in which it may end, under every rule of success."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from campana.domain.call import KEYS, CallPlan, CallReport, HungUpBy, VoiceSuccess
from campana.domain.outcome import DELIVERY_ERRORS, DeliveryCode, Receipt, ReceiptState
from campana.domain.verdict import judge_call

HEARD, ANSWERED, ACKNOWLEDGED = VoiceSuccess.HEARD, VoiceSuccess.ANSWERED, VoiceSuccess.ACKNOWLEDGED
CALLEE, US, NETWORK = HungUpBy.CALLEE, HungUpBy.US, HungUpBy.NETWORK
OK = DeliveryCode.OK
BUSY, CUT = DeliveryCode.VOICE_BUSY, DeliveryCode.VOICE_CUT_SHORT
NOT_ACKNOWLEDGED, INTERRUPTED = DeliveryCode.VOICE_NOT_ACKNOWLEDGED, DeliveryCode.VOICE_INTERRUPTED

AT = 1_790_000_000_000


def report(**changes: Any) -> CallReport:
    """An answered call that we ended."""
    return CallReport(**({"began_at": AT, "ended_at": AT + 9_000, "answered_at": AT + 3_000, "ended_by": US} | changes))


# What became of a call -> the code under heard, answered and acknowledged.
ENDS: list[tuple[str, dict[str, Any], tuple[DeliveryCode, DeliveryCode, DeliveryCode]]] = [
    ("nobody answered", {"answered_at": None, "ended_by": NETWORK}, (BUSY, BUSY, BUSY)),
    ("nobody answered, keys or not", {"answered_at": None, "acknowledged": True}, (BUSY, BUSY, BUSY)),
    ("heard to the end", {"plays": 1}, (OK, OK, NOT_ACKNOWLEDGED)),
    ("heard twice, then hung up", {"plays": 2, "ended_by": CALLEE}, (OK, OK, NOT_ACKNOWLEDGED)),
    ("hung up before the end", {"ended_by": CALLEE, "heard_ms": 900}, (CUT, OK, CUT)),
    ("broken off before the end", {"ended_by": NETWORK}, (INTERRUPTED, OK, INTERRUPTED)),
    ("ended by us before the end", {"ended_by": US}, (INTERRUPTED, OK, INTERRUPTED)),
    ("acknowledged before the end", {"acknowledged": True, "digits": "1", "ended_by": CALLEE}, (OK, OK, OK)),
    ("heard and acknowledged", {"acknowledged": True, "plays": 1}, (OK, OK, OK)),
    ("another key", {"digits": "7", "plays": 1}, (OK, OK, NOT_ACKNOWLEDGED)),
]


@pytest.mark.parametrize(("became", "codes"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS])
def test_what_an_ended_call_has_come_to(
    became: dict[str, Any], codes: tuple[DeliveryCode, DeliveryCode, DeliveryCode]
) -> None:
    for success, code in zip((HEARD, ANSWERED, ACKNOWLEDGED), codes, strict=True):
        state = ReceiptState.DELIVERED if code is OK else ReceiptState.FAILED
        assert judge_call(report(**became), BUSY, CallPlan(30_000, 1, success=success)) == (state, code), success


def test_what_hearing_does_not_end_is_tried_again() -> None:
    assert {DELIVERY_ERRORS[code].kind.value for code in (CUT, NOT_ACKNOWLEDGED, INTERRUPTED)} == {"retry"}


@pytest.mark.parametrize(
    ("success", "given", "keys"),
    [
        (HEARD, "", ""),
        (ANSWERED, "", ""),
        (ACKNOWLEDGED, "", "1"),
        (HEARD, "59", "59"),
        (ACKNOWLEDGED, "#", "#"),
    ],
)
def test_the_keys_that_acknowledge(success: VoiceSuccess, given: str, keys: str) -> None:
    assert CallPlan(30_000, 1, success=success, acknowledge_keys=given).keys == keys
    assert KEYS.issuperset(keys)


def test_a_receipt_with_a_call_survives_being_kept() -> None:
    call = report(digits="12#", acknowledged=True, sip_status=200, q850=16, reason="Normal \r\n", ringing_ms=0)
    receipt = Receipt("trunk", ReceiptState.DELIVERED, OK, AT, ("id",), call=call)
    kept = msgspec.json.decode(msgspec.json.encode(receipt), type=Receipt)
    assert kept == receipt
