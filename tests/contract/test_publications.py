"""The store contract: how far endpoints were told, the secrets that sign it, and what one delivery waits for."""

from __future__ import annotations

import asyncio

from campana.domain.delivery import Medium, Status
from campana.domain.progress import EventKind
from campana.storage.publications import Behind, Census, Failure, Publication, Secrets
from campana.storage.waits import NOWHERE, WaitRow
from tests.contract.conftest import NOW, World, a_campaign, guid

HOOK, OTHER = "https://example.com/hook", "wss://example.com/socket"


async def with_events(world: World) -> int:
    """The campaign, with two events; its number."""
    number = world.campaign.number
    assert await world.store.progress.tell(number, EventKind.WINDOW_OPENED, NOW)
    assert await world.store.progress.tell(number, EventKind.STARTED, NOW)
    return number


async def test_an_endpoint_is_told_from_the_first_event_on(world: World) -> None:
    number, kept = await with_events(world), world.store.publications
    assert await kept.find(number) is None
    assert await kept.behind(0, 10) == []
    told = await kept.address(number, HOOK)
    assert told == Publication(number, HOOK) == await kept.find(number)
    assert await kept.behind(0, 10) == [Behind(number, world.account, 0)]
    assert await kept.behind(number, 10) == []
    assert await kept.offer(told, 2)
    assert (await kept.find(number)).offered == 2
    await kept.taken(told, 2, NOW + 1)
    assert await kept.find(number) == Publication(number, HOOK, 2, 2, last_success_at=NOW + 1)
    assert await kept.behind(0, 10) == []
    assert await kept.census() == Census(0, 0, 0)


async def test_what_was_told_never_goes_back(world: World) -> None:
    number, kept = await with_events(world), world.store.publications
    told = await kept.address(number, HOOK)
    await kept.taken(told, 2, NOW)
    await kept.taken(told, 1, NOW + 1)
    # Who still believes that nothing was told is late.
    assert not await kept.offer(told, 1)
    await kept.failed(told, Failure(NOW + 2, "late", None))
    assert await kept.find(number) == Publication(number, HOOK, 2, 0, last_success_at=NOW)


async def test_failures_are_counted_until_one_is_taken(world: World) -> None:
    number, kept = await with_events(world), world.store.publications
    told = await kept.address(number, HOOK)
    await kept.failed(told, Failure(NOW, "first", NOW + 5_000))
    await kept.failed(told, Failure(NOW + 5_000, "second", NOW + 15_000))
    failing = await kept.find(number)
    assert failing == Publication(
        number, HOOK, 0, 0, 2, NOW, NOW + 15_000, last_error_at=NOW + 5_000, last_error="second"
    )
    assert await kept.behind(0, 10) == [Behind(number, world.account, NOW + 15_000)]
    assert await kept.census() == Census(failing=1, stopped=0, behind=2)
    await kept.taken(failing, 2, NOW + 20_000)
    assert await kept.find(number) == Publication(
        number, HOOK, 2, 0, last_success_at=NOW + 20_000, last_error_at=NOW + 5_000, last_error="second"
    )


async def test_one_that_was_given_up_waits_for_a_person(world: World) -> None:
    number, kept = await with_events(world), world.store.publications
    assert not await kept.retry(number)
    told = await kept.address(number, HOOK)
    await kept.offer(told, 2)
    await kept.failed(told, Failure(NOW, "over", None))
    assert (await kept.find(number)).stopped_at == NOW
    assert await kept.behind(0, 10) == []
    assert await kept.census() == Census(failing=0, stopped=1, behind=0)
    assert not await kept.offer(told, 2)
    assert await kept.retry(number)
    again = await kept.find(number)
    assert (again.stopped_at, again.failures, again.failing_since, again.sent, again.offered) == (None, 0, None, 0, 2)
    assert await kept.behind(0, 10) == [Behind(number, world.account, 0)]


async def test_another_endpoint_begins_clean_where_the_old_one_stood(world: World) -> None:
    number, kept = await with_events(world), world.store.publications
    told = await kept.address(number, HOOK)
    await kept.taken(told, 1, NOW)
    old = await kept.find(number)
    await kept.failed(old, Failure(NOW, "over", None))
    new = await kept.address(number, OTHER)
    assert new == Publication(number, OTHER, 1, 0)
    # News of the old one change nothing any more.
    await kept.taken(old, 2, NOW)
    await kept.failed(old, Failure(NOW, "late", None))
    assert not await kept.offer(old, 2)
    assert await kept.find(number) == new == await kept.address(number, OTHER)


async def test_a_campaign_without_an_endpoint_is_behind_with_nothing(world: World) -> None:
    number, kept = await with_events(world), world.store.publications
    await kept.address(number, HOOK)
    assert (await kept.address(number, "")).endpoint == ""
    assert await kept.behind(0, 10) == []
    assert await kept.census() == Census(0, 0, 0)


async def test_deleted_campaigns_are_told_of_no_more(world: World) -> None:
    number, kept = await with_events(world), world.store.publications
    await kept.address(number, HOOK)
    await world.store.campaigns.delete(number, NOW)
    assert await kept.behind(0, 10) == []
    assert await kept.census() == Census(0, 0, 0)


async def test_campaigns_come_in_pages(world: World) -> None:
    kept, numbers = world.store.publications, [await with_events(world)]
    for place in range(3):
        row = await world.store.campaigns.add(world.account, world.user, a_campaign(950 + place), NOW)
        await world.store.progress.tell(row.number, EventKind.STARTED, NOW)
        numbers.append(row.number)
    for number in numbers:
        await kept.address(number, HOOK)
    first = await kept.behind(0, 3)
    assert [one.campaign for one in first + await kept.behind(first[-1].campaign, 3)] == numbers


async def test_many_at_once_note_one_endpoint(world: World) -> None:
    number, kept = await with_events(world), world.store.publications
    noted = await asyncio.gather(*(kept.address(number, HOOK) for _ in range(8)))
    assert set(noted) == {Publication(number, HOOK)}


async def test_secrets_begin_once_and_are_renewed(world: World) -> None:
    kept = world.store.publications
    assert await kept.secrets(world.account) is None
    first = await kept.begin_secret(world.account, "whsec_one")
    assert first == Secrets("whsec_one") == await kept.begin_secret(world.account, "whsec_two")
    assert await kept.rotate_secret(world.account, "whsec_three", NOW) == Secrets("whsec_three", "whsec_one", NOW)
    await kept.rotate_secret(world.account, "whsec_four", NOW + 1)
    assert await kept.secrets(world.account) == Secrets("whsec_four", "whsec_three", NOW + 1)
    assert await kept.secrets(world.account + 1) is None


async def test_what_a_delivery_waits_for(world: World) -> None:
    await world.add(1)
    number, waits = world.campaign.number, world.store.waits
    found = await waits.find(number, guid(1), Medium.SMS)
    assert found == WaitRow(Status.PENDING, 0, found.due_at, "+14165550001")
    assert found.due_at <= NOW
    assert await waits.find(number, guid(1), Medium.EMAIL) == NOWHERE
    assert await waits.find(number, guid(2), Medium.SMS) is None
    assert await waits.find(number, "", Medium.SMS) is None
    await world.store.contacts.delete(number, guid(1), NOW)
    assert await waits.find(number, guid(1), Medium.SMS) is None
