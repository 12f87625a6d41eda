"""The use cases of two processes on one PostgreSQL, as clients behind a balancer meet them: now here, now there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import product
from typing import Any

import pytest

from campana.bus.contract import Hint, News
from campana.bus.postgres import PostgresBus
from campana.domain.campaign import Campaign, SmsSettings
from campana.domain.contact import Communication, Contact
from campana.domain.errors import MethodCode, MethodError
from campana.domain.moment import MINUTE, SECOND
from campana.services.campaigns import CampaignOptions
from campana.services.contacts import ContactOptions
from campana.services.house import ServiceOptions, Services, build_services
from campana.services.passwords import Cost
from campana.services.principal import Principal
from campana.services.sessions import SessionOptions
from campana.storage.postgres import PostgresStore
from campana.storage.store import CampaignRow
from campana.telemetry import Metrics
from tests.contract import postgres_kit
from tests.contract.conftest import NOW, guid

PATIENCE = 20.0
PASSWORD = "correct horse battery"
HERE = "192.0.2.1"
OPTIONS = ServiceOptions(
    sessions=SessionOptions(failures=6, source_failures=1_000),
    campaigns=CampaignOptions(most_per_account=5),
    contacts=ContactOptions(most_per_campaign=300),
    hashing_cost=Cost(passes=1, memory_kib=8, lanes=1),
)


@dataclass
class House:
    """A process: its services, its store, and the hints that its listeners heard."""

    services: Services
    store: PostgresStore
    hints: list[Hint] = field(default_factory=list)


@dataclass
class Street:
    """Two processes on one database, and the clock that they share."""

    houses: list[House] = field(default_factory=list)
    now: int = NOW

    @property
    def both(self) -> tuple[Services, Services]:
        one, other = self.houses
        return one.services, other.services

    async def who(self, services: Services, token: str = "") -> Principal:
        """A session's user, as a process knows them."""
        return await services.sessions.resume(token or await self.token())

    async def token(self) -> str:
        """A session that the first process opened."""
        return await self.both[0].sessions.open("acme", "ann", PASSWORD, HERE)

    async def row(self, who: Principal) -> CampaignRow:
        """The campaign as the second process's store has it."""
        row = await self.houses[1].store.campaigns.find(who.account.number, guid(1))
        assert row is not None
        return row

    async def last_use(self, token: str) -> int:
        """When a session was last used, as the first process's store has it."""
        row = await self.houses[0].store.sessions.find(sha256(token.encode()).digest())
        assert row is not None
        return row.last_used_at


@pytest.fixture
async def street(postgres: postgres_kit.Server, postgres_database: str) -> AsyncIterator[Street]:
    street, url = Street(), postgres.url(postgres_database)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            bus, store = PostgresBus(url), await PostgresStore.open(url)
            stack.push_async_callback(store.close)
            await bus.start()
            stack.push_async_callback(bus.close)
            house = House(build_services(store, bus, lambda: street.now, OPTIONS, Metrics()), store)
            stack.push_async_callback(house.services.close)
            bus.listen(house.hints.append)
            street.houses.append(house)
        accounts = street.both[0].accounts
        await accounts.add_account("acme", region="CA")
        await accounts.add_user("acme", "ann", "api", PASSWORD)
        yield street


def campaign(number: int = 1, **changes: Any) -> Campaign:
    values: dict[str, Any] = {"name": "Reminder", "sms": SmsSettings(True, "+14165550100", "Come tomorrow")}
    return Campaign(guid(number), **(values | changes))


def contact(number: int) -> Contact:
    return Contact(guid(number), guid(1), sms=Communication(f"+1416555{number:04d}"))


async def code_of(work: Awaitable[object]) -> MethodCode:
    """What a client hears."""
    try:
        await work
    except MethodError as error:
        return error.code
    return MethodCode.SUCCESS


async def listed(services: Services, who: Principal) -> list[str]:
    return [one async for page in await services.contacts.guids(who, guid(1)) for one in page]


# --- sessions ----------------------------------------------------------------------------------------------------


async def test_a_session_is_one_everywhere_from_its_opening_to_its_end(street: Street) -> None:
    for opening, closing in product(street.both, repeat=2):
        token = await opening.sessions.open("acme", "ann", PASSWORD, HERE)
        for services in street.both:
            assert (await services.sessions.resume(token)).user.name == "ann"
        await closing.sessions.close(token)
        for services in street.both:
            assert await code_of(services.sessions.resume(token)) is MethodCode.INVALID_SESSION
            assert await code_of(services.sessions.close(token)) is MethodCode.INVALID_SESSION


async def test_a_new_password_ends_sessions_everywhere(street: Street) -> None:
    one, other = street.both
    token = await street.token()
    await other.sessions.resume(token)
    await other.accounts.set_password("acme", "ann", "another")
    assert await code_of(one.sessions.resume(token)) is MethodCode.INVALID_SESSION
    assert await code_of(one.sessions.open("acme", "ann", PASSWORD, HERE)) is MethodCode.INVALID_CREDENTIALS


async def test_a_session_that_is_used_here_and_there_expires_exactly(street: Street) -> None:
    one, other = street.both
    token = await street.token()
    for services in (one, other, other, one):
        street.now += 19 * MINUTE
        await services.sessions.resume(token)
    street.now += 14 * SECOND  # too soon to be written by the call itself
    await other.sessions.resume(token)
    last_use, street.now = street.now, street.now + 5 * SECOND
    keeping = asyncio.create_task(other.sessions.keep_uses(0.001))
    async with asyncio.timeout(PATIENCE):
        while await street.last_use(token) < last_use:
            pass
    keeping.cancel()
    street.now = last_use + 20 * MINUTE
    for services in street.both:
        assert await code_of(services.sessions.resume(token)) is MethodCode.INVALID_SESSION
    street.now -= 1
    assert await code_of(one.sessions.resume(token)) is MethodCode.SUCCESS


async def test_a_user_is_locked_everywhere_after_as_many_failures_as_are_allowed_in_all(street: Street) -> None:
    guesses = [services.sessions.open("acme", "ann", "wrong", HERE) for services in street.both * 10]
    answers = Counter(await asyncio.gather(*(code_of(guess) for guess in guesses)))
    assert answers == {MethodCode.INVALID_CREDENTIALS: 6, MethodCode.TOO_MANY_ATTEMPTS: 14}
    for services in street.both:
        locked = services.sessions.open("acme", "ann", PASSWORD, HERE)
        assert await code_of(locked) is MethodCode.TOO_MANY_ATTEMPTS


# --- campaigns and contacts ----------------------------------------------------------------------------------------


async def test_of_the_same_campaign_sent_to_both_at_once_one_is_added(street: Street) -> None:
    token = await street.token()
    for number in range(1, 6):
        adding = [s.campaigns.add(await street.who(s, token), campaign(number)) for s in street.both * 3]
        answers = Counter(await asyncio.gather(*(code_of(one) for one in adding)))
        assert answers == {MethodCode.SUCCESS: 1, MethodCode.CAMPAIGN_ALREADY_EXISTS: 5}
    for services in street.both:
        assert await services.campaigns.listing(await street.who(services, token)) == [guid(n) for n in range(1, 6)]


async def test_an_account_has_no_more_campaigns_than_it_may_whoever_adds_them(street: Street) -> None:
    token = await street.token()
    adding = [
        services.campaigns.add(await street.who(services, token), campaign(number))
        for number, services in enumerate(street.both * 8, 1)
    ]
    answers = Counter(await asyncio.gather(*(code_of(one) for one in adding)))
    assert answers == {MethodCode.SUCCESS: 5, MethodCode.LIMIT_EXCEEDED: 11}


async def test_of_the_same_contact_sent_to_both_at_once_one_is_stored(street: Street) -> None:
    one = street.both[0]
    token = await street.token()
    await one.campaigns.add(await street.who(one, token), campaign())
    numbers = range(1, 41)
    adding = [
        services.contacts.add(await street.who(services, token), contact(number))
        for number in numbers
        for services in street.both
    ]
    answers = Counter(await asyncio.gather(*(code_of(one) for one in adding)))
    assert answers == {MethodCode.SUCCESS: 40, MethodCode.CONTACT_ALREADY_EXISTS: 40}
    for services in street.both:
        assert sorted(await listed(services, await street.who(services, token))) == [guid(n) for n in numbers]


async def test_what_was_stored_before_an_answer_was_lost_is_told_by_the_other_process(street: Street) -> None:
    one, other = street.both
    here, there = [await street.who(services) for services in street.both]
    await one.campaigns.add(here, campaign())
    await one.contacts.add(here, contact(1))
    # The client heard nothing and asks again, and comes out somewhere else.
    assert await code_of(other.campaigns.add(there, campaign())) is MethodCode.CAMPAIGN_ALREADY_EXISTS
    assert await code_of(other.contacts.add(there, contact(1))) is MethodCode.CONTACT_ALREADY_EXISTS
    await other.contacts.delete(there, guid(1), guid(1))
    assert await code_of(one.contacts.delete(here, guid(1), guid(1))) is MethodCode.CONTACT_NOT_FOUND
    await other.campaigns.delete(there, guid(1))
    assert await code_of(one.campaigns.delete(here, guid(1))) is MethodCode.CAMPAIGN_NOT_FOUND
    assert await code_of(one.contacts.add(here, contact(2))) is MethodCode.CAMPAIGN_NOT_FOUND


async def test_contacts_that_both_add_are_all_listed_once_and_in_one_order(street: Street) -> None:
    one, other = street.both
    here, there = [await street.who(services) for services in street.both]
    await one.campaigns.add(here, campaign())

    async def add(services: Services, who: Principal, numbers: range) -> None:
        for number in numbers:
            await services.contacts.add(who, contact(number))

    spans = [(one, here, range(1, 80, 2)), (other, there, range(2, 81, 2)), (one, here, range(101, 141))]
    await asyncio.gather(*(add(*span) for span in spans))
    order = await listed(one, here)
    assert await listed(other, there) == order
    assert sorted(order) == [guid(n) for n in (*range(1, 81), *range(101, 141))]
    for _, _, numbers in spans:
        told = [guid(n) for n in numbers]
        assert [one for one in order if one in set(told)] == told
    row = await street.row(here)
    assert row.contacts == 120


async def test_a_change_here_is_known_there_by_the_next_call(street: Street) -> None:
    """Whatever the other one has worked out of the campaign before."""
    one, other = street.both
    here, there = [await street.who(services) for services in street.both]
    await one.campaigns.add(here, campaign())
    past = datetime(2020, 1, 1)
    for number in range(1, 6):
        assert await code_of(other.contacts.add(there, contact(number))) is MethodCode.SUCCESS
        await one.campaigns.update(here, campaign(name=f"Name {number}", active_to_date=past))
        assert (await other.campaigns.get(there, guid(1))).name == f"Name {number}"
        assert await other.campaigns.listing(there) == []
        assert await code_of(other.contacts.add(there, contact(100))) is MethodCode.CAMPAIGN_ENDED
        await other.campaigns.update(there, campaign())
        assert await one.campaigns.listing(here) == [guid(1)]
    await other.campaigns.delete(there, guid(1))
    assert await one.campaigns.listing(here) == []
    await one.campaigns.add(here, campaign(name="Again"))
    assert (await other.campaigns.get(there, guid(1))).name == "Again"


async def test_changes_to_one_campaign_from_both_are_all_counted(street: Street) -> None:
    one, other = street.both
    here, there = [await street.who(services) for services in street.both]
    await one.campaigns.add(here, campaign())
    changes = [
        services.campaigns.update(who, campaign(name=f"Name {number}"))
        for number in range(20)
        for services, who in ((one, here), (other, there))
    ]
    await asyncio.gather(*changes)
    row = await street.row(here)
    assert row.version == 41
    assert (await one.campaigns.get(here, guid(1))) == (await other.campaigns.get(there, guid(1)))


async def test_contacts_are_limited_but_for_those_that_are_added_at_the_same_moment(street: Street) -> None:
    one, other = street.both
    here, there = [await street.who(services) for services in street.both]
    await one.campaigns.add(here, campaign())
    adding = [(one, here, contact(number)) for number in range(1, 300)]
    await asyncio.gather(*(services.contacts.add(who, new) for services, who, new in adding))
    at_once = [
        code_of(services.contacts.add(who, contact(300 + n)))
        for n, (services, who) in enumerate([(one, here), (other, there)] * 2)
    ]
    assert MethodCode.SUCCESS in await asyncio.gather(*at_once)
    for services, who in ((one, here), (other, there)):
        assert await code_of(services.contacts.add(who, contact(400))) is MethodCode.LIMIT_EXCEEDED


async def test_the_other_process_hears_of_what_was_done_here(street: Street) -> None:
    one, other = street.both
    here = await street.who(one)
    await one.campaigns.add(here, campaign())
    row = await street.row(here)
    await asyncio.gather(*(one.contacts.add(here, contact(number)) for number in range(1, 101)))
    heard = street.houses[1].hints
    async with asyncio.timeout(PATIENCE):
        while not {Hint(News.CAMPAIGN, row.number), Hint(News.CONTACTS, row.number)} <= set(heard):
            await other.campaigns.listing(here)
    assert len(heard) < 20  # a hundred additions, some commits
    assert street.houses[0].hints.count(Hint(News.CONTACTS, row.number)) == 100
