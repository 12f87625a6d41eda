"""A real `campana serve` with sandbox carriers as processes of their own, and a key for those who ask it over REST."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campana.client import Client, LogIn
from campana.config import environment_without_settings, load
from campana.sandbox.drill_journals import read
from campana.sandbox.drill_processes import campana, free_port, simulator
from campana.wiring import services_for

PASSWORD = "correct horse battery"
SCOPES = ("campaigns:read", "campaigns:write", "contacts:read", "contacts:write", "events:read")
WITHIN = 60.0

_CONFIG = """
[server]
port = {port}
data_dir = "data"
shutdown_seconds = 5

[delivery]
retry_minutes = [0]

[[routes]]
name = "sms"
channel = "sms"
url = "smpp://id:secret@127.0.0.1:{smsc}"
reconnect_min = 0.05
reconnect_max = 0.2

[[routes]]
name = "mail"
channel = "email"
url = "smtp://127.0.0.1:{mail}"
tls = "off"
ehlo_name = "campana.example.com"
"""


@dataclass
class Served:
    """A server, which can be killed and started again on the same data and port."""

    folder: Path
    port: int
    key: str = ""
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_in(self) -> LogIn:
        return LogIn("acme", "ann", PASSWORD)

    @property
    def config(self) -> Path:
        return self.folder / "campana.toml"

    async def people(self) -> None:
        """Give it an account and a user."""
        async with services_for(load(self.config, {})) as services:
            await services.accounts.add_account("acme", region="CA")
            await services.accounts.add_user("acme", "ann", "operator", PASSWORD)

    def taken(self, carrier: str) -> set[str]:
        """Who got something from a carrier."""
        return {str(line["destination"]) for line in read(self.folder / f"{carrier}.journal")}

    def start(self) -> None:
        """Start it and wait until it accepts requests."""
        self.process = _started(campana("--config", str(self.config), "serve"), self.folder / "log")

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(WITHIN)


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """A server with an account, a user and an API key, and with carriers; at the end every process is gone."""
    with ExitStack() as stack:
        ports = [
            first_line(stack.enter_context(_process(simulator(kind, folder / f"{kind}.journal", *more), folder / kind)))
            for kind, more in (("smsc", ("--receipt-delay", "0.05")), ("mail", ()))
        ]
        here = Served(folder, free_port())
        here.config.write_text(_CONFIG.format(port=here.port, smsc=ports[0], mail=ports[1]))
        asyncio.run(here.people())
        here.start()
        stack.callback(here.kill)
        with Client(here.url, log_in=here.log_in) as client:
            here.key = client.create_api_key("tests", SCOPES).key
        yield here


def _started(line: tuple[str, ...], log: Path) -> subprocess.Popen[str]:
    with log.open("ab") as errors:
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=errors, text=True, env=_environ())
    first_line(process)
    return process


@contextmanager
def _process(line: tuple[str, ...], log: Path) -> Iterator[subprocess.Popen[str]]:
    with log.open("ab") as errors:
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=errors, text=True, env=_environ())
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(WITHIN)


def first_line(process: subprocess.Popen[str]) -> str:
    """The line that says that it has started."""
    lines: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: lines.append(process.stdout.readline()), daemon=True)
    reader.start()
    reader.join(WITHIN)
    assert lines, "it printed nothing in time"
    assert lines[0], "it ended"
    return lines[0].strip()


def _environ() -> dict[str, str]:
    return environment_without_settings() | {"COLUMNS": "200"}


@dataclass
class Done:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


def phone(number: int) -> str:
    """A number that is nobody's and meets no magic fate."""
    return f"+1416{5_600_000 + number:07d}"


def created(run: Run, *words: str) -> str:
    """The id of a campaign by SMS that was made for it."""
    said = ("--sms-from", "Campana", "--sms-text", "Hello {{name|you}}")
    return str(run("campaign", "create", "--name", "Autumn", *said, *words, "--json").json["id"])
