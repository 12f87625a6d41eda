"""The email route from composer to receipt, against the sandbox mail server and its magic recipients."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import capture_logs

from campana.channels.contract import Accepted, Composer, Content, Health, IncomingMessage, Result
from campana.channels.email import EmailRoute, EmailRouteSettings
from campana.channels.email.listener import BounceListener
from campana.domain.delivery import Medium
from campana.domain.outcome import Receipt, ReceiptState
from campana.sandbox.mail import MailSimulator
from campana.sandbox.mail_boxes import ReceivedMail
from campana.sandbox.mail_link import MailLink
from campana.sandbox.mail_notices import Office

CONTENT = Content(Medium.EMAIL, "The Shop <shop@example.com>", "<p>Hello, <b>you</b></p>", "Hello", "c-1")
VERP = {"bounce_domain": "bounces.example.com", "verp_secret": "0123456789abcdef"}


class Mailroom:
    """An Inbound that tests can wait at."""

    def __init__(self) -> None:
        self.taken: asyncio.Queue[Receipt] = asyncio.Queue()
        self.changed: asyncio.Queue[str] = asyncio.Queue()

    async def receipts(self, batch: Sequence[Receipt]) -> None:
        for receipt in batch:
            self.taken.put_nowait(receipt)

    async def message(self, message: IncomingMessage) -> None:
        raise AssertionError("email brings no incoming messages")

    def route_changed(self, name: str) -> None:
        self.changed.put_nowait(name)


def now() -> int:
    return time.time_ns() // 1_000_000


def settings(port: int, **options: object) -> EmailRouteSettings:
    values = {"name": "mail", "channel": "email", "url": f"smtp://127.0.0.1:{port}", "tls": "off", **options}
    return EmailRouteSettings.model_validate(values)


@contextlib.asynccontextmanager
async def running(
    port: int, mailroom: Mailroom | None = None, allowed: int = 100, **options: object
) -> AsyncIterator[EmailRoute]:
    route = EmailRoute(settings(port, **options), now)
    route.allow(allowed)
    await route.start(mailroom or Mailroom())
    try:
        yield route
    finally:
        await route.stop(2)


async def deliver(route: EmailRoute, *recipients: str, attempt: int = 1) -> list[str]:
    write = route.composer(CONTENT)
    parcels = [write(number, attempt, recipient, None) for number, recipient in enumerate(recipients, 1)]
    async with asyncio.timeout(10):
        return [describe(result) for result in await route.send(parcels, lambda: True)]


def describe(result: Result) -> str:
    return "Accepted" if isinstance(result, Accepted) else f"{type(result).__name__} {result.code.name}"


FATES: list[tuple[str, list[str]]] = [
    ("ann@x.test", ["Accepted", "Accepted"]),
    ("defer@x.test", ["RefusedForNow EMAIL_GREYLISTED"] * 3),
    ("defer-2@x.test", ["RefusedForNow EMAIL_GREYLISTED"] * 2 + ["Accepted"]),
    ("full@x.test", ["RefusedForNow EMAIL_MAILBOX_FULL"]),
    ("unknown@x.test", ["RefusedForGood EMAIL_MAILBOX_UNKNOWN"]),
    ("disabled@x.test", ["RefusedForGood EMAIL_MAILBOX_DISABLED"]),
    ("nodomain@x.test", ["RefusedForGood EMAIL_DOMAIN_UNKNOWN"]),
    ("policy@x.test", ["RefusedForGood EMAIL_POLICY_REFUSED"]),
    ("spam@x.test", ["RefusedForGood EMAIL_CONTENT_REFUSED"]),
    ("toolarge@x.test", ["RefusedForGood EMAIL_TOO_LARGE"]),
    ("throttle-1@x.test", ["Throttled EMAIL_THROTTLED", "Accepted"]),
    ("421@x.test", ["RefusedForNow EMAIL_TEMPORARY", "Accepted"]),
    ("slow@x.test", ["Accepted"]),
    ("hang@x.test", ["Uncertain UNCERTAIN"]),
    ("lost@x.test", ["Uncertain UNCERTAIN", "Accepted"]),
    ("disconnect@x.test", ["Uncertain UNCERTAIN", "Accepted"]),
]


@pytest.mark.parametrize(("address", "attempts"), FATES, ids=[row[0] for row in FATES])
async def test_every_fate_alone(address: str, attempts: list[str]) -> None:
    final = 0.3 if address.startswith("hang") else 10
    async with (
        MailSimulator(slow_delay=0.1) as server,
        running(server.port, connections=2, final_timeout=final) as route,
    ):
        seen = [(await deliver(route, address, attempt=attempt + 1))[0] for attempt in range(len(attempts))]
        assert seen == attempts
        assert await deliver(route, "ann@x.test") == ["Accepted"]
        assert route.state.health is Health.UP


async def test_every_fate_at_once_and_nobody_else_is_touched() -> None:
    """Each fate stands between people who are to be reached: they are, exactly once."""
    fates = [address for address, _ in FATES for _ in range(3)]
    people = [f"p{number}@x.test" for number in range(len(fates))]
    mixed = [address for pair in zip(people, fates, strict=True) for address in pair]
    async with MailSimulator(slow_delay=0.1) as server, running(server.port, connections=4, final_timeout=1) as route:
        results = dict(zip(mixed, await deliver(route, *mixed), strict=True))
        assert {results[person] for person in people} == {"Accepted"}
        assert {server.counts[person] for person in people} == {1}


async def test_what_arrives_is_what_was_composed() -> None:
    async with MailSimulator() as server, running(server.port) as route:
        write = route.composer(CONTENT)
        parcels = [write(7, 1, "ann@x.test", None), write(8, 2, "bob@x.test", "<p>Only for Bob</p>")]
        results = await route.send(parcels, lambda: True)
        assert [describe(result) for result in results] == ["Accepted", "Accepted"]
        ann, bob = await server.expect("ann@x.test"), await server.expect("bob@x.test")
        assert (ann.sender, ann.subject, ann.html.strip(), ann.text.strip()) == (
            "shop@example.com",
            "Hello",
            "<p>Hello, <b>you</b></p>",
            "Hello, you",
        )
        assert (bob.html.strip(), bob.text.strip()) == ("<p>Only for Bob</p>", "Only for Bob")
        assert ann.message_id.startswith("7.1.")
        assert bob.message_id.startswith("8.2.")
        assert server.unexpected == []


def dkim_settings(folder: Path, bits: int) -> tuple[dict[str, object], bytes]:
    """A new key: the settings that name it, and its record in DNS."""
    private = rsa.generate_private_key(65537, bits)
    path = folder / "dkim.pem"
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(private.private_bytes(pem, form, serialization.NoEncryption()))
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    return {"dkim_domain": "example.com", "dkim_selector": "s1", "dkim_key": path}, record


def signing_threads(route: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(f"dkim-{route}_")]


@pytest.mark.parametrize(("count", "pipelining"), [(1, True), (200, True), (50, False)])
async def test_signed_messages_arrive_with_signatures_that_hold(tmp_path: Path, count: int, pipelining: bool) -> None:
    signing, record = dkim_settings(tmp_path, 1024)
    signing |= VERP | {"pipelining": pipelining, "name": f"slow-{count}"}
    async with MailSimulator() as server, running(server.port, connections=3, **signing) as route:
        addresses = [f"p{number}@x.test" for number in range(count)]
        assert await deliver(route, *addresses) == ["Accepted"] * count
        assert set(server.counts.values()) == {1}
        for address in addresses:
            mail = await server.expect(address)
            assert mail.raw.count(b"DKIM-Signature: ") == 1
            assert dkim.verify(mail.raw, dnsfunc=lambda name, timeout=5: record)
        assert signing_threads(f"slow-{count}"), "the event loop has better to do"


async def test_a_quick_key_signs_without_threads(tmp_path: Path) -> None:
    signing = dkim_settings(tmp_path, 1024)[0]
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = Ed25519PrivateKey.generate()
    (tmp_path / "dkim.pem").write_bytes(private.private_bytes(pem, form, serialization.NoEncryption()))
    async with MailSimulator() as server, running(server.port, name="quick", **signing) as route:
        addresses = [f"p{number}@x.test" for number in range(50)]
        assert await deliver(route, *addresses) == ["Accepted"] * 50
        for address in addresses:
            mail = await server.expect(address)
            assert mail.raw.startswith(b"DKIM-Signature: v=1; a=ed25519-sha256;")
            assert mail.raw.count(b"DKIM-Signature: ") == 1
        assert signing_threads("quick") == []


async def test_results_stand_in_the_parcels_order_though_they_are_signed_in_slices(tmp_path: Path) -> None:
    signing, _ = dkim_settings(tmp_path, 1024)
    fates = {"ann": "Accepted", "unknown": "RefusedForGood EMAIL_MAILBOX_UNKNOWN"}
    people = [("ann", "unknown")[number % 3 == 0] for number in range(100)]
    async with MailSimulator() as server, running(server.port, connections=4, **signing) as route:
        results = await deliver(route, *(f"{person}@x.test" for person in people))
        assert results == [fates[person] for person in people]


async def test_what_is_signed_while_the_route_stops_never_leaves_and_is_told(tmp_path: Path) -> None:
    signing, _ = dkim_settings(tmp_path, 2048)
    async with MailSimulator() as server:
        async with running(server.port, **signing) as route:
            write = route.composer(CONTENT)
            parcels = [write(number, 1, f"p{number}@x.test", None) for number in range(500)]
            sending = asyncio.create_task(route.send(parcels, lambda: True))
            await server.expect("p0@x.test")
        results = [describe(result) for result in await sending]
        late = [describe(result) for result in await route.send(parcels[:1], lambda: True)]
        assert set(results) == {"Accepted", "Unreachable EMAIL_UNREACHABLE"}
        assert results.count("Accepted") == server.accepted
        assert late == ["Unreachable EMAIL_UNREACHABLE"]


async def test_a_route_that_stops_as_it_is_given_messages_to_sign_tells_what_became_of_them(tmp_path: Path) -> None:
    signing, _ = dkim_settings(tmp_path, 1024)
    async with MailSimulator() as server, running(server.port, **signing) as route:
        assert await deliver(route, "ann@x.test") == ["Accepted"]
        results, _ = await asyncio.gather(deliver(route, *(f"p{number}@x.test" for number in range(50))), route.stop(0))
        assert set(results) <= {"Accepted", "Uncertain UNCERTAIN", "Unreachable EMAIL_UNREACHABLE"}
        assert len(results) == 50


async def test_what_may_not_leave_is_not_signed_first(tmp_path: Path) -> None:
    signing, _ = dkim_settings(tmp_path, 1024)
    async with MailSimulator() as server, running(server.port, allowed=0, **signing) as route:
        parcel = route.composer(CONTENT)(1, 1, "ann@x.test", None)
        with pytest.raises(StopIteration) as at_once:
            route.send([parcel], lambda: True).send(None)
        assert [describe(result) for result in at_once.value.value] == ["Unreachable EMAIL_UNREACHABLE"]
        assert server.connections == 0


@pytest.mark.parametrize(("bits", "warned"), [(1024, True), (2048, False)])
async def test_a_weak_key_is_told(tmp_path: Path, bits: int, warned: bool) -> None:
    signing, _ = dkim_settings(tmp_path, bits)
    weakness = "a key of 1024 bits, at least 2048 are advised"
    async with MailSimulator() as server:
        with capture_logs() as logs:
            async with running(server.port, **signing) as route:
                report = await route.check()
        told = [(line["event"], line["route"], line["weakness"]) for line in logs if line["log_level"] == "warning"]
        assert told == ([("dkim.weak_key", "mail", weakness)] if warned else [])
        assert dict(report.facts)["DKIM"] == "s1 at example.com, rsa-sha256" + (f" ({weakness})" if warned else "")


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("connections", [1, 7])
async def test_a_thousand_people_each_once(pipelining: bool, connections: int) -> None:
    async with MailSimulator() as server:
        async with running(
            server.port, connections=connections, pipelining=pipelining, messages_per_connection=90
        ) as route:
            several = [deliver(route, *(f"p{group}-{number}@x.test" for number in range(250))) for group in range(4)]
            for results in await asyncio.gather(*several):
                assert results == ["Accepted"] * 250
        assert server.accepted == 1000
        assert set(server.counts.values()) == {1}
        assert len(server.counts) == 1000
        assert len({mail.message_id for mail in server.messages}) == 1000


async def test_a_server_that_comes_and_goes() -> None:
    """While connections are cut again and again, every message is taken once or told to be uncertain."""

    def cut_now_and_then(_: ReceivedMail) -> None:
        if server.accepted % 40 == 0:
            asyncio.get_running_loop().call_soon(server.disconnect_all)

    async with MailSimulator(on_message=cut_now_and_then) as server, running(server.port, connections=5) as route:
        addresses = [f"p{number}@x.test" for number in range(600)]
        results = dict(zip(addresses, await deliver(route, *addresses), strict=True))
        assert server.connections > 10
        for address, result in results.items():
            taken = server.counts[address]
            allowed = {"Accepted": {1}, "Uncertain UNCERTAIN": {0, 1}, "Unreachable EMAIL_UNREACHABLE": {0}}
            assert taken in allowed[result], (address, result, taken)
        assert list(results.values()).count("Accepted") > 300


async def test_a_pause_takes_effect_at_once() -> None:
    running_now = True

    def pause(_: object) -> None:
        nonlocal running_now
        running_now = server.accepted < 100

    async with MailSimulator(on_message=pause) as server, running(server.port, connections=5) as route:
        write = route.composer(CONTENT)
        parcels = [write(number, 1, f"p{number}@x.test", None) for number in range(500)]
        results = [describe(result) for result in await route.send(parcels, lambda: running_now)]
        assert results.count("Accepted") == server.accepted <= 105
        assert results.count("Withdrawn OK") == 500 - server.accepted


async def test_the_route_follows_its_server_down_and_up() -> None:
    mailroom = Mailroom()
    server = await MailSimulator().start()
    port = server.port
    async with running(port, mailroom) as route:
        async with asyncio.timeout(5):
            assert await mailroom.changed.get() == "mail"
            assert route.state.health is Health.UP
            await server.stop()
            assert await deliver(route, "ann@x.test") == ["Unreachable EMAIL_UNREACHABLE"]
            assert await mailroom.changed.get() == "mail"
            assert route.state.health is Health.DOWN
            assert route.state.reason
            async with MailSimulator(port=port) as again:
                assert await mailroom.changed.get() == "mail"
                assert route.state.health is Health.UP
                assert await deliver(route, "ann@x.test") == ["Accepted"]
                await again.expect("ann@x.test")
                assert again.accepted == 1


class WatchedServer(MailSimulator):
    """One that tests can wait at until clients have gone or messages have come."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        super().__init__(latency=0.001, on_message=lambda _: self._changed.set())

    def went(self, link: MailLink) -> None:
        super().went(link)
        self._changed.set()

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not met():
                self._changed.clear()
                await self._changed.wait()


@pytest.mark.parametrize("pipelining", [True, False])
async def test_processes_hand_connections_over_while_messages_are_in_flight(pipelining: bool) -> None:
    """Together they never have more than there are, and nothing is lost, doubled or uncertain."""
    taken: set[str] = set()

    async def send_all(route: EmailRoute, mailroom: Mailroom, people: list[str]) -> None:
        while people:
            results = dict(zip(people, await deliver(route, *people), strict=True))
            assert set(results.values()) <= {"Accepted", "Unreachable EMAIL_UNREACHABLE"}
            taken.update(person for person in people if results[person] == "Accepted")
            people = [person for person in people if person not in taken]
            while people and route.state.health is not Health.UP:
                async with asyncio.timeout(5):
                    await mailroom.changed.get()

    options = {"connections": 4, "pipelining": pipelining, "messages_per_connection": 50}
    ears = [Mailroom(), Mailroom()]
    async with (
        WatchedServer() as server,
        running(server.port, ears[0], **options) as first,
        running(server.port, ears[1], allowed=0, **options) as second,
    ):
        everybody = [[f"p{route}-{number}@x.test" for number in range(300)] for route in range(2)]
        sending = [asyncio.create_task(send_all(*each)) for each in zip([first, second], ears, everybody, strict=True)]
        for share in (3, 1, 0, 2, 4, 3, 0, 2):
            for route, most in ((first, share), (second, 4 - share)):
                route.allow(min(route.connections, most))
            await server.until(lambda share=share: first.connections <= share and second.connections <= 4 - share)
            first.allow(share)
            second.allow(4 - share)
            before = server.accepted
            await server.until(lambda before=before: server.accepted > before + 20)
            assert not any(one.done() for one in sending)
        await asyncio.gather(*sending)
    assert server.counts == dict.fromkeys(everybody[0] + everybody[1], 1)
    assert server.most_links == 4


@contextlib.asynccontextmanager
async def with_bounces(mailroom: Mailroom) -> AsyncIterator[tuple[MailSimulator, EmailRoute]]:
    """The whole circle: route, mail server, bounce, listener."""
    listener = BounceListener(("127.0.0.1", 0), "lmtp", [settings(25, **VERP)], mailroom, now)
    await listener.start()
    office = Office("127.0.0.1", listener.port, "lmtp")
    try:
        async with (
            MailSimulator(bounce_to=office, bounce_delay=0.01) as server,
            running(server.port, mailroom, **VERP) as route,
        ):
            yield server, route
    finally:
        await listener.stop()


BOUNCES: list[tuple[str, ReceiptState, str, str]] = [
    ("bounce@x.test", ReceiptState.FAILED, "EMAIL_MAILBOX_UNKNOWN", "5.1.1"),
    ("bounce-late@x.test", ReceiptState.FAILED, "EMAIL_BOUNCED", "4.4.7"),
    ("delayed@x.test", ReceiptState.INTERIM, "EMAIL_TEMPORARY", "4.4.1"),
]


@pytest.mark.parametrize(("address", "state", "code", "status"), BOUNCES, ids=[row[0] for row in BOUNCES])
async def test_a_bounce_finds_its_way_home(address: str, state: ReceiptState, code: str, status: str) -> None:
    mailroom = Mailroom()
    async with with_bounces(mailroom) as (server, route):
        assert await deliver(route, "vacation@x.test", address, attempt=3) == ["Accepted", "Accepted"]
        async with asyncio.timeout(5):
            receipt = await mailroom.taken.get()
        assert (receipt.route, receipt.delivery_id, receipt.attempt) == ("mail", 2, 3)
        assert (receipt.bounce, receipt.state, receipt.code.name) == (True, state, code)
        assert receipt.carrier_code == status
        assert receipt.carrier_text
        assert (await server.expect(address)).sender.endswith("@bounces.example.com")
        assert mailroom.taken.empty()


async def test_what_a_route_cannot_be_asked() -> None:
    route = EmailRoute(settings(25), now)
    assert await route.query("id", "a@x.test", "b@x.test") is None
    with pytest.raises(RuntimeError):
        await route.send([], lambda: True)
    await route.stop(0)


def test_a_route_with_files_that_are_no_use_is_not_made() -> None:
    for options in (
        {"dkim_domain": "a.test", "dkim_selector": "s", "dkim_key": "/nowhere"},
        {"tls_ca": "/nowhere", "tls": "required"},
    ):
        with pytest.raises(ValueError, match=r"dkim_key|tls_ca"):
            EmailRoute(settings(25, **options), now)


def test_the_composer_is_cheap() -> None:
    """What is the same for a campaign is done once: the per-message work is a few byte joins."""
    write: Composer = EmailRoute(settings(25, **VERP), now).composer(CONTENT)
    write(1, 1, "ann@x.test", None)
    begun = time.process_time()
    for number in range(2000):
        write(number, 1, "ann@x.test", None)
    assert (time.process_time() - begun) / 2000 < 200e-6
