"""Lists of any length: they leave in parts, and never look whole where they are not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from soap_asgi import CAMPAIGN, XSI, envelope, post, send, stocked_house
from soap_house import PAGE, MemoryHouse, front_of

from campana.api.exchange import PART_BYTES, BrokenOff
from campana.api.soap.app import SoapOptions
from campana.domain.errors import MethodCode, MethodError
from campana.storage.store import StoreUnavailable
from campana.telemetry import Metrics


@pytest.fixture
def house() -> MemoryHouse:
    return stocked_house()


@pytest.fixture
def app(house: MemoryHouse) -> Any:
    return front_of(house)


OK = "<sessionId>T</sessionId>"
OURS = f"<campaignId>{CAMPAIGN}</campaignId>"

LONG = 5_000
GET_CONTACTS = envelope(f"<GetCampaignContacts>{OK}{OURS}</GetCampaignContacts>")
GET_IDS = envelope(f"<GetCampaignContactsListing>{OK}{OURS}</GetCampaignContactsListing>")


@pytest.fixture
def long_house(house: MemoryHouse) -> MemoryHouse:
    house.fill(CAMPAIGN, LONG)
    return house


@pytest.mark.parametrize("body", [GET_CONTACTS, GET_IDS], ids=["contacts", "ids"])
@pytest.mark.parametrize("http", ["1.1", "1.0"])
async def test_a_long_list(app: Any, long_house: MemoryHouse, body: bytes, http: str) -> None:
    answer = await send(app, post(body, version=http))
    assert (answer.status, answer.is_whole) == (200, True)
    assert len(answer.result()) == LONG
    *parts, last, end = answer.parts
    assert all(PART_BYTES <= len(part) < 8 * PART_BYTES for part in parts)
    assert len(last) < 8 * PART_BYTES
    assert end == b""
    length = answer.headers.get(b"content-length")
    assert length == (b"%d" % len(answer.body) if http == "1.0" else None)
    assert long_house.contacts.closed.is_set()


@pytest.mark.parametrize("http", ["1.1", "1.0"])
async def test_a_list_that_fails_before_it_left_is_null(app: Any, long_house: MemoryHouse, http: str) -> None:
    long_house.contacts.fail_after = 0
    answer = await send(app, post(GET_CONTACTS, version=http))
    assert answer.result().get(f"{{{XSI}}}nil") == "true"
    assert (answer.error or "").startswith("90 ServiceUnavailable")


async def test_an_http_10_list_that_fails_late_is_null(app: Any, long_house: MemoryHouse) -> None:
    long_house.contacts.fail_after = 8
    answer = await send(app, post(GET_CONTACTS, version="1.0"))
    assert answer.result().get(f"{{{XSI}}}nil") == "true"
    assert (answer.error or "").startswith("90 ServiceUnavailable")


@pytest.mark.parametrize("failure", [StoreUnavailable("x"), ValueError("x"), MethodError(MethodCode.ACCESS_DENIED)])
async def test_a_list_that_fails_half_way_is_broken_off(app: Any, long_house: MemoryHouse, failure: Exception) -> None:
    long_house.contacts.fail_after = 8
    long_house.contacts.failure = failure
    with pytest.raises(BrokenOff, match=f"broken off: {type(failure).__name__}") as caught:
        await send(app, post(GET_CONTACTS))
    assert caught.value.__cause__ is None
    assert long_house.contacts.closed.is_set()


async def test_others_get_a_turn_while_a_list_leaves(app: Any, long_house: MemoryHouse) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    answer = await send(app, post(GET_CONTACTS))
    task.cancel()
    assert turns >= len(answer.parts) > 10


async def test_a_list_ends_with_its_client(app: Any, long_house: MemoryHouse) -> None:
    long_house.contacts.extra_lines = 10**9
    answer = await send(app, post(GET_CONTACTS, gone_after=5))
    assert len(answer.messages) < 10
    assert not answer.is_whole
    assert long_house.contacts.closed.is_set()


async def test_a_list_of_one_page_leaves_whole(app: Any, house: MemoryHouse) -> None:
    house.fill(CAMPAIGN, 20)
    answer = await send(app, post(GET_CONTACTS))
    assert len(answer.messages) == 2
    assert int(answer.headers[b"content-length"]) == len(answer.body)


def test_pages_are_longer_than_parts() -> None:
    assert PAGE * 100 < PART_BYTES < PAGE * 600


async def test_a_list_that_was_broken_off_is_counted_so(long_house: MemoryHouse) -> None:
    metrics = Metrics()
    long_house.contacts.fail_after = 8
    with pytest.raises(BrokenOff):
        await send(front_of(long_house, SoapOptions(metrics=metrics)), post(GET_CONTACTS))
    assert 'code="broken off",operation="GetCampaignContacts"} 1.0' in metrics.render().decode()
