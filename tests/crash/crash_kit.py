"""Campana and its carriers as processes of their own, which tests kill; and a client that counts what was promised.

The carriers' journals are what really arrived; the contacts over SOAP are what Campana says about it.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from lxml import etree

from campana.config import load
from campana.wiring import services_for

PROGRAM = Path(sys.executable).with_name("campana")
PASSWORD = "correct horse battery"
STARTS_WITHIN = 60.0
SEED = int(os.environ.get("CAMPANA_CRASH_SEED") or secrets.randbelow(1_000_000))
"""Chooses the moments; set the variable to repeat a run, as far as processes can be repeated."""

_ENVELOPE = (
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><{0} xmlns="http://tempuri.org/" '
    'xmlns:a="http://schemas.datacontract.org/2004/07/OutboundNotifications">{1}</{0}></s:Body></s:Envelope>'
)
_NUMBERS = ("StatusCode", "LastDeliveryErrorCode", "RetryCount")
_MEDIA = {"sms": "SMSCommInfo", "email": "EmailCommInfo", "voice": "VoiceCommInfo"}
_VOICE = (
    "<a:OutboundVoiceNotificationInfo><a:CallingNumber>+14165550100</a:CallingNumber>"
    "<a:DialMsTimeout>30000</a:DialMsTimeout><a:Enabled>true</a:Enabled><a:MaxDeliveryRetries>3</a:MaxDeliveryRetries>"
    "<a:MaxTextPlays>1</a:MaxTextPlays><a:RetryMinutesInterval>0</a:RetryMinutesInterval>"
    "<a:TextToSpeak>The northern bridge is closed.</a:TextToSpeak></a:OutboundVoiceNotificationInfo>"
)
_PATH = "/OutboundNotifications.svc"


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


# --- processes ---------------------------------------------------------------------------------------------------


async def start(*command: str, log: Path) -> tuple[asyncio.subprocess.Process, str]:
    """Start a process and wait for its first line."""
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=errors)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(STARTS_WITHIN):
            line = await process.stdout.readline()
        assert line, f"{command[:3]} ended at once; its last words are in {log}"
    except BaseException:
        await end(process)
        raise
    return process, line.decode()


async def end(process: asyncio.subprocess.Process) -> None:
    """Have a process gone."""
    if process.returncode is None:
        process.kill()
        await process.wait()


@dataclass
class Carrier:
    """A simulated carrier with a journal of what it took."""

    journal: Path
    process: asyncio.subprocess.Process
    port: int

    @classmethod
    async def start(cls, kind: str, folder: Path, *options: str) -> Self:
        journal = folder / f"{kind}.journal"
        command = (sys.executable, "-m", "campana.sandbox", kind, "--port", "0", "--journal", str(journal), *options)
        process, line = await start(*command, log=folder / f"{kind}.log")
        return cls(journal, process, int(line))

    def taken(self) -> Counter[str]:
        """How many messages each destination got."""
        lines = self.journal.read_bytes().splitlines() if self.journal.exists() else []
        return Counter(json.loads(line)["destination"] for line in lines)

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
        return self._bytes().count(b'"moment":"invited"')

    def lived(self, moment: str) -> Counter[str]:
        """How often each telephone lived through this: invited, ringing, answered, text, ended."""
        return Counter(line["number"] for line in self._lines() if line["moment"] == moment)

    def heard_ms(self) -> dict[str, int]:
        """How many milliseconds of sound each telephone heard, of the calls that are over."""
        return {line["number"]: line["heard_ms"] for line in self._lines() if line["moment"] == "ended"}

    def up(self) -> tuple[int, int]:
        """How many telephones ring, and how many listen, right now."""
        now: dict[str, str] = {}
        for line in self._lines():
            now[line["call"]] = line["moment"]
        counts = Counter(now.values())
        return counts["invited"] + counts["ringing"], counts["answered"] + counts["text"]

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._bytes().splitlines() if line.endswith(b"}")]

    def _bytes(self) -> bytes:
        return self.journal.read_bytes() if self.journal.exists() else b""


@dataclass
class Server:
    """`campana serve`, to be killed and started again on the same data and port."""

    folder: Path
    config: Path
    port: int
    process: asyncio.subprocess.Process | None = None
    starts: int = 0

    async def start(self) -> None:
        """Start it and wait until it accepts requests."""
        command = (str(PROGRAM), "--config", str(self.config), "serve")
        self.process, line = await start(*command, log=self.folder / "campana.log")
        assert f":{self.port}/" in line
        self.starts += 1

    async def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self.process is not None
        assert self.process.returncode is None, "it had ended by itself"
        await end(self.process)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


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
        for process in (smsc.process, mail.process, exchange and exchange.process, server.process):
            if process is not None:
                await end(process)


# --- the client --------------------------------------------------------------------------------------------------


class Standing(NamedTuple):
    """One medium of a contact, as GetCampaignContacts tells it."""

    destination: str
    status: int
    error: int
    left: int


class Client:
    """A SOAP client that knows just what these tests need, so that it is quick."""

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
        self.session = _text(answer, "SessionId")
        assert self.session

    async def add_campaign(self, guid: str, *, paused: bool = False, update: bool = False, calls: bool = False) -> None:
        """Add (or replace) a campaign that sends SMS and email, and calls people where it is told to."""
        sms = "<a:Enabled>true</a:Enabled><a:FromNumber>Campana</a:FromNumber><a:TextToSend>Hello</a:TextToSend>"
        email = (
            "<a:Enabled>true</a:Enabled><a:FromEmail>news@example.com</a:FromEmail>"
            "<a:HtmlContent>&lt;p&gt;Hello&lt;/p&gt;</a:HtmlContent><a:Subject>Hello</a:Subject>"
        )
        campaign = (
            f"<a:ID>{guid}</a:ID><a:IsPaused>{str(paused).lower()}</a:IsPaused>"
            f"<a:OutboundEmailNotificationInfo>{email}</a:OutboundEmailNotificationInfo>"
            f"<a:OutboundSMSNotificationInfo>{sms}</a:OutboundSMSNotificationInfo>{_VOICE if calls else ''}"
            "<a:ShortName>Autumn</a:ShortName>"
        )
        operation = "UpdateCampaign" if update else "AddCampaign"
        answer = await self.call(operation, f"<sessionId>{self.session}</sessionId><campaign>{campaign}</campaign>")
        assert _text(answer, f"{operation}Result") == "0"

    def contact(self, campaign: str, guid: str, number: int) -> str:
        """What to add: a contact with a phone, for SMS and calls, and a mailbox."""
        return (
            f"<sessionId>{self.session}</sessionId><contact><a:CampaignId>{campaign}</a:CampaignId>"
            f"<a:EmailCommInfo><a:Destination>{inbox(number)}</a:Destination></a:EmailCommInfo><a:Id>{guid}</a:Id>"
            f"<a:SMSCommInfo><a:Destination>{phone(number)}</a:Destination></a:SMSCommInfo>"
            f"<a:VoiceCommInfo><a:Destination>{phone(number)}</a:Destination></a:VoiceCommInfo></contact>"
        )

    async def load(self, campaign: str, numbers: list[int], lines: int = 8) -> list[int]:
        """Add contacts over parallel connections until all are in or the server is gone; those that it acknowledged."""
        waiting, acknowledged = iter(numbers), []

        async def one_line() -> None:
            line = await Line.open(self._port)
            for number in waiting:
                answer = await line.ask("AddCampaignContact", self.contact(campaign, guid_of(number), number))
                code = _text(answer, "AddCampaignContactResult")
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
        answer = await self._of_campaign("GetCampaignContactsListing", campaign)
        return [node.text or "" for node in etree.fromstring(answer).iter("{*}guid")]

    async def standings(self, campaign: str) -> dict[str, dict[int, Standing]]:
        """How every contact stands: on SMS, on email and by telephone, by its number."""
        root = etree.fromstring(await self._of_campaign("GetCampaignContacts", campaign))
        told: dict[str, dict[int, Standing]] = {medium: {} for medium in _MEDIA}
        for contact in root.iter("{*}OutboundNotificationContactInfo"):
            number = number_of(contact.findtext("{*}Id"))
            for medium, element in _MEDIA.items():
                info = contact.find(f"{{*}}{element}")
                values = [info.findtext(f"{{*}}{name}") for name in _NUMBERS]
                told[medium][number] = Standing(info.findtext("{*}Destination"), *map(int, values))
        return told

    async def _of_campaign(self, operation: str, campaign: str) -> bytes:
        return await self.call(operation, f"<sessionId>{self.session}</sessionId><campaignId>{campaign}</campaignId>")


class Line:
    """One HTTP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, operation: str, inner: str, *, last: bool = False) -> bytes:
        """Call an operation; the body of the answer. Raises OSError or EOFError where the server is gone."""
        body = _ENVELOPE.format(operation, inner).encode()
        head = f"POST {_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(head.encode() + (b"Connection: close\r\n\r\n" if last else b"\r\n") + body)
        async with asyncio.timeout(60):
            answer = await self._answer()
        if last:
            self._writer.close()
        return answer

    async def _answer(self) -> bytes:
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        if b"transfer-encoding: chunked" not in head:
            return await self._reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        parts = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return b"".join(parts)


def _text(answer: bytes, name: str) -> str:
    node = etree.fromstring(answer).find(f".//{{*}}{name}")
    return "" if node is None else node.text or ""


# --- who is who --------------------------------------------------------------------------------------------------


def guid_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def number_of(guid: str | None) -> int:
    return int((guid or "").rpartition("-")[2])


def phone(number: int) -> str:
    """A number that meets no magic fate."""
    return f"+1416{5_600_000 + number}"


def inbox(number: int) -> str:
    return f"person-{number}@example.com"
