"""The Idempotency-Key: carried out once, answered again for a day, and safe where a try was cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rest_kit import PASSWORD, RestHouse, problem, rest_house

from campana.domain.moment import DAY, SECOND
from campana.services.answers import HELD

CAMPAIGN: dict[str, Any] = {"name": "Reminder", "sms": {"enabled": True, "from": "Office", "text": "Hello"}}
KEY = {"idempotency-key": "6f0c1b5e"}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RestHouse]:
    async with rest_house(tmp_path) as opened:
        yield opened


async def kept(house: RestHouse) -> list[tuple[Any, ...]]:
    """What the store has of answers."""
    return await house.store.answers._database.read(lambda c: c.execute("SELECT status, body FROM answers").fetchall())


async def cut_off(house: RestHouse) -> None:
    """Forget the answers, as though the process had died after the work and before keeping them; and wait."""
    await house.store.answers._database.write(lambda c: c.execute("UPDATE answers SET status = NULL, body = NULL"))
    house.time.now += HELD


async def test_a_repeated_request_is_carried_out_once(house: RestHouse) -> None:
    client = await house.as_user()
    first = await client.post("/campaigns", json=CAMPAIGN, headers=KEY)
    assert (first.status_code, first.headers.get("idempotency-replayed")) == (201, None)
    for other in (client, await house.as_user(), house.client(await _key(house))):
        again = await other.post("/campaigns", json=CAMPAIGN, headers=KEY)
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        assert (again.headers["location"], again.headers["etag"]) == (first.headers["location"], first.headers["etag"])
    assert len((await client.get("/campaigns")).json()["items"]) == 1


async def _key(house: RestHouse) -> str:
    made = await (await house.as_user()).post("/api-keys", json={"name": "x", "scopes": ["campaigns:write"]})
    return str(made.json()["key"])


async def test_keys_are_apart_by_user_and_address(house: RestHouse) -> None:
    client = await house.as_user()
    first = (await client.post("/campaigns", json=CAMPAIGN, headers=KEY)).json()["id"]
    api = await house.as_user("api")
    second = (await api.post("/campaigns", json=CAMPAIGN, headers=KEY)).json()["id"]
    other = (await (await house.as_user("admin", "other")).post("/campaigns", json=CAMPAIGN, headers=KEY)).json()["id"]
    assert len({first, second, other}) == 3
    paused = await client.post(f"/campaigns/{first}/pause", headers=KEY)
    assert (paused.status_code, paused.json()["state"]) == (200, "paused")


async def test_a_key_belongs_to_one_request(house: RestHouse) -> None:
    client = await house.as_user()
    await client.post("/campaigns", json=CAMPAIGN, headers=KEY)
    problem(await client.post("/campaigns", json=CAMPAIGN | {"name": "Other"}, headers=KEY), 409, 44)
    assert len((await client.get("/campaigns")).json()["items"]) == 1


async def test_what_was_refused_may_be_mended(house: RestHouse) -> None:
    client = await house.as_user()
    problem(await client.post("/campaigns", json=CAMPAIGN | {"time_zone": "x"}, headers=KEY), 422, 12, "time_zone")
    problem(await client.post("/campaigns", json=CAMPAIGN | {"color": "x"}, headers=KEY), 422, 42, "color")
    assert await kept(house) == []
    assert (await client.post("/campaigns", json=CAMPAIGN, headers=KEY)).status_code == 201


async def test_of_many_at_once_one_is_carried_out(house: RestHouse) -> None:
    client = await house.as_user()
    answers = await asyncio.gather(*(client.post("/campaigns", json=CAMPAIGN, headers=KEY) for _ in range(10)))
    assert len((await client.get("/campaigns")).json()["items"]) == 1
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    for answer in answers:
        if answer.status_code != 201:
            problem(answer, 409, 44)
            assert 1 <= int(answer.headers["retry-after"]) <= HELD // SECOND


async def test_an_answer_is_kept_for_a_day(house: RestHouse) -> None:
    key = await _key(house)
    client = house.client(key)
    await client.post("/campaigns", json=CAMPAIGN, headers=KEY)
    house.time.now += DAY
    assert await house.services.answers.purge() == 0
    assert (await client.post("/campaigns", json=CAMPAIGN, headers=KEY)).headers["idempotency-replayed"] == "true"
    house.time.now += 1
    assert await house.services.answers.purge() == 1
    again = await client.post("/campaigns", json=CAMPAIGN, headers=KEY)
    assert again.status_code == 201
    assert "idempotency-replayed" not in again.headers


@pytest.mark.parametrize("key", ["", "with blank", "x" * 256, "tab\t", "ümlaut".encode("latin-1")])
async def test_a_key_that_cannot_be(house: RestHouse, key: Any) -> None:
    client = await house.as_user()
    problem(await client.post("/campaigns", json=CAMPAIGN, headers={"idempotency-key": key}), 422, 42)


# --- cut off -----------------------------------------------------------------------------------------------------


async def test_a_try_that_was_cut_off_is_taken_up_where_it_was(house: RestHouse) -> None:
    client = await house.as_user()
    campaign = (await client.post("/campaigns", json=CAMPAIGN, headers=KEY)).json()
    where = f"/campaigns/{campaign['id']}/contacts"
    person = {"sms": {"destination": "+14165550123"}}
    contact = (await client.post(where, json=person, headers=KEY)).json()
    await cut_off(house)
    assert (await client.post("/campaigns", json=CAMPAIGN, headers=KEY)).json() == campaign
    assert (await client.post(where, json=person, headers=KEY)).json() == contact
    assert len((await client.get("/campaigns")).json()["items"]) == 1
    assert len((await client.get(where)).json()["items"]) == 1
    replayed = await client.post(where, json=person, headers=KEY)
    assert (replayed.json(), replayed.headers["idempotency-replayed"]) == (contact, "true")


async def test_until_it_is_known_to_be_cut_off_others_wait(house: RestHouse) -> None:
    client = await house.as_user()
    await client.post("/campaigns", json=CAMPAIGN, headers=KEY)
    await cut_off(house)
    house.time.now -= 1
    answer = await client.post("/campaigns", json=CAMPAIGN, headers=KEY)
    problem(answer, 409, 44)
    assert answer.headers["retry-after"] == "1"


async def test_a_key_that_never_reached_anybody_has_a_new_secret(house: RestHouse) -> None:
    client = await house.as_user()
    wanted = {"name": "x", "scopes": ["campaigns:read"]}
    first = (await client.post("/api-keys", json=wanted, headers=KEY)).json()
    assert (await client.post("/api-keys", json=wanted, headers=KEY)).json() == first
    await cut_off(house)
    second = (await client.post("/api-keys", json=wanted, headers=KEY)).json()
    assert (second["id"], second["key"] == first["key"]) == (first["id"], False)
    assert (await house.client(second["key"]).get("/routes")).status_code == 200
    problem(await house.client(first["key"]).get("/routes"), 401, 1)
    assert len((await client.get("/api-keys")).json()["items"]) == 1


async def test_a_user_that_was_added_before_it_was_cut_off_is_the_answer(house: RestHouse) -> None:
    client = await house.as_user()
    ann = {"name": "ann", "role": "api", "password": PASSWORD}
    first = (await client.post("/users", json=ann, headers=KEY)).json()
    await cut_off(house)
    assert (await client.post("/users", json=ann, headers=KEY)).json() == first
    problem(await client.post("/users", json=ann), 409, 41, "name")


# --- secrets -----------------------------------------------------------------------------------------------------


async def test_nothing_that_is_kept_can_be_read(house: RestHouse) -> None:
    client = await house.as_user()
    made = await client.post("/api-keys", json={"name": "x", "scopes": ["campaigns:read"]}, headers=KEY)
    await client.post("/users", json={"name": "ann", "role": "api", "password": PASSWORD}, headers=KEY)
    assert [status for status, _ in await kept(house)] == [201, 201]
    dump = await house.store.answers._database.read(lambda c: repr(c.execute("SELECT * FROM answers").fetchall()))
    for secret in (made.json()["key"], PASSWORD, KEY["idempotency-key"], "ann"):
        assert secret not in dump


async def test_no_token_of_a_session_is_kept(house: RestHouse) -> None:
    client = house.client()
    log_in = {"account": "acme", "user": "admin", "password": PASSWORD}
    tokens = [(await client.post("/sessions", json=log_in, headers=KEY)).json()["token"] for _ in range(2)]
    assert tokens[0] != tokens[1]
    assert await kept(house) == []
    assert (await house.client(tokens[1]).get("/sessions/current")).status_code == 200
