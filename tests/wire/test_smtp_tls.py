"""TLS and AUTH of the SMTP client, with real certificates, against the sandbox mail server and scripted ones."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme
from smtp_kit import (
    EHLO,
    ENVELOPE_OK,
    GOODBYE,
    GREETING,
    Hear,
    Say,
    Script,
    body,
    envelope,
    parcel,
    running,
    scripted,
    send,
    settings,
)

from campana.channels.contract import Health
from campana.channels.email import EmailRoute
from campana.sandbox.mail import MailSimulator

STARTTLS_OFFERED = b"250-relay.test\r\n250-STARTTLS\r\n250 PIPELINING\r\n"


class Keys:
    """An authority, a server that it vouches for, and one that it does not."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self.good = _server(authority, "127.0.0.1")
        self.other_name = _server(authority, "elsewhere.test")
        self.stranger = _server(trustme.CA(), "127.0.0.1")


def _server(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


ACCEPTED = "Accepted 250 2.0.0"
FAILED = "Misconfigured EMAIL_TLS_FAILED"

MATRIX: list[tuple[str, str, bool, dict[str, object], str, bool]] = [
    # label, the server's key, TLS from the first byte, the route's settings, the result, encrypted
    ("required, good", "good", False, {"tls": "required", "tls_ca": True}, ACCEPTED, True),
    ("required, unknown authority", "stranger", False, {"tls": "required", "tls_ca": True}, FAILED, False),
    ("required, another name", "other_name", False, {"tls": "required", "tls_ca": True}, FAILED, False),
    ("required, not in the system's store", "good", False, {"tls": "required"}, FAILED, False),
    ("required, not to be checked", "stranger", False, {"tls": "required", "tls_verify": False}, ACCEPTED, True),
    ("if offered, unknown authority", "stranger", False, {"tls": "if-offered"}, ACCEPTED, True),
    ("if offered, to be checked", "stranger", False, {"tls": "if-offered", "tls_verify": True}, FAILED, False),
    ("off", "good", False, {"tls": "off"}, ACCEPTED, False),
    ("implicit, good", "good", True, {"tls": None, "tls_ca": True}, ACCEPTED, True),
    ("implicit, unknown authority", "stranger", True, {"tls": None, "tls_ca": True}, FAILED, False),
    ("implicit, not to be checked", "stranger", True, {"tls": None, "tls_verify": False}, ACCEPTED, True),
]


@pytest.mark.parametrize(
    ("key", "implicit", "options", "result", "encrypted"), [row[1:] for row in MATRIX], ids=[row[0] for row in MATRIX]
)
async def test_certificates(
    keys: Keys, key: str, implicit: bool, options: dict[str, object], result: str, encrypted: bool
) -> None:
    options = {name: keys.ca if value is True and name == "tls_ca" else value for name, value in options.items()}
    async with MailSimulator(tls=getattr(keys, key), implicit_tls=implicit) as server:
        scheme = "smtps" if implicit else "smtp"
        async with running(server.port, url=f"{scheme}://127.0.0.1:{server.port}", **options) as route:
            assert await send(route, parcel(1), parcel(2)) == [result] * 2
            assert route.state.health is (Health.UP if result == ACCEPTED else Health.DOWN)
            assert [link.encrypted for link in server.links] == [encrypted] * len(server.links)
        assert server.accepted == (2 if result == ACCEPTED else 0)


async def test_required_and_not_offered() -> None:
    async with MailSimulator() as server, running(server.port, tls="required") as route:
        assert await send(route, parcel()) == [FAILED]
        assert "does not offer STARTTLS" in route.state.reason


async def test_if_offered_and_refused_goes_on_in_the_clear() -> None:
    script: Script = (
        *(Say(GREETING), Hear(EHLO), Say(STARTTLS_OFFERED), Hear(b"STARTTLS\r\n"), Say(b"454 4.7.0 not now\r\n")),
        *(Hear(envelope()), Say(ENVELOPE_OK), Hear(body()), Say(b"250 2.0.0 ok\r\n")),
        *GOODBYE,
    )
    async with scripted(script) as server, running(server.port, tls="if-offered") as route:
        assert await send(route, parcel()) == [ACCEPTED]


async def test_required_and_refused() -> None:
    script: Script = (Say(GREETING), Hear(EHLO), Say(STARTTLS_OFFERED), Hear(b"STARTTLS\r\n"), Say(b"454 4.7.0 no\r\n"))
    async with scripted(script) as server, running(server.port, tls="required") as route:
        assert await send(route, parcel()) == [f"{FAILED} 454 4.7.0"]


async def test_what_an_attacker_says_before_tls_is_not_taken_for_the_server() -> None:
    """CVE-2011-0411 from the client's side: words in the clear behind the answer to STARTTLS."""
    script: Script = (
        *(Say(GREETING), Hear(EHLO), Say(STARTTLS_OFFERED), Hear(b"STARTTLS\r\n")),
        Say(b"220 go\r\n250-injected\r\n250 PIPELINING\r\n"),
    )
    async with scripted(script) as server, running(server.port, tls="required", tls_verify=False) as route:
        assert await send(route, parcel()) == [FAILED]
        assert "between STARTTLS and TLS" in route.state.reason


async def test_a_server_that_breaks_off_the_handshake() -> None:
    script: Script = (
        Say(GREETING),
        Hear(EHLO),
        Say(STARTTLS_OFFERED),
        Hear(b"STARTTLS\r\n"),
        Say(b"220 go\r\n"),
        Hear(b"\x16\x03"),
        Say(b"oops, no TLS here\r\n"),
    )
    async with scripted(script) as server, running(server.port, tls="if-offered") as route:
        assert await send(route, parcel()) == [FAILED]


LOGINS: list[tuple[str, str, dict[str, object], str]] = [
    ("PLAIN over TLS", "us%40er:p%3Ass", {"tls": "required"}, ACCEPTED),
    ("wrong password", "us%40er:wrong", {"tls": "required"}, "Misconfigured EMAIL_AUTHENTICATION_FAILED 535 5.7.8"),
    ("no TLS, allowed", "us%40er:p%3Ass", {"tls": "off", "auth_without_tls": True}, ACCEPTED),
    ("TLS is the default with a password", "us%40er:p%3Ass", {"tls": None}, ACCEPTED),
]


@pytest.mark.parametrize(("login", "options", "result"), [row[1:] for row in LOGINS], ids=[row[0] for row in LOGINS])
async def test_logging_in(keys: Keys, login: str, options: dict[str, object], result: str) -> None:
    if options["tls"] != "off":
        options = {**options, "tls_ca": keys.ca}
    async with (
        MailSimulator(tls=keys.good, users={"us@er": "p:ss"}) as server,
        running(server.port, url=f"smtp://{login}@127.0.0.1:{server.port}", **options) as route,
    ):
        assert await send(route, parcel()) == [result]


async def test_not_logged_in_where_it_is_needed() -> None:
    async with MailSimulator(users={"user": "secret"}) as server, running(server.port) as route:
        assert await send(route, parcel()) == ["Misconfigured EMAIL_MISCONFIGURED 530 5.7.0"]


async def test_login_where_plain_is_not_offered() -> None:
    script: Script = (
        *(Say(GREETING), Hear(EHLO), Say(b"250-relay.test\r\n250-PIPELINING\r\n250 AUTH LOGIN CRAM-MD5\r\n")),
        *(Hear(b"AUTH LOGIN\r\n"), Say(b"334 VXNlcm5hbWU6\r\n"), Hear(b"dXNlcg==\r\n"), Say(b"334 UGFzc3dvcmQ6\r\n")),
        *(Hear(b"c2VjcmV0\r\n"), Say(b"235 2.7.0 ok\r\n")),
        *(Hear(envelope()), Say(ENVELOPE_OK), Hear(body()), Say(b"250 2.0.0 ok\r\n")),
        *GOODBYE,
    )
    async with scripted(script) as server:
        url = f"smtp://user:secret@127.0.0.1:{server.port}"
        async with running(server.port, url=url, auth_without_tls=True) as route:
            assert await send(route, parcel()) == [ACCEPTED]


@pytest.mark.parametrize(
    ("offers", "words"),
    [
        (b"250-relay.test\r\n250 AUTH GSSAPI\r\n", "neither PLAIN nor LOGIN"),
        (b"250 relay.test\r\n", "neither PLAIN nor LOGIN"),
    ],
)
async def test_no_way_to_log_in(offers: bytes, words: str) -> None:
    async with scripted((Say(GREETING), Hear(EHLO), Say(offers))) as server:
        url = f"smtp://user:secret@127.0.0.1:{server.port}"
        async with running(server.port, url=url, auth_without_tls=True) as route:
            assert await send(route, parcel()) == ["Misconfigured EMAIL_AUTHENTICATION_FAILED"]
            assert words in route.state.reason


async def test_a_password_never_leaves_in_the_clear() -> None:
    """With `if-offered`, an attacker may suppress the offer; then nothing that follows EHLO is said."""
    script: Script = (Say(GREETING), Hear(EHLO), Say(b"250-relay.test\r\n250 AUTH PLAIN\r\n"), Hear(b""))
    async with scripted(script) as server:
        url = f"smtp://user:secret@127.0.0.1:{server.port}"
        async with running(server.port, url=url, tls="if-offered") as route:
            assert await send(route, parcel()) == ["Misconfigured EMAIL_AUTHENTICATION_FAILED"]
            assert "without TLS" in route.state.reason


async def test_check_tells_of_tls_and_user(keys: Keys) -> None:
    async with MailSimulator(tls=keys.good, users={"user": "secret"}) as server:
        url = f"smtp://user:secret@127.0.0.1:{server.port}"
        report = await EmailRoute(settings(server.port, url=url, tls=None, tls_ca=keys.ca), lambda: 0).check()
        assert report.ok, report.problem
        facts = dict(report.facts)
        assert facts["TLS"].startswith("TLSv1.")
        assert facts["user"] == "user"
        assert "secret" not in str(report)
        bad = await EmailRoute(settings(server.port, url=url, tls=None), lambda: 0).check()
        assert not bad.ok
        assert "certificate is not trusted" in bad.problem


async def test_many_messages_over_tls_keep_their_order_and_bytes(keys: Keys) -> None:
    async with MailSimulator(tls=keys.good) as server:
        async with running(server.port, tls="required", tls_ca=keys.ca, connections=3) as route:
            parcels = [parcel(number) for number in range(1, 301)]
            assert await send(route, *parcels) == [ACCEPTED] * 300
        assert {mail.recipients[0]: mail.raw for mail in server.messages} == {
            f"r{number}@b.test": b"Subject: %d\r\n\r\nHello\r\n" % number for number in range(1, 301)
        }
        assert server.connections <= 3


async def test_a_handshake_that_never_ends_is_given_up() -> None:
    script: Script = (Say(GREETING), Hear(EHLO), Say(STARTTLS_OFFERED), Hear(b"STARTTLS\r\n"), Say(b"220 go\r\n"))
    async with scripted(script) as server, running(server.port, tls="required", connect_timeout=0.2) as route:
        async with asyncio.timeout(3):
            assert await send(route, parcel()) == [FAILED]
