"""Exports over REST: contacts that can be imported again, deliveries, attempts, and nothing that a spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rest_kit import RestHouse, problem, rest_house

from campana.api.rest.app import Streamed
from campana.api.rest.operation import Stream
from campana.domain.delivery import Medium, Status
from campana.domain.outcome import Change, DeliveryCode
from campana.services.sheets import defused
from campana.storage.river import ClaimQuery, Cut, Judged, Step
from campana.storage.tables import NEVER

CAMPAIGN = {
    "name": "Autumn",
    "sms": {"enabled": True, "from": "Campana", "text": "Hi {{name|you}}"},
    "email": {"enabled": True, "from": "a@b.test", "subject": "S", "html": "<p>x</p>"},
}
LIST = [
    {
        "name": 'Ann, "A"',
        "reference": "=1+1",
        "fields": {"city": "Köln\nDeutz"},
        "sms": {"destination": "+14165550101"},
    },
    {"name": "", "sms": {"destination": "+1 (416) 555-0102", "text": "own"}, "email": {"destination": "b@example.com"}},
]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RestHouse]:
    async with rest_house(tmp_path) as opened:
        yield opened


async def prepared(house: RestHouse) -> tuple[httpx.AsyncClient, str]:
    """A client, and the address of a campaign with two contacts."""
    client = await house.as_user()
    campaign = f"/campaigns/{(await client.post('/campaigns', json=CAMPAIGN)).json()['id']}"
    lines = "".join(json.dumps(one) + "\n" for one in LIST)
    told = await client.post(f"{campaign}/imports", content=lines, headers={"content-type": "application/jsonl"})
    assert told.json()["accepted"] == 2, told.text
    return client, campaign


def table(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/jsonl"
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_contacts_as_csv(house: RestHouse) -> None:
    client, campaign = await prepared(house)
    answer = await client.get(f"{campaign}/contacts.csv")
    assert answer.headers["content-disposition"] == f'attachment; filename="contacts-{campaign[11:]}.csv"'
    first, second = table(answer)
    assert (first["Fullname"], first["externalRefNo"], first["SMS"]) == ('Ann, "A"', "'=1+1", "+14165550101")
    assert json.loads(first["fields"]) == {"city": "Köln\nDeutz"}
    assert (first["sms status"], first["sms status code"], first["sms attempts left"]) == ("pending", "1", "3")
    assert (first["email status"], first["Email"], second["Email"]) == ("", "", "b@example.com")
    assert (second["SMS"], second["sms.text"]) == ("+1 (416) 555-0102", "own")


@pytest.mark.parametrize(("kind", "media"), [("csv", "text/csv"), ("jsonl", "application/jsonl")])
async def test_contacts_that_were_taken_out_can_be_taken_in_again(house: RestHouse, kind: str, media: str) -> None:
    client, campaign = await prepared(house)
    exported = (await client.get(f"{campaign}/contacts.{kind}")).content
    other = f"/campaigns/{(await client.post('/campaigns', json=CAMPAIGN)).json()['id']}"
    standing = [f"{one} {of}:-" for one in ("sms", "voice", "email") for of in ("status", "status code", "error code")]
    mapped = ",".join(standing + [f"{one} attempts left:{one}.attempts" for one in ("sms", "voice", "email")])
    params = {"map": mapped} if kind == "csv" else {}
    told = await client.post(f"{other}/imports", content=exported, headers={"content-type": media}, params=params)
    assert (told.json()["accepted"], told.json()["refused"]) == (2, 0), told.text
    before, after = [(await client.get(f"{one}/contacts")).json()["items"] for one in (campaign, other)]
    if kind == "csv":
        before[0]["reference"] = "'=1+1"
    assert after == before


async def test_contacts_deliveries_and_attempts_as_json_lines(house: RestHouse) -> None:
    client, campaign = await prepared(house)
    await attempted(house)
    first, second = lines(await client.get(f"{campaign}/contacts.jsonl"))
    assert first["reference"] == "=1+1", "JSON is no spreadsheet"
    assert (first["sms"]["status"], first["sms"]["status_code"], first["sms"]["error_code"]) == ("success", 4, 0)
    deliveries = lines(await client.get(f"{campaign}/deliveries.jsonl"))
    assert [(one["medium"], one["status"], one["contact"]) for one in deliveries] == [
        ("sms", "success", first["id"]),
        ("sms", "pending", second["id"]),
        ("email", "pending", second["id"]),
    ]
    (attempt,) = lines(await client.get(f"{campaign}/attempts.jsonl"))
    assert (attempt["contact"], attempt["route"], attempt["carrier_text"]) == (
        first["id"],
        "sms-1",
        "=cmd|' /C calc'!A0",
    )
    assert attempt["at"] == "2026-11-30T00:53:20.000Z"


async def test_deliveries_and_attempts_as_csv(house: RestHouse) -> None:
    client, campaign = await prepared(house)
    await attempted(house)
    deliveries = table(await client.get(f"{campaign}/deliveries.csv"))
    assert [(one["medium"], one["status"], one["status_code"], one["held"]) for one in deliveries] == [
        ("sms", "success", "4", "false"),
        ("sms", "pending", "1", "false"),
        ("email", "pending", "1", "false"),
    ]
    (attempt,) = table(await client.get(f"{campaign}/attempts.csv"))
    assert (attempt["attempt"], attempt["status"], attempt["call_plays"]) == ("1", "success", "")
    assert attempt["carrier_text"] == "'=cmd|' /C calc'!A0"


async def attempted(house: RestHouse) -> None:
    """The first SMS was sent, and its carrier said what a spreadsheet would run."""
    river, now = house.store.river, house.time.now
    await river.plan([Cut(1, Medium.SMS, 1, 1, 0, NEVER)], now)
    lease = await river.claim(ClaimQuery("worker", (Medium.SMS,), now, now + 10_000))
    assert lease is not None
    (one,) = lease.deliveries
    await river.step(Step(lease, [], [one.id], now))
    change = Change(Status.SUCCESS, DeliveryCode.OK, True)
    judged = Judged(one.id, 1, change, "sms-1", now, carrier_text="=cmd|' /C calc'!A0")
    await river.release(Step(lease, [judged], (), now), 0)


async def test_nothing_is_exported_of_what_is_not_seen(house: RestHouse) -> None:
    _, campaign = await prepared(house)
    stranger = await house.as_user(account="other")
    for what in ("contacts", "deliveries", "attempts"):
        for kind in ("csv", "jsonl"):
            problem(await stranger.get(f"{campaign}/{what}.{kind}"), 404, 10)
    assert (await house.client().get(f"{campaign}/contacts.csv")).status_code == 401


async def test_an_export_of_nothing_is_a_header_or_nothing(house: RestHouse) -> None:
    client = await house.as_user()
    campaign = f"/campaigns/{(await client.post('/campaigns', json=CAMPAIGN)).json()['id']}"
    assert table(await client.get(f"{campaign}/contacts.csv")) == []
    assert lines(await client.get(f"{campaign}/attempts.jsonl")) == []


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\uff1d1", "'\uff1d1"),
        ("+14165550101", "+14165550101"),
        ("+1 (416) 555-0101", "+1 (416) 555-0101"),
        ("-12.50", "-12.50"),
        ("a=1", "a=1"),
        ("", ""),
        ("'", "'"),
    ],
)
def test_a_formula_is_defused(text: str, cell: str) -> None:
    assert defused(text) == cell


async def test_a_head_of_an_export_takes_nothing_out() -> None:
    asked: list[bool] = []

    async def parts() -> AsyncIterator[bytes]:
        asked.append(True)
        yield b"Id"

    async with httpx.AsyncClient(transport=httpx.ASGITransport(Streamed(Stream("text/csv", parts()), {}))) as client:
        answer = await client.head("http://campana.test/")
        assert (answer.status_code, answer.headers["content-type"], asked) == (200, "text/csv", [])
