"""Everything that SOAP can do, REST can do: the same steps through both doors, with the same results and codes.

Each door works in an account of its own on the same server, with the same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from parity_kit import RestDoor, SoapDoor, Told
from rest_kit import PASSWORD
from rest_server import RestServer, rest_server

from campana.api.soap.operations import OPERATIONS
from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode
from campana.domain.moment import SECOND
from campana.services.campaigns import CampaignOptions
from campana.services.contacts import ContactOptions
from campana.storage.river import ClaimQuery, Cut
from campana.storage.tables import NEVER

# One after the other, on what the ones before have left.
pytestmark = pytest.mark.xdist_group("parity")

Door = SoapDoor | RestDoor
Step = Callable[[Door], Told]


def guid(number: int) -> str:
    return f"0190a1b2-0000-7000-8000-{number:012d}"


ONE, ENDED, OPEN, NOWHERE, SCRAP = (guid(number) for number in range(1, 6))
ADA, BOB, EVE = (guid(number) for number in range(11, 14))

SMS = {"enabled": True, "from": "Office", "text": "Hello"}
CAMPAIGN: dict[str, Any] = {"id": ONE, "name": "Reminder", "sms": SMS}
WHOLE: dict[str, Any] = {
    "id": ONE,
    "name": "Rappel d'été <&> 漢字",
    "description": " two\nlines ",
    "paused": True,
    "from_date": "2026-11-22",
    "to_date": "2027-12-28",
    "from_time": "08:30:00",
    "to_time": "18:00:00",
    "sms": SMS,
    "voice": {
        "enabled": True,
        "dial_timeout_ms": 20_000,
        "calling_name": "Office",
        "calling_number": "+14165550100",
        "text": "Bonjour",
        "voice_name": "Anna",
        "max_plays": 2,
        "max_attempts": 4,
        "retry_minutes": 5,
    },
    "email": {"enabled": True, "from": "a@example.com", "subject": "Ça & là", "html": "<p>&eacute;</p>"},
    "required_media": ["sms"],
    "allow_external_contacts": True,
    "progress_endpoint": "https://example.com/progress",
}
BACKWARDS = CAMPAIGN | {"from_date": "2027-01-02", "to_date": "2027-01-01"}
NUMBER = {"destination": "+14165550111"}
PERSON: dict[str, Any] = {"id": ADA, "sms": {**NUMBER, "text": "Allô <&>", "attempts_left": 2}}


def campaign(**changes: Any) -> dict[str, Any]:
    return CAMPAIGN | changes


def voice(**changes: Any) -> dict[str, Any]:
    return campaign(id=SCRAP, voice=WHOLE["voice"] | changes)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestServer]:
    options = {"campaigns": CampaignOptions(most_per_account=3), "contacts": ContactOptions(most_per_campaign=4)}
    with rest_server(tmp_path_factory.mktemp("house"), **options) as opened:
        yield opened


@pytest.fixture(scope="module")
def doors(server: RestServer) -> Iterator[tuple[SoapDoor, RestDoor]]:
    soap, rest = SoapDoor(server.url, "acme"), RestDoor(server.url, "other")
    yield soap, rest
    rest.close_client()


STEPS: list[tuple[str, Step, int]] = [
    ("wrong password", lambda d: d.open("admin", "wrong"), 2),
    ("unknown user", lambda d: d.open("nobody"), 2),
    ("unknown account", lambda d: d.open("admin", account="nowhere"), 2),
    ("list without a session", lambda d: d.listing(), 1),
    ("open", lambda d: d.open("admin"), 0),
    ("no campaigns", lambda d: d.listing(), 0),
    # campaigns
    ("add", lambda d: d.add(WHOLE), 0),
    ("add again", lambda d: d.add(WHOLE), 11),
    ("get", lambda d: d.get(ONE), 0),
    ("get in capitals", lambda d: d.get(ONE.upper()), 0),
    ("get nothing", lambda d: d.get(NOWHERE), 10),
    ("update", lambda d: d.update(ONE, campaign()), 0),
    ("get what was updated", lambda d: d.get(ONE), 0),
    ("update nothing", lambda d: d.update(NOWHERE, campaign(id=NOWHERE)), 10),
    ("add one that has ended", lambda d: d.add(campaign(id=ENDED, to_date="2026-11-01")), 0),
    ("list the active", lambda d: d.listing(), 0),
    ("read the active", lambda d: d.active(), 0),
    ("get one that has ended", lambda d: d.get(ENDED), 0),
    ("add one for agents", lambda d: d.add(campaign(id=OPEN, allow_external_contacts=True, required_media=["sms"])), 0),
    ("one too many", lambda d: d.add(campaign(id=SCRAP)), 30),
    ("delete", lambda d: d.delete(ENDED), 0),
    ("delete again", lambda d: d.delete(ENDED), 10),
    # rules of campaigns
    ("no name", lambda d: d.add(campaign(id=SCRAP, name=" ")), 12),
    ("too long a name", lambda d: d.add(campaign(id=SCRAP, name="x" * 201)), 12),
    ("no medium", lambda d: d.add(campaign(id=SCRAP, sms=None)), 12),
    ("no sender", lambda d: d.add(campaign(id=SCRAP, sms={"enabled": True, "text": "Hello"})), 12),
    ("too long a text", lambda d: d.add(campaign(id=SCRAP, sms=SMS | {"text": "x" * 40_000})), 12),
    ("no plays", lambda d: d.add(voice(max_plays=0)), 12),
    ("too many plays", lambda d: d.add(voice(max_plays=11)), 12),
    ("too short a time-out", lambda d: d.add(voice(dial_timeout_ms=999)), 12),
    ("too long a time-out", lambda d: d.add(voice(dial_timeout_ms=120_001)), 12),
    ("no attempts", lambda d: d.add(voice(max_attempts=0)), 12),
    ("no subject", lambda d: d.add(campaign(id=SCRAP, email=WHOLE["email"] | {"subject": ""})), 12),
    ("no address", lambda d: d.add(campaign(id=SCRAP, email=WHOLE["email"] | {"from": "x"})), 12),
    (
        "an end before its beginning",
        lambda d: d.update(ONE, BACKWARDS),
        12,
    ),
    ("a private endpoint", lambda d: d.update(ONE, campaign(progress_endpoint="http://10.0.0.1/")), 12),
    # contacts
    ("add a contact", lambda d: d.add_contact(ONE, PERSON), 0),
    ("add it again", lambda d: d.add_contact(ONE, PERSON), 21),
    ("add to nothing", lambda d: d.add_contact(NOWHERE, PERSON), 10),
    ("one without anything", lambda d: d.add_contact(ONE, {"id": BOB}), 0),
    ("no number", lambda d: d.add_contact(ONE, {"id": EVE, "sms": {"destination": "none"}}), 22),
    ("no address of a person", lambda d: d.add_contact(ONE, {"id": EVE, "email": {"destination": "none"}}), 22),
    ("too many attempts", lambda d: d.add_contact(ONE, {"id": EVE, "sms": {**NUMBER, "attempts_left": 256}}), 22),
    ("too long a number", lambda d: d.add_contact(ONE, {"id": EVE, "sms": {"destination": "1" * 321}}), 22),
    ("list contacts", lambda d: d.contacts(ONE), 0),
    ("read contacts", lambda d: d.whole_contacts(ONE), 0),
    ("list contacts of nothing", lambda d: d.contacts(NOWHERE), 10),
    ("read contacts of nothing", lambda d: d.whole_contacts(NOWHERE), 10),
    ("update a contact", lambda d: d.update_contact(ONE, {"id": BOB, "email": {"destination": "b@example.com"}}), 0),
    ("update with no number", lambda d: d.update_contact(ONE, {"id": BOB, "voice": {"destination": "x"}}), 22),
    ("update nobody", lambda d: d.update_contact(ONE, {"id": EVE}), 20),
    ("read what was updated", lambda d: d.whole_contacts(ONE), 0),
    ("delete nobody", lambda d: d.delete_contact(ONE, EVE), 20),
    ("add a third", lambda d: d.add_contact(ONE, {"id": EVE}), 0),
    ("delete it", lambda d: d.delete_contact(ONE, EVE), 0),
    ("one contact too many", lambda d: d.add_contact(ONE, {"id": guid(14)}), 30),
    ("end it", lambda d: d.update(ONE, campaign(to_date="2026-11-01")), 0),
    ("add after its end", lambda d: d.add_contact(ONE, {"id": guid(14)}), 13),
    ("begin again", lambda d: d.update(ONE, campaign()), 0),
    ("close", lambda d: d.close(), 0),
    ("close again", lambda d: d.close(), 1),
    # agents
    ("open as an agent", lambda d: d.open("agent"), 0),
    ("what an agent does not see", lambda d: d.get(ONE), 10),
    ("agents add no campaign", lambda d: d.add(campaign(id=SCRAP)), 3),
    ("open as a program", lambda d: d.open("api"), 0),
    ("nothing is shared", lambda d: d.listing(), 0),
]
"""What is asked, of which door it is asked, and the code that must come."""


@pytest.fixture(scope="module")
def walked(doors: tuple[SoapDoor, RestDoor]) -> dict[str, tuple[Told, Told]]:
    """Both doors' answers, by step."""
    assert len({name for name, _, _ in STEPS}) == len(STEPS)
    soap, rest = doors
    return {name: (step(soap), step(rest)) for name, step, _ in STEPS}


@pytest.mark.parametrize(("name", "code"), [pytest.param(name, code, id=name) for name, _, code in STEPS])
def test_both_doors_answer_alike(walked: dict[str, tuple[Told, Told]], name: str, code: int) -> None:
    by_soap, by_rest = walked[name]
    assert by_soap[0] == code
    assert by_rest == by_soap


def test_every_operation_of_the_contract_is_walked() -> None:
    doors = {name for name, member in vars(SoapDoor).items() if callable(member) and name[0] != "_"}
    assert len(doors) == len(OPERATIONS)
    assert doors <= set(vars(RestDoor))


def both(doors: tuple[SoapDoor, RestDoor], step: Step) -> int:
    by_soap, by_rest = step(doors[0]), step(doors[1])
    assert by_soap == by_rest
    return by_soap[0]


def test_agents_are_bound_by_the_rules_for_external_applications(
    server: RestServer, doors: tuple[SoapDoor, RestDoor], walked: object
) -> None:
    """Campaigns that a program makes are seen by agents: on both doors all may see them."""
    assert server.house is not None
    for door in doors:
        admin = type(door)(server.url, door.account)
        admin.open("admin")
        for listed in admin.listing()[1]:
            admin.delete(listed)
        admin.close()
    assert both(doors, lambda d: d.open("api")) == 0
    assert both(doors, lambda d: d.add(campaign())) == 0
    assert both(doors, lambda d: d.add(campaign(id=OPEN, allow_external_contacts=True, required_media=["sms"]))) == 0
    assert both(doors, lambda d: d.add_contact(ONE, PERSON)) == 0
    assert both(doors, lambda d: d.open("agent")) == 0
    assert both(doors, lambda d: d.listing()) == 0
    assert both(doors, lambda d: d.update(ONE, campaign())) == 3
    assert both(doors, lambda d: d.delete(ONE)) == 3
    assert both(doors, lambda d: d.add_contact(ONE, {"id": BOB})) == 24
    assert both(doors, lambda d: d.add_contact(OPEN, {"id": BOB})) == 25
    assert both(doors, lambda d: d.add_contact(OPEN, {"id": BOB, "sms": NUMBER})) == 0
    assert both(doors, lambda d: d.update_contact(OPEN, {"id": BOB})) == 25
    assert both(doors, lambda d: d.delete_contact(OPEN, BOB)) == 3


def test_what_is_being_sent_cannot_change(server: RestServer, doors: tuple[SoapDoor, RestDoor], walked: object) -> None:
    assert both(doors, lambda d: d.open("api")) == 0
    both(doors, lambda d: d.add(campaign()))
    both(doors, lambda d: d.add_contact(ONE, PERSON))
    server.run(_claim_all(server))
    other = {"id": ADA, "sms": {"destination": "+14165550199"}}
    assert both(doors, lambda d: d.update_contact(ONE, other)) == 23
    assert both(doors, lambda d: d.whole_contacts(ONE)) == 0


async def _claim_all(server: RestServer) -> None:
    """A worker takes what waits, of both accounts."""
    assert server.house is not None
    store, now = server.house.store, server.house.time()
    for account in ("acme", "other"):
        found = await store.accounts.find_account(account)
        assert found is not None
        row = await store.campaigns.find(found.number, ONE)
        assert row is not None
        assert await store.river.plan([Cut(row.number, Medium.SMS, 9, 1, 0, NEVER)], now) == [1]
    for _ in range(2):
        assert await store.river.claim(ClaimQuery("worker", (Medium.SMS,), now, now + 60 * SECOND)) is not None


def test_too_many_wrong_passwords_lock_both_doors(doors: tuple[SoapDoor, RestDoor], walked: object) -> None:
    for _ in range(9):
        both(doors, lambda d: d.open("operator", "wrong"))
    assert both(doors, lambda d: d.open("operator", "wrong")) == 2
    assert both(doors, lambda d: d.open("operator", PASSWORD)) == 4


def test_every_code_of_the_contract_was_walked() -> None:
    """But those that a call cannot bring about: 90, 99, and what is REST's alone."""
    walked = {code for _, _, code in STEPS} | {3, 4, 23, 24, 25}
    assert walked == {code.value for code in MethodCode if code < 31}
