"""The store contract: what happens is counted and told, whichever way a delivery moves."""

from __future__ import annotations

import random
from typing import Any

import pytest

from campana.domain.campaign import UncertainPolicy
from campana.domain.contact import Admitted, MediumState, ReplaceMedium
from campana.domain.delivery import Medium, Status
from campana.domain.outcome import Change, DeliveryCode, Receipt, ReceiptState
from campana.domain.person import Person
from campana.storage.river import Judged, Lease, Step
from campana.storage.store import NewContact
from campana.storage.tables import NEVER
from tests.contract.conftest import LATER, NOW, World, guid, rules
from tests.contract.progress_kit import counted, events, fold, moves, replayed, standing

S = Status
DELIVERING = Change(S.DELIVERING, DeliveryCode.OK, True)
SUCCESS = Change(S.SUCCESS, DeliveryCode.OK, True)
FAILURE = Change(S.PERMANENT_FAILURE, DeliveryCode.SMS_REFUSED, True)


def again(at: int) -> Change:
    """Failed for now, to go again."""
    return Change(S.WAITING_FOR_RETRY, DeliveryCode.SMS_TEMPORARY, True, at)


def judge(lease: Lease, change: Change, which: slice = slice(None), ids: str = "") -> list[Judged]:
    """The same verdict for some deliveries of a lease."""
    return [
        Judged(one.id, one.attempt, change, "sms-main", NOW, (f"{ids}{one.id}-{one.attempt}",) if ids else ())
        for one in lease.deliveries[which]
    ]


async def take(world: World, now: int = NOW, limit: int = 500) -> Lease:
    """Cut and claim a chunk."""
    await world.plan(limit, now)
    lease = await world.claim(now)
    assert lease is not None
    return lease


def restarting(destination: str | None) -> Any:
    """An edit of the SMS: another destination, or none."""

    def plan(states: list[MediumState], person: Person) -> list[ReplaceMedium]:
        return [ReplaceMedium(Medium.SMS, destination or "", destination, None, 3, restart=True)]

    return plan


async def agrees(world: World) -> None:
    """Counts are what lists of contacts say, before and after folding."""
    truth = await counted(world)
    before = await standing(world)
    assert before.balance == truth
    await fold(world)
    after = await standing(world)
    assert after.balance == truth
    assert all(sum(row) == truth.contacts for row in truth.tallies)


# --- the ways a delivery moves -----------------------------------------------------------------------------------

_CLAIMED = (S.PENDING, S.SENDING, 0)


async def _run(world: World, change: Change) -> None:
    lease = await take(world)
    await world.store.river.step(Step(lease, judge(lease, change, ids="c"), (), NOW))


async def _mixed(world: World) -> None:
    lease = await take(world)
    judged = judge(lease, SUCCESS, slice(0, 1)) + judge(lease, FAILURE, slice(1, 2)) + judge(lease, again(NOW + 5))[2:]
    await world.store.river.step(Step(lease, judged, (), NOW))


async def _last_try(world: World) -> None:
    await _mixed(world)
    for _ in range(2):
        lease = await take(world, LATER)
        await world.store.river.step(Step(lease, judge(lease, again(NOW + 5)), (), LATER))


async def _given_back(world: World) -> None:
    lease = await take(world)
    await world.store.river.release(Step(lease, (), (), NOW), 0)


async def _given_back_after_a_try(world: World) -> None:
    await _run(world, again(NOW + 5))
    lease = await take(world, LATER)
    await world.store.river.release(Step(lease, (), (), LATER), 0)


async def _lapsed(world: World) -> None:
    lease = await take(world)
    await world.store.river.step(Step(lease, (), [lease.deliveries[0].id], NOW))
    await world.store.river.sweep(NEVER, rules(), LATER)


async def _received(world: World, state: ReceiptState, code: DeliveryCode) -> None:
    lease = await take(world)
    await world.store.river.step(Step(lease, judge(lease, DELIVERING, ids="c"), (), NOW))
    ids = [f"c{one.id}-{one.attempt}" for one in lease.deliveries]
    batch = [Receipt("sms-main", state, code, NOW, (one,)) for one in ids]
    await world.store.receipts.receipts(batch, rules(), NOW)


async def _early(world: World) -> None:
    lease = await take(world)
    ids = [f"c{one.id}-{one.attempt}" for one in lease.deliveries]
    batch = [Receipt("sms-main", ReceiptState.DELIVERED, DeliveryCode.OK, NOW, (one,)) for one in ids]
    await world.store.receipts.receipts(batch, rules(), NOW)
    await world.store.river.step(Step(lease, judge(lease, DELIVERING, ids="c"), (), NOW))
    await world.store.receipts.settle_early(rules(), NOW)


async def _missing(world: World) -> None:
    lease = await take(world)
    await world.store.river.step(Step(lease, judge(lease, DELIVERING, ids="c"), (), NOW))
    for handover in await world.store.receipts.overdue("sms-main", LATER, LATER, 10):
        await world.store.receipts.missing(handover, rules(UncertainPolicy.HOLD), LATER)


async def _bounced(world: World) -> None:
    lease = await take(world)
    await world.store.river.step(Step(lease, judge(lease, SUCCESS), (), NOW))
    one = lease.deliveries[0]
    bounce = Receipt(
        "sms-main",
        ReceiptState.FAILED,
        DeliveryCode.EMAIL_BOUNCED,
        NOW,
        delivery_id=one.id,
        attempt=one.attempt,
        bounce=True,
    )
    await world.store.receipts.receipts([bounce], rules(), NOW)


async def _restarted(world: World) -> None:
    await _run(world, SUCCESS)
    await world.store.contacts.edit(world.campaign.number, guid(1), restarting("+14165559999"), NOW)
    await world.store.contacts.edit(world.campaign.number, guid(2), restarting(None), NOW)


async def _other_medium(world: World) -> None:
    def plan(states: list[MediumState], person: Person) -> list[ReplaceMedium]:
        return [ReplaceMedium(Medium.EMAIL, "a@example.com", "a@example.com", None, 3, restart=True)]

    await world.store.contacts.edit(world.campaign.number, guid(1), plan, NOW)


async def _withdrawn_in_a_run(world: World) -> None:
    """One that was claimed, and was deleted before it left."""
    lease = await take(world)
    await world.store.contacts.delete(world.campaign.number, guid(2), NOW)
    await world.store.river.step(Step(lease, judge(lease, SUCCESS), (), NOW))


async def _withdrawn_in_a_batch(world: World) -> None:
    lease = await take(world)
    await world.store.contacts.delete(world.campaign.number, guid(2), NOW)
    judged = judge(lease, SUCCESS, slice(0, 2)) + judge(lease, FAILURE, slice(2, 3))
    await world.store.river.step(Step(lease, judged, (), NOW))


def _sms(*which: tuple[Status, Status, int]) -> list[tuple[Medium, Status, Status, int]]:
    return [(Medium.SMS, *one) for one in which]


_T, _R = int(DeliveryCode.SMS_TEMPORARY), int(DeliveryCode.SMS_REFUSED)
_SENT = (S.SENDING, S.DELIVERING, 0)
WAYS: dict[str, tuple[Any, list[tuple[Medium, Status, Status, int]]]] = {
    "added": (None, []),
    "claimed": (take, _sms(*[_CLAIMED] * 3)),
    "delivered": (lambda it: _run(it, SUCCESS), _sms(*[_CLAIMED] * 3, *[(S.SENDING, S.SUCCESS, 0)] * 3)),
    "handed over": (lambda it: _run(it, DELIVERING), _sms(*[_CLAIMED] * 3, *[_SENT] * 3)),
    "a batch": (
        _mixed,
        _sms(
            *[_CLAIMED] * 3,
            (S.SENDING, S.SUCCESS, 0),
            (S.SENDING, S.PERMANENT_FAILURE, _R),
            (S.SENDING, S.WAITING_FOR_RETRY, _T),
        ),
    ),
    "tried for the last time": (
        _last_try,
        _sms(
            *[_CLAIMED] * 3,
            (S.SENDING, S.SUCCESS, 0),
            (S.SENDING, S.PERMANENT_FAILURE, _R),
            (S.SENDING, S.WAITING_FOR_RETRY, _T),
            (S.WAITING_FOR_RETRY, S.SENDING, _T),
            (S.SENDING, S.WAITING_FOR_RETRY, _T),
            (S.WAITING_FOR_RETRY, S.SENDING, _T),
            (S.SENDING, S.PERMANENT_FAILURE, _T),
        ),
    ),
    "given back": (_given_back, _sms(*[_CLAIMED] * 3, *[(S.SENDING, S.PENDING, 0)] * 3)),
    "given back after a try": (
        _given_back_after_a_try,
        _sms(
            *[_CLAIMED] * 3,
            *[(S.SENDING, S.WAITING_FOR_RETRY, _T)] * 3,
            *[(S.WAITING_FOR_RETRY, S.SENDING, _T)] * 3,
            *[(S.SENDING, S.WAITING_FOR_RETRY, _T)] * 3,
        ),
    ),
    "lapsed": (
        _lapsed,
        _sms(
            *[_CLAIMED] * 3,
            (S.SENDING, S.PERMANENT_FAILURE, int(DeliveryCode.UNCERTAIN)),
            *[(S.SENDING, S.PENDING, 0)] * 2,
        ),
    ),
    "received": (
        lambda it: _received(it, ReceiptState.DELIVERED, DeliveryCode.OK),
        _sms(*[_CLAIMED] * 3, *[_SENT] * 3, *[(S.DELIVERING, S.SUCCESS, 0)] * 3),
    ),
    "refused late": (
        lambda it: _received(it, ReceiptState.FAILED, DeliveryCode.SMS_EXPIRED),
        _sms(
            *[_CLAIMED] * 3,
            *[_SENT] * 3,
            *[(S.DELIVERING, S.WAITING_FOR_RETRY, int(DeliveryCode.SMS_EXPIRED))] * 3,
        ),
    ),
    "received early": (_early, _sms(*[_CLAIMED] * 3, *[_SENT] * 3, *[(S.DELIVERING, S.SUCCESS, 0)] * 3)),
    "never received": (
        _missing,
        _sms(
            *[_CLAIMED] * 3,
            *[_SENT] * 3,
            *[(S.DELIVERING, S.WAITING_FOR_RETRY, int(DeliveryCode.UNCERTAIN_HELD))] * 3,
        ),
    ),
    "bounced": (
        _bounced,
        _sms(
            *[_CLAIMED] * 3,
            *[(S.SENDING, S.SUCCESS, 0)] * 3,
            (S.SUCCESS, S.PERMANENT_FAILURE, int(DeliveryCode.EMAIL_BOUNCED)),
        ),
    ),
    "edited": (
        _restarted,
        _sms(
            *[_CLAIMED] * 3, *[(S.SENDING, S.SUCCESS, 0)] * 3, (S.SUCCESS, S.PENDING, 0), (S.SUCCESS, S.DO_NOT_TRY, 0)
        ),
    ),
    "given another medium": (_other_medium, [(Medium.EMAIL, S.DO_NOT_TRY, S.PENDING, 0)]),
    "withdrawn": (_withdrawn_in_a_run, _sms(*[_CLAIMED] * 3, *[(S.SENDING, S.SUCCESS, 0)] * 2)),
    "withdrawn from a batch": (
        _withdrawn_in_a_batch,
        _sms(*[_CLAIMED] * 3, (S.SENDING, S.SUCCESS, 0), (S.SENDING, S.PERMANENT_FAILURE, _R)),
    ),
}


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_is_counted_and_told(world: World, way: str) -> None:
    go, expected = WAYS[way]
    await world.add(3)
    if go is not None:
        await go(world)
    await agrees(world)
    found = await events(world)
    # One transaction does not say what it did first.
    assert sorted(moves(found)) == sorted(expected)
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    replayed(found)


# --- anything, in any order --------------------------------------------------------------------------------------


class Walk:
    """Does one thing after the other to a campaign, as chance will have it."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(seed)
        self.leases: list[Lease] = []
        self.sent: list[str] = []
        self.added = 0
        self.now = NOW

    async def step(self) -> None:
        self.now += self.chance.choice((0, 1, 70_000))
        ways = (self.add, self.claim, self.claim, self.record, self.record, self.release, self.lapse, self.receive)
        await self.chance.choice((*ways, self.edit, self.delete, self.fold))()

    async def add(self) -> None:
        number = self.world.campaign.number
        new = []
        for one in range(self.added + 1, self.added + self.chance.randint(2, 6)):
            media = [Admitted(Medium.SMS, "+14165550100", self.chance.choice(("+14165550100", None)), None, 2)]
            media += [Admitted(Medium.EMAIL, "a@example.com", "a@example.com", None, 2)] * self.chance.randint(0, 1)
            new.append(NewContact(number, guid(one), tuple(media)))
        self.added += len(new)
        await self.world.store.contacts.add_many([*new, *new[:1]][: len(new)], self.now)

    async def claim(self) -> None:
        for medium in (Medium.SMS, Medium.EMAIL):
            await self.world.plan(self.chance.randint(1, 6), self.now, medium)
            lease = await self.world.claim(self.now, medium=medium)
            if lease is not None:
                self.leases.append(lease)

    async def record(self) -> None:
        if self.leases:
            lease = self.chance.choice(self.leases)
            judged = self._judged(lease)
            upcoming = [one.id for one in lease.deliveries]
            await self.world.store.river.step(Step(lease, judged, upcoming, self.now))
            lease.deliveries = lease.deliveries[len(judged) :]
            lease.recorded = 0
            if not lease.deliveries:
                self.leases.remove(lease)

    async def release(self) -> None:
        if self.leases:
            lease = self.leases.pop(self.chance.randrange(len(self.leases)))
            if lease.deliveries:
                await self.world.store.river.release(Step(lease, (), (), self.now), 0)

    async def lapse(self) -> None:
        if self.chance.random() < 0.3:
            policy = self.chance.choice(list(UncertainPolicy))
            await self.world.store.river.sweep(NEVER, rules(policy), self.now)
            self.leases.clear()

    async def receive(self) -> None:
        some = self.chance.sample(self.sent, min(len(self.sent), 4))
        states = ((ReceiptState.DELIVERED, DeliveryCode.OK), (ReceiptState.FAILED, DeliveryCode.SMS_EXPIRED))
        batch = [Receipt("main", *self.chance.choice(states), self.now, (one,)) for one in some]
        await self.world.store.receipts.receipts(batch, rules(), self.now)
        await self.world.store.receipts.settle_early(rules(), self.now)

    async def edit(self) -> None:
        plan = restarting(self.chance.choice(("+14165550199", None)))

        def careful(states: list[MediumState], person: Person) -> list[ReplaceMedium]:
            sms = next(state for state in states if state.medium is Medium.SMS)
            return [] if sms.status in (S.SENDING, S.DELIVERING) else plan(states, person)

        which = guid(self.chance.randint(1, self.added + 1))
        await self.world.store.contacts.edit(self.world.campaign.number, which, careful, self.now)

    async def delete(self) -> None:
        which = guid(self.chance.randint(1, self.added + 1))
        await self.world.store.contacts.delete(self.world.campaign.number, which, self.now)

    async def fold(self) -> None:
        await self.world.store.progress.fold(self.world.campaign.number, self.now)

    def _judged(self, lease: Lease) -> list[Judged]:
        wait = Change(S.WAITING_FOR_RETRY, DeliveryCode.SMS_TEMPORARY, True, self.now + 1)
        changes = [self.chance.choice((DELIVERING, SUCCESS, FAILURE, wait))] * len(lease.deliveries)
        if self.chance.random() < 0.5:
            changes = [self.chance.choice((DELIVERING, SUCCESS, FAILURE, wait)) for _ in changes]
        judged = []
        for one, change in zip(lease.deliveries[: self.chance.randint(1, 6)], changes, strict=False):
            carrier = f"c{one.id}-{one.attempt}"
            if change is DELIVERING:
                self.sent.append(carrier)
            ids = (carrier,) if change is DELIVERING else ()
            judged.append(Judged(one.id, one.attempt, change, "main", self.now, ids))
        return judged


@pytest.mark.parametrize("seed", range(4))
async def test_the_balance_is_what_lists_of_contacts_say_whatever_happens(world: World, seed: int) -> None:
    walk = Walk(world, seed)
    for _ in range(90):
        await walk.step()
        assert (await standing(world)).balance == await counted(world)
    await agrees(world)
    found = await events(world, page=7)
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert (await standing(world)).number == len(found)
    stands = replayed(found)
    for line in await world.lines():
        assert stands.get((line[0], Medium.SMS), line[3]) == line[3]
        assert stands.get((line[0], Medium.EMAIL), line[13]) == line[13]
    assert await world.store.progress.audit(world.campaign.number, LATER) == []
