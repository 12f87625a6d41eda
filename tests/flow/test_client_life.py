"""The Python client against a real `campana serve` with sandbox carriers: it waits, awaits, and survives a kill."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from serve_kit import Served, phone

from campana.client import (
    AsyncClient,
    CampaignDraft,
    Client,
    Conflict,
    Destination,
    NewContact,
    Retries,
    Sms,
    VersionMismatch,
)

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
DRAFT = CampaignDraft(name="Autumn", sms=Sms(enabled=True, from_="Campana", text="Hello {{name}}"))
pytestmark = pytest.mark.xdist_group("client")


def contact(number: int) -> NewContact:
    return NewContact(name=f"Person {number}", sms=Destination(destination=phone(number)))


def test_a_campaign_from_a_draft_to_its_last_event(here: Served) -> None:
    with Client(here.url, log_in=here.log_in) as client:
        assert client.who_am_i().role == "operator"
        assert {route.health for route in client.list_routes()} == {"up"}
        made = client.create_campaign(DRAFT, key="made-once")
        assert client.create_campaign(DRAFT, key="made-once").id == made.id
        with pytest.raises(Conflict):
            client.create_campaign(CampaignDraft(name="another"), key="made-once")
        changed = client.change_campaign(made.id, CampaignDraft(description="x"), version=made.version)
        assert (changed.name, changed.description, changed.media) == ("Autumn", "x", ("sms",))
        with pytest.raises(VersionMismatch):
            client.change_campaign(made.id, CampaignDraft(description="y"), version=made.version)
        ada = client.add_contact(made.id, contact(1))
        assert client.get_contact(made.id, ada.id).name == "Person 1"
        end = client.wait_until_finished(made.id, timeout=60, every=0.1)
        assert (end.contacts, end.sms["success"], end.state) == (1, 1, "finished")
        assert [one.status for one in client.list_deliveries(made.id, medium="sms", status="success")] == ["success"]
        assert [one.route for one in client.list_attempts(made.id)] == ["sms"]
        assert client.get_delivery(made.id, ada.id, "sms").attempts[0].status == "success"
        assert "contact.status_changed" in [event.type for event in client.events(made.id)]
        client.delete_campaign(made.id)
        assert made.id not in {one.id for one in client.list_campaigns()}


async def test_events_are_awaited_while_they_happen(here: Served) -> None:
    async with AsyncClient(here.url, api_key=here.key) as client:
        made = await client.create_campaign(DRAFT)
        reading = asyncio.create_task(_until_finished(client, made.id))
        done = await client.import_contacts(made.id, [contact(number) for number in range(50)])
        assert (done.state, done.accepted) == ("done", 50)
        async with asyncio.timeout(60):
            numbers, statuses = await reading
        assert numbers == list(range(1, len(numbers) + 1))
        assert statuses.count("success") == 50
        last = [await anext(client.events(made.id, after=numbers[-2], live=live)) for live in (False, True)]
        assert [one.number for one in last] == [numbers[-1]] * 2
        assert [one.name async for one in client.list_contacts(made.id)] == [f"Person {number}" for number in range(50)]


async def _until_finished(client: AsyncClient, campaign: str) -> tuple[list[int], list[str | None]]:
    numbers: list[int] = []
    statuses: list[str | None] = []
    async for event in client.events(campaign, live=True):
        numbers.append(event.number)
        statuses.append(event.data.status)
        if event.type == "campaign.finished":
            break
    return numbers, statuses


class Rows:
    """Many contacts, of which the last ones come only once the server was killed: in the middle of the list."""

    COUNT, MIDDLE = 30_000, 20_000

    def __init__(self) -> None:
        self.killed = threading.Event()
        self.begun = 0

    def __iter__(self) -> Iterator[NewContact]:
        self.begun += 1
        for number in range(self.COUNT):
            if number == self.MIDDLE:
                assert self.killed.wait(60)
            yield contact(number)


def test_an_import_goes_on_after_the_server_was_killed(here: Served) -> None:
    rows, found = Rows(), []
    patient = Retries(patience_s=60.0, first_s=0.05, longest_s=0.5)
    with Client(here.url, api_key=here.key, retries=patient) as client:
        made = client.create_campaign(CampaignDraft(name="Killed", paused=True, sms=DRAFT.sms))
        importing = threading.Thread(target=lambda: found.append(client.import_contacts(made.id, rows)))
        importing.start()
        _until_some_are_in(client, made.id)
        here.kill()
        rows.killed.set()
        here.start()
        importing.join(60)
        (done,) = found
        assert (done.state, done.rows_read, done.accepted, done.refused) == ("done", rows.COUNT, rows.COUNT, 0)
        assert rows.begun >= 2
        assert client.get_balance(made.id).contacts == rows.COUNT, "each is there, and none twice"
        assert [one.id for one in client.list_imports(made.id)] == [done.id]


def _until_some_are_in(client: Client, campaign: str) -> None:
    for balance in client.watch(campaign, every=0.05):
        if balance.contacts:
            return


def test_what_the_page_shows_works(
    here: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAMPANA_URL", here.url)
    monkeypatch.setenv("CAMPANA_API_KEY", here.key)
    examples = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    said = []
    for code in examples:
        exec(compile(code, str(PAGE), "exec"), {"__name__": "__main__"})
        said.append(capsys.readouterr().out)
    first, listed, changed, many, happened = said
    assert re.fullmatch(r"2 sms \S.*\n1 of 1\n", first)
    assert "Reminder 1\n" in listed
    assert changed == ""
    assert re.fullmatch(r"\d+ \d+\n1 added 0 refused\n\d+ bytes\n", many)
    assert "campaign.finished" in happened.splitlines()[-1]
