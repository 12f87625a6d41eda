"""The sandbox SMSC against smpplib's client: an implementation that knows nothing of ours."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from smpp_judge import make, parse, read_pdu
from smpplib import consts, exceptions, gsm
from smpplib.client import Client

from campana.sandbox.magic_sms import FATES, MAGIC_NUMBERS
from campana.sandbox.smsc import SmscSimulator, serve_smsc

PHONE = "14165550123"
GREETING = "Your table is booked for 19:30."


class Phone:
    """A smpplib client, used from a thread: what it hears, and how it waits for it."""

    def __init__(self, port: int, bind: str = "transceiver", system_id: str = "id", password: str = "secret") -> None:
        self.client = Client("127.0.0.1", port, timeout=5, allow_unknown_opt_params=True)
        self.answers: list = []
        self.deliveries: list = []
        self.queries: list = []
        self.order: list[str] = []
        self.client.set_message_sent_handler(lambda pdu: self._note("answer", self.answers, pdu))
        self.client.set_message_received_handler(lambda pdu: self._note("delivery", self.deliveries, pdu))
        self.client.set_query_resp_handler(lambda pdu: self._note("query", self.queries, pdu))
        self.client.set_error_pdu_handler(lambda pdu: None)
        self.client.connect()
        try:
            getattr(self.client, f"bind_{bind}")(system_id=system_id, password=password)
        except exceptions.PDUError:
            self.client.disconnect()
            raise

    def _note(self, kind: str, where: list, pdu) -> None:
        self.order.append(kind)
        where.append(pdu)

    def send(self, destination: str = PHONE, text: bytes = GREETING.encode(), **more):
        fields = {
            "source_addr_ton": 1,
            "source_addr_npi": 1,
            "source_addr": "14165550000",
            "dest_addr_ton": 1,
            "dest_addr_npi": 1,
            "destination_addr": destination,
            "short_message": text,
            "registered_delivery": True,
        }
        return self.client.send_message(**(fields | more))

    def until(self, met: Callable[[], bool]) -> None:
        while not met():
            self.client.read_once(auto_send_enquire_link=False)


@contextmanager
def phone(port: int, *args) -> Iterator[Phone]:
    phone = Phone(port, *args)
    try:
        yield phone
    finally:
        phone.client.disconnect()


async def scene(smsc: SmscSimulator, play: Callable[[Phone], object], *args) -> object:
    """Play a scene with a smpplib client in a thread."""

    def act():
        with phone(smsc.port, *args) as who:
            return play(who)

    async with asyncio.timeout(10):
        return await asyncio.to_thread(act)


async def test_a_message_is_taken_answered_and_told_delivered():
    async with SmscSimulator(receipt_delay=0.01) as smsc:

        def play(who):
            who.send()
            who.until(lambda: who.answers and who.deliveries)
            return who.answers[0].message_id.decode(), who.deliveries[0]

        message_id, receipt = await scene(smsc, play)
        (message,) = smsc.messages
        assert (message.source, message.destination, message.text) == ("+14165550000", f"+{PHONE}", GREETING)
        assert message.ids == (message_id,)
        assert receipt.esm_class == 0x04
        assert receipt.short_message.decode().startswith(f"id:{message_id} sub:001 dlvrd:001 submit date:")
        assert b" stat:DELIVRD err:000 " in receipt.short_message
        assert (receipt.source_addr, receipt.destination_addr) == (PHONE.encode(), b"14165550000")


@pytest.mark.parametrize("text", ["x" * 400, "Привет " * 40], ids=["GSM", "UCS-2"])
async def test_a_long_text_in_parts_reaches_the_phone_whole(text):
    parts, encoding, esm_class = gsm.make_parts(text)

    def play(who):
        for part in reversed(parts):
            who.send(text=part, data_coding=encoding, esm_class=esm_class)
        who.until(lambda: len(who.answers) == len(parts))

    async with SmscSimulator() as smsc:
        await scene(smsc, play)
        received = await smsc.expect(f"+{PHONE}")
        assert (received.text, received.parts) == (text, len(parts))
        assert smsc.counts == {f"+{PHONE}": len(parts)}


async def test_a_text_in_message_payload_reaches_the_phone_whole():
    def play(who):
        who.send(text=None, message_payload=b"x" * 500)
        who.until(lambda: who.answers)

    async with SmscSimulator() as smsc:
        await scene(smsc, play)
        assert (await smsc.expect(f"+{PHONE}")).text == "x" * 500


async def test_receipts_come_only_where_asked_for():
    def play(who):
        who.send(registered_delivery=False)
        who.send(PHONE[:-1] + "4")
        who.until(lambda: len(who.answers) == 2 and who.deliveries)
        return [pdu.source_addr for pdu in who.deliveries]

    async with SmscSimulator(receipt_delay=0.01) as smsc:
        assert await scene(smsc, play) == [b"14165550124"]


async def test_a_transmitters_receipts_wait_for_the_accounts_receiver():
    async with SmscSimulator(receipt_delay=0.0) as smsc:

        def send(who):
            who.send()
            who.until(lambda: who.answers)
            return who.answers[0].message_id

        def hear(who):
            who.until(lambda: who.deliveries)
            return who.deliveries[0].short_message

        message_id = await scene(smsc, send, "transmitter")
        assert (await scene(smsc, hear, "receiver")).startswith(b"id:" + message_id)


async def test_what_was_not_acknowledged_is_delivered_again():
    async with SmscSimulator(receipt_delay=0.0) as smsc:

        def leave_without_a_word(who):
            who.send()
            first = who.client.read_pdu()
            return {first.command, who.client.read_pdu().command}

        def hear(who):
            who.until(lambda: who.deliveries)

        assert await scene(smsc, leave_without_a_word) == {"submit_sm_resp", "deliver_sm"}
        await scene(smsc, hear)


BINDS = [
    ("unknown", {"id": "secret"}, "stranger", "secret", 0, consts.SMPP_ESME_RINVSYSID),
    ("wrong password", {"id": "secret"}, "id", "guess", 0, consts.SMPP_ESME_RINVPASWD),
    ("refused by order", None, "id", "secret", consts.SMPP_ESME_RBINDFAIL, consts.SMPP_ESME_RBINDFAIL),
]


@pytest.mark.parametrize(
    ("accounts", "who", "password", "order", "status"), [r[1:] for r in BINDS], ids=[r[0] for r in BINDS]
)
async def test_binds_are_refused(accounts, who, password, order, status):
    async with SmscSimulator(accounts=accounts, refuse_binds=order) as smsc:
        with pytest.raises(exceptions.PDUError) as caught:
            await scene(smsc, lambda _: None, "transceiver", who, password)
        assert caught.value.args[1] == status


async def test_known_accounts_bind():
    async with SmscSimulator(accounts={"id": "secret"}) as smsc:
        await scene(smsc, lambda who: who.client.unbind())


async def test_a_query_tells_the_state():
    async with SmscSimulator(receipt_delay=0.0) as smsc:

        def play(who):
            who.send("14165550180")
            who.until(lambda: who.deliveries)
            message_id = who.answers[0].message_id.decode()
            for asked in (message_id, "stranger"):
                who.client.query_message(
                    message_id=asked, source_addr_ton=1, source_addr_npi=1, source_addr="14165550000"
                )
            who.until(lambda: len(who.queries) == 2)
            return [(pdu.status, pdu.message_state) for pdu in who.queries]

        assert await scene(smsc, play) == [(0, 5), (0x67, 0)]


async def test_a_persons_message_is_delivered_and_its_answer_told():
    async with SmscSimulator() as smsc:

        def play(who):
            who.until(lambda: len(who.deliveries) == 3)
            return who.deliveries

        playing = asyncio.ensure_future(scene(smsc, play))
        assert await smsc.send_mo("+14165550123", "12345", "STOP") == [0]
        assert await smsc.send_mo("+14165550123", "12345", "ж" * 100) == [0, 0]
        first, *rest = await playing
        assert (first.source_addr, first.destination_addr, first.short_message) == (PHONE.encode(), b"12345", b"STOP")
        assert [pdu.short_message[:3] for pdu in rest] == [b"\x05\x00\x03"] * 2
        assert b"".join(pdu.short_message[6:] for pdu in rest).decode("utf-16-be") == "ж" * 100


async def test_beyond_the_rate_messages_are_throttled():
    async with SmscSimulator(rate=3) as smsc:

        def play(who):
            statuses = []
            for _ in range(20):
                who.send()
                statuses.append(who.client.read_pdu().status)
            return statuses

        statuses = await scene(smsc, play)
        assert statuses[0] == 0
        assert set(statuses) == {0, consts.SMPP_ESME_RTHROTTLED}
        assert statuses.count(0) <= 6


async def test_latency_delays_the_answer():
    async with SmscSimulator(latency=0.1, receipts=False) as smsc:

        def play(who):
            who.send()
            who.until(lambda: who.answers)

        loop = asyncio.get_running_loop()
        began = loop.time()
        await scene(smsc, play)
        assert loop.time() - began >= 0.1


async def test_the_phone_waits_for_its_message_and_says_when_none_came():
    async with SmscSimulator() as smsc:

        def play(who):
            who.send("14165550101", b"one")
            who.send("14165550102", b"two")
            who.send("14165550101", b"three")
            who.until(lambda: len(who.answers) == 3)

        waiting = asyncio.ensure_future(smsc.expect("+14165550102"))
        await scene(smsc, play)
        assert (await waiting).text == "two"
        assert [(await smsc.expect("+14165550101")).text for _ in range(2)] == ["one", "three"]
        assert smsc.phones.unexpected == []
        with pytest.raises(TimeoutError, match="no message to"):
            await smsc.expect("+14165550101", within=0.01)


async def test_the_journal_has_a_line_a_part_without_its_text(tmp_path):
    journal = tmp_path / "journal.jsonl"
    parts, encoding, esm_class = gsm.make_parts("x" * 200)
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve_smsc("127.0.0.1", 0, journal, ready.set_result, keep=0))

    def act(port):
        with phone(port) as who:
            who.send(text=b"hello")
            for part in parts:
                who.send(PHONE[:-1] + "4", part, esm_class=esm_class, data_coding=encoding)
            who.until(lambda: len(who.answers) == 3)
            return [pdu.message_id.decode() for pdu in who.answers]

    ids = await asyncio.to_thread(act, await ready)
    # The answers promise the lines: no need to wait for them.
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line["id"] for line in lines] == ids
    assert [line["destination"] for line in lines] == [f"+{PHONE}", "+14165550124", "+14165550124"]
    assert [(line["part"], line["parts"]) for line in lines] == [(1, 1), (1, 2), (2, 2)]
    assert all(line["since"] <= line["at"] for line in lines)
    assert "hello" not in journal.read_text()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_the_journal_counts_what_waits_for_an_answer(tmp_path):
    """On the message's connection, on all, and how many are bound; what a lost connection waited for is forgotten."""
    journal = tmp_path / "journal.jsonl"
    async with SmscSimulator(journal=journal, keep=0, latency=60) as smsc:

        def until_owed(count):
            deadline = time.monotonic() + 5
            while smsc.owed != count:
                assert time.monotonic() < deadline
                time.sleep(0.001)

        def act():
            with phone(smsc.port) as two:
                with phone(smsc.port) as one:
                    for who, owed in ((one, 1), (one, 2), (two, 3)):
                        who.send(text=b"hello")
                        until_owed(owed)
                until_owed(1)
                smsc.latency = 0
                two.send(text=b"hello")
                two.until(lambda: two.answers)
                assert smsc.owed == 1

        await asyncio.to_thread(act)
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [(line["unanswered"], line["unanswered_in_all"], line["connections"]) for line in lines] == [
        (1, 1, 2),
        (2, 2, 2),
        (1, 3, 2),
        (2, 2, 1),
    ]


async def test_only_the_latest_messages_are_kept():
    async with SmscSimulator(keep=2) as smsc:

        def play(who):
            for number in range(5):
                who.send(text=b"%d" % number)
            who.until(lambda: len(who.answers) == 5)

        await scene(smsc, play)
        assert [message.text for message in smsc.messages] == ["3", "4"]
        assert smsc.accepted == 5


async def test_a_sink_takes_and_counts_and_keeps_nothing():
    async with SmscSimulator(magic=False, receipts=False, keep=0) as smsc:

        def play(who):
            for _ in range(5):
                who.send("14165550189")
            who.until(lambda: len(who.answers) == 5)
            return len({pdu.message_id for pdu in who.answers})

        assert await scene(smsc, play) == 5
        assert (smsc.accepted, len(smsc.messages), smsc.counts) == (5, 0, {})


# --- peers that break the protocol -------------------------------------------------------------------------------


async def connected(smsc, *requests):
    """Send raw PDUs; the answers, as smpplib understands them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", smsc.port)
    writer.write(b"".join(requests))
    writer.write_eof()
    async with asyncio.timeout(5):
        raw = await reader.read()
    writer.close()
    answers = []
    while raw:
        length = int.from_bytes(raw[:4], "big")
        answers.append(parse(raw[:length]))
        raw = raw[length:]
    return [(answer.command, answer.sequence, answer.status) for answer in answers]


BIND = make("bind_transceiver", 1, system_id="id", password="secret")
SUBMIT = make("submit_sm", 2, source_addr="1", destination_addr=PHONE, short_message=b"x")
RECEIVER = make("bind_receiver", 1, system_id="id", password="secret")
HOSTILE = [
    ("before the bind", [SUBMIT], [("submit_sm_resp", 2, 0x04)]),
    ("on a receiver", [RECEIVER, SUBMIT], [("bind_receiver_resp", 1, 0), ("submit_sm_resp", 2, 0x04)]),
    ("bound twice", [BIND, BIND], [("bind_transceiver_resp", 1, 0), ("bind_transceiver_resp", 1, 0x05)]),
    (
        "cut off",
        [BIND, (len(SUBMIT) - 1).to_bytes(4, "big") + SUBMIT[4:-1]],
        [("bind_transceiver_resp", 1, 0), ("submit_sm_resp", 2, 0x01)],
    ),
    ("a command nobody knows", [b"\0\0\0\x10\0\0\x77\x77" + bytes(7) + b"\x05"], [("generic_nack", 5, 0x03)]),
    ("garbage", [b"GET / HTTP/1.1\r\n\r\n"], [("generic_nack", int.from_bytes(b".1\r\n", "big"), 0x02)]),
]


@pytest.mark.parametrize(("requests", "answers"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
async def test_a_client_that_breaks_the_protocol_is_told(requests, answers):
    async with SmscSimulator() as smsc:
        assert await connected(smsc, *requests) == answers


async def test_a_silent_simulator_answers_nothing_until_it_speaks_again():
    async with SmscSimulator(silent=True) as smsc:
        reader, writer = await asyncio.open_connection("127.0.0.1", smsc.port)
        writer.write(make("enquire_link", 1))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read(1)
        smsc.silent = False
        writer.write(make("enquire_link", 2))
        async with asyncio.timeout(5):
            assert (await read_pdu(reader)).sequence == 2
        writer.close()


# --- the table ---------------------------------------------------------------------------------------------------


def test_the_table_of_magic_numbers_names_every_fate_once():
    assert [row.pattern for row in MAGIC_NUMBERS] == [f"+1 NPA 555 01{fate.digits}" for fate in FATES]
    assert [fate.digits for fate in FATES[1:]] == [str(number) for number in range(80, 100)]
    assert all(row.meaning and row.shows for row in MAGIC_NUMBERS)
