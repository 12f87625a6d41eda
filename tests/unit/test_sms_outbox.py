"""What becomes of a message from what becomes of its parts, and of batches when links go."""

from __future__ import annotations

import asyncio

import pytest

from campana.channels.contract import Accepted, Parcel
from campana.channels.errors import (
    Misconfigured,
    RefusedForGood,
    RefusedForNow,
    Throttled,
    Uncertain,
    Unreachable,
)
from campana.channels.sms.outbox import MOST_RESTS, Batch, Outbox, combine
from campana.domain.outcome import DeliveryCode

C = DeliveryCode
TAKEN = Accepted(("1",))
NOW = RefusedForNow(C.SMS_TEMPORARY, "0x00000008", "busy")
GOOD = RefusedForGood(C.SMS_INVALID_DESTINATION)
SLOW = Throttled(C.SMS_THROTTLED)
SETUP = Misconfigured(C.SMS_MISCONFIGURED)
LOST = Uncertain(C.UNCERTAIN)
NEVER = Unreachable(C.SMS_UNREACHABLE)

COMBINED = [
    ([TAKEN, Accepted(("2",))], Accepted, None),
    ([TAKEN, GOOD], RefusedForGood, C.SMS_INVALID_DESTINATION),
    ([LOST, GOOD], RefusedForGood, C.SMS_INVALID_DESTINATION),
    ([NOW, GOOD, SLOW], RefusedForGood, C.SMS_INVALID_DESTINATION),
    ([TAKEN, LOST], Uncertain, C.UNCERTAIN),
    ([LOST, NOW], Uncertain, C.UNCERTAIN),
    ([LOST, NEVER], Uncertain, C.UNCERTAIN),
    ([TAKEN, NOW], RefusedForNow, C.SMS_TEMPORARY),
    ([TAKEN, SLOW], RefusedForNow, C.SMS_TEMPORARY),
    ([TAKEN, SETUP], RefusedForNow, C.SMS_TEMPORARY),
    ([TAKEN, NEVER], RefusedForNow, C.SMS_TEMPORARY),
    ([SLOW, NOW], RefusedForNow, C.SMS_TEMPORARY),
    ([SLOW, SETUP], Misconfigured, C.SMS_MISCONFIGURED),
    ([SLOW, SLOW], Throttled, C.SMS_THROTTLED),
    ([NEVER, SLOW], Throttled, C.SMS_THROTTLED),
    ([NEVER, NEVER], Unreachable, C.SMS_UNREACHABLE),
]


@pytest.mark.parametrize(("parts", "kind", "code"), COMBINED)
def test_a_message_from_its_parts_in_any_order(parts, kind, code):
    for results in (parts, parts[::-1]):
        combined = combine(results)
        assert type(combined) is kind
        assert getattr(combined, "code", None) is code


def test_every_id_of_an_accepted_message_is_kept_in_order():
    assert combine([Accepted(("2",), True), Accepted((), True), Accepted(("1",), True)]) == Accepted(("2", "1"), True)


def test_a_message_taken_in_part_says_how_far():
    error = combine([TAKEN, NOW, TAKEN])
    assert (error.carrier_code, error.carrier_text) == ("0x00000008", "2 of 3 parts were accepted. busy")


class Hand:
    """A link that notes what it is asked to write, and takes what it is told to."""

    def __init__(self, outbox, takes=0):
        self.outbox = outbox
        self.takes = takes
        self.limits = []

    def pump(self, limit):
        self.limits.append(limit)
        while self.outbox.batches and min(limit, self.takes) > 0 and not self.outbox.resting:
            batch = self.outbox.batches[0]
            batch.settle(batch.next, TAKEN)
            batch.next += 1
            self.takes -= 1
            limit -= 1
            if batch.next == len(batch.parcels):
                self.outbox.batches.popleft()


def batch(count):
    parcels = [Parcel(n, 1, "+14165550123", ()) for n in range(count)]
    return Batch(parcels, lambda: True, asyncio.get_running_loop().create_future())


async def test_a_batch_is_done_with_its_last_parcel():
    mine = batch(2)
    mine.settle(1, TAKEN)
    assert not mine.done.done()
    mine.settle(0, NOW)
    assert mine.done.done()
    assert mine.settled() == [NOW, TAKEN]


async def test_a_batch_is_spread_evenly_over_the_links():
    outbox = Outbox()
    links = [Hand(outbox, takes=100) for _ in range(3)]
    for link in links:
        outbox.join(link)
    mine = batch(10)
    outbox.add(mine)
    assert mine.done.done()
    assert sorted(100 - link.takes for link in links) == [2, 4, 4]


async def test_a_full_link_leaves_its_share_to_the_others():
    outbox = Outbox()
    full, idle = Hand(outbox), Hand(outbox, takes=100)
    outbox.join(full)
    outbox.join(idle)
    mine = batch(10)
    outbox.add(mine)
    assert mine.done.done()


async def test_the_last_link_that_goes_gives_the_unwritten_back():
    outbox = Outbox()
    first, second = Hand(outbox), Hand(outbox)
    outbox.join(first)
    outbox.join(second)
    mine = batch(3)
    outbox.add(mine)
    outbox.leave(first, lambda: NEVER)
    assert (mine.done.done(), outbox.opened.is_set()) == (False, True)
    outbox.leave(second, lambda: NEVER)
    assert (mine.settled(), outbox.opened.is_set()) == ([NEVER] * 3, False)


async def test_while_resting_nothing_is_written_and_then_all_is():
    outbox = Outbox()
    outbox.join(Hand(outbox, takes=100))
    outbox.throttled()
    outbox.throttled()
    mine = batch(3)
    outbox.add(mine)
    assert (outbox.resting, mine.done.done()) == (True, False)
    async with asyncio.timeout(5):
        await mine.done
    assert not outbox.resting


async def test_after_too_many_rests_in_a_row_the_unwritten_goes_back_throttled():
    outbox = Outbox()
    mine = batch(2)
    outbox.batches.append(mine)
    for _ in range(MOST_RESTS):
        outbox.resting = False
        outbox.throttled()
        assert not mine.done.done()
    outbox.resting = False
    outbox.throttled()
    assert [type(result) for result in mine.settled()] == [Throttled, Throttled]


async def test_one_acceptance_begins_the_rests_anew():
    outbox = Outbox()
    mine = batch(1)
    outbox.batches.append(mine)
    for _ in range(3 * MOST_RESTS):
        outbox.resting = False
        outbox.throttled()
        outbox.accepted()
    assert not mine.done.done()
