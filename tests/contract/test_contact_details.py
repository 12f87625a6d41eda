"""The store contract: who a contact is, read whole, page by page and by its reference."""

from __future__ import annotations

from campana.domain.contact import Admitted, MediumState, ReplaceMedium
from campana.domain.delivery import Medium, Status
from campana.domain.person import Person
from campana.storage.store import NewContact, Unbegun
from campana.storage.tables import delivery_id
from tests.contract.conftest import NOW, World, guid

ANN = Person("Ann Ä", "7", {"city": "Köln", "note": 'a "quoted"\nline'})
NUMBER, ADDRESS = "+14165550101", "ann@example.com"


async def add(world: World, number: int, person: Person | None, *media: Admitted) -> None:
    await world.store.contacts.add(NewContact(world.campaign.number, guid(number), media, person), NOW)


async def test_a_contact_is_read_whole(world: World) -> None:
    sms = Admitted(Medium.SMS, "416 555 0101", NUMBER, None, 3)
    email = Admitted(Medium.EMAIL, "", None, "<p>own</p>", 0)
    await add(world, 1, ANN, sms, email)
    one = await world.store.contacts.one(world.campaign.number, guid(1))
    assert (one.number, one.guid, one.created_at, one.person) == (1, guid(1), NOW, ANN)
    assert one.media == (
        MediumState(Medium.SMS, "416 555 0101", None, Status.PENDING, 0, 3),
        MediumState(Medium.EMAIL, "", "<p>own</p>", Status.DO_NOT_TRY, 0, 0),
    )
    assert await world.store.contacts.one(world.campaign.number, guid(2)) is None
    assert await world.store.contacts.one(world.campaign.number, "") is None


async def test_who_came_without_a_word_differs_from_who_is_blank(world: World) -> None:
    await add(world, 1, None)
    await add(world, 2, Person())
    details = await world.store.contacts.details(world.campaign.number, 0, 10)
    assert [one.person for one in details] == [None, Person()]


async def test_many_in_one_go_keep_who_they_are(world: World) -> None:
    new = [NewContact(world.campaign.number, guid(n), (), Person(f"n{n}", "", {"n": str(n)})) for n in (1, 2)]
    assert await world.store.contacts.add_many(new, NOW) == [True, True]
    details = await world.store.contacts.details(world.campaign.number, 0, 10)
    assert [one.person for one in details] == [one.person for one in new]


async def test_pages_go_on_after_a_number_and_pass_over_who_was_deleted(world: World) -> None:
    guids = await world.add(5)
    contacts, campaign = world.store.contacts, world.campaign.number
    await contacts.delete(campaign, guids[1], NOW)
    first = await contacts.details(campaign, 0, 2)
    assert [one.number for one in first] == [1, 3]
    assert [one.number for one in await contacts.details(campaign, 3, 10)] == [4, 5]
    assert await contacts.details(campaign, 5, 10) == []


async def test_a_reference_finds_all_who_have_it(world: World) -> None:
    for number, reference in enumerate(("a", "b", "a", "", "a"), 1):
        await add(world, number, Person(reference=reference))
    contacts, campaign = world.store.contacts, world.campaign.number
    await contacts.delete(campaign, guid(1), NOW)
    assert [one.guid for one in await contacts.details(campaign, 0, 10, "a")] == [guid(3), guid(5)]
    assert [one.guid for one in await contacts.details(campaign, 0, 1, "a")] == [guid(3)]
    assert [one.guid for one in await contacts.details(campaign, 3, 10, "a")] == [guid(5)]
    assert await contacts.details(campaign, 0, 10, "c") == []


async def test_an_edit_is_shown_who_it_was_and_may_say_who_it_is(world: World) -> None:
    await add(world, 1, ANN, Admitted(Medium.SMS, NUMBER, NUMBER, None, 3))
    seen: list[Person | None] = []

    def plan(states: list[MediumState], kept: Person | None) -> list[ReplaceMedium]:
        seen.append(kept)
        return []

    contacts, campaign = world.store.contacts, world.campaign.number
    await contacts.edit(campaign, guid(1), plan, NOW)
    assert (await contacts.one(campaign, guid(1))).person == ANN
    await contacts.edit(campaign, guid(1), plan, NOW, Person("Bea"))
    assert (await contacts.one(campaign, guid(1))).person == Person("Bea")
    assert seen == [ANN, ANN]


async def test_texts_find_who_the_contacts_of_deliveries_are(world: World) -> None:
    campaign = world.campaign.number
    for number, person in enumerate((ANN, None, Person()), 1):
        await add(world, number, person, Admitted(Medium.EMAIL, ADDRESS, ADDRESS, None, 3))
    ids = [delivery_id(campaign, Medium.EMAIL, number) for number in (3, 1, 2, 9)]
    persons = await world.store.river.persons(campaign, ids)
    assert persons == {ids[0]: Person(), ids[1]: ANN, ids[2]: None}


async def test_who_has_not_begun_is_found_on_each_medium(world: World) -> None:
    campaign, contacts = world.campaign.number, world.store.contacts

    def sms(text: str | None = None) -> Admitted:
        return Admitted(Medium.SMS, NUMBER, NUMBER, text, 3)

    await add(world, 1, ANN, sms())
    await world.plan()
    assert await world.claim() is not None, "1 has begun"
    await add(world, 2, None, sms("own"))
    await add(world, 3, ANN, Admitted(Medium.EMAIL, ADDRESS, ADDRESS, None, 3))
    await add(world, 4, Person(), sms())
    await add(world, 5, ANN, Admitted(Medium.SMS, "", None, "text alone", 0))
    await add(world, 6, ANN, sms())
    await contacts.delete(campaign, guid(6), NOW)
    found = [one async for page in contacts.unbegun(campaign, Medium.SMS) for one in page]
    assert found == [Unbegun(guid(2), None, True), Unbegun(guid(4), Person(), False)]
    assert [one.guid async for page in contacts.unbegun(campaign, Medium.EMAIL) for one in page] == [guid(3)]
