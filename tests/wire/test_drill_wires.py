"""The drill's own sockets: a customer that asks again elsewhere, and a way to the database that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from campana.domain.delivery import Medium
from campana.sandbox.drill_client import Credentials, Customer, Refused, together
from campana.sandbox.drill_proxy import Place, Proxy
from campana.sandbox.drill_soap import guids_of, standings_of

Answer = Callable[[asyncio.StreamWriter], None]


def says(operation: str, body: str, header: str = "") -> Answer:
    """Answer 200."""
    answer = f"<e><{operation}Response>{body}</{operation}Response></e>".encode()
    head = f"HTTP/1.1 200 OK\r\n{header}Content-Length: {len(answer)}\r\n\r\n".encode()
    return lambda writer: writer.write(head + answer)


def code(number: int) -> Answer:
    header = f"X-Campana-Error: {number} Name; sentence\r\n" if number else ""
    return says("AddCampaignContact", f"<AddCampaignContactResult>{number}</AddCampaignContactResult>", header)


def hangs_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def breaks_off(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<e>")
    writer.close()


def fails(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")


@asynccontextmanager
async def server(*answers: Answer) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that answers so, one request after the other, whatever the connection; its port and what was asked."""
    waiting, asked = list(answers), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while waiting:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                asked.append(await reader.readexactly(length))
                waiting.pop(0)(writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], asked


@pytest.mark.parametrize("trouble", [hangs_up, breaks_off, fails, code(90)])
async def test_what_is_not_answered_is_asked_again_elsewhere_with_the_same_id(trouble: Answer) -> None:
    async with server(trouble) as (one, asked_there), server(code(21), code(0)) as (other, asked_here):
        customer = Customer([one, other])
        await customer.load([(7, "campaign", [Medium.SMS])], rate=1_000)
    assert customer.acknowledged == {7}
    assert customer.repeated == 1
    assert asked_there == asked_here
    assert b"00000000-0000-4000-8000-000000000007" in asked_here[0]


async def test_a_server_that_is_not_there_is_passed_over() -> None:
    async with server(code(0)) as (gone, _):
        pass
    async with server(code(0)) as (port, _):
        customer = Customer([gone, port])
        await customer.load([(7, "campaign", Medium)], rate=1_000)
    assert customer.acknowledged == {7}


async def test_an_answer_that_should_not_be_ends_the_drill() -> None:
    async with server(*[code(22)] * 3) as (port, _):
        with pytest.raises(Refused, match="AddCampaignContact answered 22"):
            await Customer([port]).load([(number, "campaign", Medium) for number in range(3)], rate=1_000)
    async with server(says("OpenAPISession", "<Description>wrong</Description>")) as (port, _):
        with pytest.raises(Refused, match="the log-in was refused: wrong"):
            await Customer([port]).log_in(Credentials("a", "u", "p"))


async def test_what_goes_wrong_with_one_ends_all() -> None:
    ended = asyncio.Event()

    async def goes_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def goes_wrong() -> None:
        await asyncio.sleep(0)
        raise Refused("no")

    with pytest.raises(Refused):
        await together(goes_on(), goes_wrong())
    assert ended.is_set()


def test_answers_are_read_by_name() -> None:
    info = "<{0}><Destination>{1}</Destination><LastDeliveryErrorCode>{2}</LastDeliveryErrorCode>"
    info += "<RetryCount>3</RetryCount><StatusCode>{3}</StatusCode></{0}>"
    infos = info.format("EmailCommInfo", "a@b", 106, 5) + "<Id>00000000-0000-4000-8000-000000000012</Id>"
    infos += info.format("SMSCommInfo", "+1", 0, 4) + info.format("VoiceCommInfo", "", 0, 0)
    contact = f"<OutboundNotificationContactInfo>{infos}</OutboundNotificationContactInfo>"
    told = standings_of(f'<e xmlns="urn:x">{contact}</e>'.encode())
    assert {medium: one[12] for medium, one in told.items()} == {
        Medium.EMAIL: ("a@b", 5, 106, 3),
        Medium.SMS: ("+1", 4, 0, 3),
        Medium.VOICE: ("", 0, 0, 3),
    }
    assert guids_of(b'<e xmlns="urn:x"><guid>1</guid><guid>2</guid></e>') == ["1", "2"]


# --- the way to the database -------------------------------------------------------------------------------------


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(100):
        writer.write(piece)
    writer.close()


async def test_a_proxy_hands_on_until_it_is_cut(tmp_path: Path) -> None:
    folder = str(tmp_path)
    async with (
        await asyncio.start_unix_server(echo, f"{folder}/.s.PGSQL.5432"),
        Proxy([Place("127.0.0.1", 1), Place(folder, 5432)]) as proxy,
    ):
        ways = [await asyncio.open_connection("127.0.0.1", proxy.port) for _ in range(3)]
        for reader, writer in ways:
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
        for _, writer in ways:
            writer.write(b"x" * 1_000_000)
        assert proxy.cut() == 3
        for reader, writer in ways:
            with pytest.raises((ConnectionError, EOFError)):
                await reader.readexactly(1_000_000)
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        writer.close()


async def test_a_proxy_hangs_up_where_nobody_answers() -> None:
    async with Proxy([Place("127.0.0.1", 1)]) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        with pytest.raises((ConnectionError, EOFError)):
            await reader.readexactly(1)
        writer.close()
