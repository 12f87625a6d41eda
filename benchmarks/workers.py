"""Owns what more worker processes bring: one campaign sent by one `campana worker`, and by four, on one PostgreSQL.

Must not know how workers share the work.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from operator import sub
from pathlib import Path
from typing import NamedTuple

import asyncpg

from benchmarks.drain import TEXT, contacts
from benchmarks.processes import Broken, folder, python, running
from benchmarks.report import Finding, Scale, Target, median, number
from benchmarks.stores import Place, on_each, server_cpu
from campana.bus.contract import Hint, News
from campana.bus.postgres import PostgresBus
from campana.domain.campaign import Campaign, SmsSettings
from campana.domain.delivery import Medium
from campana.storage.postgres import PostgresStore
from campana.wiring import now_ms

NAME = "workers"
COUNT, PAGE = 100_000, 1_000
MANY = 4
WINDOW = 125
"""Of each of the route's connections; there is one for each worker."""
LEAST = 90.0
"""Per cent of one worker's messages a second: where there is no core for the others, they are not to slow it down."""
LOOK_SECONDS, PATIENCE = 0.05, 300.0
_LEFT = """
SELECT EXISTS (SELECT FROM chunks) OR EXISTS (
  SELECT FROM lanes JOIN campaigns ON campaigns.number = lanes.campaign
  WHERE lanes.medium = $1 AND lanes.planned < campaigns.contacts
)
"""
_SUCCEEDED = "SELECT count(*) FROM deliveries WHERE status = 4"


class Shift(NamedTuple):
    """What came of one drain: how many workers, seconds, and seconds of CPU."""

    many: int
    seconds: float
    workers: float
    database: float
    sink: float

    @property
    def cpu(self) -> float:
        """Of all together."""
        return self.workers + self.database + self.sink


def run(scale: Scale) -> Iterator[Finding]:
    """One worker, then four, in turn."""
    yield from on_each(
        NAME, replace(scale, stores=("postgresql",)), lambda scale, place: iter([_measure(scale, place)])
    )


def _measure(scale: Scale, place: Place) -> Finding:
    count = scale.size(COUNT)
    one, four = [], []
    for _ in range(scale.rounds):
        one.append(_drain(place, count, 1))
        four.append(_drain(place, count, MANY))
    rates = [median([count / shift.seconds for shift in of]) for of in (one, four)]
    cores = os.cpu_count() or 1
    possible = median([cores * count / shift.cpu for shift in one])
    share = median([a.seconds / b.seconds for a, b in zip(one, four, strict=True)]) * 100
    return Finding(
        NAME,
        f"{number(rates[1])} msg/s with {MANY} workers, {number(rates[0])} with one",
        f"{number(possible)} msg/s: all {cores} cores busy with what a message costs with one worker",
        f"{share:.0f} % of one worker's msg/s",
        (Target(share, LEAST, "% of one worker's msg/s"),),
        tuple(_costs(of, count, cores) for of in (one, four)),
    )


def _costs(shifts: list[Shift], count: int, cores: int) -> str:
    workers, database, sink = (
        number(median([each / count * 1e6 for each in of]))
        for of in zip(*((shift.workers, shift.database, shift.sink) for shift in shifts), strict=True)
    )
    busy = median([shift.cpu / shift.seconds for shift in shifts])
    who = "one worker" if shifts[0].many == 1 else f"{shifts[0].many} workers"
    return (
        f"{who}: a message takes {workers} us CPU of the workers, {database} us of the database server and "
        f"{sink} us of the sink; {number(busy)} of {cores} cores were busy with them"
    )


def _drain(place: Place, count: int, many: int) -> Shift:
    """Send a campaign of so many contacts by so many workers."""
    with ExitStack() as stack:
        url, home = stack.enter_context(place.fresh()), stack.enter_context(folder())
        sink = stack.enter_context(running(python("campana.sandbox", "smsc", "--sink", "--no-receipts")))
        file = _configuration(home, url, int(sink.line()))
        campaign = asyncio.run(_fill(url, count))
        command = [sys.executable, "-m", "campana", "--config", str(file), "worker"]
        workers = [stack.enter_context(running(command)) for _ in range(many)]
        for worker in workers:
            worker.line()

        def used() -> tuple[float, float, float]:
            return sum(worker.cpu() for worker in workers), server_cpu(place.server), sink.cpu()

        before = used()
        seconds = asyncio.run(_send(url, campaign, count))
        return Shift(many, seconds, *map(sub, used(), before))


def _configuration(home: Path, url: str, port: int) -> Path:
    file = home / "campana.toml"
    file.write_text(
        f'[log]\nlevel = "warning"\n[server]\ndata_dir = "{home}"\n[database]\nurl = "{url}"\n'
        f'[[routes]]\nname = "bench"\nchannel = "sms"\nurl = "smpp://bench:bench@127.0.0.1:{port}"\n'
        f"binds = {MANY}\nwindow = {WINDOW}\nreceipts = false\n"
    )
    return file


def _campaign(*, is_paused: bool) -> Campaign:
    sms = SmsSettings(True, "+14165550100", TEXT)
    return Campaign(guid="00000000-0000-4000-8000-000000000000", name="bench", is_paused=is_paused, sms=sms)


async def _fill(url: str, count: int) -> int:
    """Add a campaign that is paused; its number."""
    store = await PostgresStore.open(url)
    account = await store.accounts.add_account("bench", "UTC", "CA", now_ms())
    user = await store.accounts.add_user(account.number, "bench", "api", "-", now_ms())
    row = await store.campaigns.add(account.number, user.number, _campaign(is_paused=True), now_ms())
    for start in range(0, count, PAGE):
        page = contacts(row.number, range(start, min(start + PAGE, count)), (Medium.SMS,))
        await store.contacts.add_many(page, now_ms())
    await store.close()
    return row.number


async def _send(url: str, campaign: int, count: int) -> float:
    """Let the campaign go, as a door does; seconds until all of it is recorded."""
    store, bus = await PostgresStore.open(url), PostgresBus(url)
    await bus.start()
    direct = await asyncpg.connect(url)
    began = time.perf_counter()
    await store.campaigns.replace(campaign, _campaign(is_paused=False), now_ms())
    bus.tell(Hint(News.CAMPAIGN, campaign))
    async with asyncio.timeout(PATIENCE):
        while await direct.fetchval(_LEFT, int(Medium.SMS)):  # noqa: ASYNC110 - no hint tells that all is over
            await asyncio.sleep(LOOK_SECONDS)
    seconds = time.perf_counter() - began
    succeeded = await direct.fetchval(_SUCCEEDED)
    await direct.close()
    await bus.close()
    await store.close()
    if succeeded != count:
        raise Broken(f"{count - succeeded} of {count} deliveries are no success")
    return seconds
