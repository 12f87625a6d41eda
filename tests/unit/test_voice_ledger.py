"""The ledger of calls: each ends once, by a result or by a receipt, whatever the media process says or leaves out."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.contract import Accepted
from campana.channels.errors import Misconfigured, Throttled, Uncertain, Unreachable, Withdrawn
from campana.channels.voice.ledger import ClipGone, Entry, Ledger, carrier_code
from campana.channels.voice.process.frames import Ended, Settled, Settling
from campana.domain.call import CallPlan, CallReport, HungUpBy, VoiceSuccess
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState

NOW = 1_700_000_000_000
PLAN = CallPlan(dial_ms=30_000, plays=2)
C, S = DeliveryCode, Settling


class Book:
    """A ledger, and the receipts that it posted."""

    def __init__(self) -> None:
        self.posted: list[Receipt] = []
        self.ledger = Ledger("trunk", lambda: NOW, self.posted.append)
        self.asked = 0

    def open(self, may_leave: bool = True, plan: CallPlan = PLAN) -> Entry:
        def permit() -> bool:
            self.asked += 1
            return may_leave

        return self.ledger.open(f"call-{self.asked}-{len(self.ledger)}", plan, permit)


def report(**more) -> CallReport:
    return CallReport(**({"began_at": NOW - 30_000, "ended_at": NOW} | more))


@pytest.mark.parametrize(
    ("how", "kind", "code"),
    [
        (S.UNREACHABLE, Unreachable, C.VOICE_UNREACHABLE),
        (S.MISCONFIGURED, Misconfigured, C.VOICE_MISCONFIGURED),
        (S.THROTTLED, Throttled, C.VOICE_CONGESTED),
        (S.WITHDRAWN, Withdrawn, C.OK),
    ],
)
async def test_what_never_left_is_a_result_and_no_receipt(how, kind, code) -> None:
    book = Book()
    entry = book.open()
    book.ledger.settle(Settled(entry.number, how, "403", "Forbidden"))
    result = await entry.settled
    assert type(result) is kind
    assert result.code is code
    if how is not S.WITHDRAWN:
        assert (result.carrier_code, result.carrier_text) == ("403", "Forbidden")
    book.ledger.lose("gone")
    assert (book.posted, len(book.ledger)) == ([], 0)


async def test_a_clip_that_is_gone_is_told_as_such() -> None:
    book = Book()
    entry = book.open()
    book.ledger.settle(Settled(entry.number, S.NO_CLIP))
    with pytest.raises(ClipGone):
        await entry.settled


async def test_an_accepted_call_is_up_until_its_end_and_has_one_receipt() -> None:
    book = Book()
    entry = book.open()
    assert not book.ledger.is_up(entry.call_id)
    book.ledger.settle(Settled(entry.number, S.ACCEPTED))
    assert await entry.settled == Accepted((entry.call_id,), final=False)
    assert book.ledger.is_up(entry.call_id)
    told = report(sip_status=486, q850=17, reason="Busy Here")
    for _ in range(2):
        book.ledger.end(Ended(entry.number, told, C.VOICE_BUSY))
    expected = Receipt(
        route="trunk",
        state=ReceiptState.FAILED,
        code=C.VOICE_BUSY,
        at=NOW,
        carrier_ids=(entry.call_id,),
        carrier_code="486 Q.850;cause=17",
        carrier_text="Busy Here",
        call=told,
    )
    assert book.posted == [expected]
    assert not book.ledger.is_up(entry.call_id)


HEARD = report(answered_at=NOW - 9_000, plays=1, heard_ms=5_000, ended_by=HungUpBy.US, sip_status=200)
CUT = report(answered_at=NOW - 9_000, heard_ms=900, ended_by=HungUpBy.CALLEE, sip_status=200)


@pytest.mark.parametrize(
    ("told", "success", "state", "code"),
    [
        (HEARD, VoiceSuccess.HEARD, ReceiptState.DELIVERED, C.OK),
        (HEARD, VoiceSuccess.ACKNOWLEDGED, ReceiptState.FAILED, C.VOICE_NOT_ACKNOWLEDGED),
        (CUT, VoiceSuccess.HEARD, ReceiptState.FAILED, C.VOICE_CUT_SHORT),
        (CUT, VoiceSuccess.ANSWERED, ReceiptState.DELIVERED, C.OK),
    ],
)
async def test_the_campaigns_rule_judges_the_end(told, success, state, code) -> None:
    book = Book()
    entry = book.open(plan=CallPlan(dial_ms=30_000, plays=1, success=success))
    book.ledger.settle(Settled(entry.number, S.ACCEPTED))
    book.ledger.end(Ended(entry.number, told, C.VOICE_UNREACHABLE))
    assert [(receipt.state, receipt.code) for receipt in book.posted] == [(state, code)]


async def test_the_permit_is_asked_before_every_host_until_the_trunk_has_the_call() -> None:
    book = Book()
    entry = book.open()
    assert [book.ledger.may_leave(entry.number) for _ in range(2)] == [True, True]
    assert book.asked == 2
    book.ledger.settle(Settled(entry.number, S.ACCEPTED))
    assert book.ledger.may_leave(entry.number)
    assert book.asked == 2
    refused = book.open(may_leave=False)
    assert [book.ledger.may_leave(refused.number) for _ in range(2)] == [False, False]
    assert not book.ledger.may_leave(99)


async def test_a_lost_process_leaves_each_call_the_end_that_is_true_of_it() -> None:
    book = Book()
    preparing, told_go, accepted = book.open(), book.open(), book.open()
    book.ledger.may_leave(told_go.number)
    book.ledger.may_leave(accepted.number)
    book.ledger.settle(Settled(accepted.number, S.ACCEPTED))
    for _ in range(2):
        book.ledger.lose("The media process is gone.")
    assert (type(await preparing.settled), type(await told_go.settled)) == (Unreachable, Uncertain)
    (receipt,) = book.posted
    assert (receipt.carrier_ids, receipt.code, receipt.state, receipt.call) == (
        (accepted.call_id,),
        C.UNCERTAIN,
        ReceiptState.FAILED,
        None,
    )


@pytest.mark.parametrize(("asked", "kind"), [(False, Unreachable), (True, Uncertain)])
async def test_a_call_of_which_nothing_is_told_is_given_up(asked: bool, kind) -> None:
    book = Book()
    entry = book.open()
    if asked:
        book.ledger.may_leave(entry.number)
    assert type(book.ledger.give_up(entry)) is kind
    # What is heard of it from now on concerns nobody.
    book.ledger.settle(Settled(entry.number, S.ACCEPTED))
    book.ledger.end(Ended(entry.number, HEARD, C.VOICE_BUSY))
    book.ledger.lose("gone")
    assert (book.posted, len(book.ledger)) == ([], 0)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (report(), None),
        (report(sip_status=404), "404"),
        (report(q850=17), "Q.850;cause=17"),
        (report(sip_status=480, q850=18), "480 Q.850;cause=18"),
    ],
)
def test_the_carriers_codes_are_one_text(told: CallReport, expected: str | None) -> None:
    assert carrier_code(told) == expected


MOVES = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(["ready", "refused", "end", "lose", *Settling])), max_size=40
)


@given(MOVES)
def test_whatever_is_told_each_call_ends_once(moves) -> None:
    async def run() -> None:
        book = Book()
        entries = {entry.number: entry for entry in (book.open() for _ in range(4))}
        for number, move in moves:
            if move == "ready":
                book.ledger.may_leave(number)
            elif move == "end":
                book.ledger.end(Ended(number, HEARD, C.VOICE_BUSY))
            elif move == "lose":
                book.ledger.lose("gone")
            elif isinstance(move, Settling):
                book.ledger.settle(Settled(number, move))
        book.ledger.lose("the end")
        receipts = [receipt.carrier_ids[0] for receipt in book.posted]
        assert len(receipts) == len(set(receipts))
        accepted = set()
        for entry in entries.values():
            assert entry.settled.done()
            if entry.settled.exception() is None and isinstance(entry.settled.result(), Accepted):
                accepted.add(entry.call_id)
        assert accepted == set(receipts)

    asyncio.run(run())
