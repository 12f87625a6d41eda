"""Tenants never see or touch each other's: every operation of the services, by every role, with the other's ids.

A new operation fails here until it has its row in ATTEMPTS.
"""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from campana.bus.local import LocalBus
from campana.domain.campaign import Campaign, Sharing, SmsSettings
from campana.domain.contact import Communication, Contact
from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode, MethodError
from campana.services.access import MAY, Action
from campana.services.campaigns import CampaignQuery
from campana.services.deliveries import DeliveryQuery
from campana.services.exports import Exported
from campana.services.house import ServiceOptions, Services, build_services
from campana.services.importing.reading import Format, ListOptions
from campana.services.keys import Wanted as WantedKey
from campana.services.passwords import Cost
from campana.services.principal import Principal, Role
from campana.services.routes import RouteState
from campana.services.scopes import ALL_SCOPES
from campana.services.users import NewUser
from campana.storage.sqlite import SqliteStore
from campana.telemetry import Metrics
from tests.contract.sqlite_kit import with_tables

PASSWORD = "correct horse battery"
START = 1_790_000_000_000

THEIRS = "0190a1b2-0000-7000-8000-000000000001"
"""The victim's campaign, shared with everybody in the account."""
THEIR_CONTACT = "0190a1b2-0000-7000-8000-00000000000a"
OURS = "0190a1b2-0000-7000-8000-000000000002"
"""The intruder's own campaign."""
THEIR_KEY = "0190a1b2-0000-7000-8000-00000000000c"
KEY = WantedKey("key", ALL_SCOPES)
OUR_CONTACT = "0190a1b2-0000-7000-8000-00000000000b"


def campaign(guid: str, name: str) -> Campaign:
    sms = SmsSettings(enabled=True, from_number="Campana", text="Hello")
    return Campaign(guid=guid, name=name, sms=sms, allow_external_contacts=True)


def contact(campaign_guid: str, guid: str, number: str = "+12025550123") -> Contact:
    return Contact(guid=guid, campaign=campaign_guid, sms=Communication(number))


@dataclass(frozen=True)
class Street:
    """Two accounts on one store, each with a campaign and a contact in it."""

    services: Services
    file: Path

    async def user(self, account: str, role: str) -> Principal:
        token = await self.services.sessions.open(account, role, PASSWORD, "::1")
        return await self.services.sessions.resume(token)

    def of_the_victim(self) -> list[object]:
        """All that the database holds of the victim: its campaign, contacts and deliveries, column by column."""
        with sqlite3.connect(self.file) as connection:
            ((number,),) = connection.execute("SELECT number FROM accounts WHERE id = 'victim'").fetchall()
            campaigns = connection.execute("SELECT * FROM campaigns WHERE account = ?", (number,)).fetchall()
            contacts = connection.execute(
                "SELECT * FROM contacts WHERE campaign IN (SELECT number FROM campaigns WHERE account = ?)", (number,)
            ).fetchall()
            deliveries = [
                row
                for row in connection.execute("SELECT * FROM deliveries ORDER BY id").fetchall()
                if row[0] >> 34 in {row[0] for row in campaigns}
            ]
            users = connection.execute("SELECT * FROM users WHERE account = ?", (number,)).fetchall()
            users += connection.execute("SELECT * FROM accounts WHERE number = ?", (number,)).fetchall()
            users += connection.execute(
                "SELECT k.* FROM api_keys k JOIN users u ON u.number = k.user WHERE u.account = ?", (number,)
            ).fetchall()
        connection.close()
        assert campaigns
        assert contacts
        assert deliveries
        return [*campaigns, *contacts, *deliveries, *users]


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    store = await SqliteStore.open(with_tables(tmp_path / "campana.db"))
    options = ServiceOptions(hashing_cost=Cost(1, 8, 1))
    services = build_services(store, LocalBus(), lambda: START, options, Metrics(), routes=two_routes)
    made = Street(services, tmp_path / "campana.db")
    for account, campaign_guid, contact_guid in (("victim", THEIRS, THEIR_CONTACT), ("intruder", OURS, OUR_CONTACT)):
        await services.accounts.add_account(account)
        for role in Role:
            await services.accounts.add_user(account, role, role, PASSWORD)
        owner = await made.user(account, "api")
        await services.campaigns.add(owner, campaign(campaign_guid, account))
        await services.contacts.add(owner, contact(campaign_guid, contact_guid))
        await services.imports.add(owner, campaign_guid, ListOptions(), None, a_list())
    await services.accounts.add_user("victim", "theirs", "api", PASSWORD)
    await services.keys.add(await made.user("victim", "admin"), ALL_SCOPES, KEY, THEIR_KEY)
    yield made
    await services.close()
    await store.close()


async def listed(pages: AsyncIterator[list[object]]) -> list[object]:
    return [item async for page in pages for item in page]


async def guids_of(services: Services, who: Principal) -> list[str]:
    return [found.guid for found in await services.campaigns.active(who)]


async def guids_of_a_page(services: Services, who: Principal) -> list[str]:
    found, _ = await services.campaigns.page(who, CampaignQuery())
    return [seen.row.campaign.guid for seen in found]


async def names_of_routes(services: Services, who: Principal) -> list[str]:
    return [state.name for state in await services.routes.list(who)]


async def accounts_of_users(services: Services, who: Principal) -> set[str]:
    return {user.account.id for user in await services.users.list(who)}


async def account_of_new_user(services: Services, who: Principal) -> str:
    return (await services.users.add(who, NewUser("theirs", "api", PASSWORD))).account.id


async def account_of_settings(services: Services, who: Principal) -> str:
    return (await services.settings.get(who)).id


async def changed_account(services: Services, who: Principal) -> str:
    return (await services.settings.change(who, "Europe/Rome", "IT")).id


async def account_of_new_key(services: Services, who: Principal) -> str:
    return (await services.keys.add(who, ALL_SCOPES, KEY))[0].user.account.id


async def our_secret(services: Services, who: Principal) -> bool:
    return (await services.webhooks.secret(who)).secret.startswith("whsec_")


async def our_new_secret(services: Services, who: Principal) -> bool:
    before = await services.webhooks.secret(who)
    return (await services.webhooks.rotate(who)).earlier == before.secret


async def never() -> Principal:
    raise AssertionError("nobody is to be asked for who was refused")


async def a_list() -> AsyncIterator[bytes]:
    yield b"SMS\n"


async def imports_with_theirs(services: Services, who: Principal, operation: str) -> object:
    """Ask for the victim's import, by its id."""
    victim = await services.sessions.resume(await services.sessions.open("victim", "api", PASSWORD, "::1"))
    (theirs,) = await services.imports.of_campaign(victim, THEIRS, None, 9)
    if operation == "get":
        return await services.imports.get(who, theirs.row.id)
    return await services.imports.refusals(who, theirs.row.id, 0, 9)


def two_routes() -> list[RouteState]:
    """One for everybody, one for the victim alone."""
    shared = RouteState("shared", "sms", Medium.SMS, "up", "")
    return [shared, replace(shared, name="theirs", accounts=("victim",))]


Attempt = Callable[[Services, Principal], Awaitable[object]]

NOT_FOUND = MethodCode.CAMPAIGN_NOT_FOUND
NO_CONTACT = MethodCode.CONTACT_NOT_FOUND

ATTEMPTS: dict[str, list[tuple[str, Attempt, object]]] = {
    "campaigns.listing": [("lists only ours", lambda s, who: s.campaigns.listing(who), [OURS])],
    "campaigns.active": [("lists only ours", guids_of, [OURS])],
    "campaigns.add": [
        ("their id is free for us", lambda s, who: s.campaigns.add(who, campaign(THEIRS, "ours")), THEIRS),
    ],
    "campaigns.get": [("theirs", lambda s, who: s.campaigns.get(who, THEIRS), NOT_FOUND)],
    "campaigns.update": [
        ("theirs", lambda s, who: s.campaigns.update(who, campaign(THEIRS, "x")), NOT_FOUND),
        ("theirs, whole", lambda s, who: s.campaigns.update(who, campaign(THEIRS, "x"), whole=True), NOT_FOUND),
    ],
    "campaigns.look": [("theirs", lambda s, who: s.campaigns.look(who, THEIRS), NOT_FOUND)],
    "campaigns.page": [("lists only ours", guids_of_a_page, [OURS])],
    "campaigns.pause": [("theirs", lambda s, who: s.campaigns.pause(who, THEIRS), NOT_FOUND)],
    "campaigns.resume": [("theirs", lambda s, who: s.campaigns.resume(who, THEIRS), NOT_FOUND)],
    "campaigns.cancel": [("theirs", lambda s, who: s.campaigns.cancel(who, THEIRS), NOT_FOUND)],
    "deliveries.page": [("theirs", lambda s, who: s.deliveries.page(who, THEIRS, DeliveryQuery()), NOT_FOUND)],
    "deliveries.one": [
        ("theirs", lambda s, who: s.deliveries.one(who, THEIRS, THEIR_CONTACT, Medium.SMS), NOT_FOUND),
        ("their id in ours", lambda s, who: s.deliveries.one(who, OURS, THEIR_CONTACT, Medium.SMS), NO_CONTACT),
    ],
    "deliveries.decide": [
        (
            "theirs",
            lambda s, who: s.deliveries.decide(who, THEIRS, THEIR_CONTACT, Medium.SMS, resend=True),
            NOT_FOUND,
        ),
    ],
    "attempts.page": [("theirs", lambda s, who: s.attempts.page(who, THEIRS, (0, 0), 9), NOT_FOUND)],
    "campaigns.delete": [("theirs", lambda s, who: s.campaigns.delete(who, THEIRS), NOT_FOUND)],
    "contacts.one": [
        ("theirs", lambda s, who: s.contacts.one(who, THEIRS, THEIR_CONTACT), NOT_FOUND),
        ("their id in ours", lambda s, who: s.contacts.one(who, OURS, THEIR_CONTACT), NO_CONTACT),
    ],
    "contacts.details": [("theirs", lambda s, who: s.contacts.details(who, THEIRS, 0, 9), NOT_FOUND)],
    "contacts.guids": [("theirs", lambda s, who: s.contacts.guids(who, THEIRS), NOT_FOUND)],
    "contacts.lines": [("theirs", lambda s, who: s.contacts.lines(who, THEIRS), NOT_FOUND)],
    "contacts.add": [
        ("to theirs", lambda s, who: s.contacts.add(who, contact(THEIRS, "")), NOT_FOUND),
        ("to theirs, their id", lambda s, who: s.contacts.add(who, contact(THEIRS, THEIR_CONTACT)), NOT_FOUND),
        ("to ours, their id", lambda s, who: s.contacts.add(who, contact(OURS, THEIR_CONTACT)), THEIR_CONTACT),
    ],
    "contacts.update": [
        ("theirs", lambda s, who: s.contacts.update(who, contact(THEIRS, THEIR_CONTACT, "+12025550199")), NOT_FOUND),
        ("their id in ours", lambda s, who: s.contacts.update(who, contact(OURS, THEIR_CONTACT)), NO_CONTACT),
    ],
    "contacts.delete": [
        ("theirs", lambda s, who: s.contacts.delete(who, THEIRS, THEIR_CONTACT), NOT_FOUND),
        ("their id in ours", lambda s, who: s.contacts.delete(who, OURS, THEIR_CONTACT), NO_CONTACT),
    ],
    "attempts.of_campaign": [("theirs", lambda s, who: s.attempts.of_campaign(who, THEIRS), NOT_FOUND)],
    "attempts.of_contact": [
        ("theirs", lambda s, who: s.attempts.of_contact(who, THEIRS, THEIR_CONTACT), NOT_FOUND),
        ("their id in ours", lambda s, who: s.attempts.of_contact(who, OURS, THEIR_CONTACT), NO_CONTACT),
    ],
    "imports.add": [
        ("to theirs", lambda s, who: s.imports.add(who, THEIRS, ListOptions(), None, a_list()), NOT_FOUND),
    ],
    "imports.get": [("theirs", lambda s, who: imports_with_theirs(s, who, "get"), MethodCode.NOT_FOUND)],
    "imports.of_campaign": [("theirs", lambda s, who: s.imports.of_campaign(who, THEIRS, None, 9), NOT_FOUND)],
    "imports.refusals": [("theirs", lambda s, who: imports_with_theirs(s, who, "refusals"), MethodCode.NOT_FOUND)],
    "exports.begin": [
        ("theirs", lambda s, who: s.exports.begin(who, THEIRS, Exported.CONTACTS, Format.CSV), NOT_FOUND),
    ],
    "routes.list": [("lists only ours", names_of_routes, ["shared"])],
    "users.list": [("lists only ours", accounts_of_users, {"intruder"})],
    "users.get": [("theirs", lambda s, who: s.users.get(who, "theirs"), MethodCode.NOT_FOUND)],
    "users.add": [("their name is free for us", account_of_new_user, "intruder")],
    "users.change": [
        ("theirs", lambda s, who: s.users.change(who, "theirs", "agent", disabled=True), MethodCode.NOT_FOUND)
    ],
    "users.set_password": [("theirs", lambda s, who: s.users.set_password(who, "theirs", "x"), MethodCode.NOT_FOUND)],
    "users.delete": [("theirs", lambda s, who: s.users.delete(who, "theirs"), MethodCode.NOT_FOUND)],
    "settings.get": [("ours", account_of_settings, "intruder")],
    "settings.change": [("ours", changed_account, "intruder")],
    "keys.list": [("lists only ours", lambda s, who: s.keys.list(who, "", 9), [])],
    "keys.get": [("theirs", lambda s, who: s.keys.get(who, THEIR_KEY), MethodCode.NOT_FOUND)],
    "keys.add": [("for ourselves", account_of_new_key, "intruder")],
    "keys.revoke": [("theirs", lambda s, who: s.keys.revoke(who, THEIR_KEY), MethodCode.NOT_FOUND)],
    "progress.balance": [("theirs", lambda s, who: s.progress.balance(who, THEIRS), NOT_FOUND)],
    "progress.events": [("theirs", lambda s, who: s.progress.events(who, THEIRS, 0, 9), NOT_FOUND)],
    "progress.watch": [("theirs", lambda s, who: s.progress.watch(who, THEIRS, 0, never), NOT_FOUND)],
    "progress.report": [("theirs", lambda s, who: s.progress.report(who, THEIRS), NOT_FOUND)],
    "progress.publication": [("theirs", lambda s, who: s.progress.publication(who, THEIRS), NOT_FOUND)],
    "progress.retry": [("theirs", lambda s, who: s.progress.retry(who, THEIRS), NOT_FOUND)],
    "progress.why": [
        ("theirs", lambda s, who: s.progress.why(who, THEIRS, THEIR_CONTACT, Medium.SMS), NOT_FOUND),
        ("their id in ours", lambda s, who: s.progress.why(who, OURS, THEIR_CONTACT, Medium.SMS), NO_CONTACT),
    ],
    "webhooks.secret": [("ours", our_secret, True)],
    "webhooks.rotate": [("ours", our_new_secret, True)],
    "routes.get": [("theirs", lambda s, who: s.routes.get(who, "theirs"), MethodCode.NOT_FOUND)],
}
"""For each operation that a client reaches: what is tried with the victim's ids, and what must come of it."""

NEEDS = {
    "campaigns.add": Action.ADD_CAMPAIGN,
    "campaigns.update": Action.CHANGE_CAMPAIGN,
    "campaigns.delete": Action.DELETE_CAMPAIGN,
    "contacts.add": Action.ADD_CONTACT,
    "contacts.update": Action.CHANGE_CONTACT,
    "contacts.delete": Action.DELETE_CONTACT,
    "imports.add": Action.ADD_CONTACT,
    "progress.retry": Action.CHANGE_CAMPAIGN,
}

FOR_ADMINS = {f"users.{name}" for name in ("list", "get", "add", "change", "set_password", "delete")} | {
    "settings.change",
    "webhooks.secret",
    "webhooks.rotate",
}

WITHOUT_A_PRINCIPAL = {
    "keys.resume": "the key is the proof",
    "answers.claim": "the errand names its owner",
    "answers.keep": "the errand names its owner",
    "answers.release": "the errand names its owner",
    "answers.purge": "the house itself",
    "progress.end_watching": "the house itself",
    "sessions.open": "proves who asks",
    "sessions.close": "the token is the right to close it",
    "sessions.resume": "the token is the proof",
    "sessions.flush": "the house itself",
    "sessions.keep_uses": "the house itself",
    "sessions.purge": "the house itself",
    "accounts.add_account": "the operator, on the machine",
    "accounts.list_accounts": "the operator, on the machine",
    "accounts.add_user": "the operator, on the machine",
    "accounts.list_users": "the operator, on the machine",
    "accounts.operator_of": "the operator, on the machine",
    "accounts.set_password": "the operator, on the machine",
}


async def outcome(attempt: Attempt, services: Services, who: Principal) -> object:
    try:
        return await attempt(services, who)
    except MethodError as error:
        return error.code


CASES = [
    pytest.param(operation, attempt, expected, id=f"{operation} ({label})")
    for operation, attempts in ATTEMPTS.items()
    for label, attempt, expected in attempts
]


@pytest.mark.parametrize(("operation", "attempt", "expected"), CASES)
async def test_nothing_of_another_account_is_seen_or_touched(
    street: Street, operation: str, attempt: Attempt, expected: object
) -> None:
    before = street.of_the_victim()
    for role in Role:
        who = await street.user("intruder", role)
        found = await outcome(attempt, street.services, who)
        refused = operation in NEEDS and NEEDS[operation] not in MAY[role] and expected is not NOT_FOUND
        in_use = {MethodCode.CAMPAIGN_ALREADY_EXISTS, MethodCode.CONTACT_ALREADY_EXISTS}  # by a role before
        if refused or (operation in FOR_ADMINS and role is not Role.ADMIN):
            assert found is MethodCode.ACCESS_DENIED, role
        else:
            assert found == expected or (role is not Role.ADMIN and found in in_use), role
        assert street.of_the_victim() == before, role


async def test_the_owner_does_reach_what_the_intruder_does_not(street: Street) -> None:
    """The same attempts by the victim's own user: so the refusals above are not those of ids that nobody has."""
    who = await street.user("victim", "api")
    for operation, attempts in ATTEMPTS.items():
        for label, attempt, expected in attempts:
            if expected is NOT_FOUND and "delete" not in operation:
                found = await outcome(attempt, street.services, who)
                assert found is not NOT_FOUND, f"{operation} ({label})"
    for guid, expected in ((THEIR_CONTACT, None), (THEIR_CONTACT, NO_CONTACT)):
        assert await outcome(lambda s, w, g=guid: s.contacts.delete(w, THEIRS, g), street.services, who) is expected
    assert await outcome(lambda s, w: s.campaigns.delete(w, THEIRS), street.services, who) is None


async def test_equal_ids_in_two_accounts_lead_separate_lives(street: Street) -> None:
    services = street.services
    theirs, ours = await street.user("victim", "api"), await street.user("intruder", "api")
    before = street.of_the_victim()
    await services.campaigns.add(ours, campaign(THEIRS, "ours"))
    await services.contacts.add(ours, contact(THEIRS, THEIR_CONTACT, "+12025550177"))
    await services.contacts.update(ours, contact(THEIRS, THEIR_CONTACT, "+12025550188"))
    assert street.of_the_victim() == before
    assert (await services.campaigns.get(theirs, THEIRS)).name == "victim"
    assert (await services.campaigns.get(ours, THEIRS)).name == "ours"
    (line,) = await listed(await services.contacts.lines(theirs, THEIRS))
    assert isinstance(line, list)
    assert line[1] == "+12025550123"
    await services.contacts.delete(ours, THEIRS, THEIR_CONTACT)
    await services.campaigns.delete(ours, THEIRS)
    assert street.of_the_victim() == before
    assert await services.campaigns.listing(theirs) == [THEIRS]


async def test_sharing_by_name_ends_at_the_account(street: Street) -> None:
    owner = await street.user("victim", "operator")
    shared = Campaign(
        guid="",
        name="shared",
        sms=SmsSettings(enabled=True, from_number="Campana", text="Hello"),
        sharing=Sharing.SOME,
        shared_with=frozenset(Role),
    )
    guid = await street.services.campaigns.add(owner, shared, whole=True)
    for role in Role:
        namesake, stranger = await street.user("victim", role), await street.user("intruder", role)
        assert guid in await street.services.campaigns.listing(namesake)
        assert await outcome(lambda s, w: s.campaigns.get(w, guid), street.services, stranger) is NOT_FOUND


async def test_sessions_of_namesakes_are_told_apart(street: Street) -> None:
    sessions = street.services.sessions
    theirs = await sessions.open("victim", "api", PASSWORD, "::1")
    ours = await sessions.open("intruder", "api", PASSWORD, "::1")
    assert (await sessions.resume(theirs)).account.id == "victim"
    assert (await sessions.resume(ours)).account.id == "intruder"
    await street.services.accounts.set_password("intruder", "api", "another password")
    assert (await sessions.resume(theirs)).account.id == "victim"
    with pytest.raises(MethodError, match="InvalidSession"):
        await sessions.resume(ours)
    for _ in range(10):
        with pytest.raises(MethodError, match="InvalidCredentials"):
            await sessions.open("intruder", "api", PASSWORD, "::1")
    assert await sessions.open("victim", "api", PASSWORD, "::1")


async def test_every_operation_has_its_row(street: Street) -> None:
    nouns = {name for name in Services.__slots__ if name != "tools"}
    assert nouns > {"accounts", "sessions", "campaigns", "contacts", "attempts"}
    operations = {
        f"{noun}.{name}"
        for noun in nouns
        for name, _ in inspect.getmembers(getattr(street.services, noun), inspect.ismethod)
        if not name.startswith("_")
    }
    assert operations == ATTEMPTS.keys() | WITHOUT_A_PRINCIPAL.keys()


async def test_operations_that_take_a_principal_are_exactly_those_that_are_tried(street: Street) -> None:
    for operation in ATTEMPTS.keys() | WITHOUT_A_PRINCIPAL.keys():
        noun, name = operation.split(".")
        parameters = inspect.signature(getattr(getattr(street.services, noun), name)).parameters
        assert ("who" in parameters) is (operation in ATTEMPTS), operation
