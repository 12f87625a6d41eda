"""The store contract: receipts, bounces, what came too early or never, and messages from people."""

from __future__ import annotations

from typing import Any

import pytest

from campana.domain.campaign import UncertainPolicy
from campana.domain.delivery import Medium, Status
from campana.domain.message import IncomingMessage
from campana.domain.outcome import Change, DeliveryCode, Receipt, ReceiptState
from campana.storage.river import Judged, LateAnswer, Lease, Moved, Step
from tests.contract.conftest import LATER, NOW, World, rules

DELIVERING = Change(Status.DELIVERING, DeliveryCode.OK, True)
SUCCESS = Change(Status.SUCCESS, DeliveryCode.OK, True)
OK = DeliveryCode.OK
DELIVERED, FAILED, INTERIM = ReceiptState.DELIVERED, ReceiptState.FAILED, ReceiptState.INTERIM
UNDELIVERABLE, EXPIRED = DeliveryCode.SMS_UNDELIVERABLE, DeliveryCode.SMS_EXPIRED


def news(state: ReceiptState, *ids: str, code: DeliveryCode = OK, route: str = "main") -> Receipt:
    """A receipt."""
    return Receipt(route, state, code, NOW, ids, carrier_code=state.value, carrier_text="as they said")


async def handed_over(world: World, *ids: str, attempts: int = 3) -> Lease:
    """One delivery that a carrier has taken, under these ids (one a segment)."""
    await world.add(1, attempts=attempts)
    await world.plan()
    lease = await world.claim()
    assert lease is not None
    await record(world, lease, *ids)
    return lease


async def record(world: World, lease: Lease, *ids: str) -> None:
    """The carrier took the delivery of a lease."""
    one = lease.deliveries[0]
    await world.store.river.release(
        Step(lease, [Judged(one.id, one.attempt, DELIVERING, "main", NOW, ids)], (), NOW), 0
    )


async def standing(world: World) -> tuple[Any, ...]:
    """Status, last error and attempts left of the first contact's SMS."""
    return tuple((await world.lines())[0][3:6])


CASES = [
    ("delivered", ["a"], [news(DELIVERED, "a")], (4, 0, 2)),
    ("failed for good", ["a"], [news(FAILED, "a", code=UNDELIVERABLE)], (6, 210, 2)),
    ("failed, to be tried again", ["a"], [news(FAILED, "a", code=EXPIRED)], (5, 211, 2)),
    ("still on its way", ["a"], [news(INTERIM, "a")], (3, 0, 2)),
    ("interim after final", ["a"], [news(DELIVERED, "a"), news(INTERIM, "a")], (4, 0, 2)),
    ("twice", ["a"], [news(DELIVERED, "a"), news(DELIVERED, "a")], (4, 0, 2)),
    ("failed after delivered", ["a"], [news(DELIVERED, "a"), news(FAILED, "a", code=UNDELIVERABLE)], (4, 0, 2)),
    ("delivered after failed", ["a"], [news(FAILED, "a", code=UNDELIVERABLE), news(DELIVERED, "a")], (6, 210, 2)),
    ("another route's id", ["a"], [news(DELIVERED, "a", route="other")], (3, 0, 2)),
    ("another spelling", ["1a"], [news(DELIVERED, "26", "1a")], (4, 0, 2)),
    ("leading zeros count", ["007"], [news(DELIVERED, "7")], (3, 0, 2)),
    ("one of two segments", ["a", "b"], [news(DELIVERED, "a")], (3, 0, 2)),
    ("both segments", ["a", "b"], [news(DELIVERED, "b"), news(DELIVERED, "a")], (4, 0, 2)),
    ("one segment twice", ["a", "b"], [news(DELIVERED, "a"), news(DELIVERED, "a")], (3, 0, 2)),
    ("a segment failed", ["a", "b"], [news(FAILED, "b", code=UNDELIVERABLE)], (6, 210, 2)),
    (
        "a segment failed, the other came",
        ["a", "b"],
        [news(FAILED, "b", code=EXPIRED), news(DELIVERED, "a")],
        (5, 211, 2),
    ),
    (
        "the other came, a segment failed",
        ["a", "b"],
        [news(DELIVERED, "a"), news(FAILED, "b", code=EXPIRED)],
        (5, 211, 2),
    ),
]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
@pytest.mark.parametrize(("ids", "receipts", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_receipts_move_forward_only(
    world: World, ids: list[str], receipts: list[Receipt], expected: tuple[int, int, int], together: bool
) -> None:
    await handed_over(world, *ids)
    for batch in [receipts] if together else [[receipt] for receipt in receipts]:
        await world.store.receipts.receipts(batch, rules(), NOW)
    assert await standing(world) == expected


async def test_a_failed_receipt_with_no_attempt_left_is_final(world: World) -> None:
    await handed_over(world, "a", attempts=1)
    answer = await world.store.receipts.receipts([news(FAILED, "a", code=EXPIRED)], rules(), NOW)
    assert await standing(world) == (6, 211, 0)
    assert [(moved.code, moved.retry) for moved in answer.moved] == [(EXPIRED, False)]


async def test_a_receipt_of_an_earlier_attempt_does_not_touch_a_later_one(world: World) -> None:
    await handed_over(world, "a", "b")
    await world.store.receipts.receipts([news(FAILED, "a", code=EXPIRED)], rules(delay=10), NOW)
    assert await world.plan(now=NOW + 10) == 1
    await record(world, await world.claim(NOW + 10), "c")
    await world.store.receipts.receipts([news(FAILED, "b", code=UNDELIVERABLE)], rules(), NOW)
    assert await standing(world) == (3, 0, 1)
    await world.store.receipts.receipts([news(DELIVERED, "c")], rules(), NOW)
    assert await standing(world) == (4, 0, 1)


async def test_an_early_receipt_is_kept_and_applied(world: World) -> None:
    await world.add(1)
    await world.plan()
    lease = await world.claim()
    answer = await world.store.receipts.receipts([news(DELIVERED, "early")], rules(), NOW)
    assert (answer.moved, answer.unmatched) == ([], 1)
    assert (await world.store.receipts.settle_early(rules(), NOW)).unmatched == 1
    await record(world, lease, "early")
    assert await standing(world) == (3, 0, 2)
    settled = await world.store.receipts.settle_early(rules(), NOW)
    assert (len(settled.moved), settled.unmatched) == (1, 0)
    assert await standing(world) == (4, 0, 2)


async def test_any_number_of_early_receipts_is_applied_at_once(world: World) -> None:
    many = 1_200
    await world.add(many)
    ids = [f"early-{number}" for number in range(many)]
    assert (await world.store.receipts.receipts([news(DELIVERED, one) for one in ids], rules(), NOW)).unmatched == many
    for start in range(0, many, 500):
        await world.plan()
        lease = await world.claim()
        assert lease is not None
        taken = [
            Judged(one.id, 1, DELIVERING, "main", NOW, (ids[start + place],))
            for place, one in enumerate(lease.deliveries)
        ]
        await world.store.river.release(Step(lease, taken, (), NOW), 0)
    answer = await world.store.receipts.settle_early(rules(), NOW)
    assert (len(answer.moved), answer.unmatched) == (many, 0)
    assert set(await world.statuses()) == {Status.SUCCESS}


async def test_early_receipts_are_forgotten_in_time(world: World) -> None:
    await world.store.receipts.receipts([news(DELIVERED, "nobody's")], rules(), NOW)
    await world.store.receipts.purge_early(NOW)
    assert (await world.store.receipts.settle_early(rules(), NOW)).unmatched == 1
    await world.store.receipts.purge_early(NOW + 1)
    assert (await world.store.receipts.settle_early(rules(), NOW)).unmatched == 0


async def test_a_bounce_turns_success_into_failure_once(world: World) -> None:
    await world.add(1)
    await world.plan()
    lease = await world.claim()
    one = lease.deliveries[0]
    await world.store.river.release(Step(lease, [Judged(one.id, 1, SUCCESS, "mail", NOW)], (), NOW), 0)

    def bounce(attempt: int, delivery: int = one.id) -> Receipt:
        code = DeliveryCode.EMAIL_MAILBOX_UNKNOWN
        return Receipt("mail", FAILED, code, NOW, delivery_id=delivery, attempt=attempt, bounce=True)

    for wrong in (bounce(2), bounce(1, one.id + 5)):
        assert (await world.store.receipts.receipts([wrong], rules(), NOW)).moved == []
    assert await standing(world) == (4, 0, 2)
    answers = [await world.store.receipts.receipts([bounce(1)], rules(), NOW) for _ in range(2)]
    assert [len(answer.moved) for answer in answers] == [1, 0]
    assert await standing(world) == (6, 410, 2)


async def test_what_is_overdue_is_found_and_can_be_postponed(world: World) -> None:
    await handed_over(world, "a")
    assert await world.store.receipts.overdue("main", NOW, LATER, 10) == []
    assert await world.store.receipts.overdue("other", NOW + 1, LATER, 10) == []
    found = await world.store.receipts.overdue("main", NOW + 1, LATER, 10)
    assert [(one.carrier_id, one.dial, one.revision, one.at, one.first_at) for one in found] == [
        ("a", "+14165550001", 1, NOW, NOW)
    ]
    await world.store.receipts.postpone(found[0], NOW + 100)
    assert await world.store.receipts.overdue("main", NOW + 100, LATER, 10) == []
    again = await world.store.receipts.overdue("main", NOW + 101, LATER, 10)
    assert [(one.at, one.first_at) for one in again] == [(NOW + 100, NOW)]
    await world.store.receipts.receipts([news(DELIVERED, "a")], rules(), NOW)
    assert await world.store.receipts.overdue("main", NOW + 1_000, LATER, 10) == []


async def test_what_is_overdue_is_found_behind_what_waits_longer(world: World) -> None:
    """However a clock was set meanwhile, and whatever the carrier still has at hand."""
    receipts, river = world.store.receipts, world.store.river
    await world.add(3)
    for at, carrier_id in ((LATER, "ahead"), (NOW, "asked"), (NOW + 50, "b")):
        await world.plan(1)
        lease = await world.claim()
        assert lease is not None
        judged = [Judged(one.id, one.attempt, DELIVERING, "main", at, (carrier_id,)) for one in lease.deliveries]
        await river.release(Step(lease, judged, (), NOW), 0)
    (asked,) = await receipts.overdue("main", NOW + 1, NOW + 60, 10)
    assert asked.carrier_id == "asked"
    await receipts.postpone(asked, NOW + 60)
    assert [one.carrier_id for one in await receipts.overdue("main", NOW + 51, NOW + 100, 10)] == ["b"]
    assert [one.carrier_id for one in await receipts.overdue("main", NOW + 61, NOW + 100, 10)] == ["b", "asked"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (UncertainPolicy.GIVE_UP, (6, int(DeliveryCode.SMS_RECEIPT_MISSING), 2)),
        (UncertainPolicy.RESEND, (5, int(DeliveryCode.SMS_RECEIPT_MISSING), 2)),
        (UncertainPolicy.HOLD, (5, int(DeliveryCode.UNCERTAIN_HELD), 2)),
    ],
)
async def test_a_receipt_that_never_comes_is_uncertain(
    world: World, policy: UncertainPolicy, expected: tuple[int, int, int]
) -> None:
    await handed_over(world, "a")
    (handover,) = await world.store.receipts.overdue("main", NOW + 1, LATER, 10)
    await world.store.receipts.missing(handover, rules(policy), NOW)
    assert await standing(world) == expected
    assert await world.plan(now=NOW + 1) == (1 if policy is UncertainPolicy.RESEND else 0)


async def test_a_receipt_of_a_deleted_campaign_sends_nothing_again(world: World) -> None:
    await handed_over(world, "a")
    await world.store.campaigns.delete(world.campaign.number, NOW)
    await world.store.receipts.receipts([news(FAILED, "a", code=EXPIRED)], rules(), NOW)
    assert await standing(world) == (7, int(DeliveryCode.CANCELLED), 2)


async def test_a_message_is_kept_with_the_delivery_that_went_to_its_sender(world: World) -> None:
    lease = await handed_over(world, "a")
    for source in ("+14165550001", "+14165557777"):
        message = IncomingMessage("main", Medium.SMS, source, "+14165550100", "Yes please", NOW)
        await world.store.receipts.incoming(message)
    kept = await world.store.receipts.messages()
    assert [(one.source, one.delivery) for one in kept] == [
        ("+14165550001", lease.deliveries[0].id),
        ("+14165557777", None),
    ]


async def test_all_spellings_of_an_early_receipt_go_with_it(world: World) -> None:
    """One that stayed would be taken for the receipt of the next message that has it as its id."""
    receipts = world.store.receipts
    await receipts.receipts([news(DELIVERED, "10", "16")], rules(), NOW)
    await handed_over(world, "16")
    assert await receipts.settle_early(rules(), NOW) == LateAnswer([Moved(1, Medium.SMS, OK, False)], 0)
    await world.add(1, first=2)
    await world.plan()
    lease = await world.claim()
    assert lease is not None
    await record(world, lease, "10")
    await receipts.settle_early(rules(), NOW)
    assert await world.statuses() == [Status.SUCCESS, Status.DELIVERING]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one after the other"])
async def test_a_carrier_that_uses_an_id_again_leaves_nothing_in_progress_for_ever(
    world: World, together: bool
) -> None:
    """The receipt is taken for the newest; the older one is overdue when its time has come."""
    receipts, river = world.store.receipts, world.store.river
    await world.add(2)
    for _ in range(1 if together else 2):
        await world.plan(2 if together else 1)
        lease = await world.claim()
        assert lease is not None
        judged = [Judged(one.id, one.attempt, DELIVERING, "main", NOW, ("7",)) for one in lease.deliveries]
        await river.release(Step(lease, judged, (), NOW), 0)
    assert await world.statuses() == [Status.DELIVERING] * 2
    await receipts.receipts([news(DELIVERED, "7")], rules(), NOW)
    assert await world.statuses() == [Status.DELIVERING, Status.SUCCESS]
    for handover in await receipts.overdue("main", NOW + 1, LATER, 10):
        await receipts.missing(handover, rules(), NOW + 1)
    assert await world.statuses() == [Status.PERMANENT_FAILURE, Status.SUCCESS]
    assert await receipts.overdue("main", NOW + 1, LATER, 10) == []


async def test_the_routes_of_which_receipts_are_waited_for(world: World) -> None:
    receipts = world.store.receipts
    assert await receipts.routes() == []
    await handed_over(world, "a", "b")
    assert await receipts.routes() == ["main"]
    await receipts.receipts([news(DELIVERED, "a"), news(DELIVERED, "b")], rules(), NOW)
    assert await receipts.routes() == []
