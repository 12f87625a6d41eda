"""A running river for flow tests: real store, services, engine and routes, with simulated carriers at real sockets.

Tests act as the phone and the inbox. They wait for commits and for messages, never for time; the clock can be moved.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from campana.bus.contract import Hint, News
from campana.bus.local import LocalBus
from campana.bus.outlets import Outlets
from campana.bus.outside import Guard
from campana.channels.contract import Route
from campana.channels.email.settings import EmailRouteSettings
from campana.channels.registry import CHANNELS, Means
from campana.channels.settings import RouteSettings
from campana.channels.sms.settings import SmsRouteSettings
from campana.channels.voice.speech.settings import SpeechSettings
from campana.channels.voice.speech.speech import Speech
from campana.domain.campaign import Campaign, EmailSettings, SmsSettings
from campana.domain.contact import Admitted, Communication, Contact
from campana.domain.delivery import Medium
from campana.engine.options import EngineOptions, Tools
from campana.engine.runner import Engine
from campana.sandbox.mail import MailSimulator
from campana.sandbox.smsc import SmscSimulator
from campana.sandbox.smsc_phones import Received
from campana.services.house import ServiceOptions, Services, build_services
from campana.services.passwords import Cost
from campana.services.principal import Principal
from campana.storage.sqlite import SqliteStore
from campana.storage.store import NewContact, Watch
from campana.telemetry import Metrics
from tests.contract.sqlite_kit import with_tables

CHEAP = Cost(passes=1, memory_kib=8, lanes=1)
"""The least that argon2 takes: tests protect nothing."""
PASSWORD = "correct horse battery"
PATIENCE = 20.0
"""Seconds to wait for what must happen: far more than it takes, for a machine that is busy."""


class MovedClock:
    """The machine's clock, which tests may set forward."""

    def __init__(self) -> None:
        self._ahead = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self._ahead

    def forward(self, milliseconds: int) -> None:
        self._ahead += milliseconds


class Line(NamedTuple):
    """One medium of a contact as GetCampaignContacts tells it."""

    destination: str | None
    text: str | None
    status: int
    error: int
    left: int


PLACES = {Medium.SMS: 1, Medium.VOICE: 6, Medium.EMAIL: 11}


def phone(number: int) -> str:
    """A number that is nobody's and meets no magic fate."""
    return f"+1416{5_600_000 + number:07d}"


def inbox(number: int, domain: str = "example.com") -> str:
    return f"person-{number}@{domain}"


def magic(digits: int, area: int = 416) -> str:
    """The magic number with these last two digits."""
    return f"+1{area}55501{digits:02d}"


def sms_route(smsc: SmscSimulator, name: str = "sms", **changes: Any) -> SmsRouteSettings:
    """A route to a simulated SMSC that comes back quickly."""
    values = {"name": name, "url": f"smpp://id:secret@127.0.0.1:{smsc.port}", "reconnect_min": 0.05}
    return SmsRouteSettings(**(values | {"reconnect_max": 0.2} | changes))


def email_route(mail: MailSimulator, name: str = "mail", **changes: Any) -> EmailRouteSettings:
    """A route to a simulated mail server."""
    values = {"name": name, "url": f"smtp://127.0.0.1:{mail.port}", "tls": "off", "ehlo_name": "campana.example.com"}
    return EmailRouteSettings(**(values | changes))


def sms_campaign(**changes: Any) -> Campaign:
    """A campaign that sends an SMS."""
    sms = SmsSettings(enabled=True, from_number="Campana", text="Hello")
    return Campaign(**({"guid": "", "name": "Autumn", "sms": sms} | changes))


def email_campaign(**changes: Any) -> Campaign:
    """A campaign that sends an email."""
    email = EmailSettings(enabled=True, from_address="news@example.com", subject="Hello", html="<p>Hello</p>")
    return Campaign(**({"guid": "", "name": "Autumn", "email": email} | changes))


class Log:
    """Who got a message, in order; and the event that so many have come."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self._wanted: list[tuple[Callable[[], bool], asyncio.Event]] = []

    def take(self, message: Received) -> None:
        self.arrived.append(message.destination)
        for happened, event in self._wanted:
            if happened():
                event.set()

    async def until(self, happened: Callable[[], bool]) -> None:
        event = asyncio.Event()
        self._wanted = [(happened, event)]
        if not happened():
            await asyncio.wait_for(event.wait(), 30)
        self._wanted = []


@dataclass
class River:
    """Everything of a running Campana but its doors, and short words for what tests do with it."""

    store: SqliteStore
    services: Services
    engine: Engine
    bus: LocalBus
    clock: MovedClock
    metrics: Metrics
    committed: asyncio.Event
    people: dict[str, Principal] = field(default_factory=dict)

    async def user(self, account: str = "acme") -> Principal:
        """An admin of an account, which is added where it is new."""
        if account not in self.people:
            if await self.store.accounts.find_account(account) is None:
                await self.services.accounts.add_account(account, region="CA")
                await self.services.accounts.add_user(account, "ann", "admin", PASSWORD)
            token = await self.services.sessions.open(account, "ann", PASSWORD, "127.0.0.1")
            self.people[account] = await self.services.sessions.resume(token)
        return self.people[account]

    async def add(self, campaign: Campaign, account: str = "acme") -> Campaign:
        """Add a campaign through the services; as it is kept."""
        who = await self.user(account)
        guid = await self.services.campaigns.add(who, campaign, whole=True)
        return await self.services.campaigns.get(who, guid)

    async def replace(self, campaign: Campaign, account: str = "acme") -> None:
        await self.services.campaigns.update(await self.user(account), campaign, whole=True)

    async def delete(self, campaign: Campaign, account: str = "acme") -> None:
        await self.services.campaigns.delete(await self.user(account), campaign.guid)

    async def contact(
        self,
        campaign: Campaign,
        sms: str | None = None,
        email: str | None = None,
        *,
        voice: str | None = None,
        text: str | None = None,
        attempts: int = 0,
        account: str = "acme",
    ) -> str:
        """Add a contact through the services; its id."""
        media = [
            Communication(destination=one, text=text, attempts_left=attempts) if one else None
            for one in (sms, voice, email)
        ]
        contact = Contact("", campaign.guid, sms=media[0], voice=media[1], email=media[2])
        return await self.services.contacts.add(await self.user(account), contact)

    async def fill(
        self, campaign: Campaign, destinations: Iterable[str], medium: Medium = Medium.SMS, account: str = "acme"
    ) -> int:
        """Add many contacts at once, straight into the store; the campaign's number."""
        number = await self.number(campaign, account)
        new = [
            NewContact(number, _guid(number, place), (Admitted(medium, one, one, None, 3),))
            for place, one in enumerate(destinations, 1)
        ]
        assert all(await self.store.contacts.add_many(new, self.clock()))
        self.bus.tell(Hint(News.CONTACTS, number))
        return number

    async def number(self, campaign: Campaign, account: str = "acme") -> int:
        """The campaign's number inside."""
        row = await self.store.campaigns.find((await self.user(account)).account.number, campaign.guid)
        assert row is not None
        return row.number

    async def lines(self, campaign: Campaign, medium: Medium = Medium.SMS, account: str = "acme") -> list[Line]:
        """How every contact stands on a medium, in the order of adding."""
        place = PLACES[medium]
        pages = await self.services.contacts.lines(await self.user(account), campaign.guid)
        return [Line(*line[place : place + 5]) async for page in pages for line in page]

    async def statuses(self, campaign: Campaign, medium: Medium = Medium.SMS, account: str = "acme") -> Counter[int]:
        """How many contacts are in each status."""
        return Counter(line.status for line in await self.lines(campaign, medium, account))

    async def until(self, happened: Callable[[], Awaitable[bool]], within: float = PATIENCE) -> None:
        """Wait, looking after every commit. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while True:
                self.committed.clear()
                if await happened():
                    return
                await self.committed.wait()

    async def until_statuses(
        self, campaign: Campaign, wanted: dict[int, int], medium: Medium = Medium.SMS, account: str = "acme"
    ) -> None:
        """Wait until the contacts stand like this, all of them."""
        seen: Counter[int] = Counter()

        async def there() -> bool:
            nonlocal seen
            seen = await self.statuses(campaign, medium, account)
            return seen == Counter(wanted)

        try:
            await self.until(there)
        except TimeoutError:
            raise AssertionError(f"the statuses are {dict(seen)}, not {wanted}") from None

    async def until_routes_are(self, **health: str) -> None:
        """Wait until the routes have this health; a route's news comes as a hint."""
        changed = asyncio.Event()
        end = self.bus.listen(lambda hint: changed.set())
        try:
            async with asyncio.timeout(PATIENCE):
                while {name: route["health"] for name, route in self.engine.routes().items()} != health:
                    changed.clear()
                    await changed.wait()
        finally:
            end()

    async def move_clock(self, milliseconds: int, *campaigns: int) -> None:
        """Set the clock forward and have the campaigns looked at, as a timer would have."""
        self.clock.forward(milliseconds)
        for number in campaigns:
            self.bus.tell(Hint(News.CAMPAIGN, number))


def _guid(campaign: int, place: int) -> str:
    return f"{campaign:08x}-0000-4000-8000-{place:012d}"


@asynccontextmanager
async def flowing(
    folder: Path,
    routes: Sequence[RouteSettings],
    *,
    clock: MovedClock | None = None,
    stop_budget: float = 5.0,
    seen_as: Callable[[SqliteStore], Any] = lambda store: store,
    built: Sequence[tuple[Route, RouteSettings]] = (),
    services: ServiceOptions | None = None,
    **options: Any,
) -> AsyncIterator[River]:
    """Open a store in `folder` and let the river flow over `routes`, and those that are `built` already; `options`
    are EngineOptions.

    The engine uses what `seen_as` makes of the store, the services the store itself.
    """
    clock, bus, metrics = clock or MovedClock(), LocalBus(), Metrics()
    loop, committed = asyncio.get_running_loop(), asyncio.Event()
    store = await SqliteStore.open(
        with_tables(folder / "campana.db"), Watch(lambda _: loop.call_soon_threadsafe(committed.set))
    )
    house = build_services(store, bus, clock, replace(services or ServiceOptions(), hashing_cost=CHEAP), metrics)
    means = Means(clock, Speech(SpeechSettings(), folder / "speech"))
    ways = [(CHANNELS[one.channel].build(one, means), one) for one in routes] + list(built)
    values = {"owner": f"test-{time.monotonic_ns()}", "retry_delays": (100,)}
    # Signatures are of now, however far tests have moved the clock: receivers judge that.
    outlet = Outlets(Guard(allow_private=True), MovedClock())
    tools = Tools(clock, metrics)
    engine = Engine(seen_as(store), ways, bus, EngineOptions(**(values | options)), tools, outlet=outlet)
    await engine.start()
    try:
        yield River(store, house, engine, bus, clock, metrics, committed)
    finally:
        await engine.stop(stop_budget)
        await outlet.close()
        await house.close()
        await store.close()
