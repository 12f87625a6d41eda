"""The store contract: imports, whose batches are written with how far the list has come, or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from campana.domain.delivery import Medium, Status
from campana.domain.errors import MethodCode
from campana.domain.person import Person
from campana.storage.imports import Batch, ImportRow, ImportState, MediumColumns, Overtaken, Refusal
from tests.contract.conftest import NOW, World, guid

ID, OTHER = guid(7001), guid(7002)


def an_import(world: World, id: str = ID, **changes: Any) -> ImportRow:
    row = ImportRow(
        id, world.account, world.user, world.campaign.number, b"k" * 32, "{}", ImportState.READING, NOW, NOW
    )
    return replace(row, **changes)


def batch(first: int, count: int, after: int = 0, **changes: Any) -> Batch:
    """Contacts with numbers from one on, an SMS each, and an email every second one."""
    numbers = range(first, first + count)
    phones = [f"+1416555{number:04d}" for number in numbers]
    mails = [f"p{number}@example.com" if number % 2 else None for number in numbers]
    values: dict[str, Any] = {
        "after": after,
        "rows_read": after + count,
        "digest": bytes([first % 256]) * 32,
        "rows": list(range(after + 1, after + count + 1)),
        "guids": [guid(number) for number in numbers],
        "names": [f"n{number}" for number in numbers],
        "references": [None] * count,
        "fields": ['{"a":"b"}'] * count,
        "media": [MediumColumns(Medium.SMS, phones, 3), MediumColumns(Medium.EMAIL, mails, 2)],
    }
    return Batch(**(values | changes))


async def test_an_import_comes_back_as_it_was_kept(world: World) -> None:
    imports, row = world.store.imports, an_import(world)
    assert await imports.begin(row) == row
    assert await imports.find(world.account, ID) == row
    assert await imports.find_key(b"k" * 32) == row
    assert await imports.find(world.account + 1, ID) is None
    assert await imports.find(world.account, OTHER) is None
    assert await imports.find(world.account, "") is None


async def test_a_key_stands_for_the_first_that_came_with_it(world: World) -> None:
    imports = world.store.imports
    begun = await asyncio.gather(*(imports.begin(an_import(world, guid(number))) for number in range(1, 9)))
    assert len({one.id for one in begun}) == 1
    assert (await imports.begin(an_import(world, OTHER, key=None))).id == OTHER


@pytest.mark.parametrize("ours", [False, True])
async def test_a_batch_is_added_with_how_far_it_goes(world: World, ours: bool) -> None:
    imports, contacts, campaign = world.store.imports, world.store.contacts, world.campaign.number
    await world.add(2)
    await imports.begin(an_import(world))
    refused = [Refusal(4, "Phone", 22, "said")]
    first = batch(11, 3, refusals=refused, refused=1, rows_read=4, rows=[1, 2, 3], are_ours=ours)
    assert await imports.add_batch(ID, campaign, first, NOW + 5) == []
    assert await imports.add_batch(ID, campaign, batch(14, 2, after=4, are_ours=ours), NOW + 6) == []
    row = await imports.find(world.account, ID)
    assert (row.rows_read, row.accepted, row.refused, row.digest) == (6, 5, 1, bytes([14]) * 32)
    assert (row.state, row.changed_at) == (ImportState.READING, NOW + 6)
    details = await contacts.details(campaign, 2, 10)
    assert [one.number for one in details] == [3, 4, 5, 6, 7]
    assert details[0].person == Person("n11", "", {"a": "b"})
    assert [(one.medium, one.destination, one.status, one.attempts_left) for one in details[0].media] == [
        (Medium.SMS, "+14165550011", Status.PENDING, 3),
        (Medium.EMAIL, "p11@example.com", Status.PENDING, 2),
    ]
    assert [one.medium for one in details[1].media] == [Medium.SMS]
    assert await imports.refusals(ID, 0, 10) == refused
    standing = (await world.store.progress.standings([campaign]))[campaign]
    assert standing.balance.contacts == 7
    assert standing.balance.of(Medium.EMAIL, Status.PENDING) == 3
    assert await world.store.progress.audit(campaign, NOW) == [], "the counts are those of the deliveries"
    assert await world.plan() == 7


async def test_what_differs_from_one_to_the_next_is_kept(world: World) -> None:
    each = [("416 555 0011", None, 9), ("", "text alone", 0), None]
    media = [MediumColumns(Medium.SMS, ["+14165550011", None, None], 3, each)]
    await world.store.imports.begin(an_import(world))
    await world.store.imports.add_batch(ID, world.campaign.number, batch(1, 3, media=media), NOW)
    details = await world.store.contacts.details(world.campaign.number, 0, 10)
    states = [[(m.destination, m.text, m.status, m.attempts_left) for m in one.media] for one in details]
    assert states == [[("416 555 0011", None, 1, 9)], [("", "text alone", 0, 0)], []]


async def test_a_guid_in_use_is_refused_and_the_others_are_kept(world: World) -> None:
    imports, campaign = world.store.imports, world.campaign.number
    await world.add(2)
    await imports.begin(an_import(world))
    mixed = batch(1, 4)
    guids = [guid(50), guid(2), guid(50), guid(51)]
    assert await imports.add_batch(ID, campaign, replace(mixed, guids=guids), NOW) == [2, 3]
    row = await imports.find(world.account, ID)
    assert (row.rows_read, row.accepted, row.refused) == (4, 2, 2)
    refusals = await imports.refusals(ID, 0, 10)
    assert [(one.row, one.column, one.code) for one in refusals] == [
        (2, "id", MethodCode.CONTACT_ALREADY_EXISTS),
        (3, "id", MethodCode.CONTACT_ALREADY_EXISTS),
    ]
    details = await world.store.contacts.details(campaign, 2, 10)
    assert [(one.guid, [m.destination for m in one.media]) for one in details] == [
        (guid(50), ["+14165550001", "p1@example.com"]),
        (guid(51), ["+14165550004"]),
    ]
    assert await world.store.progress.audit(campaign, NOW) == []


async def test_of_two_who_go_on_one_is_overtaken_and_nothing_is_added_twice(world: World) -> None:
    imports, campaign = world.store.imports, world.campaign.number
    await imports.begin(an_import(world))
    both = [imports.add_batch(ID, campaign, batch(first, 5), NOW) for first in (1, 101)]
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Overtaken", "list"]
    assert len(await world.lines()) == 5
    await imports.end(ID, 5, ImportState.DONE, None, NOW)
    with pytest.raises(Overtaken):
        await imports.add_batch(ID, campaign, batch(201, 5, after=5), NOW)
    with pytest.raises(Overtaken):
        await imports.resume(ID, 4, NOW)


async def test_an_end_is_said_of_what_has_come_so_far(world: World) -> None:
    imports = world.store.imports
    await imports.begin(an_import(world))
    await imports.end(ID, 3, ImportState.DONE, None, NOW)
    assert (await imports.find(world.account, ID)).state is ImportState.READING
    await imports.end(ID, 0, ImportState.FAILED, "Row 1 is odd.", NOW + 1)
    row = await imports.find(world.account, ID)
    assert (row.state, row.problem, row.changed_at) == (ImportState.FAILED, "Row 1 is odd.", NOW + 1)
    await imports.resume(ID, 0, NOW + 2)
    row = await imports.find(world.account, ID)
    assert (row.state, row.problem) == (ImportState.READING, None)


@pytest.mark.parametrize("how", ["deleted", "cancelled"])
async def test_nothing_is_added_to_a_campaign_that_is_over(world: World, how: str) -> None:
    imports, campaigns = world.store.imports, world.store.campaigns
    await imports.begin(an_import(world))
    await (campaigns.delete if how == "deleted" else campaigns.cancel)(world.campaign.number, NOW)
    with pytest.raises(LookupError):
        await imports.add_batch(ID, world.campaign.number, batch(1, 2), NOW)
    assert (await imports.find(world.account, ID)).rows_read == 0


async def test_imports_are_listed_the_latest_first(world: World) -> None:
    imports, campaign = world.store.imports, world.campaign.number
    for number in range(5):
        await imports.begin(an_import(world, guid(number), key=None, started_at=NOW + number // 2))
    page = await imports.of_campaign(campaign, None, 3)
    assert [one.id for one in page] == [guid(4), guid(3), guid(2)]
    rest = await imports.of_campaign(campaign, (page[-1].started_at, page[-1].id), 3)
    assert [one.id for one in rest] == [guid(1), guid(0)]
    assert await imports.of_campaign(campaign + 1, None, 3) == []


async def test_the_first_refusals_alone_are_kept(world: World) -> None:
    imports, campaign = world.store.imports, world.campaign.number
    await imports.begin(an_import(world))
    for start in (0, 6_000):
        many = [Refusal(start + number, None, 22, "said") for number in range(1, 6_001)]
        empty = Batch(start, start + 6_000, bytes(32), refusals=many, refused=6_000)
        await imports.add_batch(ID, campaign, empty, NOW)
    assert (await imports.find(world.account, ID)).refused == 12_000
    assert len(await imports.refusals(ID, 9_990, 100)) == 10
    assert [one.row for one in await imports.refusals(ID, 3, 2)] == [4, 5]
