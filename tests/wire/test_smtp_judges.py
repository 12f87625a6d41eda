"""Independent judges: aiosmtpd takes what our client sends, and the standard library's speaks to our simulator."""

from __future__ import annotations

import asyncio
import contextlib
import email
import json
import smtplib
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import cast

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from smtp_kit import running

from campana.channels.contract import Accepted, Content
from campana.channels.email import EmailRoute
from campana.domain.delivery import Medium
from campana.sandbox.magic_mail import FATES, MAGIC_ADDRESSES, fate_of
from campana.sandbox.mail import MailSimulator, serve_mail

HTML = "<h1>Grüße</h1>\n.\n..\n<p>" + "lang " * 300 + "</p>\n"


class Judge:
    """An aiosmtpd handler that keeps what it gets."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.encrypted: list[bool] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        self.encrypted.append(session.ssl is not None)
        return "250 2.0.0 judged"


@contextlib.asynccontextmanager
async def judging(**options: object) -> AsyncIterator[tuple[Judge, int]]:
    judge = Judge()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(judge, hostname="judge.test", loop=loop, **options), "127.0.0.1", 0)
    try:
        yield judge, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def deliver(route: EmailRoute, content: Content, *recipients: str) -> list[str | None]:
    write = route.composer(content)
    parcels = [write(number, 1, recipient, None) for number, recipient in enumerate(recipients)]
    async with asyncio.timeout(10):
        results = await route.send(parcels, lambda: True)
    return [result.carrier_text if isinstance(result, Accepted) else repr(result) for result in results]


async def test_aiosmtpd_takes_our_messages() -> None:
    """It offers no PIPELINING, and checks line lengths, dots and sizes for itself."""
    content = Content(Medium.EMAIL, "Grüße <shop@example.com>", HTML, "Ein Gruß 😀", "c-1")
    recipients = [f"p{number}@example.org" for number in range(25)]
    async with judging(data_size_limit=100_000) as (judge, port), running(port, connections=3) as route:
        assert await deliver(route, content, *recipients) == ["2.0.0 judged"] * 25
    assert sorted(envelope.rcpt_tos[0] for envelope in judge.envelopes) == sorted(recipients)
    for envelope in judge.envelopes:
        assert envelope.mail_from == "shop@example.com"
        assert isinstance(envelope.content, bytes)
        message = cast(EmailMessage, email.message_from_bytes(envelope.content, policy=default))
        assert message["To"] == envelope.rcpt_tos[0]
        assert message["Subject"] == "Ein Gruß 😀"
        html = message.get_body(("html",))
        assert html is not None
        assert html.get_content().replace("\r\n", "\n") == HTML


async def test_aiosmtpd_refuses_what_is_too_large_before_it_is_sent() -> None:
    content = Content(Medium.EMAIL, "shop@example.com", "<p>" + "long " * 1000, "Hello")
    async with judging(data_size_limit=2000) as (judge, port), running(port) as route:
        assert "EMAIL_TOO_LARGE" in str((await deliver(route, content, "ann@example.org"))[0])
    assert judge.envelopes == []


async def test_aiosmtpd_with_tls_and_a_password() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=(data.login, data.password) == (b"user", b"p\xc3\xa4ss"), handled=False)

    content = Content(Medium.EMAIL, "shop@example.com", HTML, "Hello")
    options = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": authenticate}
    async with judging(**options) as (judge, port):
        for password, taken in (("p%C3%A4ss", True), ("wrong", False)):
            url = f"smtp://user:{password}@127.0.0.1:{port}"
            async with running(port, url=url, tls="required", tls_verify=False) as route:
                said = (await deliver(route, content, "ann@example.org"))[0]
                assert said == "2.0.0 judged" if taken else "EMAIL_AUTHENTICATION_FAILED" in str(said)
    assert judge.encrypted == [True]


async def test_aiosmtpd_takes_internationalised_addresses() -> None:
    content = Content(Medium.EMAIL, "shop@example.com", HTML, "Hello")
    async with judging(enable_SMTPUTF8=True) as (judge, port), running(port) as route:
        assert await deliver(route, content, "jörg@bücher.example") == ["2.0.0 judged"]
        assert judge.envelopes[0].smtp_utf8
        assert judge.envelopes[0].rcpt_tos == ["jörg@xn--bcher-kva.example"]
    async with judging(enable_SMTPUTF8=False) as (judge, port), running(port) as route:
        assert "EMAIL_ADDRESS_NOT_SUPPORTED" in str((await deliver(route, content, "jörg@example.org"))[0])
        assert await deliver(route, content, "ann@bücher.example") == ["2.0.0 judged"]


# --- the simulator ---------------------------------------------------------------------------------------------------


def post(
    port: int, *recipients: str, context: ssl.SSLContext | None = None, login: tuple[str, str] | None = None
) -> dict[str, int]:
    """Send a message to each recipient with smtplib; returns the code each got."""
    codes = {}
    with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=10) as client:
        if context is not None:
            client.starttls(context=context)
        if login is not None:
            client.login(*login)
        for recipient in recipients:
            message = EmailMessage()
            message["Subject"] = "Hello"
            message["Message-ID"] = f"<{recipient}>"
            message.set_content("dots\n.\n..\n")
            message.add_alternative("<p>dots</p>", subtype="html")
            try:
                client.send_message(message, "shop@example.com", [recipient])
                codes[recipient] = 250
            except smtplib.SMTPRecipientsRefused as refused:
                codes[recipient] = refused.recipients[recipient][0]
            except smtplib.SMTPResponseException as refused:
                codes[recipient] = refused.smtp_code
    return codes


REFUSED = {
    "defer@x.test": 451,
    "full+1@x.test": 452,
    "unknown@x.test": 550,
    "disabled@x.test": 550,
    "nodomain@x.test": 550,
    "policy@x.test": 550,
    "spam@x.test": 554,
    "toolarge@x.test": 552,
    "Unknown+17@elsewhere.test": 550,
}


async def test_the_simulator_as_smtplib_sees_it(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with MailSimulator(journal=journal, clock=lambda: 5) as server:
        codes = await asyncio.to_thread(post, server.port, "ann@x.test", *REFUSED, "bob@x.test")
        assert codes == {"ann@x.test": 250, **REFUSED, "bob@x.test": 250}
        mail = await server.expect("ann@x.test")
        assert (mail.sender, mail.recipients, mail.subject, mail.at) == (
            "shop@example.com",
            ("ann@x.test",),
            "Hello",
            5,
        )
        assert mail.text.replace("\r\n", "\n") == "dots\n.\n..\n"
        assert mail.html.strip() == "<p>dots</p>"
        assert mail.message_id == "ann@x.test"
        assert [other.recipients for other in server.unexpected] == [("bob@x.test",)]
        assert server.accepted == 2
        assert server.counts == {"ann@x.test": 1, "bob@x.test": 1}
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert lines == [
        {
            "at": 5,
            "begun": 5,
            "since": 5,
            "id": name,
            "source": "shop@example.com",
            "destination": name,
            "connections": 1,
        }
        for name in ("ann@x.test", "bob@x.test")
    ]


async def test_counted_refusals_end() -> None:
    async with MailSimulator() as server:
        seen = [(await asyncio.to_thread(post, server.port, "defer-2@x.test"))["defer-2@x.test"] for _ in range(4)]
        assert seen == [451, 451, 250, 250]
        seen = [
            (await asyncio.to_thread(post, server.port, "throttle-1@x.test"))["throttle-1@x.test"] for _ in range(2)
        ]
        assert seen == [451, 250]


async def test_the_simulator_can_take_everything() -> None:
    async with MailSimulator(magic=False, keep=0) as server:
        assert await asyncio.to_thread(post, server.port, *REFUSED) == dict.fromkeys(REFUSED, 250)
        assert server.accepted == len(REFUSED)
        assert not server.messages


async def test_the_simulator_with_tls_and_passwords() -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with MailSimulator(tls=context, users={"user": "secret"}) as server:
        good = await asyncio.to_thread(post, server.port, "ann@x.test", context=trusting, login=("user", "secret"))
        assert good == {"ann@x.test": 250}
        assert (await asyncio.to_thread(post, server.port, "ann@x.test", context=trusting)) == {"ann@x.test": 530}
        with pytest.raises(smtplib.SMTPAuthenticationError):
            await asyncio.to_thread(post, server.port, "ann@x.test", login=("user", "wrong"))


async def test_a_message_beyond_the_simulators_size() -> None:
    def send(port: int) -> int:
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            client.helo("client.test")  # without EHLO the size is not declared
            try:
                client.sendmail("a@x.test", ["b@x.test"], b"Subject: x\r\n\r\n" + b"y\r\n" * 10_000)
            except smtplib.SMTPDataError as refused:
                return refused.smtp_code
        return 250

    async with MailSimulator(size=5000) as server:
        assert await asyncio.to_thread(send, server.port) == 552
        server.size = 100_000
        assert await asyncio.to_thread(send, server.port) == 250


CONVERSATIONS: list[tuple[str, bytes, list[bytes]]] = [
    (
        "pipelined",
        b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nHi\r\n.\r\nQUIT\r\n",
        [b"250", b"250", b"250", b"354", b"250", b"221"],
    ),
    ("no EHLO", b"MAIL FROM:<a@b>\r\n", [b"503"]),
    ("no MAIL", b"EHLO x\r\nRCPT TO:<c@d>\r\n", [b"250", b"503"]),
    ("no RCPT", b"EHLO x\r\nMAIL FROM:<a@b>\r\nDATA\r\n", [b"250", b"250", b"554"]),
    ("MAIL twice", b"EHLO x\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\n", [b"250", b"250", b"503"]),
    ("RSET", b"EHLO x\r\nMAIL FROM:<a@b>\r\nRSET\r\nMAIL FROM:<a@b>\r\n", [b"250", b"250", b"250", b"250"]),
    ("bad syntax", b"EHLO x\r\nMAIL FROM a@b\r\nMAIL FROM:<a@b>\r\nRCPT TO:<>\r\n", [b"250", b"501", b"250", b"501"]),
    (
        "parameters",
        b"EHLO x\r\nMAIL FROM:<a@b> RET=FULL\r\nMAIL FROM:<a@b> SIZE=999999999\r\n",
        [b"250", b"555", b"552"],
    ),
    ("null sender", b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\n", [b"250", b"250", b"250"]),
    (
        "without SMTPUTF8",
        "EHLO x\r\nMAIL FROM:<ä@b>\r\nMAIL FROM:<ä@b> SMTPUTF8\r\n".encode(),
        [b"250", b"553", b"250"],
    ),
    (
        "small talk",
        b"NOOP\r\nVRFY x\r\nFOO\r\n\r\nSTARTTLS\r\nAUTH PLAIN x\r\n",
        [b"250", b"252", b"500", b"500", b"502", b"504"],
    ),
    (
        "an empty message",
        b"HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n",
        [b"250", b"250", b"250", b"354", b"250"],
    ),
]


@pytest.mark.parametrize("in_octets", [False, True], ids=["at once", "in octets"])
@pytest.mark.parametrize(("said", "codes"), [row[1:] for row in CONVERSATIONS], ids=[row[0] for row in CONVERSATIONS])
async def test_the_simulators_answers(said: bytes, codes: list[bytes], in_octets: bool) -> None:
    async with MailSimulator() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        pieces = [said[place : place + 1] for place in range(len(said))] if in_octets else [said]
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        heard = []
        async with asyncio.timeout(5):
            while len(heard) < len(codes) + 1:
                line = await reader.readline()
                if line[3:4] == b" ":
                    heard.append(line[:3])
        assert heard == [b"220", *codes]
        writer.close()


async def test_an_endless_command_ends_the_connection() -> None:
    async with MailSimulator() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await reader.readline()
        writer.write(b"x" * 10_000)
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()


async def test_waiting_for_mail_that_does_not_come() -> None:
    async with MailSimulator() as server:
        with pytest.raises(TimeoutError, match=r"no message to ann@x\.test"):
            await server.expect("ann@x.test", 0.05)


async def test_serving_until_cancelled() -> None:
    ready: asyncio.Queue[int] = asyncio.Queue()
    serving = asyncio.create_task(serve_mail("127.0.0.1", 0, ready=ready.put_nowait, magic=False))
    async with asyncio.timeout(5):
        port = await ready.get()
        assert await asyncio.to_thread(post, port, "unknown@x.test") == {"unknown@x.test": 250}
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize(
    ("address", "local", "refusals"),
    [
        ("ann@x.test", "(any other)", None),
        ("unknown@x.test", "unknown", None),
        ("UNKNOWN+7@x.test", "unknown", None),
        ("defer@x.test", "defer", None),
        ("defer-3@x.test", "defer-N", 3),
        ("defer-3+9@x.test", "defer-N", 3),
        ("defer-0@x.test", "(any other)", None),
        ("defer-100@x.test", "(any other)", None),
        ("defer-x@x.test", "(any other)", None),
        ("defer-n@x.test", "(any other)", None),
        ("bounce-late@x.test", "bounce-late", None),
        ("421@x.test", "421", 1),
        ("", "(any other)", None),
    ],
)
def test_magic_addresses(address: str, local: str, refusals: int | None) -> None:
    fate, counted = fate_of(address)
    assert (fate.local, counted) == (local, refusals)


def test_the_documented_table_is_the_real_one() -> None:
    assert [row.pattern.rstrip("@") for row in MAGIC_ADDRESSES] == [fate.local for fate in FATES]
    assert all(row.channel == "email" and row.meaning and row.shows for row in MAGIC_ADDRESSES)
    for fate in FATES[1:]:
        assert fate_of(fate.local.replace("-N", "-1") + "@x.test")[0] is fate
