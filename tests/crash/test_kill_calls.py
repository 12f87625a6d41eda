"""kill -9 while telephones ring and speak: nobody is called twice, every call ends, and nothing is lost.

What the telephones lived through is balanced against the statuses that SOAP tells. Run again with CAMPANA_CRASH_SEED
to have the same moments chosen.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from crash_kit import SEED, Exchange, Standing, Town, phone, town

pytestmark = [pytest.mark.xdist_group("crash"), pytest.mark.timeout(180)]

CAMPAIGN = "c0000000-0000-4000-8000-000000000001"
LINES = 60
LEASES = 60
"""How many calls are being set up at a time, beside those whose lines are known."""
UNCERTAIN = (6, 106)
SHARE_HEARD = 0.9
"""Of the longest call, at least: all hear the same text, with more or less silence around it."""


async def until(happened: Callable[[], bool], within: float = 60.0) -> None:
    """Wait for what the carrier's journal tells."""
    deadline = time.monotonic() + within
    while not happened():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def loaded(here: Town, count: int) -> Exchange:
    """A campaign with contacts, which begins now; who is called by it."""
    await here.client.add_campaign(CAMPAIGN, paused=True, calls=True)
    assert len(await here.client.load(CAMPAIGN, list(range(count)))) == count
    await here.client.add_campaign(CAMPAIGN, update=True, calls=True)
    assert here.exchange is not None
    return here.exchange


async def settled(here: Town, within: float = 90.0) -> dict[str, dict[int, Standing]]:
    """Wait until every delivery has ended; how all stand."""
    deadline = time.monotonic() + within
    while True:
        told = await here.client.standings(CAMPAIGN)
        if all(one.status in (4, 6, 7) for medium in told.values() for one in medium.values()):
            return told
        assert time.monotonic() < deadline, {
            medium: Counter(one.status for one in ones.values()) for medium, ones in told.items()
        }
        await asyncio.sleep(0.2)


def check(told: dict[int, Standing], exchange: Exchange, count: int) -> Counter[tuple[int, int]]:
    """Compare what Campana tells of calls with what telephones lived through; how many stand how."""
    placed, heard = exchange.taken(), exchange.heard_ms()
    text_ms = SHARE_HEARD * max(heard.values())
    assert sorted(told) == list(range(count))
    assert set(placed.values()) <= {1}, "somebody was called twice"
    assert set(placed) <= {phone(number) for number in range(count)}, "somebody was called who is nobody's"
    for one in told.values():
        if (one.status, one.error) == (4, 0):
            assert heard[one.destination] >= text_ms, "called delivered, and not heard to the end"
        else:
            assert (one.status, one.error) == UNCERTAIN, "of no other is it unknown how it ended"
    assert exchange.lived("ended") == placed, "no telephone is left with a call that nobody ends"
    stand = Counter((one.status, one.error) for one in told.values())
    print(dict(stand), f"{sum(placed.values())} calls")
    return stand


async def test_killed_while_calls_ring_and_speak(tmp_path: Path) -> None:
    count, kills, dice = 240, 3, random.Random(SEED)
    print(f"CAMPANA_CRASH_SEED={SEED}")
    async with town(tmp_path, rate=2_000, calls=LINES) as here:
        exchange = await loaded(here, count)
        for _ in range(kills):
            more = exchange.size() + dice.randint(20, 80)
            await until(lambda wanted=more: exchange.size() >= wanted and min(exchange.up()) >= 5)
            await here.server.kill()
            ringing, listening = exchange.up()
            print(f"killed while {ringing} rang and {listening} listened")
            # Who was called hears the end of it from the media process alone: the server is not there.
            await until(lambda: exchange.up() == (0, 0), 10)
            await here.server.start()
        assert exchange.size() < count, "every kill hit it while it was busy"
        told = await settled(here)
        await until(lambda: exchange.up() == (0, 0), 10)
        stand = check(told["voice"], exchange, count)
        sms = here.smsc.taken()
    assert stand[UNCERTAIN] <= kills * (LINES + LEASES)
    assert stand[4, 0] >= count - kills * (LINES + LEASES)
    assert set(sms.values()) == {1}
    assert {(one.status, one.error) for one in told["sms"].values()} <= {(4, 0), UNCERTAIN}


def media_process(server: int) -> int:
    """The process in which a server's calls live, by its parent's process id."""
    children = [pid for task in Path(f"/proc/{server}/task").glob("*/children") for pid in task.read_text().split()]
    (found,) = [
        pid for pid in children if b"campana.channels.voice.process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return int(found)


async def test_a_killed_media_process_costs_its_own_calls_and_nothing_else(tmp_path: Path) -> None:
    """Its calls are uncertain, another one places the rest, and whoever sends SMS and email notices nothing."""
    count, lines = 90, 30
    async with town(tmp_path, rate=20, calls=lines) as here:
        exchange = await loaded(here, count)
        await until(lambda: exchange.size() >= 30 and min(exchange.up()) >= 3)
        before = media_process(here.server.pid)
        os.kill(before, signal.SIGKILL)
        ringing, listening = exchange.up()
        print(f"killed while {ringing} rang and {listening} listened; {here.arrived()} messages had arrived")
        assert here.arrived() < 2 * count, "they were under way"
        told = await settled(here)
        assert not here.server.ended
        assert media_process(here.server.pid) != before
        placed, heard = exchange.taken(), exchange.heard_ms()
        sms, email = here.smsc.taken(), here.mail.taken()
    stand = Counter((one.status, one.error) for one in told["voice"].values())
    assert set(placed.values()) == {1}, "somebody was called twice"
    assert set(stand) == {(4, 0), UNCERTAIN}
    assert 6 <= stand[UNCERTAIN] <= lines + LEASES
    text_ms = SHARE_HEARD * max(heard.values())
    delivered = [one.destination for one in told["voice"].values() if one.status == 4]
    assert min(heard[number] for number in delivered) >= text_ms
    assert {(one.status, one.error) for medium in ("sms", "email") for one in told[medium].values()} == {(4, 0)}
    assert set(sms.values()) == set(email.values()) == {1}


async def test_frozen_for_longer_than_its_leases_while_calls_go_on(tmp_path: Path) -> None:
    """The media process does not wait for the server, which hears what it missed before it takes anything back."""
    count = 60
    async with town(tmp_path, rate=2_000, calls=20, lease=2) as here:
        exchange = await loaded(here, count)
        await until(lambda: exchange.size() >= 20 and min(exchange.up()) >= 2)
        here.server.signal(signal.SIGSTOP)
        await until(lambda: exchange.up() == (0, 0), 10)
        await asyncio.sleep(3)
        here.server.signal(signal.SIGCONT)
        told = await settled(here)
        await until(lambda: exchange.up() == (0, 0), 10)
        stand = check(told["voice"], exchange, count)
    assert stand == {(4, 0): count}


async def test_a_graceful_stop_tells_how_every_call_ended(tmp_path: Path) -> None:
    """Calls are given time to end, then hung up; whoever did not hear the text is called again."""
    count = 60
    async with town(tmp_path, rate=2_000, calls=20) as here:
        exchange = await loaded(here, count)
        await until(lambda: exchange.size() >= 30)
        here.server.signal(signal.SIGTERM)
        assert await asyncio.wait_for(here.server.wait(), 15) == 0
        assert exchange.up() == (0, 0)
        await here.server.start()
        told = (await settled(here))["voice"]
        heard = exchange.lived("text")
    assert {(one.status, one.error) for one in told.values()} == {(4, 0)}
    assert set(heard) == {phone(number) for number in range(count)}
