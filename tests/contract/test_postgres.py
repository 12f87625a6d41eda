"""What only a store for many processes can get wrong: two of them at work at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count, pairwise
from typing import Any

import asyncpg
import pytest

from campana.domain.campaign import UncertainPolicy
from campana.domain.contact import Admitted, MediumState, ReplaceMedium
from campana.domain.delivery import Medium, Status
from campana.domain.errors import MethodCode, MethodError
from campana.domain.message import IncomingMessage
from campana.domain.outcome import Change
from campana.domain.person import Person
from campana.services.lockout import Lockout
from campana.storage.river import Cut, Judged, LeaseLost, Step
from campana.storage.store import Failures, NewContact
from campana.storage.tables import NEVER
from tests.contract import postgres_kit
from tests.contract.conftest import NOW, World, a_campaign, guid, rules
from tests.contract.postgres_cluster import (
    AGAIN,
    DELIVERING,
    PATIENCE,
    SUCCESS,
    Cluster,
    clustered,
    delivered,
    judged,
    leased,
)


@pytest.fixture
async def cluster(postgres: postgres_kit.Server, postgres_database: str) -> AsyncIterator[Cluster]:
    async with clustered(postgres, postgres_database) as cluster:
        yield cluster


async def test_no_chunk_is_claimed_twice(cluster: Cluster) -> None:
    one, other = await cluster.open(), await cluster.open()
    await one.add(600)
    while await one.plan(10):
        pass

    async def claim_all(world: World, name: str) -> list[int]:
        taken = []
        while lease := await world.claim(owner=name):
            taken += [delivery.id for delivery in lease.deliveries]
            await world.store.river.release(Step(lease, judged(lease, SUCCESS), (), NOW), 0)
        return taken

    taken = await asyncio.gather(*(claim_all(world, f"w{n}") for n, world in enumerate([one, other] * 4)))
    everything = [delivery for some in taken for delivery in some]
    assert len(everything) == len(set(everything)) == 600


async def test_no_delivery_is_cut_twice(cluster: Cluster) -> None:
    one, other = await cluster.open(), await cluster.open()
    await one.add(500)
    cut = Cut(one.campaign.number, Medium.SMS, 7, 1, 0, NEVER)
    plans = [world.store.river.plan([cut] * 3, NOW) for world in (one, other) for _ in range(12)]
    sizes = [size for some in await asyncio.gather(*plans) for size in some]
    assert sum(sizes) == 500
    spans = await cluster.meddler.fetch("SELECT first, last FROM chunks ORDER BY first")
    assert all(before["last"] < after["first"] for before, after in pairwise(spans))


async def test_what_is_due_is_cut_once(cluster: Cluster) -> None:
    one, other = await cluster.open(), await cluster.open()
    lease = await leased(one, 200)
    await one.store.river.release(Step(lease, judged(lease, AGAIN), (), NOW), 0)
    plans = [world.plan(9, now=NOW + 1) for world in (one, other) for _ in range(20)]
    assert sum(await asyncio.gather(*plans)) == 200


async def test_contacts_get_their_numbers_in_the_order_in_which_they_can_be_seen(cluster: Cluster) -> None:
    """Whoever sees that a campaign has so many contacts sees all of them, and none is planned past."""
    worlds = [await cluster.open() for _ in range(3)]
    numbers = count(1)

    async def add(world: World) -> None:
        for _ in range(60):
            number = next(numbers)
            phone = Admitted(Medium.SMS, f"+1{number}", f"+1{number}", None, 3)
            await world.store.contacts.add(NewContact(world.campaign.number, guid(number), (phone,)), NOW)

    async def plan(world: World, adding: asyncio.Future[Any]) -> int:
        planned = 0
        while not adding.done():
            planned += await world.plan(5)
        while size := await world.plan(5):
            planned += size
        return planned

    adding = asyncio.gather(*(add(world) for world in worlds for _ in range(4)))
    planned = await asyncio.gather(*(plan(world, adding) for world in worlds))
    assert sum(planned) == 720
    assert len(await worlds[0].lines()) == 720


async def test_concurrent_additions_share_transactions(cluster: Cluster) -> None:
    world = await cluster.open()
    await asyncio.gather(
        *(world.store.contacts.add(NewContact(world.campaign.number, guid(n), ()), NOW) for n in range(300))
    )
    versions = await cluster.meddler.fetchval("SELECT count(DISTINCT xmin::text) FROM contacts")
    assert versions <= 3


async def test_one_addition_at_fault_fails_alone(cluster: Cluster) -> None:
    world = await cluster.open()
    new = [
        NewContact(world.campaign.number, guid(n), (Admitted(Medium.SMS, "+1", "+1", text, 1),))
        for n, text in enumerate(["fine", "nul \x00 here", "fine as well"])
    ]
    answers = await asyncio.gather(*(world.store.contacts.add(one, NOW) for one in new), return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), asyncpg.CharacterNotInRepertoireError, type(None)]
    assert [line[2] for line in await world.lines()] == ["fine", "fine as well"]


@pytest.mark.parametrize("what", ["step", "release", "split"])
async def test_a_lease_that_somebody_else_has_is_lost(cluster: Cluster, what: str) -> None:
    one, other = await cluster.open(), await cluster.open()
    lease = await leased(one, 2)
    await other.store.river.sweep(NOW + 10_001, rules(), NOW + 10_001)
    taken = await other.claim(NOW + 10_002, owner="other")
    assert taken is not None
    river = one.store.river
    step = Step(lease, judged(lease, SUCCESS), (), NOW)
    orders: dict[str, Callable[[], Awaitable[Any]]] = {
        "step": lambda: river.step(step),
        "release": lambda: river.release(step, 0),
        "split": lambda: river.split(lease, [lease.deliveries]),
    }
    with pytest.raises(LeaseLost):
        await orders[what]()
    assert await one.statuses() == [Status.SENDING] * 2
    await other.store.river.release(Step(taken, judged(taken, SUCCESS), (), NOW), 0)
    assert await one.statuses() == [Status.SUCCESS] * 2


async def test_a_lapsed_lease_is_either_recorded_or_swept(cluster: Cluster) -> None:
    """Its owner and a sweep come at the same moment: what was sent is never uncertain as well."""
    one, other = await cluster.open(), await cluster.open()
    leases = [await leased(one, 1, first) for first in range(1, 41)]
    for lease in leases:
        await one.store.river.step(Step(lease, (), [lease.deliveries[0].id], NOW))
    releases = [one.store.river.release(Step(lease, judged(lease, SUCCESS), (), NOW), 0) for lease in leases]
    sweeps = [other.store.river.sweep(NOW + 10_001, rules(), NOW) for _ in range(8)]
    random.Random(1).shuffle(releases)
    answers = await asyncio.gather(*releases, *sweeps, return_exceptions=True)
    lost = sum(isinstance(answer, LeaseLost) for answer in answers)
    swept = sum(len(answer) for answer in answers[len(releases) :])
    assert [answer for answer in answers if isinstance(answer, Exception) and not isinstance(answer, LeaseLost)] == []
    assert lost == swept
    assert Counter(await one.statuses()) == Counter({Status.SUCCESS: 40 - swept, Status.PERMANENT_FAILURE: swept})


async def test_segments_told_of_in_two_processes_are_both_counted(cluster: Cluster) -> None:
    one, other = await cluster.open(), await cluster.open()
    lease = await leased(one, 30)
    parts = [
        Judged(d.id, 1, DELIVERING, "main", NOW, tuple(f"{n}-{part}" for part in range(4)))
        for n, d in enumerate(lease.deliveries)
    ]
    await one.store.river.release(Step(lease, parts, (), NOW), 0)
    told = [
        (one, other)[part % 2].store.receipts.receipts(
            delivered(*(f"{n}-{part}" for n in sorted(range(30), reverse=part > 1))), rules(), NOW
        )
        for part in range(4)
    ]
    answers = await asyncio.gather(*told)
    assert sum(len(answer.moved) for answer in answers) == 30
    assert await one.statuses() == [Status.SUCCESS] * 30


async def test_a_contact_that_is_deleted_while_it_is_handed_over_is_not_called_cancelled(cluster: Cluster) -> None:
    """The deletion waits for the step; then it sees how far hand-over may have gone."""
    one, other = await cluster.open(), await cluster.open()
    lease = await leased(one, 1)
    delivery = lease.deliveries[0].id
    async with cluster.meddler.transaction():
        # The step in the middle: its mark is set, and not yet to be seen.
        await cluster.meddler.execute("UPDATE chunks SET mark = $1 WHERE id = $2", delivery, lease.chunk)
        deletion = asyncio.create_task(other.store.contacts.delete(one.campaign.number, guid(1), NOW))
        await cluster.until_somebody_waits()
    assert await deletion is True
    status = "SELECT status, attempts_left FROM deliveries WHERE id = $1"
    assert tuple(await cluster.meddler.fetchrow(status, delivery)) == (Status.SENDING, 0)


async def test_failures_in_several_processes_are_all_counted(cluster: Cluster) -> None:
    """Also the first of them, when there is no row that could be locked."""
    worlds = [await cluster.open() for _ in range(3)]

    def one_more(failures: Failures | None) -> Failures:
        return Failures(((NOW, 1 + (failures.count if failures else 0)),))

    keys = [bytes([number]) * 32 for number in range(5)]
    counts = [world.store.sessions.judge_failures(key, one_more) for world in worlds for key in keys for _ in range(20)]
    random.Random(1).shuffle(counts)
    await asyncio.gather(*counts)
    kept = [await worlds[0].store.sessions.failures(key) for key in keys]
    assert [failures and failures.count for failures in kept] == [60] * 5


async def test_no_more_guesses_than_the_limit_are_answered_however_many_processes_judge(cluster: Cluster) -> None:
    lockouts = [Lockout((await cluster.open()).store.sessions, 10, 1_000, lambda: NOW) for _ in range(3)]
    for key in (b"wrong" * 7, b"right" * 7):
        last = "succeed" if key.startswith(b"right") else "fail"
        for lockout in lockouts:
            await lockout.check(key)
        # All of them passed the check; then they were judged.
        answers = await asyncio.gather(
            *(lockout.fail(key) for lockout in lockouts for _ in range(9)), return_exceptions=True
        )
        answers += await asyncio.gather(*(getattr(lockout, last)(key) for lockout in lockouts), return_exceptions=True)
        assert Counter(map(str, answers)) == {"None": 10, str(MethodError(MethodCode.TOO_MANY_ATTEMPTS)): 20}


async def test_no_session_of_an_old_password_outlives_its_change(cluster: Cluster) -> None:
    """Whether the change or the session is committed first, the other one waits for it and sees it."""
    one, other = await cluster.open(), await cluster.open()
    async with cluster.meddler.transaction():
        await cluster.meddler.execute("UPDATE users SET password_hash = 'new'")
        opening = asyncio.create_task(one.store.sessions.open(b"a" * 32, one.user, "hash", NOW))
        await cluster.until_somebody_waits()
    assert await opening is False
    async with cluster.meddler.transaction():
        await cluster.meddler.execute("SELECT FROM users FOR SHARE")
        await cluster.meddler.execute(
            'INSERT INTO sessions (token_hash, "user", opened_at, last_used_at) VALUES ($1, $2, 0, 0)',
            b"b" * 32,
            one.user,
        )
        change = asyncio.create_task(other.store.accounts.set_password(one.user, "newer"))
        await cluster.until_somebody_waits()
    await change
    assert await cluster.meddler.fetchval("SELECT count(*) FROM sessions") == 0


async def test_uses_of_the_same_sessions_noted_by_several_processes(cluster: Cluster) -> None:
    worlds = [await cluster.open() for _ in range(3)]
    tokens = [number.to_bytes(32) for number in range(200)]
    for token in tokens:
        await worlds[0].store.sessions.open(token, worlds[0].user, "hash", NOW)
    notes = []
    for seed in range(12):
        uses = [(token, NOW + seed * (-1) ** number) for number, token in enumerate(tokens)]
        random.Random(seed).shuffle(uses)
        notes.append(worlds[seed % 3].store.sessions.touch(uses))
    await asyncio.gather(*notes)
    found = [(await worlds[0].store.sessions.find(token)).last_used_at - NOW for token in tokens]
    assert found == [11, 0] * 100


async def test_a_contact_that_is_deleted_just_before_a_step_is_withdrawn(cluster: Cluster) -> None:
    """The step waits for the deletion, which its statement was too early to see."""
    one = await cluster.open()
    lease = await leased(one, 2)
    ids = [delivery.id for delivery in lease.deliveries]
    async with cluster.meddler.transaction():
        # The deletion in the middle: it has the chunk.
        await cluster.meddler.execute("UPDATE chunks SET size = size - 1 WHERE id = $1", lease.chunk)
        await cluster.meddler.execute(
            f"UPDATE deliveries SET status = {Status.CANCELLED:d}, attempts_left = 0 WHERE id = $1", ids[1]
        )
        step = asyncio.create_task(one.store.river.step(Step(lease, (), ids, NOW)))
        await cluster.until_somebody_waits()
    assert await step == {ids[1]}


@pytest.mark.parametrize("change", [SUCCESS, DELIVERING])
async def test_a_lease_that_is_kept_alive_while_it_ends(cluster: Cluster, change: Change) -> None:
    """The last step waits for the heartbeat and goes on with the chunk as that left it."""
    one = await cluster.open()
    lease = await leased(one, 3)
    last = Step(lease, judged(lease, change, *([] if change is SUCCESS else "abc")), (), NOW)
    async with cluster.meddler.transaction():
        await cluster.meddler.execute("UPDATE chunks SET lease_until = lease_until + 1 WHERE id = $1", lease.chunk)
        release = asyncio.create_task(one.store.river.release(last, 0))
        await cluster.until_somebody_waits()
    assert await release is False
    assert await one.statuses() == [change.status] * 3
    assert await cluster.meddler.fetchval("SELECT count(*) FROM chunks") == 0
    assert await cluster.meddler.fetchval("SELECT count(*) FROM attempts") == 3


async def test_an_edit_beside_a_planner_is_planned(cluster: Cluster) -> None:
    """It gives a number to a contact that had none, just while the planner passes it."""
    one, other = await cluster.open(), await cluster.open()
    blank = Admitted(Medium.SMS, "", None, None, 0)
    await one.store.contacts.add_many([NewContact(one.campaign.number, guid(1), (blank,))], NOW)

    def give(states: list[MediumState], kept: Person | None) -> list[ReplaceMedium]:
        return [ReplaceMedium(Medium.SMS, "+14165550001", "+14165550001", None, 3, restart=True)]

    async with cluster.meddler.transaction():
        # The planner in the middle: it saw nobody to call, and has moved on.
        await cluster.meddler.execute("UPDATE lanes SET planned = 1 WHERE medium = 0")
        edit = asyncio.create_task(other.store.contacts.edit(one.campaign.number, guid(1), give, NOW))
        await cluster.until_somebody_waits()
    assert await edit is True
    assert await one.plan(now=NOW) == 1


async def test_nothing_goes_again_of_a_campaign_that_is_deleted_meanwhile(cluster: Cluster) -> None:
    """The deletion waits for the step that has not seen it; its sweep comes later and finds what the step left."""
    one, other = await cluster.open(), await cluster.open()
    lease = await leased(one, 1)
    async with cluster.meddler.transaction():
        await cluster.meddler.execute("SELECT FROM chunks WHERE id = $1 FOR UPDATE", lease.chunk)
        release = asyncio.create_task(one.store.river.release(Step(lease, judged(lease, AGAIN), (), NOW), 0))
        await cluster.until_somebody_waits()
        deletion = asyncio.create_task(other.store.campaigns.delete(one.campaign.number, NOW))
        await cluster.until("(SELECT count(*) FROM pg_locks WHERE NOT granted) = 2")
    assert (await release, await deletion) == (False, True)
    while await other.store.river.sweep_over(NOW):
        pass
    assert await one.statuses() == [Status.CANCELLED]


async def test_messages_are_seen_in_the_order_of_their_ids(cluster: Cluster) -> None:
    one, other = await cluster.open(), await cluster.open()
    seen: list[int] = []

    async def keep(world: World) -> None:
        for _ in range(20):
            await world.store.receipts.incoming(IncomingMessage("main", Medium.SMS, "+1", "+2", "Yes", NOW))

    async def read(keeping: asyncio.Future[Any]) -> None:
        while True:
            was_done = keeping.done()
            new = [one.id for one in await other.store.receipts.messages(seen[-1] if seen else 0)]
            seen.extend(new)
            if was_done and not new:
                return

    keeping = asyncio.gather(*(keep(world) for world in (one, other) for _ in range(3)))
    await read(keeping)
    assert len(seen) == 120


async def test_everything_at_once_ends_and_adds_up(cluster: Cluster) -> None:
    """Workers, receipts, edits, deletions, sweeps and planners of two processes: no deadlock, nothing lost."""
    worlds = [await cluster.open(), await cluster.open()]
    total, chance = 900, random.Random(7)
    await worlds[0].add(total)
    handed_over: asyncio.Queue[str] = asyncio.Queue()
    working = True

    async def work(world: World, name: str) -> None:
        river = world.store.river
        while (lease := await world.claim(owner=name)) or await world.plan(25):
            if lease is None:
                continue
            ids = [one.id for one in lease.deliveries]
            gone = await river.step(Step(lease, (), ids, NOW))
            sent = [Judged(i, 1, DELIVERING, "main", NOW, (f"c{i}",)) for i in ids if i not in gone]
            await river.release(Step(lease, sent, (), NOW), 0)
            for one in sent:
                handed_over.put_nowait(one.carrier_ids[0])

    async def tell(world: World) -> None:
        while working or not handed_over.empty():
            batch = [handed_over.get_nowait() for _ in range(min(40, handed_over.qsize()))]
            chance.shuffle(batch)
            await world.store.receipts.receipts(delivered(*batch), rules(), NOW)
            await world.store.receipts.settle_early(rules(), NOW)

    async def meddle(world: World) -> None:
        same = a_campaign(name="Another name")
        while working:
            await world.store.contacts.delete(world.campaign.number, guid(chance.randint(1, total)), NOW)
            await world.store.campaigns.replace(world.campaign.number, same, NOW)
            await world.store.river.gate(world.campaign.number, Medium.SMS, 0, NEVER)
            await world.store.river.sweep(NOW - 1, rules(UncertainPolicy.RESEND), NOW)

    others = asyncio.gather(*(task(world) for world in worlds for task in (tell, meddle)))
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(work(world, f"{n}-{k}") for n, world in enumerate(worlds) for k in range(3)))
        working = False
        await others
        # What a worker passed over since somebody had it just then.
        await work(worlds[0], "last")
        await tell(worlds[0])
    found = Counter(row[0] for row in await cluster.meddler.fetch("SELECT status FROM deliveries"))
    assert set(found) <= {Status.SUCCESS, Status.CANCELLED}
    assert sum(found.values()) == total
    attempts = await cluster.meddler.fetchval("SELECT count(*) FROM attempts")
    left = await cluster.meddler.fetchval("SELECT (SELECT count(*) FROM handovers) + (SELECT count(*) FROM chunks)")
    assert (attempts, left) == (found[Status.SUCCESS], 0)
