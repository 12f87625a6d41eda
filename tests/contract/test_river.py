"""The store contract: planning, leasing, recording and sweeping."""

from __future__ import annotations

from typing import Any

import pytest

from campana.domain.campaign import SmsSettings, UncertainPolicy
from campana.domain.contact import Admitted
from campana.domain.delivery import Medium, Status
from campana.domain.outcome import Change, DeliveryCode
from campana.storage.river import ClaimQuery, Cut, Judged, Lease, LeaseLost, Moved, Step, Waiting
from campana.storage.store import NewContact
from campana.storage.tables import NEVER
from tests.contract.conftest import NOW, World, a_campaign, guid, rules

DELIVERING = Change(Status.DELIVERING, DeliveryCode.OK, True)
SUCCESS = Change(Status.SUCCESS, DeliveryCode.OK, True)
FAILURE = Change(Status.PERMANENT_FAILURE, DeliveryCode.SMS_REFUSED, True)


def again(at: int) -> Change:
    """Failed for now, to go again."""
    return Change(Status.WAITING_FOR_RETRY, DeliveryCode.SMS_TEMPORARY, True, at)


def judged(lease: Lease, change: Change, which: slice = slice(None), at: int = NOW) -> list[Judged]:
    """The same verdict for some deliveries of a lease."""
    return [Judged(one.id, one.attempt, change, "sms-main", at) for one in lease.deliveries[which]]


async def leased(world: World, count: int, **claim: Any) -> Lease:
    """A lease on freshly added contacts, none of which has left."""
    await world.add(count)
    await world.plan()
    lease = await world.claim(**claim)
    assert lease is not None
    return lease


# --- planning ----------------------------------------------------------------------------------------------------


async def test_fresh_contacts_are_cut_once_and_in_order(world: World) -> None:
    await world.add(7)
    assert [await world.plan(3) for _ in range(4)] == [3, 3, 1, 0]
    assert [[d.dial[-1] for d in (await world.claim()).deliveries] for _ in range(3)] == [
        ["1", "2", "3"],
        ["4", "5", "6"],
        ["7"],
    ]
    await world.add(2, first=8)
    assert await world.plan(3) == 2


async def test_a_contact_without_the_medium_is_passed_over(world: World) -> None:
    await world.add(5)
    assert await world.plan(medium=Medium.EMAIL) == 0
    assert [lane.medium for lane in await world.store.river.lanes()] == [Medium.SMS]


async def test_lanes_tell_what_there_is_to_plan(world: World) -> None:
    assert await world.store.river.lanes() == []
    await world.add(4)
    lane = next(lane for lane in await world.store.river.lanes() if lane.medium is Medium.SMS)
    assert (lane.fresh, lane.next_due, lane.waiting, lane.account) == (4, None, None, world.account)
    number = world.campaign.number
    await world.store.river.plan([Cut(number, Medium.SMS, 1, 1, 100, 900), Cut(number, Medium.SMS, 2, 2, 50, 800)], NOW)
    lane = next(lane for lane in await world.store.river.lanes(number) if lane.medium is Medium.SMS)
    assert (lane.fresh, lane.waiting) == (1, Waiting(2, 50, 100, 800, 900))
    await world.store.campaigns.delete(world.campaign.number, NOW)
    assert await world.store.river.lanes() == []


async def test_a_disabled_medium_has_no_lane(world: World) -> None:
    await world.add(1)
    off = a_campaign(sms=SmsSettings(False, "+14165550100", "Come tomorrow"))
    await world.store.campaigns.replace(world.campaign.number, off, NOW)
    assert [lane.medium for lane in await world.store.river.lanes()] == [Medium.EMAIL]


# --- claiming ----------------------------------------------------------------------------------------------------


async def test_claiming_sets_to_sending_and_tells_what_is_to_be_sent(world: World) -> None:
    await world.add(2, text="own text", attempts=2)
    await world.plan()
    lease = await world.claim()
    first = lease.deliveries[0]
    assert (first.dial, first.text, first.attempt, first.attempts_left, first.revision) == (
        "+14165550001",
        "own text",
        1,
        2,
        1,
    )
    assert (lease.campaign, lease.medium, lease.until) == (world.campaign.number, Medium.SMS, NOW + 10_000)
    assert await world.statuses() == [Status.SENDING] * 2
    assert await world.claim() is None


@pytest.mark.parametrize(
    "shut",
    ["paused", "deleted", "disabled", "not yet open", "closed", "other medium", "excepted"],
)
async def test_what_may_not_be_claimed_now(world: World, shut: str) -> None:
    await world.add(1)
    await world.plan()
    number = world.campaign.number
    if shut == "paused":
        await world.store.campaigns.replace(number, a_campaign(is_paused=True), NOW)
    elif shut == "deleted":
        await world.store.campaigns.delete(number, NOW)
    elif shut == "disabled":
        await world.store.campaigns.replace(number, a_campaign(sms=SmsSettings(False, "1", "x")), NOW)
    elif shut == "not yet open":
        await world.store.river.gate(number, Medium.SMS, NOW + 1, NEVER)
    elif shut == "closed":
        await world.store.river.gate(number, Medium.SMS, 0, NOW)
    medium = Medium.EMAIL if shut == "other medium" else Medium.SMS
    excepted = ((number, int(Medium.SMS)),) if shut == "excepted" else ()
    query = ClaimQuery("worker", (medium,), NOW, NOW + 1, excepted)
    assert await world.store.river.claim(query) is None
    assert await world.store.river.claim(ClaimQuery("worker", (), NOW, NOW + 1)) is None
    # Work that nobody may do is not late; what one worker alone is not to take is.
    assert bool(await world.store.river.oldest_due(NOW)) == (shut in ("other medium", "excepted"))


async def test_the_lowest_turn_goes_first(world: World) -> None:
    await world.add(1, first=1)
    await world.plan(turn=50)
    await world.add(1, first=2)
    await world.plan(turn=40)
    assert [(await world.claim()).deliveries[0].dial[-1] for _ in range(2)] == ["2", "1"]


async def test_chunks_that_are_passed_over_let_others_go_first(world: World) -> None:
    await world.add(2)
    for turn in (1, 2):
        assert await world.plan(1, turn=turn) == 1
    river = world.store.river
    first, second = [await world.claim(), await world.claim()]
    assert first is not None
    assert second is not None
    for lease in (first, second):
        await river.release(Step(lease, (), (), NOW), 0)
    query = ClaimQuery("worker", (Medium.SMS,), NOW, NOW + 1, except_chunks=(first.chunk,))
    claimed = await river.claim(query)
    assert claimed is not None
    assert claimed.chunk == second.chunk
    assert await river.claim(query) is None


async def test_a_split_lease_is_one_a_group(world: World) -> None:
    lease = await leased(world, 5)
    odd, even = lease.deliveries[::2], lease.deliveries[1::2]
    parts = await world.store.river.split(lease, [odd, even])
    assert [part.deliveries for part in parts] == [odd, even]
    with pytest.raises(LeaseLost):
        await world.store.river.step(Step(lease, [], [odd[0].id], NOW))
    await world.store.river.step(Step(parts[0], [], [one.id for one in odd], NOW))
    await world.store.river.release(Step(parts[0], judged(parts[0], SUCCESS), (), NOW), 0)
    assert await world.statuses() == [4, 2, 4, 2, 4]
    await world.store.river.release(Step(parts[1], [], (), NOW), 0)
    assert await world.statuses() == [4, 1, 4, 1, 4]
    assert [one.dial[-1] for one in (await world.claim()).deliveries] == ["2", "4"]


# --- recording ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gapless", [True, False], ids=["as one range", "one by one"])
async def test_outcomes_are_recorded_and_attempts_counted(world: World, gapless: bool) -> None:
    lease = await leased(world, 4)
    await world.store.river.step(Step(lease, [], [one.id for one in lease.deliveries], NOW))
    which = slice(None) if gapless else slice(0, 4, 3)
    await world.store.river.step(Step(lease, judged(lease, DELIVERING, which), [lease.deliveries[-1].id], NOW))
    expected = [3, 3, 3, 3] if gapless else [3, 2, 2, 3]
    assert await world.statuses() == expected
    assert [line[5] for line in await world.lines()] == [2 if status == 3 else 3 for status in expected]


async def test_a_mixed_batch(world: World) -> None:
    lease = await leased(world, 4)
    first, second, third, fourth = lease.deliveries
    batch = [
        Judged(first.id, 1, SUCCESS, "r", NOW),
        Judged(second.id, 1, FAILURE, "r", NOW, (), "0x45", "submit_sm failed"),
        Judged(third.id, 1, again(NOW + 60_000), "r", NOW),
        Judged(fourth.id, 1, DELIVERING, "r", NOW, ("id-4",)),
    ]
    await world.store.river.release(Step(lease, batch, (), NOW), 0)
    assert [(line[3], line[4], line[5]) for line in await world.lines()] == [
        (4, 0, 2),
        (6, int(DeliveryCode.SMS_REFUSED), 2),
        (5, int(DeliveryCode.SMS_TEMPORARY), 2),
        (3, 0, 2),
    ]


async def test_a_retry_is_planned_at_its_moment_and_not_before(world: World) -> None:
    lease = await leased(world, 3)
    await world.store.river.release(Step(lease, judged(lease, again(NOW + 60_000)), (), NOW), 0)
    assert await world.plan(now=NOW + 59_999) == 0
    assert await world.plan(now=NOW + 60_000) == 3
    assert await world.claim(NOW + 59_999) is None
    await world.plan(now=NOW + 60_000)
    lanes = await world.store.river.lanes()
    assert [lane.next_due for lane in lanes if lane.medium is Medium.SMS] in ([], [None])


async def test_a_retry_keeps_its_revision_and_counts_up(world: World) -> None:
    lease = await leased(world, 1)
    await world.store.river.release(Step(lease, judged(lease, again(NOW + 1)), (), NOW), 0)
    await world.store.campaigns.replace(world.campaign.number, a_campaign(sms=SmsSettings(True, "12345", "Other")), NOW)
    await world.add(1, first=2)
    await world.plan(now=NOW + 1)
    await world.plan(now=NOW + 1)
    retried = await world.claim(NOW + 1)
    fresh = await world.claim(NOW + 1)
    assert [(one.attempt, one.attempts_left, one.revision) for one in retried.deliveries] == [(2, 2, 1)]
    assert [(one.attempt, one.attempts_left, one.revision) for one in fresh.deliveries] == [(1, 3, 2)]


async def test_the_last_attempt_is_final_whatever_the_verdict_hoped(world: World) -> None:
    await world.add(1, attempts=1)
    await world.plan()
    lease = await world.claim()
    await world.store.river.release(Step(lease, judged(lease, again(NOW + 1)), (), NOW), 0)
    assert [(line[3], line[5]) for line in await world.lines()] == [(6, 0)]
    assert await world.claim(NOW + 2) is None


async def test_what_did_not_leave_waits_again_untouched(world: World) -> None:
    lease = await leased(world, 3)
    await world.store.river.release(Step(lease, judged(lease, SUCCESS, slice(1)), (), NOW), NOW + 500)
    assert [(line[3], line[5]) for line in await world.lines()] == [(4, 2), (1, 3), (1, 3)]
    assert await world.claim(NOW + 499) is None
    again_leased = await world.claim(NOW + 500)
    assert [one.dial[-1] for one in again_leased.deliveries] == ["2", "3"]
    assert again_leased.epoch != lease.epoch


async def test_a_lease_that_has_ended_does_not_pass_for_that_of_a_later_chunk(world: World) -> None:
    """A store may give a later chunk the id of one that is gone."""
    ended = await leased(world, 2)
    await world.store.river.release(Step(ended, judged(ended, SUCCESS), (), NOW), 0)
    await world.add(2, first=3)
    await world.plan()
    later = await world.claim()
    for late in (
        world.store.river.split(ended, [[one] for one in ended.deliveries]),
        world.store.river.step(Step(ended, [], [ended.deliveries[0].id], NOW)),
        world.store.river.release(Step(ended, [], (), NOW), 0),
    ):
        with pytest.raises(LeaseLost):
            await late
    await world.store.river.release(Step(later, judged(later, SUCCESS), (), NOW), 0)
    assert await world.statuses() == [Status.SUCCESS] * 4


async def test_a_step_may_only_record(world: World) -> None:
    lease = await leased(world, 2)
    first = lease.deliveries[0].id
    await world.store.river.step(Step(lease, [], [first], NOW))
    assert await world.store.river.step(Step(lease, judged(lease, SUCCESS, slice(1)), (), NOW)) == frozenset()
    assert await world.statuses() == [4, 2]
    await world.store.river.sweep(NEVER, rules(), NOW)
    assert await world.statuses() == [4, 1], "the mark stayed where it was"


async def test_a_release_tells_whether_something_waits_again(world: World) -> None:
    lease = await leased(world, 2)
    assert await world.store.river.release(Step(lease, judged(lease, SUCCESS, slice(1)), (), NOW), 0) is True
    again = await world.claim()
    assert await world.store.river.release(Step(again, judged(again, SUCCESS), (), NOW), 0) is False


async def test_what_is_recorded_twice_ends_no_chunk_with_something_left(world: World) -> None:
    """The answer to a step may be lost, and its owner tells it again."""
    lease = await leased(world, 2)
    first = judged(lease, SUCCESS, slice(0, 1))
    await world.store.river.step(Step(lease, first, (), NOW))
    assert await world.store.river.release(Step(lease, first, (), NOW), 0) is True
    assert await world.statuses() == [Status.SUCCESS, Status.PENDING]
    left = await world.claim()
    assert [one.id for one in left.deliveries] == [lease.deliveries[1].id]
    assert await world.store.river.release(Step(left, judged(left, SUCCESS), (), NOW), 0) is False
    assert await world.claim() is None


async def test_a_lost_lease_writes_nothing(world: World) -> None:
    lease = await leased(world, 2)
    await world.store.river.sweep(NOW + 10_001, rules(), NOW + 10_001)
    taken = await world.claim(NOW + 10_002, owner="other")
    assert taken is not None
    for attempt in (
        world.store.river.step(Step(lease, judged(lease, SUCCESS), [lease.deliveries[0].id], NOW)),
        world.store.river.release(Step(lease, judged(lease, SUCCESS), (), NOW), 0),
        world.store.river.split(lease, [lease.deliveries]),
    ):
        with pytest.raises(LeaseLost):
            await attempt
    assert await world.statuses() == [Status.SENDING] * 2


# --- sweeping ----------------------------------------------------------------------------------------------------


async def test_a_heartbeat_keeps_a_lease(world: World) -> None:
    kept = await leased(world, 1)
    await world.add(1, first=2)
    await world.plan()
    await world.claim()
    heartbeat, epochs = world.store.river.heartbeat, {kept.chunk: kept.epoch}
    assert await heartbeat("worker", epochs, NOW + 60_000) == {kept.chunk}
    assert await heartbeat("somebody else", epochs, 0) == frozenset()
    assert await heartbeat("worker", {kept.chunk: kept.epoch + 1}, 0) == frozenset()
    assert await heartbeat("worker", {}, 0) == frozenset()
    assert await world.store.river.sweep(NOW + 50_000, rules(), NOW) == []
    assert await world.statuses() == [Status.SENDING, Status.PENDING]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (UncertainPolicy.GIVE_UP, (6, int(DeliveryCode.UNCERTAIN), 2)),
        (UncertainPolicy.RESEND, (5, int(DeliveryCode.UNCERTAIN), 2)),
        (UncertainPolicy.HOLD, (5, int(DeliveryCode.UNCERTAIN_HELD), 2)),
    ],
)
async def test_below_the_mark_it_is_uncertain_above_it_waits(
    world: World, policy: UncertainPolicy, expected: tuple[int, int, int]
) -> None:
    lease = await leased(world, 5)
    ids = [one.id for one in lease.deliveries]
    await world.store.river.step(Step(lease, [], ids[:2], NOW))
    await world.store.river.step(Step(lease, judged(lease, SUCCESS, slice(2)), ids[2:4], NOW))
    moved = await world.store.river.sweep(NOW + 10_001, rules(policy, delay=0), NOW + 20_000)
    assert [(line[3], line[4], line[5]) for line in await world.lines()] == [
        (4, 0, 2),
        (4, 0, 2),
        expected,
        expected,
        (1, 0, 3),
    ]
    code = DeliveryCode(expected[1])
    assert moved == [Moved(world.campaign.number, Medium.SMS, code, policy is UncertainPolicy.RESEND)] * 2
    left = await world.claim(NOW + 20_000)
    dials = {one.dial[-1] for one in left.deliveries}
    assert dials == ({"3", "4", "5"} if policy is UncertainPolicy.RESEND else {"5"})


async def test_what_is_held_is_never_claimed_by_itself(world: World) -> None:
    lease = await leased(world, 1)
    await world.store.river.step(Step(lease, [], [lease.deliveries[0].id], NOW))
    await world.store.river.sweep(NEVER, rules(UncertainPolicy.HOLD), NOW)
    assert await world.plan(now=NOW + 10**12) == 0
    assert await world.claim(NOW + 10**12) is None


async def test_a_deleted_campaign_is_cancelled_piece_by_piece(world: World) -> None:
    lease = await leased(world, 3)
    await world.add(2, first=4)
    await world.store.river.step(Step(lease, [], [lease.deliveries[0].id], NOW))
    await world.store.campaigns.delete(world.campaign.number, NOW)
    while await world.store.river.sweep_over(NOW):
        pass
    assert await world.statuses() == [2, 2, 2, 7, 7]
    await world.store.river.release(Step(lease, judged(lease, again(NOW + 1), slice(1)), (), NOW), 0)
    assert await world.statuses() == [7, 7, 7, 7, 7]
    assert await world.claim(NOW + 2) is None


async def test_the_oldest_due_chunk_is_told(world: World) -> None:
    assert await world.store.river.oldest_due(NOW) == {}
    await world.add(2)
    await world.plan(1, now=NOW - 5_000)
    await world.plan(1, now=NOW - 1_000)
    assert await world.store.river.oldest_due(NOW) == {Medium.SMS: NOW - 5_000}
    await world.claim()
    assert await world.store.river.oldest_due(NOW) == {Medium.SMS: NOW - 1_000}


async def test_a_large_campaign_is_cut_leased_and_recorded_whole(world: World) -> None:
    await world.add(1_250)
    sizes = [await world.plan() for _ in range(3)]
    assert sizes == [500, 500, 250]
    for size in sizes:
        lease = await world.claim()
        assert len(lease.deliveries) == size
        await world.store.river.release(Step(lease, judged(lease, SUCCESS), (), NOW), 0)
    assert set(await world.statuses()) == {Status.SUCCESS}
    assert guid(1_250) == (await world.lines())[-1][0]


# --- a clock that is set back -------------------------------------------------------------------------------------


async def test_what_was_added_before_the_clock_was_set_back_is_claimed(world: World) -> None:
    await world.add(3)
    await world.plan(now=NOW - 60_000)
    lease = await world.claim(now=NOW - 60_000)
    assert lease is not None
    assert len(lease.deliveries) == 3


@pytest.mark.parametrize("beside", [0, 1], ids=["alone in its chunk", "beside one that is due"])
async def test_a_retry_that_is_not_due_any_more_waits_for_its_moment_again(world: World, beside: int) -> None:
    """The clock was set back between the cutting of its chunk and the claim."""
    lease = await leased(world, 1 + beside)
    river = world.store.river
    verdicts = judged(lease, again(NOW + 1_000), slice(0, 1)) + judged(lease, again(NOW + 500), slice(1, None))
    await river.release(Step(lease, verdicts, (), NOW), 0)
    assert await world.plan(now=NOW + 1_001) == 1 + beside
    early = await world.claim(now=NOW + 900)
    assert (early is not None, await world.claim(now=NOW + 900)) == (bool(beside), None)
    assert next(lane.next_due for lane in await river.lanes() if lane.medium is Medium.SMS) == NOW + 1_000
    assert await world.plan(now=NOW + 1_000) == 1
    late = await world.claim(now=NOW + 1_000)
    assert late is not None
    assert [(one.id, one.attempt) for one in late.deliveries] == [(lease.deliveries[0].id, 2)]


async def test_a_cut_takes_from_the_list_just_what_it_took(world: World) -> None:
    """Of a million that are due it takes a chunk's worth, and the next cut goes on behind it."""
    lease = await leased(world, 6)
    one, rest = judged(lease, again(NOW + 5), slice(5, None)), judged(lease, again(NOW + 10), slice(0, 5))
    await world.store.river.release(Step(lease, rest + one, (), NOW), 0)
    ids = [delivery.id for delivery in lease.deliveries]
    taken = []
    for _ in range(3):
        assert await world.plan(2, now=NOW + 10) == 2
        claimed = await world.claim(now=NOW + 10)
        assert claimed is not None
        taken.append([delivery.id for delivery in claimed.deliveries])
    assert taken == [[ids[0], ids[5]], ids[1:3], ids[3:5]]
    assert await world.plan(2, now=NOW + 10) == 0


async def test_many_that_are_not_to_be_sent_are_passed_over_in_portions(world: World) -> None:
    blank = Admitted(Medium.SMS, "", None, None, 0)
    many = [NewContact(world.campaign.number, guid(number), (blank,)) for number in range(1, 10_002)]
    await world.store.contacts.add_many(many, NOW)
    await world.add(1, first=20_000)
    assert await world.plan() == 0
    assert await standing(world) == (2, None)
    assert await world.plan() == 1
    assert await standing(world) == (0, 1)


async def standing(world: World) -> tuple[int, int | None]:
    """Contacts of the SMS lane that were not planned, and the chunks that wait."""
    (lane,) = [one for one in await world.store.river.lanes() if one.medium is Medium.SMS]
    return lane.fresh, lane.waiting.chunks if lane.waiting else None
