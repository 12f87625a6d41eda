"""Owns how the services are put together on a store.

Must not know which store it is, nor where the options come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from campana.bus.contract import Bus
from campana.domain.moment import Clock
from campana.services.accounts import AccountService
from campana.services.answers import AnswerService
from campana.services.attempts import AttemptService
from campana.services.campaigns import CampaignOptions, CampaignService, Ends
from campana.services.contacts import ContactOptions, ContactService
from campana.services.deliveries import DeliveryService
from campana.services.exports import ExportService
from campana.services.imports import ImportService
from campana.services.keys import KeyService
from campana.services.passwords import STANDARD, Cost, Passwords
from campana.services.progress import ProgressService, ProgressStores, Reaches, nobody_knows
from campana.services.routes import RouteService, RouteView, no_routes
from campana.services.sessions import SessionOptions, SessionService
from campana.services.settings import SettingService
from campana.services.tools import Tools
from campana.services.users import UserService
from campana.services.webhooks import WebhookService
from campana.storage.deliveries import Deliveries
from campana.storage.doors import Answers, Keys
from campana.storage.imports import Imports
from campana.storage.progress import Progress
from campana.storage.publications import Publications
from campana.storage.store import Accounts, Attempts, Campaigns, Contacts, Sessions
from campana.storage.waits import Waits
from campana.telemetry import Metrics


class ServicesStore(Protocol):
    """The part of the store that services use."""

    @property
    def accounts(self) -> Accounts: ...

    @property
    def sessions(self) -> Sessions: ...

    @property
    def campaigns(self) -> Campaigns: ...

    @property
    def contacts(self) -> Contacts: ...

    @property
    def attempts(self) -> Attempts: ...

    @property
    def deliveries(self) -> Deliveries: ...

    @property
    def imports(self) -> Imports: ...

    @property
    def keys(self) -> Keys: ...

    @property
    def answers(self) -> Answers: ...

    @property
    def progress(self) -> Progress: ...

    @property
    def publications(self) -> Publications: ...

    @property
    def waits(self) -> Waits: ...


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What the configuration says of the services."""

    sessions: SessionOptions = field(default_factory=SessionOptions)
    campaigns: CampaignOptions = field(default_factory=CampaignOptions)
    contacts: ContactOptions = field(default_factory=ContactOptions)
    hashing_threads: int = 2
    hashing_cost: Cost = STANDARD


@dataclass(frozen=True, slots=True)
class Services:
    """All use cases, a service a noun. Every door has these and nothing else."""

    accounts: AccountService
    sessions: SessionService
    campaigns: CampaignService
    contacts: ContactService
    deliveries: DeliveryService
    attempts: AttemptService
    imports: ImportService
    exports: ExportService
    routes: RouteService
    users: UserService
    settings: SettingService
    keys: KeyService
    answers: AnswerService
    progress: ProgressService
    webhooks: WebhookService
    tools: Tools

    async def close(self) -> None:
        """Write what is only in memory and end the threads. The store is closed after this."""
        await self.sessions.flush()
        self.tools.passwords.close()


def build_services(
    store: ServicesStore,
    bus: Bus,
    clock: Clock,
    options: ServiceOptions,
    metrics: Metrics,
    *,
    routes: RouteView = no_routes,
    reaches: Reaches = nobody_knows,
) -> Services:
    """Put the services of one process together. `routes` sees the routes of all processes, `reaches` which destinations
    they lead to."""
    tools = Tools(clock, bus, metrics, Passwords(options.hashing_threads, options.hashing_cost))
    ends = Ends()
    return Services(
        accounts=AccountService(store.accounts, tools),
        sessions=SessionService(store.accounts, store.sessions, tools, options.sessions),
        campaigns=CampaignService(store, tools, options.campaigns, ends),
        contacts=ContactService(store.campaigns, store.contacts, tools, options.contacts, ends),
        deliveries=DeliveryService(store, tools),
        attempts=AttemptService(store.campaigns, store.attempts),
        imports=ImportService(store.campaigns, store.imports, tools, options.contacts, ends),
        exports=ExportService(store),
        routes=RouteService(routes),
        users=UserService(store.accounts, tools),
        settings=SettingService(store.accounts),
        keys=KeyService(store.keys, store.sessions, tools, options.sessions),
        answers=AnswerService(store.answers, tools),
        progress=ProgressService(
            ProgressStores(store.campaigns, store.progress, store.publications, store.waits), tools, reaches
        ),
        webhooks=WebhookService(store.publications, tools),
        tools=tools,
    )
