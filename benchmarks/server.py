"""Owns a Campana server under measurement: a real `campana serve` in a process of its own, filled as a benchmark asks.

Must not know what is measured on it.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.drain import contacts
from benchmarks.processes import Broken, Process, folder, running
from benchmarks.soap import CAMPAIGN, PATH, call
from benchmarks.stores import open_store
from campana.config import load
from campana.domain.campaign import Campaign, EmailSettings, SmsSettings
from campana.domain.delivery import Medium
from campana.wiring import now_ms, services_for

ACCOUNT, USER, PASSWORD = "bench", "bench", "bench-bench-bench"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that accepts requests, with one campaign."""

    process: Process
    port: int
    token: str
    """A session that is open."""


@contextmanager
def campana(database: str, routes: Sequence[str] = (), filled: int = 0) -> Iterator[Server]:
    """A server with these routes (TOML) on an empty database, and a campaign with so many contacts. Nothing leaves
    without a route."""
    with folder() as place:
        file = place / "campana.toml"
        sections = ['[log]\nlevel = "warning"', f'[database]\nurl = "{database}"', "[server]\nport = 0"]
        file.write_text("\n".join([*sections, *routes]))
        asyncio.run(_prepare(file, database, filled))
        with running([sys.executable, "-m", "campana", "--config", str(file), "serve"]) as process:
            found = re.search(r":(\d+)/", process.line())
            if found is None:
                raise Broken("The server did not say where it listens.")
            port = int(found[1])
            yield Server(process, port, _open_session(port))


async def _prepare(file: Path, database: str, filled: int) -> None:
    settings = load(file, {})
    async with services_for(settings) as services:
        await services.accounts.add_account(ACCOUNT, "UTC", "CA")
        await services.accounts.add_user(ACCOUNT, USER, "api", PASSWORD)
    store = await open_store(database)
    user = await store.accounts.find_user(ACCOUNT, USER)
    assert user is not None
    campaign = Campaign(
        guid=CAMPAIGN,
        name="bench",
        sms=SmsSettings(True, "+14165550100", "Hello, your appointment is tomorrow at 10:00."),
        email=EmailSettings(True, "shop@example.com", "Hello there", "<p>Hello there</p>"),
    )
    row = await store.campaigns.add(user.account.number, user.number, campaign, now_ms())
    for start in range(0, filled, 1_000):
        page = contacts(row.number, range(start, min(start + 1_000, filled)), (Medium.SMS, Medium.EMAIL))
        await store.contacts.add_many(page, now_ms())
    await store.close()


def _open_session(port: int) -> str:
    arguments = f"<accountId>{ACCOUNT}</accountId><username>{USER}</username><password>{PASSWORD}</password>"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", PATH, call("OpenAPISession", arguments), {"Content-Type": "text/xml"})
    answer = connection.getresponse().read().decode()
    connection.close()
    found = re.search(r"SessionId>([^<]+)<", answer)
    if found is None:
        raise Broken(f"No session was opened: {answer}")
    return found[1]
