"""Campana and its carriers as processes of their own, which tests kill; and a client that counts what was promised.

The carriers' journals are what really arrived; the contacts over SOAP are what Campana says about it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from campana.config import load
from campana.domain.delivery import Medium
from campana.sandbox.drill_journals import heard_ms, read
from campana.sandbox.drill_people import guid_of, inbox, phone
from campana.sandbox.drill_processes import Process, free_port, simulator
from campana.sandbox.drill_soap import (
    Campaign,
    Line,
    Standing,
    about_campaign,
    campaign_of,
    contact_of,
    guids_of,
    standings_of,
    text_of,
)
from campana.wiring import services_for

__all__ = ["SEED", "Exchange", "Standing", "Town", "guid_of", "inbox", "phone", "town"]

PROGRAM = Path(sys.executable).with_name("campana")
PASSWORD = "correct horse battery"
SEED = int(os.environ.get("CAMPANA_CRASH_SEED") or secrets.randbelow(1_000_000))
"""Chooses the moments; set the variable to repeat a run, as far as processes can be repeated."""


# --- processes ---------------------------------------------------------------------------------------------------


@dataclass
class Carrier:
    """A simulated carrier with a journal of what it took."""

    journal: Path
    process: Process
    port: int

    @classmethod
    async def start(cls, kind: str, folder: Path, *options: str) -> Self:
        journal = folder / f"{kind}.journal"
        process = Process(kind, simulator(kind, journal, *options), folder / f"{kind}.log")
        return cls(journal, process, int(await process.start()))

    def taken(self) -> Counter[str]:
        """How many messages each destination got."""
        return Counter(line["destination"] for line in read(self.journal))

    def size(self) -> int:
        """How many messages were taken."""
        return self.journal.read_bytes().count(b"\n") if self.journal.exists() else 0


class Exchange(Carrier):
    """The simulated carrier of calls. Its journal has a line for everything that a telephone lives through."""

    def taken(self) -> Counter[str]:
        """How many calls each number got."""
        return self.lived("invited")

    def size(self) -> int:
        """How many calls were placed."""
        return self.journal.read_bytes().count(b'"moment":"invited"') if self.journal.exists() else 0

    def lived(self, moment: str) -> Counter[str]:
        """How often each telephone lived through this: invited, ringing, answered, text, ended."""
        return Counter(line["number"] for line in read(self.journal) if line["moment"] == moment)

    def heard_ms(self) -> dict[str, int]:
        """How many milliseconds of sound each telephone heard, of the calls that are over."""
        return heard_ms(read(self.journal))

    def up(self) -> tuple[int, int]:
        """How many telephones ring, and how many listen, right now."""
        now = {line["call"]: line["moment"] for line in read(self.journal)}
        counts = Counter(now.values())
        return counts["invited"] + counts["ringing"], counts["answered"] + counts["text"]


class Server(Process):
    """`campana serve`, to be killed and started again on the same data and port."""

    def __init__(self, folder: Path, config: Path, port: int) -> None:
        super().__init__("campana serve", (str(PROGRAM), "--config", str(config), "serve"), folder / "campana.log")
        self.folder = folder
        self.config = config
        self.port = port

    async def start(self) -> str:
        """Start it and wait until it accepts requests."""
        line = await super().start()
        assert f":{self.port}/" in line
        return line

    async def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        assert not self.ended, "it had ended by itself"
        await super().kill()


_CONFIG = """
[server]
port = {port}
data_dir = "data"
shutdown_seconds = 5

[delivery]
retry_minutes = [0]
lease_seconds = {lease}

[[routes]]
name = "sms"
channel = "sms"
url = "smpp://id:secret@127.0.0.1:{smsc}"
rate = {rate}
reconnect_min = 0.05
reconnect_max = 0.2

[[routes]]
name = "mail"
channel = "email"
url = "smtp://127.0.0.1:{mail}"
rate = {rate}
tls = "off"
ehlo_name = "campana.example.com"
"""


_TRUNK = """
[[routes]]
name = "trunk"
channel = "voice"
url = "sip:127.0.0.1:{sip};transport=udp"
calls = {calls}
rate = 50
"""


@dataclass
class Town:
    """A server with its carriers, and a client that is logged in. Of calls there is one only where asked for."""

    server: Server
    smsc: Carrier
    mail: Carrier
    client: Client
    exchange: Exchange | None = None

    def arrived(self) -> int:
        """How many messages the carriers took; calls are not counted."""
        return self.smsc.size() + self.mail.size()

    async def until_arrived(self, count: int) -> None:
        """Wait until the carriers took so many messages: their journals say so."""
        deadline = time.monotonic() + 60
        while self.arrived() < count:
            assert time.monotonic() < deadline, f"{self.arrived()} of {count} came in a minute"
            await asyncio.sleep(0.005)


@asynccontextmanager
async def town(
    folder: Path,
    *,
    rate: int,
    lease: int = 30,
    smsc_options: tuple[str, ...] = ("--receipt-delay", "0.1"),
    calls: int = 0,
) -> AsyncIterator[Town]:
    """Start everything, with an account and a user; at the end every process is gone. With `calls`, it also calls
    people, so many at a time."""
    smsc, mail = await asyncio.gather(
        Carrier.start("smsc", folder, *smsc_options),
        Carrier.start("mail", folder),
    )
    exchange = await Exchange.start("sip", folder, "--ring", "0.5") if calls else None
    port = free_port()
    config = folder / "campana.toml"
    config.write_text(_CONFIG.format(port=port, smsc=smsc.port, mail=mail.port, rate=rate, lease=lease))
    if exchange is not None:
        with config.open("a", encoding="utf-8") as more:
            more.write(_TRUNK.format(sip=exchange.port, calls=calls))
    server = Server(folder, config, port)
    try:
        async with services_for(load(config, {})) as services:
            await services.accounts.add_account("acme", region="CA")
            await services.accounts.add_user("acme", "ann", "api", PASSWORD)
        await server.start()
        client = Client(port)
        await client.log_in()
        yield Town(server, smsc, mail, client, exchange)
    finally:
        for process in (smsc.process, mail.process, exchange and exchange.process, server):
            if process is not None:
                await process.end()


# --- the client --------------------------------------------------------------------------------------------------


class Client:
    """A SOAP client of one server, that asks nothing twice."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.session = ""

    async def call(self, operation: str, inner: str) -> bytes:
        """Call an operation on a connection of its own; the body of the answer. Raises OSError or EOFError."""
        return await (await Line.open(self._port)).ask(operation, inner, last=True)

    async def log_in(self) -> None:
        answer = await self.call(
            "OpenAPISession",
            f"<accountId>acme</accountId><username>ann</username><password>{PASSWORD}</password>",
        )
        self.session = text_of(answer, "SessionId")
        assert self.session

    async def add_campaign(self, guid: str, *, paused: bool = False, update: bool = False, calls: bool = False) -> None:
        """Add (or replace) a campaign that sends SMS and email, and calls people where it is told to."""
        campaign = Campaign(guid, set(Medium) if calls else {Medium.SMS, Medium.EMAIL}, paused)
        operation = "UpdateCampaign" if update else "AddCampaign"
        assert text_of(await self.call(operation, campaign_of(self.session, campaign)), f"{operation}Result") == "0"

    async def load(self, campaign: str, numbers: list[int], lines: int = 8) -> list[int]:
        """Add contacts over parallel connections until all are in or the server is gone; those that it acknowledged."""
        waiting, acknowledged = iter(numbers), []

        async def one_line() -> None:
            line = await Line.open(self._port)
            for number in waiting:
                answer = await line.ask("AddCampaignContact", contact_of(self.session, campaign, number, Medium))
                code = text_of(answer, "AddCampaignContactResult")
                assert code in ("0", "21")
                if code == "0":
                    acknowledged.append(number)

        results = await asyncio.gather(*(one_line() for _ in range(lines)), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, OSError | EOFError):
                raise result
        return acknowledged

    async def guids(self, campaign: str) -> list[str]:
        """All contacts' ids."""
        return guids_of(await self.call("GetCampaignContactsListing", about_campaign(self.session, campaign)))

    async def standings(self, campaign: str) -> dict[str, dict[int, Standing]]:
        """How every contact stands: on SMS, on email and by telephone, by its number."""
        told = standings_of(await self.call("GetCampaignContacts", about_campaign(self.session, campaign)))
        return {medium.name.lower(): standings for medium, standings in told.items()}
