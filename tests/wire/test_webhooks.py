"""Telling endpoints by POST: what they are sent, what their answers mean, and where nobody gets us to go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path

import pytest
import trustme
from standardwebhooks import Webhook, WebhookVerificationError

from campana.bus.endpoints import Answer, Message, Outcome
from campana.bus.outside import Guard, OutsideError
from campana.bus.webhooks import Webhooks
from tests.endpoint_kit import CUT, HANG, OK, Post, Receiver, names, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EARLIER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
MESSAGE = Message("c", "c.1-2", 2, '{"data":{"events":[{"number":1},{"number":2}]}}', (SECRET,))


def now() -> int:
    return time.time_ns() // 1_000_000


async def told(endpoint: str, message: Message = MESSAGE, guard: Guard | None = None) -> Answer:
    hooks = Webhooks(guard or Guard(allow_private=True), now)
    try:
        return await hooks.tell(endpoint, message)
    finally:
        await hooks.close()


async def test_a_message_is_posted_and_signed_as_the_convention_says() -> None:
    async with receiving() as receiver:
        assert await told(receiver.url("/progress?of=1")) == Answer(Outcome.TAKEN)
    (post,) = receiver.posts
    assert (post.method, post.path, post.body) == ("POST", "/progress?of=1", MESSAGE.body)
    assert post.headers["content-type"] == "application/json"
    assert post.id == "c.1-2"
    assert post.judge(SECRET) == post.told
    with pytest.raises(WebhookVerificationError):
        post.judge(EARLIER)


async def test_during_a_rotation_both_secrets_sign() -> None:
    message = Message("c", "c.1-2", 2, MESSAGE.body, (SECRET, EARLIER))
    async with receiving() as receiver:
        await told(receiver.url(), message)
    assert receiver.posts[0].judge(SECRET) == receiver.posts[0].judge(EARLIER)


@pytest.mark.parametrize(
    ("answer", "outcome", "reason", "wait"),
    [
        ((200, ""), Outcome.TAKEN, "", 0),
        ((202, "", "thanks"), Outcome.TAKEN, "", 0),
        ((200, "", "x" * 300_000), Outcome.TAKEN, "", 0),
        ((500, ""), Outcome.FAILED, "It answered with HTTP status 500.", 0),
        ((404, ""), Outcome.FAILED, "It answered with HTTP status 404.", 0),
        ((410, ""), Outcome.GONE, "It answered with HTTP status 410.", 0),
        ((503, "retry-after: 120\r\n"), Outcome.FAILED, "It answered with HTTP status 503.", 120),
        ((429, "retry-after: 999999999999\r\n"), Outcome.FAILED, "It answered with HTTP status 429.", 3_600),
        ((429, "retry-after: soon\r\n"), Outcome.FAILED, "It answered with HTTP status 429.", 0),
        ((301, "location: /other\r\n"), Outcome.FAILED, "It answered with HTTP status 301.", 0),
        ((302, "location: /other\r\n"), Outcome.FAILED, "It answered with HTTP status 302.", 0),
        ((307, ""), Outcome.FAILED, "It answered with HTTP status 307.", 0),
        ((308, "location: ftp://127.0.0.1/\r\n"), Outcome.FAILED, "It redirects to what is no address.", 0),
        ((307, "location: /progress\r\n"), Outcome.FAILED, "It redirects more than 3 times.", 0),
        (CUT, Outcome.FAILED, "The connection broke off before it had answered.", 0),
    ],
)
async def test_what_an_answer_means(answer: tuple[int, str], outcome: Outcome, reason: str, wait: float) -> None:
    async with receiving(lambda post: answer) as receiver:
        assert await told(receiver.url()) == Answer(outcome, reason, wait)


async def test_a_date_says_how_long_to_wait_as_well() -> None:
    line = f"retry-after: {formatdate(time.time() + 60, usegmt=True)}\r\n"
    async with receiving(lambda post: (503, line)) as receiver:
        assert 55 <= (await told(receiver.url())).wait <= 60


async def test_who_does_not_answer_is_given_up() -> None:
    hooks = Webhooks(Guard(allow_private=True), now, patience=0.2)
    async with receiving(lambda post: HANG) as receiver:
        assert await hooks.tell(receiver.url(), MESSAGE) == Answer(Outcome.FAILED, "It did not answer in time.")
    await hooks.close()


async def test_who_is_down_is_told_so() -> None:
    receiver = Receiver()
    await receiver.listen()
    await receiver.close()
    assert await told(receiver.url()) == Answer(Outcome.FAILED, "No connection could be made.")


async def test_a_redirect_that_keeps_the_request_is_followed() -> None:
    async with receiving() as second:
        moved = f"location: {second.url('/there')}\r\n"
        async with receiving(lambda post: (307, moved)) as first:
            assert (await told(first.url())).outcome is Outcome.TAKEN
    assert [post.path for post in second.posts] == ["/there"]
    assert second.posts[0].judge(SECRET) == first.posts[0].judge(SECRET)
    assert second.posts[0].headers["host"] == f"127.0.0.1:{second.port}"


async def test_user_and_password_of_the_url_are_for_its_host_alone() -> None:
    async with receiving() as second:
        moved = f"location: {second.url()}\r\n"
        async with receiving(lambda post: (308, moved)) as first:
            await told(f"http://me:se%40cret@127.0.0.1:{first.port}/")
    assert first.posts[0].headers["authorization"] == "Basic bWU6c2VAY3JldA=="
    assert "authorization" not in second.posts[0].headers


async def test_connections_are_kept_between_messages() -> None:
    async with receiving() as receiver:
        hooks = Webhooks(Guard(allow_private=True), now)
        for _ in range(3):
            assert (await hooks.tell(receiver.url(), MESSAGE)).outcome is Outcome.TAKEN
        await hooks.close()
        assert (len(receiver.posts), receiver.connections) == (3, 1)


async def test_nothing_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        await told(receiver.url())
        assert (len(proxy.posts), len(receiver.posts)) == (0, 1)


# --- certificates ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def serving(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def secure(authority: trustme.CA, url: str) -> Answer:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    hooks = Webhooks(Guard(allow_private=True, resolve=names(shop=["127.0.0.1"])), now, context)
    try:
        return await hooks.tell(url, MESSAGE)
    finally:
        await hooks.close()


async def test_the_certificate_is_of_the_name_though_the_address_is_connected_to(authority: trustme.CA) -> None:
    async with receiving(tls=serving(authority, "shop.example.com")) as receiver:
        url = receiver.url(host="shop.example.com", scheme="https")
        assert await secure(authority, url) == Answer(Outcome.TAKEN)
        assert receiver.posts[0].headers["host"] == f"shop.example.com:{receiver.port}"


async def test_a_certificate_of_another_name_is_refused(authority: trustme.CA) -> None:
    async with receiving(tls=serving(authority, "other.example.com")) as receiver:
        url = receiver.url(host="shop.example.com", scheme="https")
        assert await secure(authority, url) == Answer(Outcome.FAILED, "No secure connection could be made.")


async def test_https_never_leads_to_http(authority: trustme.CA) -> None:
    async with receiving() as plain:
        moved = f"location: {plain.url()}\r\n"
        async with receiving(lambda post: (307, moved), serving(authority, "shop.example.com")) as receiver:
            url = receiver.url(host="shop.example.com", scheme="https")
            said = "It redirects from https to what is not."
            assert await secure(authority, url) == Answer(Outcome.FAILED, said)
    assert plain.posts == []


# --- where it does not go ------------------------------------------------------------------------------------------

PRIVATE = "A progress endpoint must not be on this machine or in a private network."
LEADS = "Its name leads to this machine or into a private network."


class Rebinding:
    """A resolver whose first answer is harmless."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str) -> list[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


@pytest.mark.parametrize(
    ("url", "addresses", "reason"),
    [
        ("http://127.0.0.1:{port}/", [], PRIVATE),
        ("http://2130706433:{port}/", [], PRIVATE),
        ("http://[::ffff:127.0.0.1]:{port}/", [], PRIVATE),
        ("http://localhost:{port}/", [], PRIVATE),
        ("http://shop.example.com:{port}/", ["127.0.0.1"], LEADS),
        ("http://shop.example.com:{port}/", ["::1"], LEADS),
        ("http://shop.example.com:{port}/", ["fe80::1%lo"], LEADS),
        ("http://shop.example.com:{port}/", ["169.254.169.254"], LEADS),
        # One that is public does not excuse the other.
        ("http://shop.example.com:{port}/", ["8.8.8.8", "127.0.0.1"], LEADS),
        ("http://nowhere.example.com:{port}/", None, "Its name does not resolve."),
    ],
)
async def test_no_name_leads_into_a_private_network(url: str, addresses: list[str] | None, reason: str) -> None:
    async with receiving() as receiver:
        guard = Guard(resolve=names(**({} if addresses is None else {"shop": addresses})))
        assert await told(url.format(port=receiver.port), guard=guard) == Answer(Outcome.FAILED, reason)
        assert receiver.connections == 0


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data/", PRIVATE),
        ("http://127.0.0.1:{port}/", PRIVATE),
        ("http://[::1]:{port}/", PRIVATE),
        ("http://inside.example.com:{port}/", LEADS),
    ],
)
async def test_no_redirect_leads_into_a_private_network(target: str, reason: str) -> None:
    """The first receiver's address is taken for a public one, and no other."""
    async with receiving() as inside:
        moved = f"location: {target.format(port=inside.port)}\r\n"
        async with receiving(lambda post: (307, moved)) as first:
            resolve = names(outside=["127.0.0.1"], inside=["127.0.0.2"])
            guard = Guard(resolve=resolve, judge=lambda address: str(address) != "127.0.0.1")
            url = first.url(host="outside.example.com")
            assert await told(url, guard=guard) == Answer(Outcome.FAILED, reason)
        assert (len(first.posts), inside.connections) == (1, 0)


async def test_a_name_is_resolved_once_for_each_connection() -> None:
    """What was judged is what is connected to: a second answer would be asked for by nobody."""
    resolver = Rebinding(["127.0.0.1"], ["169.254.169.254"])
    async with receiving() as receiver:
        answer = await told(receiver.url(host="shop.example.com"), guard=Guard(allow_private=True, resolve=resolver))
    assert (answer.outcome, resolver.asked, receiver.connections) == (Outcome.TAKEN, 1, 1)


async def test_a_name_that_changes_is_judged_at_its_next_connection() -> None:
    resolver = Rebinding(["127.0.0.1"], ["127.0.0.2"])
    hooks = Webhooks(Guard(resolve=resolver, judge=lambda address: str(address) == "127.0.0.2"), now)
    async with receiving(lambda post: (200, "connection: close\r\n")) as receiver:
        url = receiver.url(host="shop.example.com")
        assert await hooks.tell(url, MESSAGE) == Answer(Outcome.TAKEN)
        assert await hooks.tell(url, MESSAGE) == Answer(Outcome.FAILED, LEADS)
    await hooks.close()


async def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    async with receiving() as receiver:
        guard = Guard(allow_private=True, resolve=names(shop=["127.0.0.9", "127.0.0.1"]))
        assert await told(receiver.url(host="shop.example.com"), guard=guard) == Answer(Outcome.TAKEN)
        (await guard.connect("shop.example.com", receiver.port)).close()
        with pytest.raises(OutsideError, match="No connection could be made"):
            await guard.connect("shop.example.com", 1)


async def test_the_machine_resolves_names_by_itself() -> None:
    guard = Guard(allow_private=True)
    assert "127.0.0.1" in await guard.addresses("localhost")
    with pytest.raises(OutsideError, match="does not resolve"):
        await guard.addresses("nowhere.invalid")
    with pytest.raises(OutsideError, match="private network"):
        await Guard().addresses("localhost")
    guard.close()


def test_the_judge_judges() -> None:
    post = Post("POST", "/", {"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": "v1,YQ=="}, "{}")
    with pytest.raises(WebhookVerificationError):
        post.judge(SECRET)
    assert OK[0] == 204
    assert Webhook(SECRET)


def test_the_message_of_the_documentation_is_signed_as_it_says() -> None:
    """The judge's own signature of the body that the page shows, by the secret that it names."""
    page = (Path(__file__).parents[2] / "docs" / "progress.md").read_text(encoding="utf-8")
    head, body = page.split("```http\n")[1].split("\n```")[0].split("\n\n")
    headers = dict(line.split(": ") for line in head.splitlines())
    assert SECRET in page
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    assert Webhook(SECRET).sign(headers["webhook-id"], at, body) == headers["webhook-signature"]
    assert json.loads(body)["data"]["events"][0]["number"] == 17


@asynccontextmanager
async def saying(*parts: bytes, endless: bytes = b"") -> AsyncIterator[str]:
    """A server that answers with these bytes, and goes on with the last of them for ever; its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
            while endless:
                writer.write(endless)
                await writer.drain()
            await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("parts", "endless", "outcome"),
    [
        ([b"HTTP/1.1 200 OK\r\n"], b"x-more: and more of it\r\n" * 100, Outcome.FAILED),
        ([b"HTTP/1.1 200 "], b"very " * 1_000, Outcome.FAILED),
        ([b"SSH-2.0-OpenSSH_9.2\r\n\r\n"], b"", Outcome.FAILED),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"], b"", Outcome.FAILED),
        # All that matters has been said: what follows is not read to its end, which never comes.
        (
            [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"],
            b"400\r\n" + b"x" * 1_024 + b"\r\n",
            Outcome.TAKEN,
        ),
        ([b"HTTP/1.1 500 No\r\ncontent-length: 99999999\r\n\r\n"], b"x" * 4_096, Outcome.FAILED),
    ],
)
async def test_a_hostile_receiver_takes_little(parts: list[bytes], endless: bytes, outcome: Outcome) -> None:
    async with saying(*parts, endless=endless) as url:
        async with asyncio.timeout(10):
            assert (await told(url)).outcome is outcome


async def test_a_receiver_that_dawdles_is_given_up() -> None:
    hooks = Webhooks(Guard(allow_private=True), now, patience=0.2)
    for answer in (b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"):
        async with saying(answer) as url:
            assert await hooks.tell(url, MESSAGE) == Answer(Outcome.FAILED, "It did not answer in time.")
    await hooks.close()
