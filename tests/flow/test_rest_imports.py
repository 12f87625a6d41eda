"""Imports over REST: sent, looked at while they are sent, refused, resumed; through a real server where it matters."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from rest_kit import RestHouse, problem, rest_house

from campana.api.server import ServerLimits, server_config
from campana.services.imports import ROWS_IN_A_BATCH

HEADER = "Fullname,externalRefNo,Phone,SMS,Email\n"
CSV = {"content-type": "text/csv"}
JSONL = {"content-type": "application/jsonl"}
CAMPAIGN = {"name": "Autumn", "sms": {"enabled": True, "from": "Campana", "text": "Hi {{name|you}}"}}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RestHouse]:
    async with rest_house(tmp_path) as opened:
        yield opened


async def prepared(house: RestHouse) -> tuple[httpx.AsyncClient, str]:
    """A client, and the address of a campaign's imports."""
    client = await house.as_user()
    made = await client.post("/campaigns", json=CAMPAIGN)
    assert made.status_code == 201, made.text
    return client, f"/campaigns/{made.json()['id']}/imports"


def numbered(first: int, count: int) -> str:
    return "".join(f"n{number},r{number},,+1416555{number:04d},\n" for number in range(first, first + count))


async def test_a_list_is_taken_and_told_of(house: RestHouse) -> None:
    client, imports = await prepared(house)
    answer = await client.post(imports, content=HEADER + numbered(1, 3) + "x,,,no number,\n", headers=CSV)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["state"], told["rows_read"], told["accepted"], told["refused"]) == ("done", 4, 3, 1)
    assert f"/campaigns/{told['campaign']}/imports" == imports
    assert (await client.get(f"/imports/{told['id']}")).json() == told
    assert (await client.get(imports)).json() == {"items": [told], "next": None}
    refusals = (await client.get(f"/imports/{told['id']}/refusals")).json()
    assert [(one["row"], one["column"], one["code"]) for one in refusals["items"]] == [(4, "SMS", 22)]
    assert "no number" not in str(refusals)
    contacts = (await client.get(f"/campaigns/{told['campaign']}/contacts", params={"reference": "r2"})).json()
    assert [one["name"] for one in contacts["items"]] == ["n2"]


async def test_options_are_taken_from_the_query(house: RestHouse) -> None:
    client, imports = await prepared(house)
    content = "Name;Handy;Stadt;Notiz\nJosé;+14165550101;Köln;x\n".encode("cp1252")
    query = {"delimiter": "semicolon", "encoding": "windows-1252", "map": "Handy:sms,Stadt:field.city,Notiz:-"}
    answer = await client.post(imports, content=content, headers=CSV, params=query)
    assert answer.json()["accepted"] == 1, answer.text
    contacts = (await client.get(imports.replace("imports", "contacts"))).json()["items"]
    assert [(one["name"], one["fields"]) for one in contacts] == [("José", {"city": "Köln"})]


async def test_objects_are_taken(house: RestHouse) -> None:
    client, imports = await prepared(house)
    for number, media in enumerate(("application/jsonl", "application/x-ndjson")):
        line = f'{{"name":"Ann","sms":{{"destination":"+1416555000{number}"}},"fields":{{"a":"b"}}}}\n'
        answer = await client.post(imports, content=line, headers={"content-type": media})
        assert answer.json()["accepted"] == 1, answer.text


@pytest.mark.parametrize(
    ("content", "headers", "params", "status", "code", "field"),
    [
        ("", CSV, {}, 422, 42, None),
        ("a,b\n", CSV, {}, 422, 42, None),
        ("SMS;a,b\n", CSV, {}, 422, 42, "delimiter"),
        ("SMS\n", CSV, {"map": "nonsense"}, 422, 42, "map"),
        ("SMS\n", CSV, {"delimiter": "pipe"}, 422, 42, "delimiter"),
        ("SMS\n", CSV, {"encoding": "ebcdic"}, 422, 42, "encoding"),
        ("{}\n", JSONL, {"delimiter": "comma"}, 422, 42, "delimiter"),
        ("SMS\n", {"content-type": "application/json"}, {}, 415, 0, None),
        ("SMS\n", {}, {}, 415, 0, None),
    ],
)
async def test_what_cannot_be_taken_is_a_problem(
    house: RestHouse, content: str, headers: dict[str, str], params: dict[str, str], status: int, code: int, field: str
) -> None:
    client, imports = await prepared(house)
    answer = await client.post(imports, content=content, headers=headers, params=params)
    assert answer.status_code == status, answer.text
    if code:
        problem(answer, status, code, field)
    assert (await client.get(imports)).json()["items"] == []


async def test_a_key_has_the_report_given_again(house: RestHouse) -> None:
    client, imports = await prepared(house)
    headers = CSV | {"idempotency-key": "k-1"}
    first = await client.post(imports, content=HEADER + numbered(1, 3), headers=headers)
    again = await client.post(imports, content=HEADER + numbered(1, 3), headers=headers)
    assert again.json() == first.json()
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    other = await client.post(imports, content=HEADER + numbered(1, 4), headers=headers)
    problem(other, 409, 44)
    problem(await client.post(imports, content=HEADER, headers=CSV | {"idempotency-key": "a b"}), 422, 42)


async def test_who_may(house: RestHouse) -> None:
    client, imports = await prepared(house)
    told = (await client.post(imports, content=HEADER + numbered(1, 1), headers=CSV)).json()
    stranger = await house.as_user(account="other")
    problem(await stranger.post(imports, content=HEADER, headers=CSV), 404, 10)
    problem(await stranger.get(f"/imports/{told['id']}"), 404, 40)
    problem(await stranger.get(f"/imports/{told['id']}/refusals"), 404, 40)
    problem(await client.get("/imports/nonsense"), 404, 40)
    assert (await house.client().post(imports, content=HEADER, headers=CSV)).status_code == 401
    agent = await house.as_user(**{"X-Campana-Agent": "yes"})
    problem(await agent.post(imports, content=HEADER, headers=CSV), 403, 24)


async def test_pages_of_refusals_and_imports(house: RestHouse) -> None:
    client, imports = await prepared(house)
    for _ in range(3):
        house.time.now += 1
        told = (await client.post(imports, content="SMS\n" + "x\n" * 5, headers=CSV)).json()
    seen, cursor = [], ""
    while cursor is not None:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(f"/imports/{told['id']}/refusals", params=params)).json()
        seen += [one["row"] for one in page["items"]]
        cursor = page["next"]
    assert seen == [1, 2, 3, 4, 5]
    first = (await client.get(imports, params={"limit": "2"})).json()
    rest = (await client.get(imports, params={"limit": "2", "cursor": first["next"]})).json()
    assert len({one["id"] for one in first["items"] + rest["items"]}) == 3
    assert first["items"][0]["id"] == told["id"]


# --- over a socket -----------------------------------------------------------------------------------------------


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def served(front: Any, **limits: Any) -> AsyncIterator[int]:
    """The front behind the server that Campana runs; its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = _Server(server_config(front, ServerLimits(**limits)))
    serving = asyncio.create_task(server.serve([listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await serving
        listening.close()


async def until(client: httpx.AsyncClient, imports: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The latest import, once it is as wanted."""
    async with asyncio.timeout(20):
        while True:
            items: list[dict[str, Any]] = (await client.get(imports)).json()["items"]
            if items and wanted(items[0]):
                return items[0]
            await asyncio.sleep(0)


async def test_progress_can_be_read_while_a_list_longer_than_any_request_is_sent(house: RestHouse) -> None:
    client, imports = await prepared(house)
    gate = asyncio.Event()
    token = client.headers["authorization"]

    async def slowly() -> AsyncIterator[bytes]:
        yield (HEADER + numbered(0, 4_000) * 2).encode()
        await gate.wait()
        yield numbered(5_000, 3).encode()

    async with served(house.front, request_seconds=0.2) as port:
        base = f"http://127.0.0.1:{port}/api/v1"
        async with httpx.AsyncClient(base_url=base, headers={"authorization": token}, timeout=20) as outside:
            sending = asyncio.create_task(outside.post(imports, content=slowly(), headers=CSV))
            reading = await until(client, imports, lambda one: one["rows_read"] >= ROWS_IN_A_BATCH)
            assert reading["state"] == "reading"
            # Longer than any other request may take: the pace alone counts.
            await asyncio.sleep(0.3)
            gate.set()
            told = (await sending).json()
    assert (told["state"], told["accepted"]) == ("done", 8_003)


async def test_a_client_that_goes_away_leaves_an_import_that_goes_on(house: RestHouse) -> None:
    client, imports = await prepared(house)
    token = client.headers["authorization"].encode()
    path = f"/api/v1{imports}".encode()
    content = (HEADER + numbered(0, 100)).encode()
    async with served(house.front) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = b"POST %b HTTP/1.1\r\nhost: x\r\nauthorization: %b\r\ncontent-type: text/csv\r\n" % (path, token)
        writer.write(head + b"idempotency-key: k\r\ncontent-length: 1000000\r\n\r\n" + content)
        await until(client, imports, lambda one: True)
        writer.close()
        cut = await until(client, imports, lambda one: one["state"] != "reading")
    assert (cut["state"], cut["accepted"]) == ("cut_off", 100)
    more = content + numbered(100, 5).encode()
    whole = (await client.post(imports, content=more, headers=CSV | {"idempotency-key": "k"})).json()
    assert (whole["id"], whole["state"], whole["accepted"]) == (cut["id"], "done", 105)
