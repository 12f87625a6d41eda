"""The frame of the REST door: who calls, what is refused before any operation sees it, and how problems look."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from rest_kit import PASSWORD, RestHouse, problem, rest_house

from campana.api.rest.campaign_shapes import EXAMPLE
from campana.api.rest.cursors import write_cursor

LOG_IN = {"account": "acme", "user": "admin", "password": PASSWORD}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RestHouse]:
    async with rest_house(tmp_path) as opened:
        yield opened


async def test_a_session_is_opened_used_and_closed(house: RestHouse) -> None:
    answer = await house.client().post("/sessions", json=LOG_IN)
    assert answer.status_code == 201
    assert answer.json()["expires_in"] == 1_200
    assert answer.headers["location"] == "http://campana.test/api/v1/sessions/current"
    client = house.client(answer.json()["token"])
    told = (await client.get("/sessions/current")).json()
    assert (told["account"], told["user"], told["role"]) == ("acme", "admin", "admin")
    assert (await client.delete("/sessions/current")).status_code == 204
    problem(await client.get("/sessions/current"), 401, 1)


async def test_a_session_of_soap_is_one_of_rest(house: RestHouse) -> None:
    token = await house.services.sessions.open("acme", "agent", PASSWORD, "::1")
    assert (await house.client(token).get("/sessions/current")).json()["role"] == "agent"


async def test_wrong_credentials_are_told_alike_and_lock_in_the_end(house: RestHouse) -> None:
    client = house.client()
    for wrong in ({"account": "nobody"}, {"user": "nobody"}, {"password": "wrong"}):
        answer = await client.post("/sessions", json=LOG_IN | wrong)
        told = problem(answer, 401, 2)
        assert PASSWORD not in answer.text
        assert told["detail"] == "The account, the user or the password is wrong."
    for _ in range(9):
        problem(await client.post("/sessions", json=LOG_IN | {"password": "wrong"}), 401, 2)
    problem(await client.post("/sessions", json=LOG_IN), 429, 4)


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "code", "field"),
    [
        ("GET", "", {}, 404, 40, None),
        ("GET", "/nothing", {}, 404, 40, None),
        ("PUT", "/sessions", {"json": LOG_IN}, 405, 42, None),
        ("POST", "/sessions", {"data": {"account": "acme"}}, 415, 42, None),
        ("POST", "/sessions", {"content": b"{}"}, 415, 42, None),
        ("POST", "/sessions", {"json": LOG_IN, "headers": {"content-encoding": "gzip"}}, 415, 42, None),
        ("POST", "/sessions", {"json": LOG_IN, "headers": {"accept": "text/html"}}, 406, 42, None),
        ("POST", "/sessions", {"content": b"{", "headers": {"content-type": "application/json"}}, 400, 42, None),
        ("POST", "/sessions", {"content": b"\xff", "headers": {"content-type": "application/json"}}, 400, 42, None),
        ("POST", "/sessions", {"json": []}, 422, 42, None),
        ("POST", "/sessions", {"json": LOG_IN | {"color": "red"}}, 422, 42, "color"),
        ("POST", "/sessions", {"json": {"account": "acme", "user": "admin"}}, 422, 42, "password"),
        ("POST", "/sessions", {"json": LOG_IN | {"user": ["hidden"]}}, 422, 42, "user"),
        ("POST", "/sessions?color=red", {"json": LOG_IN}, 422, 42, "color"),
        ("POST", "/sessions", {"json": LOG_IN | {"password": "x" * 1_048_577}}, 413, 42, None),
        ("GET", "/sessions/current", {}, 401, 1, None),
        ("GET", "/sessions/current", {"headers": {"authorization": "Basic YTpi"}}, 401, 1, None),
        ("GET", "/sessions/current", {"headers": {"authorization": "Bearer " + "x" * 300}}, 401, 1, None),
    ],
)
async def test_what_is_refused_before_an_operation(
    house: RestHouse, method: str, path: str, sent: dict, status: int, code: int, field: str | None
) -> None:
    answer = await house.client().request(method, path, **sent)
    told = problem(answer, status, code, field)
    assert "hidden" not in answer.text
    if field:
        assert told["errors"] == [{"field": field, "code": code, "detail": told["detail"]}]
    if status == 405:
        assert "POST" in answer.headers["allow"]
    if status == 401:
        assert answer.headers["www-authenticate"] == 'Bearer realm="Campana"'


async def test_the_door_lies_below_a_root_path(house: RestHouse) -> None:
    transport = httpx.ASGITransport(house.front, root_path="/notify")
    async with httpx.AsyncClient(transport=transport, base_url="http://campana.test") as client:
        answer = await client.post("/notify/api/v1/sessions", json=LOG_IN)
        assert answer.status_code == 201
        assert answer.headers["location"] == "http://campana.test/notify/api/v1/sessions/current"
        assert (await client.get("/notify/healthz")).text == "ok\n"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/api-keys", ("api-keys", "zz")),
        ("/api-keys", ("api-keys", "00000000-0000-4000-8000-00000000000\x00")),
        ("/campaigns/{}/imports", ("imports {}", 1, "zz")),
        ("/campaigns/{}/contacts", ("contacts {} ", -1)),
        ("/campaigns/{}/contacts", ("contacts {} ", 1 << 63)),
    ],
)
async def test_a_cursor_holds_what_a_database_takes(house: RestHouse, path: str, place: tuple[str, int | str]) -> None:
    client = await house.as_user()
    campaign = (await client.post("/campaigns", json=EXAMPLE)).json()["id"]
    kind, *values = place
    cursor = write_cursor(kind.format(campaign), *values)
    problem(await client.get(path.format(campaign), params={"cursor": cursor}), 422, 42, "cursor")


async def test_a_query_holds_no_nul(house: RestHouse) -> None:
    client = await house.as_user()
    campaign = (await client.post("/campaigns", json=EXAMPLE)).json()["id"]
    problem(await client.get(f"/campaigns/{campaign}/contacts?reference=a%00b"), 422, 42)
