"""A server on a restored or copied database sends nothing until an operator has said which database it is.

Backups are made and restored as docs/operations.md says; the carriers' journals tell what really went out.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from crash_kit import PROGRAM, Server, Town, guid_of, phone, town

from campana.config import load
from campana.domain.campaign import Campaign, SmsSettings
from campana.domain.contact import Admitted
from campana.domain.delivery import Medium
from campana.domain.instance import Doubt
from campana.sandbox.drill_processes import Process, free_port
from campana.services.instance import Waiting
from campana.storage.sqlite import SqliteStore
from campana.storage.store import NewContact
from campana.wiring import instance_for
from tests.contract import postgres_kit

pytestmark = [pytest.mark.xdist_group("crash"), pytest.mark.timeout(180)]

CAMPAIGN = "c0000000-0000-4000-8000-000000000001"
PAST = "c0000000-0000-4000-8000-000000000002"


async def page(port: int, path: str) -> bytes:
    """A page that the server has for its operators."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


async def ready(port: int) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(await page(port, "/readyz"))
    return told


async def until_free(port: int) -> None:
    async with asyncio.timeout(60):
        while (await ready(port))["held"] is not None:  # noqa: ASYNC110  # only the page says so
            await asyncio.sleep(0.02)


async def stop(server: Server) -> None:
    """Have it stop by itself."""
    server.signal(signal.SIGTERM)
    assert await asyncio.wait_for(server.wait(), 60) == 0


def back_up(database: Path, to: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("VACUUM INTO ?", (str(to),))


def restore(backup: Path, database: Path) -> None:
    """Into the very file that ran, which is the harder case: another file is seen to be another."""
    for log in database.parent.glob(f"{database.name}-*"):
        log.unlink()
    shutil.copyfile(backup, database)


async def past_campaign(database: Path) -> None:
    """Give it a campaign whose last day was yesterday, with somebody who was not reached: as time alone leaves it."""
    store = await SqliteStore.open(database)
    account = await store.accounts.find_account("acme")
    user = await store.accounts.find_user("acme", "ann")
    assert account is not None
    assert user is not None
    yesterday = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=1)
    about = Campaign(guid=PAST, name="Gone", sms=SmsSettings(True, "Campana", "Yesterday"), active_to_date=yesterday)
    before = int((yesterday - timedelta(days=1)).timestamp() * 1_000)
    row = await store.campaigns.add(account.number, user.number, about, before)
    person = Admitted(Medium.SMS, phone(999), phone(999), None, 3)
    assert await store.contacts.add_many([NewContact(row.number, guid_of(999), (person,))], before) == [True]
    await store.close()


async def test_a_restored_backup_sends_nothing_until_an_operator_has_spoken(tmp_path: Path) -> None:
    database, backup, people = tmp_path / "data" / "campana.db", tmp_path / "backup.db", list(range(5))
    async with town(tmp_path, rate=1_000) as here:
        await here.client.add_campaign(CAMPAIGN, paused=True)
        await here.client.load(CAMPAIGN, people)
        back_up(database, backup)
        await here.client.add_campaign(CAMPAIGN, update=True)
        await here.until_arrived(10)
        await stop(here.server)
        await past_campaign(backup)
        restore(backup, database)

        await here.server.start()
        told = await ready(here.server.port)
        assert (told["ready"], told["held"]) == (True, Doubt.WENT_BACK.value)
        # Its doors are open: what was paused is to go on, and somebody is added.
        await here.client.log_in()
        await here.client.add_campaign(CAMPAIGN, update=True)
        await here.client.load(CAMPAIGN, [5])
        async with instance_for(load(here.server.config, {})) as operator:
            assert (await operator.show()).doubt is Doubt.WENT_BACK
            assert await operator.waiting() == Waiting(1, {Medium.SMS: 6, Medium.EMAIL: 6})
        told = await ready(here.server.port)
        assert "up" not in {route["health"] for route in told["routes"].values()}
        assert b"\ncampana_held 1.0\n" in await page(here.server.port, "/metrics")
        assert here.arrived() == 10

        async with instance_for(load(here.server.config, {})) as operator:
            await operator.resume()
        await until_free(here.server.port)
        await here.until_arrived(22)
        # The one whose window has passed has had its turn as well: it came before.
        assert here.smsc.taken() == {phone(number): 2 if number < 5 else 1 for number in range(6)}
        assert (await here.client.standings(PAST))["sms"][999].status == 1


@asynccontextmanager
async def copied(here: Town, folder: Path) -> AsyncIterator[Server]:
    """The server's whole folder at another place, with a server of its own that looks after it."""
    shutil.copytree(here.server.folder / "data", folder / "data")
    port = free_port()
    config = folder / "campana.toml"
    config.write_text(here.server.config.read_text().replace(f"port = {here.server.port}", f"port = {port}"))
    server = Server(folder, config, port)
    try:
        yield server
    finally:
        await server.end()


async def test_a_copied_folder_is_held_and_the_original_goes_on(tmp_path: Path) -> None:
    async with town(tmp_path, rate=1_000) as here:
        await here.client.add_campaign(CAMPAIGN, paused=True)
        await here.client.load(CAMPAIGN, [1])
        await here.server.kill()
        async with copied(here, tmp_path / "copy") as copy:
            await here.server.start()
            await copy.start()
            assert (await ready(copy.port))["held"] == Doubt.ELSEWHERE.value
            assert (await ready(here.server.port))["held"] is None
            await stop(copy)
        await here.client.log_in()
        await here.client.add_campaign(CAMPAIGN, update=True)
        await here.until_arrived(2)
        async with instance_for(load(here.server.config, {})) as operator:
            await operator.retire()
        assert await asyncio.wait_for(here.server.wait(), 60) == 1
        assert "it was retired" in (tmp_path / "campana.log").read_text().splitlines()[-1]


# --- on PostgreSQL -----------------------------------------------------------------------------------------------


async def test_a_worker_ends_when_its_database_goes_back_and_is_held_until_an_operator_has_spoken(
    postgres: postgres_kit.Server, tmp_path: Path
) -> None:
    name, port, config = await postgres.create(), free_port(), tmp_path / "campana.toml"
    config.write_text(
        f'[server]\ndata_dir = "data"\n[database]\nurl = "{postgres.url(name)}"\n'
        f'[worker]\nlisten = "127.0.0.1:{port}"\n'
    )
    worker = Process("worker", (str(PROGRAM), "--config", str(config), "worker"), tmp_path / "log")
    try:
        await worker.start()
        assert (await ready(port))["held"] is None
        await postgres.execute("UPDATE instance SET epoch = 0", name)
        assert await asyncio.wait_for(worker.wait(), 60) == 1
        await worker.start()
        # Its own memory says so, or what it left in the database, which it had not run for long.
        assert (await ready(port))["held"] in {Doubt.WENT_BACK.value, Doubt.TOLD.value}
        async with instance_for(load(config, {})) as operator:
            await operator.resume()
        await until_free(port)
    finally:
        await worker.end()
