"""The bounce listener on a real socket, with the standard library's SMTP and LMTP clients as independent senders."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
from collections.abc import AsyncIterator, Sequence
from typing import Literal

import pytest
from smtp_kit import Ears, settings

from campana.channels.email.listener import BounceListener
from campana.channels.email.verp import envelope_senders
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState

SECRET = "0123456789abcdef"
NOW = 1_700_000_000_000
OURS = envelope_senders("bounces.example.com", SECRET)
DSN = (
    b"From: MAILER-DAEMON@mx.example.net\r\nSubject: Undelivered Mail\r\n"
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
    b"Final-Recipient: rfc822; ann@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    b"Diagnostic-Code: smtp; 550 5.1.1 no\r\n\r\n--b--\r\n"
)


class BrokenEars(Ears):
    """A store that is away."""

    async def receipts(self, batch: Sequence[Receipt]) -> None:
        raise ConnectionError("the database is away")


@contextlib.asynccontextmanager
async def listening(protocol: Literal["lmtp", "smtp"], ears: Ears) -> AsyncIterator[BounceListener]:
    routes = [
        settings(25, name="plain"),
        settings(25, name="other", bounce_domain="bounces.example.com", verp_secret="another secret of it"),
        settings(25, name="mail", bounce_domain="bounces.example.com", verp_secret=SECRET),
    ]
    listener = BounceListener(("127.0.0.1", 0), protocol, routes, ears, lambda: NOW)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()


def hand_in(
    protocol: str, port: int, sender: str, recipients: list[str], message: bytes
) -> dict[str, tuple[int, bytes]]:
    """Deliver as a mail server does; returns the recipients that were refused."""
    client = smtplib.LMTP if protocol == "lmtp" else smtplib.SMTP
    with client("127.0.0.1", port, "mx.example.net", timeout=10) as connection:
        try:
            return connection.sendmail(sender, recipients, message)
        except smtplib.SMTPRecipientsRefused as refused:
            return refused.recipients


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
async def test_a_bounce_becomes_a_receipt(protocol: Literal["lmtp", "smtp"]) -> None:
    ears = Ears()
    async with listening(protocol, ears) as listener:
        address = OURS(2**40 + 5, 3).decode()
        assert await asyncio.to_thread(hand_in, protocol, listener.port, "", [address.upper()], DSN) == {}
    assert ears.taken == [
        Receipt(
            route="mail",
            state=ReceiptState.FAILED,
            code=DeliveryCode.EMAIL_MAILBOX_UNKNOWN,
            at=NOW,
            delivery_id=2**40 + 5,
            attempt=3,
            bounce=True,
            carrier_code="5.1.1",
            carrier_text="550 5.1.1 no",
        )
    ]


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
async def test_only_our_own_addresses_are_taken(protocol: Literal["lmtp", "smtp"]) -> None:
    ears = Ears()
    strangers = [
        "postmaster@bounces.example.com",
        "b-a-1-aaaaaaaaaaaaaaaa@bounces.example.com",
        OURS(1, 1).decode().replace("bounces", "elsewhere"),
    ]
    async with listening(protocol, ears) as listener:
        refused = await asyncio.to_thread(hand_in, protocol, listener.port, "", strangers, DSN)
        assert {answer[0] for answer in refused.values()} == {550}
        assert list(refused) == strangers
    assert ears.taken == []


async def test_several_recipients_at_once() -> None:
    ears = Ears()
    ours = [OURS(number, 1).decode() for number in (1, 2, 3)]
    async with listening("smtp", ears) as listener:
        refused = await asyncio.to_thread(hand_in, "smtp", listener.port, "", [*ours, "x@example.com"], DSN)
        assert list(refused) == ["x@example.com"]
    assert [receipt.delivery_id for receipt in ears.taken] == [1, 2, 3]


async def test_lmtp_answers_for_each_recipient() -> None:
    """RFC 2033 section 4.2; the standard library's client reads one answer only."""
    ears = Ears()
    async with listening("lmtp", ears) as listener:
        reader, writer = await open_data(listener.port, b"LHLO x", OURS(1, 1), OURS(2, 1))
        writer.write(DSN + b".\r\nNOOP\r\n")
        answers = [await reader.readline() for _ in range(3)]
        assert [answer[:3] for answer in answers] == [b"250"] * 3
        writer.close()
    assert [receipt.delivery_id for receipt in ears.taken] == [1, 2]


async def test_what_is_no_bounce_is_taken_and_forgotten() -> None:
    ears = Ears()
    note = b"Subject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.\r\n"
    async with listening("smtp", ears) as listener:
        address = OURS(1, 1).decode()
        assert await asyncio.to_thread(hand_in, "smtp", listener.port, "ann@example.net", [address], note) == {}
        legacy = b"Subject: failure notice\r\n\r\nSorry.\r\n"
        assert await asyncio.to_thread(hand_in, "smtp", listener.port, "ann@example.net", [address], legacy) == {}
        assert ears.taken == []
        assert await asyncio.to_thread(hand_in, "smtp", listener.port, "", [address], legacy) == {}
    assert [receipt.code for receipt in ears.taken] == [DeliveryCode.EMAIL_BOUNCED]


async def test_a_bounce_that_cannot_be_kept_is_not_acknowledged() -> None:
    async with listening("smtp", BrokenEars()) as listener:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            await asyncio.to_thread(hand_in, "smtp", listener.port, "", [OURS(1, 1).decode()], DSN)
        assert refused.value.smtp_code == 451


HOSTILE: list[tuple[str, bytes]] = [
    ("no SMTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300)),
    ("NUL", bytes(5000)),
    ("an endless command", b"EHLO " + b"x" * 200_000),
    ("an endless address", b"LHLO x\r\nEHLO x\r\nMAIL FROM:<" + b"(" * 400 + b">\r\n"),
    ("commands without end", b"NOOP\r\n" * 5000),
    ("out of order", b"DATA\r\nRCPT TO:<x@y>\r\n.\r\n"),
]


@pytest.mark.parametrize("data", [row[1] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
async def test_hostile_clients_hurt_nobody_else(protocol: Literal["lmtp", "smtp"], data: bytes) -> None:
    ears = Ears()
    async with listening(protocol, ears) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(data)
        await reader.readline()
        assert await asyncio.to_thread(hand_in, protocol, listener.port, "", [OURS(1, 1).decode()], DSN) == {}
        writer.close()
    assert len(ears.taken) == 1


async def open_data(port: int, hello: bytes, *recipients: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Come as far as the answer to DATA."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    commands = [b"MAIL FROM:<>", *(b"RCPT TO:<%b>" % recipient for recipient in recipients), b"DATA"]
    await reader.readline()
    for command in [hello, *commands]:
        writer.write(command + b"\r\n")
        while (answer := await reader.readline())[3:4] == b"-":
            pass
        assert answer[:1] in b"23", answer
    return reader, writer


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Wait for the end of the stream."""
    try:
        async with asyncio.timeout(5):
            return await reader.readline() == b""
    except ConnectionError:
        return True


async def test_a_message_beyond_the_limit_is_refused() -> None:
    ears = Ears()
    async with listening("smtp", ears) as listener:
        reader, writer = await open_data(listener.port, b"HELO x", OURS(1, 1))
        writer.write(b"Subject: failure notice\r\n\r\n" + (b"y" * 990 + b"\r\n") * 2400 + b".\r\n")
        assert (await reader.readline()).startswith(b"552")
        writer.close()
    assert ears.taken == []


async def test_many_messages_within_the_limit_on_one_connection() -> None:
    ears = Ears()

    def hand_in_all(port: int) -> None:
        padding = b"X-Padding: " + b"x" * 900 + b"\r\n"
        with smtplib.SMTP("127.0.0.1", port, "mx.example.net", timeout=10) as connection:
            for number in range(1, 6):
                connection.sendmail("", [OURS(number, 1).decode()], DSN + padding * 1100)

    async with listening("smtp", ears) as listener:
        await asyncio.to_thread(hand_in_all, listener.port)
    assert [receipt.delivery_id for receipt in ears.taken] == [1, 2, 3, 4, 5]


async def test_only_so_many_recipients_at_once() -> None:
    async with listening("lmtp", Ears()) as listener:
        ours = [OURS(number, 1) for number in range(1, 101)]
        reader, writer = await open_data(listener.port, b"LHLO x", *ours)
        writer.write(b".\r\nMAIL FROM:<>\r\n" + b"".join(b"RCPT TO:<%b>\r\n" % each for each in [*ours, ours[0]]))
        answers = [(await reader.readline())[:3] for _ in range(202)]
        assert answers == [b"250"] * 201 + [b"452"]
        writer.close()


async def test_a_message_without_end_is_cut_off() -> None:
    async with listening("smtp", Ears()) as listener:
        reader, writer = await open_data(listener.port, b"HELO x", OURS(1, 1))
        with contextlib.suppress(ConnectionError):
            for _ in range(200):  # no line end at all: it must not be collected for ever
                writer.write(b"x" * 65536)
                await writer.drain()
        assert await is_closed(reader)
        writer.close()


async def test_only_so_many_connections_at_once() -> None:
    async with listening("smtp", Ears()) as listener:
        clients = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(100)]
        for reader, _ in clients:
            assert (await reader.readline()).startswith(b"220")
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        assert await is_closed(reader)
        writer.close()
        clients[0][1].close()
        async with asyncio.timeout(5):
            greeting = b""
            while not greeting:  # the server hears of the closed one in its own time
                reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
                with contextlib.suppress(ConnectionError):
                    greeting = await reader.readline()
                writer.close()
        for _, each in clients:
            each.close()


async def test_listeners_that_all_ask_for_it_share_a_port_and_the_kernel_spreads_the_mail_servers() -> None:
    listeners = [BounceListener(("127.0.0.1", 0), "lmtp", [], Ears(), lambda: NOW)]
    await listeners[0].start(reuse_port=True)
    port = listeners[0].port
    listeners.append(BounceListener(("127.0.0.1", port), "lmtp", [], Ears(), lambda: NOW))
    await listeners[1].start(reuse_port=True)
    with pytest.raises(OSError, match="in use"):
        await BounceListener(("127.0.0.1", port), "lmtp", [], Ears(), lambda: NOW).start()
    clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
    for reader, _ in clients:
        assert (await reader.readline()).startswith(b"220 ")
    await listeners[0].stop()
    answered = 0
    for reader, writer in clients:
        with contextlib.suppress(ConnectionError):
            writer.write(b"NOOP\r\n")
            answered += (await reader.readline()).startswith(b"250 ")
        writer.close()
    await listeners[1].stop()
    assert 0 < answered < len(clients)


async def test_a_port_that_is_in_use_is_refused() -> None:
    one = BounceListener(("127.0.0.1", 0), "lmtp", [], Ears(), lambda: NOW)
    await one.start()
    for reuse_port in (False, True):
        other = BounceListener(("127.0.0.1", one.port), "lmtp", [], Ears(), lambda: NOW)
        with pytest.raises(OSError, match="in use"):
            await other.start(reuse_port=reuse_port)
    await one.stop()


async def test_stop_leaves_nothing_open() -> None:
    listener = BounceListener(("127.0.0.1", 0), "lmtp", [], Ears(), lambda: NOW)
    await listener.stop()
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    await reader.readline()
    async with asyncio.timeout(2):
        await listener.stop()
    assert await is_closed(reader)
    writer.close()
