"""The store contract where contacts bring long texts of their own: portions stay small, and nothing is left out."""

from __future__ import annotations

import pytest

from campana.domain.contact import Admitted
from campana.domain.delivery import Medium, Status
from campana.domain.outcome import Change, DeliveryCode
from campana.storage.river import Judged, Step
from campana.storage.store import NewContact
from campana.storage.tables import number_of
from tests.contract.conftest import NOW, World, guid

LONG = "x" * 900_000
AGAIN = Change(Status.WAITING_FOR_RETRY, DeliveryCode.EMAIL_TEMPORARY, True, NOW + 1)


async def fill(world: World, lengths: dict[int, str | None]) -> None:
    """Contacts with an email each, with these texts."""
    for number, text in lengths.items():
        medium = Admitted(Medium.EMAIL, f"p{number}@example.com", f"p{number}@example.com", text, 3)
        await world.store.contacts.add_many([NewContact(world.campaign.number, guid(number), (medium,))], NOW)


async def numbers_leased(world: World, now: int = NOW) -> list[list[int]]:
    """The contacts' numbers of each lease that can be had."""
    leases = []
    while lease := await world.claim(now, medium=Medium.EMAIL):
        leases.append(lease)
    return [[number_of(one.id) for one in lease.deliveries] for lease in leases]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (dict.fromkeys(range(1, 13), LONG), [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12]]),
        (dict.fromkeys(range(1, 8)), [[1, 2, 3, 4, 5, 6, 7]]),
        ({n: LONG if n < 6 else None for n in range(1, 10)}, [[1, 2, 3, 4, 5], [6, 7, 8, 9]]),
    ],
    ids=["all long", "none", "the first ones"],
)
async def test_a_lease_holds_no_more_text_than_memory_is_meant_to(
    world: World, texts: dict[int, str | None], expected: list[list[int]]
) -> None:
    await fill(world, texts)
    assert await world.plan(medium=Medium.EMAIL) == len(texts)
    assert await numbers_leased(world) == expected


async def test_a_list_of_retries_is_parted_as_well(world: World) -> None:
    await fill(world, dict.fromkeys((1, 2, 3, 4, 5, 6, 7), LONG))
    await world.plan(medium=Medium.EMAIL)
    while lease := await world.claim(medium=Medium.EMAIL):
        odd = [Judged(one.id, 1, AGAIN, "mail", NOW) for one in lease.deliveries if number_of(one.id) % 2]
        even = [
            Judged(one.id, 1, Change(Status.SUCCESS, DeliveryCode.OK, True), "mail", NOW)
            for one in lease.deliveries
            if number_of(one.id) % 2 == 0
        ]
        await world.store.river.release(Step(lease, sorted(odd + even, key=lambda one: one.delivery), (), NOW), 0)
    await fill(world, dict.fromkeys((8, 9), LONG))
    await world.plan(now=NOW + 1, medium=Medium.EMAIL)
    await world.plan(now=NOW + 1, medium=Medium.EMAIL)
    leases = await numbers_leased(world, NOW + 1)
    assert sorted(number for numbers in leases for number in numbers) == [1, 3, 5, 7, 8, 9]


async def test_a_list_comes_in_small_pages_and_whole(world: World) -> None:
    await fill(world, dict.fromkeys(range(1, 35), LONG))
    pages = [page async for page in world.store.contacts.pages(world.campaign.number, "")]
    assert [line[0] for page in pages for line in page] == [guid(n) for n in range(1, 35)]
    assert [len(page) for page in pages] == [20, 4, 4, 4, 2]


async def test_pages_grow_where_texts_are_short(world: World) -> None:
    await world.add(4_000)
    pages = [page async for page in world.store.contacts.pages(world.campaign.number, "")]
    assert [len(page) for page in pages] == [20, 80, 320, 1_280, 2_000, 300]
