"""kill -9 while an endpoint is being told: every event arrives, in order, and what comes again is the same batch."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from crash_kit import PASSWORD, Town, phone, town

from campana.config import load
from campana.domain.campaign import Campaign, SmsSettings
from campana.domain.contact import Communication, Contact
from campana.wiring import services_for
from tests.endpoint_kit import HANG, OK, Post, Receiver

pytestmark = [pytest.mark.xdist_group("crash"), pytest.mark.timeout(120)]

CAMPAIGN = "c0000000-0000-4000-8000-000000000001"
CONTACTS = 200
KILLS = 2


async def prepared(here: Town, endpoint: str) -> str:
    """A campaign with an endpoint, and its contacts, for a server that is down; what signs."""
    config = here.server.config
    with config.open("a", encoding="utf-8") as more:
        more.write("\n[progress]\nallow_private_networks = true\n")
    async with services_for(load(config, {})) as services:
        await services.accounts.add_user("acme", "admin", "admin", PASSWORD)
        who = await services.sessions.resume(await services.sessions.open("acme", "admin", PASSWORD, "::1"))
        sms = SmsSettings(enabled=True, from_number="Campana", text="Hello")
        await services.campaigns.add(who, Campaign(CAMPAIGN, "Autumn", sms=sms, progress_endpoint=endpoint))
        for number in range(CONTACTS):
            await services.contacts.add(who, Contact("", CAMPAIGN, sms=Communication(phone(number))))
        return (await services.webhooks.secret(who)).secret


async def test_killed_between_telling_and_recording(tmp_path: Path) -> None:
    """The receiver takes a batch, and the server is killed before it hears so."""
    receiver, arrived, kills = Receiver(), asyncio.Event(), 0

    def script(post: Post) -> tuple[int, str]:
        if kills < KILLS and len(receiver.posts) % 3 == 2:
            arrived.set()
            return HANG
        return OK

    receiver.script = script
    await receiver.listen()
    async with town(tmp_path, rate=300) as here:
        await here.server.kill()
        secret = await prepared(here, receiver.url())
        await here.server.start()
        while kills < KILLS:
            await asyncio.wait_for(arrived.wait(), 30)
            await here.server.kill()
            arrived.clear()
            kills += 1
            await here.server.start()
        await receiver.until(lambda: "campaign.finished" in [event["type"] for event in receiver.posts[-1].events], 40)
    await receiver.close()
    check(receiver.posts, secret)


def check(posts: list[Post], secret: str) -> None:
    """Whoever passes over ids that it has seen reads every event once, in order."""
    seen: dict[str, str] = {}
    events: list[dict[str, Any]] = []
    again = 0
    for post in posts:
        post.judge(secret)
        if post.id in seen:
            assert post.body == seen[post.id]
            again += 1
            continue
        seen[post.id] = post.body
        events += post.events
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert again >= KILLS
    ends = [event["data"]["contact"] for event in events if event["data"].get("status") == "success"]
    assert len(set(ends)) == len(ends)
    balance = events[-1]["data"]["balance"]["sms"]
    assert balance["success"] + balance["permanent_failure"] == CONTACTS
    assert balance["success"] == len(ends)
