"""Campaigns through the REST door: every field there and back, versions, patches, lists, and what steers them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rest_kit import RestHouse, problem, rest_house

from campana.domain.moment import DAY
from campana.services.campaigns import CampaignOptions

ONE = "0190a1b2-0000-7000-8000-000000000001"

SIMPLE: dict[str, Any] = {"name": "Reminder", "sms": {"enabled": True, "from": "Office", "text": "Hello"}}

WHOLE: dict[str, Any] = {
    "id": ONE,
    "name": "Reminder",
    "description": "For tomorrow",
    "paused": True,
    "time_zone": "Europe/Rome",
    "from_date": "2026-12-01",
    "to_date": "2026-12-24",
    "from_time": "09:00:00",
    "to_time": "18:30:00",
    "quiet_from": "12:00:00",
    "quiet_to": "14:00:00",
    "days": ["monday", "saturday"],
    "sms": {"enabled": True, "from": "Office", "text": "Hello", "uncertain": "hold"},
    "voice": {
        "enabled": True,
        "dial_timeout_ms": 20_000,
        "calling_name": "Office",
        "calling_number": "+14165550100",
        "text": "Good morning.",
        "voice_name": "Anna",
        "max_plays": 2,
        "max_attempts": 4,
        "retry_minutes": 0,
        "uncertain": "resend",
        "success": "acknowledged",
        "acknowledge_keys": "12",
    },
    "email": {
        "enabled": False,
        "from": "office@example.com",
        "subject": "Hello",
        "html": "<p>Hello</p>",
        "uncertain": "give_up",
    },
    "required_media": ["sms", "email"],
    "allow_external_contacts": True,
    "progress_endpoint": "https://example.com/progress",
    "sharing": "some",
    "shared_with": ["agent", "api"],
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RestHouse]:
    async with rest_house(tmp_path) as opened:
        yield opened


async def added(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post("/campaigns", json=SIMPLE | changes)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_every_field_goes_there_and_back(house: RestHouse) -> None:
    client = await house.as_user()
    answer = await client.post("/campaigns", json=WHOLE)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"http://campana.test/api/v1/campaigns/{ONE}"
    told = answer.json()
    facts = {"state": "paused", "created_at": "2026-11-30T00:53:20.000Z", "cancelled_at": None, "owner": "admin"}
    assert told == WHOLE | facts | {"version": 1}
    assert (await client.get(f"/campaigns/{ONE}")).json() == told
    again = await client.put(f"/campaigns/{ONE}", json=told)
    assert again.json() == told | {"version": 2}


async def test_what_is_left_out_has_its_default(house: RestHouse) -> None:
    told = await added(await house.as_user("api"))
    assert {
        name: told[name] for name in ("description", "paused", "time_zone", "from_date", "to_time", "quiet_from")
    } == {
        "description": None,
        "paused": False,
        "time_zone": None,
        "from_date": None,
        "to_time": None,
        "quiet_from": None,
    }
    assert told["days"] == ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    assert told["sms"] == SIMPLE["sms"] | {"uncertain": "give_up"}
    assert (told["voice"], told["email"], told["required_media"], told["shared_with"]) == (None, None, [], [])
    assert (told["sharing"], told["state"], told["version"]) == ("all", "running", 1)
    assert (await added(await house.as_user("operator")))["sharing"] == "private"


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"name": " "}, 12, "name"),
        ({"name": ""}, 12, "name"),
        ({"sms": None}, 12, "sms.enabled"),
        ({"sms": SIMPLE["sms"] | {"from": ""}}, 12, "sms.from"),
        ({"sms": SIMPLE["sms"] | {"color": "red"}}, 42, "sms.color"),
        ({"sms": SIMPLE["sms"] | {"uncertain": "perhaps"}}, 42, "sms.uncertain"),
        ({"voice": {"enabled": True, "max_plays": 0}}, 12, "voice.max_plays"),
        ({"voice": {"enabled": True, "max_plays": 11}}, 12, "voice.max_plays"),
        ({"voice": {"acknowledge_keys": "11"}}, 12, "voice.acknowledge_keys"),
        ({"email": {"enabled": True, "from": "a@example.com", "subject": ""}}, 12, "email.subject"),
        ({"time_zone": "Mars/Base"}, 12, "time_zone"),
        ({"from_date": "2026-12-02", "to_date": "2026-12-01"}, 12, "to_date"),
        ({"from_date": "2026-13-01"}, 42, "from_date"),
        ({"from_time": "9:00"}, 12, "from_time"),
        ({"from_time": "09:00:00+01:00"}, 12, "from_time"),
        ({"quiet_from": "09:00:00"}, 12, "quiet_from"),
        ({"quiet_from": "09:00:00", "quiet_to": "09:00:00"}, 12, "quiet_to"),
        ({"days": []}, 12, "days"),
        ({"days": ["someday"]}, 42, "days"),
        ({"progress_endpoint": "http://127.0.0.1/"}, 12, "progress_endpoint"),
        ({"id": "x"}, 12, "id"),
        ({"id": 5}, 42, "id"),
    ],
)
async def test_a_rule_that_is_broken_is_told_in_the_words_of_rest(
    house: RestHouse, changes: dict, code: int, field: str
) -> None:
    told = problem(await (await house.as_user()).post("/campaigns", json=SIMPLE | changes), 422, code, field)
    assert str(told["detail"]).startswith(field)
    assert "red" not in str(told["detail"])


async def test_an_id_in_use_and_a_full_account(tmp_path: Path) -> None:
    async with rest_house(tmp_path, campaigns=CampaignOptions(most_per_account=1)) as house:
        client = await house.as_user()
        await added(client, id=ONE)
        problem(await client.post("/campaigns", json=SIMPLE | {"id": ONE.upper()}), 409, 11)
        problem(await client.post("/campaigns", json=SIMPLE), 409, 30)


async def test_agents_add_none_and_strangers_see_none(house: RestHouse) -> None:
    agent, operator, other = [
        await house.as_user(name, account)
        for name, account in (("agent", "acme"), ("operator", "acme"), ("api", "other"))
    ]
    problem(await agent.post("/campaigns", json=SIMPLE), 403, 3)
    made = await added(operator)
    for client in (agent, other):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/cancel")):
            problem(await client.request(method, f"/campaigns/{made['id']}{path}"), 404, 10)
    shared = await added(operator, sharing="all")
    problem(await agent.post(f"/campaigns/{shared['id']}/cancel"), 403, 3)
    assert [one["id"] for one in (await agent.get("/campaigns")).json()["items"]] == [shared["id"]]


# --- versions ----------------------------------------------------------------------------------------------------


async def test_a_tag_stands_for_version_and_state(house: RestHouse) -> None:
    client = await house.as_user()
    made = await added(client, from_date="2026-12-01", time_zone="UTC")
    where = f"/campaigns/{made['id']}"
    tag = (await client.get(where)).headers["etag"]
    assert tag == '"1.scheduled"'
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*", f'"a",W/{tag} , "b"'):
        answer = await client.get(where, headers={"if-none-match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag), known
    for other in ('"2.scheduled"', '"1.running"', '"1"'):
        assert (await client.get(where, headers={"if-none-match": other})).status_code == 200
    house.time.now += 2 * DAY
    client = await house.as_user()
    answer = await client.get(where, headers={"if-none-match": tag})
    assert (answer.status_code, answer.headers["etag"], answer.json()["state"]) == (200, '"1.running"', "running")
    # Who writes need not have seen that.
    assert (await client.put(where, json=SIMPLE, headers={"if-match": tag})).headers["etag"] == '"2.running"'


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_only_the_version_that_was_read_is_changed(house: RestHouse, method: str) -> None:
    client = await house.as_user()
    where = f"/campaigns/{(await added(client))['id']}"
    await client.patch(where, json={"name": "Second"})
    sent = {} if method == "DELETE" else {"json": SIMPLE}
    for old in ('"1.running"', 'W/"2.running"', '"1.running", "3.running"'):
        problem(await client.request(method, where, headers={"if-match": old}, **sent), 412, 43)
    problem(await client.request(method, where, headers={"if-match": "2"}, **sent), 422, 42)
    assert (await client.get(where)).json()["name"] == "Second"
    answer = await client.request(method, where, headers={"if-match": '"1.running", "2.running"'}, **sent)
    assert answer.is_success


async def test_no_change_is_lost_to_another(house: RestHouse) -> None:
    client = await house.as_user()
    where = f"/campaigns/{(await added(client))['id']}"
    patches = [{"description": "changed"}, {"sms": {"text": "Other"}}, {"time_zone": "Europe/Rome"}, {"paused": True}]
    answers = await asyncio.gather(*(client.patch(where, json=patch) for patch in patches))
    assert [answer.status_code for answer in answers] == [200] * 4
    told = (await client.get(where)).json()
    assert (told["description"], told["sms"]["text"], told["time_zone"], told["paused"]) == (
        "changed",
        "Other",
        "Europe/Rome",
        True,
    )
    assert told["version"] == 5
    tag = {"if-match": '"5.paused"'}
    answers = await asyncio.gather(*(client.put(where, json=SIMPLE | {"name": f"{n}"}, headers=tag) for n in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]


async def test_a_patch_merges(house: RestHouse) -> None:
    client = await house.as_user()
    await client.post("/campaigns", json=WHOLE)
    where = f"/campaigns/{ONE}"
    media = {"content-type": "application/merge-patch+json"}
    patch = b'{"description": null, "voice": null, "sms": {"text": "Bye", "uncertain": null}, "days": ["sunday"]}'
    told = (await client.patch(where, content=patch, headers=media)).json()
    expected = WHOLE | {"description": None, "voice": None, "days": ["sunday"]}
    assert {name: told[name] for name in WHOLE} == expected | {
        "sms": WHOLE["sms"] | {"text": "Bye", "uncertain": "give_up"}
    }
    assert told["sharing"] == "some"
    problem(await client.patch(where, json={"name": None}), 422, 42, "name")
    problem(await client.patch(where, json={"sms": None}), 422, 12, "sms.enabled")
    problem(await client.patch(where, json={"color": "red"}), 422, 42, "color")
    problem(await client.patch(where, json={"id": ONE.replace("1", "2")}), 422, 12, "id")
    problem(await client.patch(where, json=[]), 422, 42)
    problem(await client.patch(where, content=b"[" * 5_000, headers=media), 422, 42)
    problem(await client.patch(where, content=b'{"sms":' * 90_000, headers=media), 400, 42)


# --- lists -------------------------------------------------------------------------------------------------------


async def pages(client: httpx.AsyncClient, **asked: Any) -> list[list[str]]:
    """The names on each page, to the last."""
    found, cursor = [], ""
    while True:
        answer = (await client.get("/campaigns", params=asked | ({"cursor": cursor} if cursor else {}))).json()
        found.append([one["name"] for one in answer["items"]])
        cursor = answer["next"]
        if cursor is None:
            return found


async def test_lists_are_paged_sorted_and_filtered(house: RestHouse) -> None:
    client, api = await house.as_user(), await house.as_user("api")
    for number in range(5):
        await added(client, name=f"Spring {number}", paused=number % 2 == 0)
    await added(client, name="Autumn", to_date="2026-11-01")
    await added(api, name="Winter", from_date="2026-12-24")
    assert await pages(client, limit=3) == [
        ["Spring 0", "Spring 1", "Spring 2"],
        ["Spring 3", "Spring 4", "Autumn"],
        ["Winter"],
    ]
    assert (await pages(client, limit=3, sort="-created_at"))[0] == ["Winter", "Autumn", "Spring 4"]
    assert await pages(client, name="SPRING", limit=4) == [
        ["Spring 0", "Spring 1", "Spring 2", "Spring 3"],
        ["Spring 4"],
    ]
    assert await pages(client, state="paused") == [["Spring 0", "Spring 2", "Spring 4"]]
    assert await pages(client, state="scheduled,finished") == [["Autumn", "Winter"]]
    assert await pages(client, active="true", name="t") == [["Winter"]]
    assert await pages(await house.as_user("operator")) == [["Winter"]]
    assert await pages(await house.as_user("admin", "other")) == [[]]


async def test_a_page_may_be_full_and_the_last(house: RestHouse) -> None:
    client = await house.as_user()
    for number in range(2):
        await added(client, name=f"{number}")
    first = (await client.get("/campaigns", params={"limit": 2})).json()
    assert len(first["items"]) == 2
    assert (await client.get("/campaigns", params={"limit": 2, "cursor": first["next"]})).json() == {
        "items": [],
        "next": None,
    }


async def test_long_campaigns_make_short_pages(house: RestHouse) -> None:
    client = await house.as_user()
    email = {"enabled": True, "from": "a@example.com", "subject": "x", "html": "x" * 990_000}
    for number in range(6):
        await added(client, name=f"{number}", email=email)
    assert [len(page) for page in await pages(client)] == [5, 1]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"state": "asleep"}, "state"),
        ({"sort": "name"}, "sort"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"color": "red"}, "color"),
        ({"active": "perhaps"}, "active"),
    ],
)
async def test_a_list_that_cannot_be(house: RestHouse, asked: dict, field: str) -> None:
    problem(await (await house.as_user()).get("/campaigns", params=asked), 422, 42, field)


async def test_a_cursor_belongs_to_its_list(house: RestHouse) -> None:
    client = await house.as_user()
    for _ in range(2):
        await added(client)
    cursor = (await client.get("/campaigns", params={"limit": 1})).json()["next"]
    for asked in ({"sort": "-created_at"}, {"state": "running"}, {"name": "x"}):
        problem(await client.get("/campaigns", params={"cursor": cursor, **asked}), 422, 42, "cursor")


# --- steering ----------------------------------------------------------------------------------------------------


async def test_a_campaign_is_paused_resumed_and_cancelled_for_good(house: RestHouse) -> None:
    client = await house.as_user()
    where = f"/campaigns/{(await added(client))['id']}"
    for verb, state, version in (
        ("pause", "paused", 2),
        ("pause", "paused", 2),
        ("resume", "running", 3),
        ("resume", "running", 3),
        ("cancel", "cancelled", 4),
        ("cancel", "cancelled", 4),
    ):
        answer = await client.post(f"{where}/{verb}")
        assert (answer.status_code, answer.json()["state"], answer.json()["version"]) == (200, state, version), verb
        assert answer.headers["etag"] == f'"{version}.{state}"'
    assert answer.json()["cancelled_at"] == "2026-11-30T00:53:20.000Z"
    for verb in ("pause", "resume"):
        problem(await client.post(f"{where}/{verb}"), 409, 13)
    problem(await client.post(f"{where}/contacts", json={"sms": {"destination": "+14165550123"}}), 409, 13)
    assert (await client.delete(where)).status_code == 204
    problem(await client.get(where), 404, 10)


async def test_an_address_that_is_no_id_is_no_campaign(house: RestHouse) -> None:
    client = await house.as_user()
    for path in ("x", "00000000-0000-0000-0000-000000000000", "%00", "{" + ONE + "x"):
        problem(await client.get(f"/campaigns/{path}"), 404, 10)
