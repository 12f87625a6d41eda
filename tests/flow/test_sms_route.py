"""The SMS route against the sandbox SMSC over a real socket: every fate of its table, and what is told of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from campana.channels.contract import Accepted, Content, IncomingMessage
from campana.channels.errors import RefusedForGood, RefusedForNow, Throttled, Uncertain, Unreachable
from campana.channels.sms import SmsRoute, SmsRouteSettings
from campana.domain.delivery import Medium
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState
from campana.sandbox.smsc import SmscSimulator

SOURCE = "+14165550000"
SOON = 5.0
C, DELIVERED, FAILED, INTERIM = DeliveryCode, ReceiptState.DELIVERED, ReceiptState.FAILED, ReceiptState.INTERIM


class Engine:
    """What the engine is to a route: it sends, and hears late news."""

    def __init__(self, smsc: SmscSimulator, **more) -> None:
        values = {
            "name": "sandbox",
            "url": f"smpp://demo:demo@127.0.0.1:{smsc.port}",
            "response_timeout": 2.0,
            "reconnect_min": 0.02,
            "reconnect_max": 0.05,
        }
        self.route = SmsRoute(SmsRouteSettings(**(values | more)), lambda: time.time_ns() // 1_000_000)
        self.news: list[Receipt] = []
        self.messages: list[IncomingMessage] = []
        self._changed = asyncio.Event()

    async def receipts(self, batch: Sequence[Receipt]) -> None:
        self.news += batch
        self._changed.set()

    async def message(self, message: IncomingMessage) -> None:
        self.messages.append(message)
        self._changed.set()

    def route_changed(self, name: str) -> None:
        self._changed.set()

    async def until(self, met) -> None:
        async with asyncio.timeout(SOON):
            while not met():
                self._changed.clear()
                await self._changed.wait()

    async def send(self, *destinations: str, text: str = "Your table is booked.") -> list:
        compose = self.route.composer(Content(Medium.SMS, SOURCE, text))
        parcels = [compose(n, 1, destination, None) for n, destination in enumerate(destinations)]
        async with asyncio.timeout(SOON):
            return await self.route.send(parcels, lambda: True)

    async def states(self, count: int) -> list[tuple[ReceiptState, DeliveryCode]]:
        """Wait for `count` receipts and say what they say."""
        await self.until(lambda: len(self.news) >= count)
        return [(receipt.state, receipt.code) for receipt in self.news]


@asynccontextmanager
async def sandbox(options: dict | None = None, **more) -> AsyncIterator[tuple[SmscSimulator, Engine]]:
    async with SmscSimulator(**({"receipt_delay": 0.01} | (options or {}))) as smsc:
        engine = Engine(smsc, **more)
        await engine.route.start(engine)
        try:
            yield smsc, engine
        finally:
            await engine.route.stop(1.0)


def magic(digits: str) -> str:
    return f"+1416555{'01' + digits}"


# --- fates -------------------------------------------------------------------------------------------------------

TOLD = [
    ("00", [(DELIVERED, C.OK)]),
    ("79", [(DELIVERED, C.OK)]),
    ("80", [(FAILED, C.SMS_UNDELIVERABLE)]),
    ("81", [(FAILED, C.SMS_EXPIRED)]),
    ("82", [(FAILED, C.SMS_REJECTED)]),
    ("83", [(FAILED, C.SMS_DELETED)]),
    ("84", [(FAILED, C.SMS_UNKNOWN_FATE)]),
    ("93", [(DELIVERED, C.OK)]),
    ("94", [(DELIVERED, C.OK), (DELIVERED, C.OK)]),
    ("95", [(DELIVERED, C.OK), (INTERIM, C.OK)]),
    ("99", [(DELIVERED, C.OK)]),
]


@pytest.mark.parametrize(("digits", "told"), TOLD, ids=[row[0] for row in TOLD])
async def test_an_accepted_message_and_its_receipts(digits, told):
    async with sandbox() as (smsc, engine):
        (result,) = await engine.send(magic(digits))
        assert isinstance(result, Accepted)
        assert await engine.states(len(told)) == told
        assert {receipt.carrier_ids for receipt in engine.news} == {result.carrier_ids}
        assert (await smsc.expect(magic(digits))).ids == result.carrier_ids


async def test_an_early_receipt_is_told_before_the_answer_settles_the_message():
    async with sandbox({"latency": 0.1}) as (_, engine):
        sending = asyncio.ensure_future(engine.send(magic("93")))
        await engine.states(1)
        assert not sending.done()
        (result,) = await sending
        assert engine.news[0].carrier_ids == result.carrier_ids


LOST = [("85", DELIVERED), ("86", INTERIM)]


@pytest.mark.parametrize(("digits", "state"), LOST)
async def test_a_message_without_a_receipt_can_be_asked_for(digits, state):
    async with sandbox({"receipt_delay": 0.0}) as (_, engine):
        results = await engine.send(magic(digits), magic("00"))
        # The other one's receipt shows that this one's would have come by now.
        await engine.states(1)
        assert engine.news[0].carrier_ids == results[1].carrier_ids
        (carrier_id,) = results[0].carrier_ids
        receipt = await engine.route.query(carrier_id, SOURCE, magic(digits))
        assert (receipt.state, receipt.carrier_ids) == (state, (carrier_id,))
        assert len(engine.news) == 1


async def test_a_message_that_nobody_knows_cannot_be_asked_for():
    async with sandbox() as (_, engine):
        await engine.send(magic("00"))
        assert await engine.route.query("4711", SOURCE, magic("00")) is None


REFUSED = [
    ("88", Throttled, C.SMS_THROTTLED),
    ("89", RefusedForGood, C.SMS_INVALID_DESTINATION),
    ("91", RefusedForGood, C.SMS_REFUSED),
]


@pytest.mark.parametrize(("digits", "kind", "code"), REFUSED)
async def test_a_refused_message(digits, kind, code):
    async with sandbox() as (smsc, engine):
        for _ in range(2):
            (result,) = await engine.send(magic(digits))
            assert (type(result), result.code) == (kind, code)
        assert (await engine.send(magic("00")))[0].carrier_ids
        assert magic(digits) not in smsc.counts


REFUSED_AT_FIRST = [("87", Throttled, 3), ("90", RefusedForNow, 1), ("92", Throttled, 1)]


@pytest.mark.parametrize(("digits", "kind", "times"), REFUSED_AT_FIRST)
async def test_a_message_refused_at_first_is_taken_when_it_goes_again(digits, kind, times):
    async with sandbox() as (smsc, engine):
        kinds = [type((await engine.send(magic(digits)))[0]) for _ in range(times + 1)]
        assert kinds == [kind] * times + [Accepted]
        assert (await smsc.expect(magic(digits))).text == "Your table is booked."


async def test_a_connection_cut_instead_of_an_answer_leaves_the_message_uncertain_once():
    async with sandbox() as (smsc, engine):
        (result,) = await engine.send(magic("96"))
        assert isinstance(result, Uncertain)
        (result,) = await engine.send(magic("96"))
        assert isinstance(result, Accepted)
        assert smsc.counts[magic("96")] == 1


async def test_a_message_that_is_never_answered_is_uncertain_though_the_phone_has_it():
    async with sandbox(response_timeout=0.2) as (smsc, engine):
        results = await engine.send(magic("97"), magic("00"))
        assert [type(result) for result in results] == [Uncertain, Accepted]
        assert (await smsc.expect(magic("97"))).text == "Your table is booked."


async def test_an_id_in_hexadecimal_is_matched_where_the_route_says_so():
    async with sandbox(receipt_ids="hex") as (_, engine):
        (result,) = await engine.send(magic("98"))
        await engine.states(1)
        assert result.carrier_ids[0] in engine.news[0].carrier_ids
        assert engine.news[0].carrier_ids[0] == f"{int(result.carrier_ids[0]):x}"


async def test_an_id_in_hexadecimal_is_a_stranger_elsewhere():
    async with sandbox() as (_, engine):
        (result,) = await engine.send(magic("98"))
        await engine.states(1)
        assert result.carrier_ids[0] not in engine.news[0].carrier_ids


async def test_without_magic_every_number_is_delivered():
    async with sandbox({"magic": False}) as (_, engine):
        results = await engine.send(*(magic(str(digits)) for digits in range(80, 100)))
        assert {type(result) for result in results} == {Accepted}
        assert await engine.states(20) == [(DELIVERED, C.OK)] * 20


# --- campaigns ---------------------------------------------------------------------------------------------------

TEXTS = [
    ("one part", "Hello", {}, 1),
    ("GSM parts", "x" * 400, {}, 3),
    ("UCS-2 parts", "Привет 👋 " * 20, {}, 3),
    ("16-bit references", "x" * 400, {"long_text": "udh16"}, 3),
    ("message_payload", "x" * 400, {"long_text": "payload"}, 1),
    ("extension characters at the seams", "€" * 200, {}, 3),
]


@pytest.mark.parametrize(("text", "more", "parts"), [row[1:] for row in TEXTS], ids=[row[0] for row in TEXTS])
async def test_a_text_reaches_the_phone_as_it_was(text, more, parts):
    async with sandbox(**more) as (smsc, engine):
        (result,) = await engine.send(magic("00"), text=text)
        received = await smsc.expect(magic("00"))
        assert (received.text, received.source, received.parts) == (text, SOURCE, parts)
        assert received.ids == result.carrier_ids
        await engine.states(parts)
        assert {receipt.carrier_ids[0] for receipt in engine.news} == set(result.carrier_ids)


@pytest.mark.parametrize("more", [{}, {"bind": "pair"}, {"binds": 3}, {"window": 1}], ids=str)
async def test_a_campaign_balances_however_the_route_is_bound(more):
    destinations = [f"+1416556{n:04d}" for n in range(300)]
    async with sandbox({"receipt_delay": 0.0}, **more) as (smsc, engine):
        results = await engine.send(*destinations)
        await engine.states(300)
        assert smsc.counts == dict.fromkeys(destinations, 1)
        ids = [result.carrier_ids for result in results]
        assert sorted(receipt.carrier_ids for receipt in engine.news) == sorted(ids)


async def test_several_chunks_share_a_route():
    async with sandbox(window=7) as (smsc, engine):
        chunks = [[f"+14165{chunk:02d}{n:04d}" for n in range(60)] for chunk in range(5)]
        answers = await asyncio.gather(*(engine.send(*chunk) for chunk in chunks))
        assert {type(result) for results in answers for result in results} == {Accepted}
        assert smsc.accepted == 300


async def test_nothing_is_lost_or_doubled_when_the_smsc_cuts_connections():
    numbers = [f"+1416557{n:04d}" for n in range(400)]
    cuts = {37, 90, 91, 200, 333}

    def cut(_):
        if len(smsc.messages) in cuts:
            smsc.disconnect_all()

    async with sandbox({"receipt_delay": 0.0, "on_message": cut}) as (smsc, engine):
        waiting, uncertain = numbers, set()
        async with asyncio.timeout(SOON):
            while waiting:
                results = dict(zip(waiting, await engine.send(*waiting), strict=True))
                uncertain |= {number for number in waiting if isinstance(results[number], Uncertain)}
                waiting = [number for number in waiting if not isinstance(results[number], Accepted | Uncertain)]
        # Each number was taken once; an uncertain one was taken once or not at all.
        assert uncertain
        assert set(smsc.counts.values()) == {1}
        assert set(numbers) - set(smsc.counts) <= uncertain
        # Every receipt comes in the end: what was not acknowledged is delivered again.
        await engine.until(lambda: len({receipt.carrier_ids for receipt in engine.news}) == smsc.accepted)


async def test_the_route_comes_back_when_the_smsc_does():
    async with sandbox() as (smsc, engine):
        await engine.send(magic("00"))
        smsc.refuse_binds = 0x0D
        smsc.disconnect_all()
        await engine.until(lambda: "ESME_RBINDFAIL" in engine.route.state.reason)
        smsc.refuse_binds = 0
        await engine.until(lambda: engine.route.state.health.value == "up")
        assert [type(result) for result in await engine.send(magic("01"))] == [Accepted]


async def test_a_dead_smsc_is_found_out():
    async with sandbox(enquire_link=0.05, response_timeout=0.1) as (smsc, engine):
        await engine.send(magic("00"))
        smsc.silent = True
        await engine.until(lambda: engine.route.state.reason == "The SMSC stopped answering.")


async def test_a_rate_of_the_smscs_is_told_as_throttling():
    async with sandbox({"rate": 20, "receipts": False}) as (smsc, engine):
        results = await engine.send(*(f"+1416558{n:04d}" for n in range(60)))
        kinds = [type(result) for result in results]
        assert set(kinds) == {Accepted, Throttled}
        assert kinds.count(Accepted) == smsc.accepted


# --- several processes -------------------------------------------------------------------------------------------


class WatchedSmsc(SmscSimulator):
    """One that tests can wait at until clients have gone or messages have come."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        super().__init__(receipt_delay=0.0, latency=0.002, on_message=lambda _: self._changed.set())

    def went(self, link) -> None:
        super().went(link)
        self._changed.set()

    async def until(self, met) -> None:
        async with asyncio.timeout(SOON):
            while not met():
                self._changed.clear()
                await self._changed.wait()


def allow(engines: list[Engine], shares: Sequence[int]) -> None:
    for engine, share in zip(engines, shares, strict=True):
        engine.route.allow(share)


@pytest.mark.parametrize(("bind", "per_bind"), [("transceiver", 1), ("pair", 2)])
async def test_processes_hand_connections_over_while_messages_are_in_flight(bind, per_bind):
    """Together they never have more than there are, and nothing is lost, doubled or uncertain."""
    async with WatchedSmsc() as smsc:
        engines = [Engine(smsc, binds=3, bind=bind, window=5) for _ in range(2)]
        engines[1].route.allow(0)
        sent: dict[str, list] = {}

        async def send_all(engine: Engine, numbers: list[str]) -> None:
            while numbers:
                results = dict(zip(numbers, await engine.send(*numbers), strict=True))
                for number, result in results.items():
                    sent.setdefault(number, []).append(result)
                numbers = [number for number in numbers if isinstance(results[number], Unreachable)]
                if numbers:
                    await ear.until(lambda: engine.route.state.health.value == "up")

        ear = engines[0]
        for engine in engines:
            await engine.route.start(ear)
        people = [[f"+1416559{first}{n:03d}" for n in range(900)] for first in range(2)]
        sending = [asyncio.ensure_future(send_all(*pair)) for pair in zip(engines, people, strict=True)]
        await smsc.until(lambda: smsc.accepted)
        for shares in [(2, 1), (1, 2), (0, 3), (2, 1), (3, 0), (0, 3), (1, 2)]:
            # First what is too much goes, then others may come instead.
            fewer = [min(engine.route.connections, share) for engine, share in zip(engines, shares, strict=True)]
            allow(engines, fewer)
            await smsc.until(lambda fewer=fewer: len(smsc.links) == per_bind * sum(fewer))
            allow(engines, shares)
            before = smsc.accepted
            await smsc.until(lambda before=before: smsc.accepted > before + 40)
            assert not any(one.done() for one in sending)
        async with asyncio.timeout(SOON):
            await asyncio.gather(*sending)
        assert {type(results[-1]) for results in sent.values()} == {Accepted}
        assert {type(result) for results in sent.values() for result in results} <= {Accepted, Unreachable}
        assert smsc.counts == dict.fromkeys(people[0] + people[1], 1)
        assert smsc.most_links == 3 * per_bind
        ids = {result.carrier_ids for results in sent.values() for result in results if isinstance(result, Accepted)}
        await ear.until(lambda: {one.carrier_ids for one in ear.news} == ids)
        for engine in engines:
            await engine.route.stop(1.0)


# --- people who write --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["STOP", "Спасибо!", "A long answer. " * 20], ids=["GSM", "UCS-2", "long"])
async def test_a_persons_message_is_kept_and_then_acknowledged(text):
    async with sandbox() as (smsc, engine):
        statuses = await smsc.send_mo("+14165550123", "12345", text)
        assert set(statuses) == {0}
        (message,) = engine.messages
        assert (message.source, message.destination, message.text) == ("+14165550123", "12345", text)
        assert (message.route, message.medium) == ("sandbox", Medium.SMS)
