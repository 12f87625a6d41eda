"""Contacts, deliveries and attempts through the REST door: there and back, lists, and an uncertain one decided."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rest_kit import RestHouse, problem, rest_house

from campana.domain.campaign import UncertainPolicy
from campana.domain.delivery import Medium
from campana.domain.moment import SECOND
from campana.domain.retry import RetryRule
from campana.services.answers import HELD
from campana.storage.river import ClaimQuery, Cut, Step
from campana.storage.tables import NEVER

ONE = "0190a1b2-0000-7000-8000-000000000001"
TWO = "0190a1b2-0000-7000-8000-00000000000a"

CAMPAIGN = {
    "id": ONE,
    "name": "Reminder",
    "sms": {"enabled": True, "from": "Office", "text": "Hello {{name|you}}", "uncertain": "hold"},
    "sharing": "all",
}
OPENING = "2026-12-24T00:00:00.000Z"
ADA = {
    "id": TWO,
    "name": "Ada Lovelace",
    "reference": "customer-1815",
    "fields": {"city": "London"},
    "sms": {"destination": "+1 416 555 0123", "text": None, "attempts_left": 2},
    "voice": {"destination": "+14165550123", "text": "Hello", "attempts_left": 3},
    "email": None,
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RestHouse]:
    async with rest_house(tmp_path) as opened:
        client = await opened.as_user()
        assert (await client.post("/campaigns", json=CAMPAIGN)).status_code == 201
        yield opened


async def added(client: httpx.AsyncClient, **contact: Any) -> dict[str, Any]:
    answer = await client.post(f"/campaigns/{ONE}/contacts", json=contact)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_contact_goes_there_and_back(house: RestHouse) -> None:
    client = await house.as_user("api")
    answer = await client.post(f"/campaigns/{ONE}/contacts", json=ADA)
    where = f"/campaigns/{ONE}/contacts/{TWO}"
    assert (answer.status_code, answer.headers["location"]) == (201, f"http://campana.test/api/v1{where}")
    pending = {"status": "pending", "error_code": 0}
    expected = ADA | {"sms": ADA["sms"] | pending, "voice": ADA["voice"] | pending}  # type: ignore[operator]
    assert answer.json() == expected
    assert (await client.get(where)).json() == expected
    assert (await client.put(where, json=answer.json())).json() == expected
    changed = await client.put(where, json={"reference": "x", "email": {"destination": "ada@example.com"}})
    told = changed.json()
    assert (told["name"], told["reference"], told["fields"]) == ("", "x", {})
    assert told["email"] == {
        "destination": "ada@example.com",
        "text": None,
        "attempts_left": 3,
        "status": "pending",
        "error_code": 0,
    }
    assert (told["sms"]["destination"], told["sms"]["status"]) == ("", "do_not_try")
    assert (await client.delete(where)).status_code == 204
    for method in ("GET", "DELETE"):
        problem(await client.request(method, where), 404, 20)
    problem(await client.put(where, json=ADA), 404, 20)


@pytest.mark.parametrize(
    ("contact", "status", "code", "field"),
    [
        ({"sms": {"destination": "none"}}, 422, 22, "sms.destination"),
        ({"email": {"destination": "none"}}, 422, 22, "email.destination"),
        ({"sms": {"destination": "+14165550123", "attempts_left": 256}}, 422, 22, "sms.attempts_left"),
        ({"sms": {"destination": "x" * 321}}, 422, 22, "sms.destination"),
        ({"sms": {"destination": "+14165550123", "text": "\x00"}}, 422, 22, "sms.text"),
        ({"fields": {"a": 5}}, 422, 42, "fields"),
        ({"fields": {"{": "x"}}, 422, 22, "fields"),
        ({"name": "x" * 201}, 422, 22, "name"),
        ({"phone": "+14165550123"}, 422, 42, "phone"),
        ({"id": TWO, "sms": None}, 409, 21, None),
    ],
)
async def test_a_rule_that_is_broken_is_told_in_the_words_of_rest(
    house: RestHouse, contact: dict, status: int, code: int, field: str | None
) -> None:
    client = await house.as_user()
    await added(client, id=TWO)
    answer = await client.post(f"/campaigns/{ONE}/contacts", json=contact)
    problem(answer, status, code, field)
    assert "5550123" not in answer.text


async def test_the_rules_of_agents(house: RestHouse) -> None:
    agent, marked = await house.as_user("agent"), await house.as_user("api", **{"x-campana-agent": "1"})
    for client in (agent, marked):
        problem(await client.post(f"/campaigns/{ONE}/contacts", json={}), 403, 24)
    api = await house.as_user("api")
    await api.patch(f"/campaigns/{ONE}", json={"allow_external_contacts": True, "required_media": ["sms"]})
    for client in (agent, marked):
        problem(await client.post(f"/campaigns/{ONE}/contacts", json={}), 422, 25, "sms.destination")
        made = await added(client, sms={"destination": "+14165550123"})
        if client is agent:
            problem(await client.delete(f"/campaigns/{ONE}/contacts/{made['id']}"), 403, 3)


async def test_contacts_are_listed_in_pages_and_by_reference(house: RestHouse) -> None:
    client = await house.as_user()
    ids = [(await added(client, reference="odd" if number % 2 else "even"))["id"] for number in range(5)]
    first = (await client.get(f"/campaigns/{ONE}/contacts", params={"limit": 3})).json()
    rest = (await client.get(f"/campaigns/{ONE}/contacts", params={"limit": 3, "cursor": first["next"]})).json()
    assert [one["id"] for one in first["items"] + rest["items"]] == ids
    assert rest["next"] is None
    odd = (await client.get(f"/campaigns/{ONE}/contacts", params={"reference": "odd"})).json()
    assert [one["id"] for one in odd["items"]] == ids[1::2]
    wrong = {"cursor": first["next"], "reference": "odd"}
    problem(await client.get(f"/campaigns/{ONE}/contacts", params=wrong), 422, 42, "cursor")
    problem(await client.get(f"/campaigns/{TWO}/contacts"), 404, 10)


# --- deliveries --------------------------------------------------------------------------------------------------


async def hold_one(house: RestHouse) -> None:
    """Have a delivery claimed and perhaps handed over by a worker that dies, so that a person is to decide."""
    river, now = house.store.river, house.time.now
    (row,) = await house.store.campaigns.list(1)
    assert await river.plan([Cut(row.number, Medium.SMS, 1, 1, 0, NEVER)], now) == [1]
    lease = await river.claim(ClaimQuery("worker", (Medium.SMS,), now, now + SECOND))
    assert lease is not None
    await river.step(Step(lease, [], [lease.deliveries[0].id], now))
    house.time.now += 2 * SECOND
    rule = RetryRule((60_000,), UncertainPolicy.HOLD)
    assert await river.sweep(house.time.now, lambda campaign, medium: rule, house.time.now)


@pytest.mark.parametrize(("decision", "status"), [("resend", "waiting_for_retry"), ("give_up", "permanent_failure")])
async def test_an_uncertain_delivery_is_decided(house: RestHouse, decision: str, status: str) -> None:
    client, agent = await house.as_user(), await house.as_user("agent")
    await added(client, id=TWO, sms={"destination": "+14165550123"})
    await hold_one(house)
    where = f"/campaigns/{ONE}/contacts/{TWO}/deliveries/sms"
    told = (await client.get(where)).json()
    assert (told["held"], told["status"], told["waits_for"]) == (
        True,
        "waiting_for_retry",
        {"rule": "uncertain", "until": None},
    )
    assert [one["attempt"] for one in told["attempts"]] == [1]
    problem(await agent.post(f"{where}/decide", json={"decision": decision}), 403, 3)
    key = {"idempotency-key": "1"}
    decided = await client.post(f"{where}/decide", json={"decision": decision}, headers=key)
    assert (decided.status_code, decided.json()["held"], decided.json()["status"]) == (200, False, status)
    assert (await client.get(f"/campaigns/{ONE}/attempts")).json()["items"] == decided.json()["attempts"]
    problem(await client.post(f"{where}/decide", json={"decision": decision}), 422, 42)
    # As though the process had died between the work and the answer.
    await house.store.answers._database.write(lambda c: c.execute("UPDATE answers SET status = NULL, body = NULL"))
    house.time.now += HELD
    again = await client.post(f"{where}/decide", json={"decision": decision}, headers=key)
    assert (again.status_code, again.json()["status"]) == (200, status)


async def test_deliveries_are_listed_by_medium_and_status(house: RestHouse) -> None:
    client = await house.as_user()
    for number in range(3):
        await added(client, reference=f"{number}", sms={"destination": f"+1416555010{number}"})
    await added(client, email={"destination": "ada@example.com"})
    page = (await client.get(f"/campaigns/{ONE}/deliveries", params={"limit": 2})).json()
    first = page["items"][0]
    assert {name: first[name] for name in ("reference", "medium", "destination", "status", "held", "due_at")} == {
        "reference": "0",
        "medium": "sms",
        "destination": "+14165550100",
        "status": "pending",
        "held": False,
        "due_at": None,
    }
    rest = (await client.get(f"/campaigns/{ONE}/deliveries", params={"cursor": page["next"]})).json()
    assert [one["medium"] for one in rest["items"]] == ["sms", "email"]
    emails = (await client.get(f"/campaigns/{ONE}/deliveries", params={"medium": "email"})).json()["items"]
    assert [one["destination"] for one in emails] == ["ada@example.com"]
    none = (await client.get(f"/campaigns/{ONE}/deliveries", params={"status": "success"})).json()
    assert none == {"items": [], "next": None}
    problem(await client.get(f"/campaigns/{ONE}/deliveries", params={"status": "lost"}), 422, 42, "status")
    assert (await client.get(f"/campaigns/{ONE}/attempts")).json() == {"items": [], "next": None}


async def test_a_delivery_is_read_with_its_attempts(house: RestHouse) -> None:
    client = await house.as_user()
    await added(client, **ADA)
    where = f"/campaigns/{ONE}/contacts/{TWO}/deliveries"
    told = (await client.get(f"{where}/voice")).json()
    assert (told["contact"], told["attempts_left"], told["attempts_made"], told["attempts"]) == (TWO, 3, 0, [])
    assert told["waits_for"] == {"rule": "medium_disabled", "until": None}
    await client.patch(f"/campaigns/{ONE}", json={"from_date": "2026-12-24"})
    assert (await client.get(f"{where}/sms")).json()["waits_for"] == {"rule": "no_route", "until": OPENING}
    problem(await client.get(f"{where}/email"), 404, 40)
    problem(await client.get(f"{where}/fax"), 404, 40)
    problem(await client.get(where.replace(TWO, ONE) + "/sms"), 404, 20)
    problem(await client.post(f"{where}/sms/decide", json={"decision": "resend"}), 422, 42)
    problem(await client.post(f"{where}/sms/decide", json={"decision": "hope"}), 422, 42, "decision")
