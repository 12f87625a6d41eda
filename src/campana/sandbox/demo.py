"""Owns the demo: Campana as it is served, the sandbox's carriers around it, and a customer's campaign through it.

Must not know how anything is drawn (demo_screen.py) or what the customer says (demo_client.py). Everything is real
but the carriers: sockets, SOAP, the database on disk, receipts and bounces.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shlex
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvloop

from campana import wiring
from campana.channels.email import EmailRouteSettings
from campana.channels.sms import SmsRouteSettings
from campana.channels.voice import VoiceRouteSettings
from campana.config.settings import BounceSettings, DeliverySettings, LogSettings, ServerSettings, Settings
from campana.sandbox.demo_client import Listener, Outcome, run_campaign
from campana.sandbox.demo_screen import Screen
from campana.sandbox.mail import MailSimulator
from campana.sandbox.mail_notices import Office
from campana.sandbox.sip import SipSimulator
from campana.sandbox.smsc import SmscSimulator
from campana.services.accounts import AccountService
from campana.services.principal import Role
from campana.storage.store import AttemptRow

HOST: Final = "127.0.0.1"
PORT: Final = 8080
ACCOUNT: Final = "demo"
USER: Final = "api"

RETRY_MINUTES: Final = 0.05
RECEIPT_TIMEOUT: Final = 2.0
RESPONSE_TIMEOUT: Final = 3.0
MESSAGES_A_SECOND: Final = 6.0
CARRIER_DELAY: Final = 0.7
LINES: Final = 10
CALLS_A_SECOND: Final = 5.0
PAUSE_BETWEEN_PLAYS: Final = 0.5
RTP_PORTS: Final = "16384-19999"
HEARD: Final = "heard"
"""The folder of what telephones heard, in that of the data."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line says."""

    data_dir: Path | None = None
    """None is a folder of its own, gone at the end."""
    port: int | None = None
    """None is 8080, or a free one where that is taken."""
    once: bool = False
    """End when the campaign is over."""


class _Credentials(NamedTuple):
    account: str
    user: str
    password: str


def run(options: DemoOptions, screen: Screen | None = None) -> bool:
    """Run the demo until its end or Ctrl-C; tell whether its campaign came to its end.

    Raises OSError where an address cannot be listened on, StoreUnavailable where the data cannot be kept,
    DemoFailed or the SOAP client's errors where a call fails.
    """
    screen = screen or Screen()
    try:
        # The folder goes last: threads of the loop may still write into it when all else is cancelled.
        with (
            _folder(options.data_dir) as folder,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            return runner.run(_run(folder, options, screen))
    except KeyboardInterrupt:
        return False
    finally:
        screen.close()


async def _run(folder: Path, options: DemoOptions, screen: Screen) -> bool:
    office = Office(HOST, _free_port())
    smsc = SmscSimulator(HOST, on_message=screen.sms, receipt_delay=CARRIER_DELAY)
    mail = MailSimulator(HOST, on_message=screen.mail, bounce_to=office, bounce_delay=CARRIER_DELAY)
    sip = SipSimulator(HOST, on_moment=screen.call, ring=CARRIER_DELAY, greeting=1.0, folder=folder / HEARD)
    async with smsc, mail, sip:
        port = _port(options.port)
        settings = demo_settings(folder, port, (smsc.port, mail.port, sip.port), office)
        credentials = await _admit(settings)
        _introduce(screen, settings, options)
        return await _serve(settings, credentials, options, screen)


def demo_settings(folder: Path, port: int, carriers: tuple[int, int, int], office: Office) -> Settings:
    """The settings of a Campana that speaks to the sandbox. `carriers`: the ports of SMSC, mail server, SIP carrier."""
    smsc, mail, sip = carriers
    return Settings(
        server=ServerSettings(host=HOST, port=port, data_dir=folder, shutdown_seconds=10),
        # Seconds where a configuration has minutes, which nobody wants to wait for here.
        delivery=DeliverySettings().model_copy(update={"retry_minutes": (RETRY_MINUTES,)}),
        bounces=BounceSettings(listen=f"{office.host}:{office.port}", protocol=office.protocol),
        log=LogSettings(level="error", format="console"),
        routes=(
            SmsRouteSettings(
                name="sandbox-sms",
                url=f"smpp://campana:secret@{HOST}:{smsc}",
                rate=MESSAGES_A_SECOND,
                response_timeout=RESPONSE_TIMEOUT,
                receipt_timeout=RECEIPT_TIMEOUT,
            ),
            VoiceRouteSettings(
                name="sandbox-voice",
                url=f"sip:{HOST}:{sip};transport=udp",
                calls=LINES,
                rate=CALLS_A_SECOND,
                rtp_ports=RTP_PORTS,
                pause=PAUSE_BETWEEN_PLAYS,
            ),
            EmailRouteSettings(
                name="sandbox-mail",
                url=f"smtp://{HOST}:{mail}",
                rate=MESSAGES_A_SECOND,
                tls="off",
                bounce_domain="bounces.waterworks.example",
                verp_secret=secrets.token_urlsafe(24),
            ),
        ),
    )


# --- before ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """The folder of the data: the one given, kept; or one of its own, removed at the end."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="campana-demo-") as own:
        yield Path(own)


def _port(wanted: int | None) -> int:
    if wanted is not None:
        return wanted
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, PORT))
        except OSError:
            return 0
    return PORT


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


async def _admit(settings: Settings) -> _Credentials:
    """Make the demo's account and user with a fresh password; in a folder of an earlier demo, a new password."""
    credentials = _Credentials(ACCOUNT, USER, secrets.token_urlsafe(12))
    async with wiring.services_for(settings) as services:
        if not await _knows_user(services.accounts):
            await services.accounts.add_user(*credentials[:2], Role.API, credentials.password)
        else:
            await services.accounts.set_password(*credentials)
    return credentials


async def _knows_user(accounts: AccountService) -> bool:
    if ACCOUNT not in {account.id for account in await accounts.list_accounts()}:
        await accounts.add_account(ACCOUNT, "Europe/Berlin", "US")
    return USER in {user.name for user in await accounts.list_users(ACCOUNT)}


def _introduce(screen: Screen, settings: Settings, options: DemoOptions) -> None:
    sms, voice, mail = settings.routes
    kept = "kept" if options.data_dir else "removed at the end"
    screen.title("Campana with sandbox carriers: nothing leaves this machine.")
    screen.say(f"  SMS centre   smpp://{_place(sms.url)}   {MESSAGES_A_SECOND:g} messages/s, so that you can watch")
    screen.say(f"  telephones   sip:{_place(voice.url)}   {LINES} calls at a time")
    screen.say(f"  mail server  smtp://{_place(mail.url)}   {MESSAGES_A_SECOND:g} messages/s")
    screen.say(f"  bounces      lmtp://{settings.bounces.listen}")
    screen.say(f"  database     {settings.database_path} ({kept})")
    screen.say(f"  heard        {settings.server.data_dir / HEARD}/*.wav ({kept}), what the telephones heard")
    if settings.server.port != (options.port or PORT):
        screen.say(f"  Port {PORT} is in use on this machine: Campana takes a free one.")
    screen.say()


def _place(url: str) -> str:
    return url.rpartition("/")[2].rpartition("@")[2].removeprefix("sip:").partition(";")[0]


# --- while it runs -----------------------------------------------------------------------------------------------


async def _serve(settings: Settings, credentials: _Credentials, options: DemoOptions, screen: Screen) -> bool:
    """Serve, run the campaign, and go on serving until told to stop."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    ready: asyncio.Future[str] = loop.create_future()
    server = asyncio.create_task(wiring.serve(settings, ready.set_result, stop))
    await _first_of(server, ready)
    if not ready.done():
        await server
        return False
    # A terminal that is closed ends the demo as Ctrl-C does, so that its folder does not stay.
    loop.add_signal_handler(signal.SIGHUP, stop.set)
    address = ready.result().rpartition(" ")[2]
    try:
        outcome = await _run_campaign(address, credentials, screen, stop)
        if outcome is None:
            return False
        screen.over(outcome, await _calls(settings, outcome))
        if not options.once:
            _invite(screen, address, credentials, outcome, options)
            await asyncio.wait({server})
        return outcome.finished
    finally:
        stop.set()
        await server
        screen.close()
        screen.say("The demo has ended.")


async def _run_campaign(address: str, credentials: _Credentials, screen: Screen, stop: asyncio.Event) -> Outcome | None:
    """Have the customer's thread run the campaign; None where the demo was told to stop before its end."""
    loop = asyncio.get_running_loop()
    leave = threading.Event()
    listener = Listener(
        called=lambda *what: loop.call_soon_threadsafe(screen.called, *what),
        stands=lambda standings: loop.call_soon_threadsafe(screen.stands, standings),
    )
    campaign = asyncio.create_task(asyncio.to_thread(run_campaign, f"{address}?wsdl", credentials, listener, leave))
    stopping = asyncio.create_task(stop.wait())
    await _first_of(campaign, stopping)
    stopping.cancel()
    if not stop.is_set():
        return campaign.result()
    leave.set()
    # What it calls now fails, for nobody answers any more.
    await asyncio.wait({campaign})
    campaign.exception()
    return None


async def _calls(settings: Settings, outcome: Outcome) -> list[AttemptRow]:
    """Every call of the campaign, as it was recorded."""
    async with wiring.services_for(settings) as services:
        who = await services.accounts.operator_of(ACCOUNT)
        pages = await services.attempts.of_campaign(who, outcome.campaign)
        return [attempt async for page in pages for attempt in page if attempt.call is not None]


async def _first_of(*waiting: asyncio.Future[Any]) -> None:
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)


# --- after -------------------------------------------------------------------------------------------------------


def _invite(screen: Screen, address: str, credentials: _Credentials, outcome: Outcome, options: DemoOptions) -> None:
    """Say how to go on: where Campana is, who may come in, and something to paste."""
    screen.say()
    screen.title("Campana goes on serving. Connect your own client:")
    rows = (("address", address), ("WSDL", f"{address}?wsdl"), *zip(_Credentials._fields, credentials, strict=True))
    for label, value in rows:
        screen.say(f"  {label:<9} {value}")
    screen.say()
    screen.title("Send one more, from another terminal, and watch it arrive here:")
    screen.say()
    screen.say(example_zeep(address, credentials, outcome.campaign))
    screen.say()
    screen.title("Or open a session with curl alone:")
    screen.say()
    screen.say(example_curl(address, credentials))
    screen.say()
    screen.say("Numbers like +1 202 555 0180 to 0199 (SMS) and 0140 to 0157 (calls) and addresses like")
    screen.say("full@example.com meet a fate each (docs/sandbox.md lists them); all others are reached.")
    screen.say(f"Ctrl-C ends the demo and {'keeps' if options.data_dir else 'removes'} its data.")
    screen.say()


def example_zeep(address: str, credentials: tuple[str, str, str], campaign: str) -> str:
    """A shell command that adds one more contact to a campaign with zeep."""
    account, user, password = credentials
    return f"""\
{_python()} - <<'END'
import zeep
wsdl = "{address}?wsdl"
api = zeep.Client(wsdl).service
session = api.OpenAPISession("{account}", "{user}", "{password}").SessionId
print(api.AddCampaignContact(session, {{
    "CampaignId": "{campaign}",
    "SMSCommInfo": {{"Destination": "+12025550123"}},
    "VoiceCommInfo": {{"Destination": "+12025550123"}},
}}))
END"""


def example_curl(address: str, credentials: tuple[str, str, str]) -> str:
    """A shell command that opens a session with curl."""
    account, user, password = credentials
    return f"""\
curl -s {address} \\
  -H 'Content-Type: text/xml' -d '
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
<OpenAPISession xmlns="http://tempuri.org/">
<accountId>{account}</accountId><username>{user}</username>
<password>{password}</password>
</OpenAPISession></s:Body></s:Envelope>'"""


def _python() -> str:
    """This interpreter, as short as it can be called from here."""
    here = Path(sys.executable)
    with contextlib.suppress(ValueError):
        here = here.relative_to(Path.cwd())
    return shlex.quote(str(here))
