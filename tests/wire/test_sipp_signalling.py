"""SIPp as a trunk with manners of its own: losses, repeats, crossings, proxies, credentials, extensions, transports."""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
import trustme
from ear_kit import Ear, ear
from sipp_kit import (
    CONTACT,
    ENDS,
    HELD,
    REFUSED,
    SDP,
    TAG,
    Message,
    Sipp,
    acknowledge,
    answer,
    ask,
    check,
    free_port,
    gets,
    hear,
    invite,
    needs_sipp,
    reply,
    say,
    sipp,
    wait,
)
from voice_kit import CALLER, NUMBER, FixedSpeech, Line, Told, calling, each, open_line

from campana.domain.call import HungUpBy
from campana.domain.outcome import DeliveryCode

pytestmark = [needs_sipp, pytest.mark.asyncio(loop_scope="module")]
C = DeliveryCode
Call = Callable[..., Awaitable[tuple[Told, Sipp, Ear, FixedSpeech]]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Line]:
    """The line of this module's tests."""
    async with open_line(tmp_path_factory.mktemp("line")) as opened:
        yield opened


@pytest.fixture
def call(line: Line) -> Call:
    """One call to a SIPp that tells the story to its end."""

    async def place(
        story: Sequence[str], folder: Path, plan: dict | None = None, **more
    ) -> tuple[Told, Sipp, Ear, FixedSpeech]:
        async with line.trunk(story, folder, **more) as (trunk, listener, caller, speech):
            result = await caller.call(**(plan or {}))
            await trunk.finish()
        return result, trunk, listener, speech

    return place


def branch(message: Message) -> str:
    return re.search(r"branch=([^;\s]+)", message["Via"])[1]


# --- losses and repeats (RFC 3261, section 17) -----------------------------------------------------------------------


async def test_an_invite_that_nobody_answers_is_repeated_as_it_was(call: Call, tmp_path: Path) -> None:
    result, trunk, _, _ = await call([invite(), wait(1_700), say(486), *REFUSED], tmp_path)
    assert result.code is C.VOICE_BUSY
    first, second, third = trunk.heard("INVITE")
    assert first.text == second.text == third.text
    assert second.at - first.at == pytest.approx(0.5, abs=0.1)
    assert third.at - second.at == pytest.approx(1.0, abs=0.1)


async def test_a_bye_that_nobody_answers_is_repeated_as_it_was(call: Call, tmp_path: Path) -> None:
    result, trunk, _, _ = await call([invite(), answer(), hear("ACK"), hear("BYE"), wait(700), reply()], tmp_path)
    assert result.code is C.OK
    assert len({message.text for message in trunk.heard("BYE")}) == 1
    assert len(trunk.heard("BYE")) == 2


# --- crossings -------------------------------------------------------------------------------------------------------


async def test_an_answer_that_crosses_our_cancel_is_acknowledged_and_hung_up(call: Call, tmp_path: Path) -> None:
    story = [invite(), say(180), hear("CANCEL"), reply(tag=TAG), answer(again=False), hear("ACK"), *ENDS]
    result, trunk, _, _ = await call(story, tmp_path, {"dial_ms": 700})
    assert result.code is C.VOICE_NO_ANSWER
    assert result.report.ended_by is HungUpBy.US
    assert branch(trunk.heard("CANCEL")[0]) == branch(trunk.heard("INVITE")[0])


async def test_byes_that_cross_are_both_answered(call: Call, tmp_path: Path) -> None:
    story = [invite(), answer(), hear("ACK"), hear("BYE", keep=True), ask("BYE", 1), gets(200), say(200, tag="")]
    result, _, _, _ = await call(story, tmp_path)
    assert (result.code, result.report.plays) == (C.OK, 1)


async def test_a_second_answer_by_another_phone_is_acknowledged_and_hung_up(call: Call, tmp_path: Path) -> None:
    story = [invite(), say(180, tag="a"), say(180, tag="b"), answer(tag="a"), hear("ACK"), answer(tag="b", again=False)]
    story += [hear("ACK", check("To", "tag=b")), hear("BYE", check("To", "tag=b")), reply()]
    story += [hear("BYE", check("To", "tag=a")), reply()]
    result, _, _, _ = await call(story, tmp_path)
    assert (result.code, result.report.plays) == (C.OK, 1)


async def test_an_offer_right_after_the_answer_is_answered(call: Call, tmp_path: Path) -> None:
    story = [invite(), answer(), hear("ACK"), ask("INVITE", 1, body=SDP), gets(200), acknowledge(1), *ENDS]
    result, trunk, listener, speech = await call(story, tmp_path)
    assert (result.code, listener.sound().count(speech.pcma)) == (C.OK, 1)
    (kept,) = [message for message in trunk.heard("SIP/2.0") if message["CSeq"] == "1 INVITE"]
    assert kept["Content-Type"] == "application/sdp"
    assert re.search(r"^m=audio \d+ RTP/AVP 8 101\s*$", kept.text, re.MULTILINE)


# --- proxies, redirections, other hosts ------------------------------------------------------------------------------

PROXIES = [
    ("<sip:[local_ip]:[local_port];lr;p=far>, <sip:[local_ip]:[local_port];lr;p=near>",),
    ("<sip:[local_ip]:[local_port];lr;p=far>", '"Near" <sip:[local_ip]:[local_port];lr;p=near>;x=y'),
]


async def test_record_route_is_the_way_of_all_that_follows_in_reverse(call: Call, tmp_path: Path) -> None:
    async def check(folder: Path, *lines: str) -> None:
        headers = [f"Record-Route: {line}" for line in lines]
        story = [invite(), say(180, *headers), answer(*headers), hear("ACK"), *ENDS]
        result, trunk, _, _ = await call(story, folder, own=True)
        assert result.code is C.OK
        for message in (*trunk.heard("ACK"), *trunk.heard("BYE")):
            assert re.findall(r"p=(\w+)", ",".join(message.all("Route"))) == ["near", "far"]
            assert message.first.split()[1].startswith("sip:phone@")

    await each(PROXIES, check, tmp_path)


async def test_a_redirection_is_followed(tmp_path: Path) -> None:
    speech = FixedSpeech(tmp_path)
    async with (
        ear() as listener,
        sipp([invite(), answer(), hear("ACK"), *ENDS], tmp_path / "b", ear=listener.port) as b,
    ):
        moved = say(302, f"Contact: <sip:elsewhere@127.0.0.1:{b.port}>;q=0.9")
        async with sipp([invite(), moved, *REFUSED], tmp_path / "a") as a, calling(a.url, speech) as caller:
            result = await caller.call()
            await b.finish()
    assert result.code is C.OK
    assert b.heard("INVITE")[0].first.split()[1].startswith("sip:elsewhere@127.0.0.1")
    assert b.heard("INVITE")[0]["Call-ID"] == a.heard("INVITE")[0]["Call-ID"]


async def test_the_next_host_is_tried_where_one_is_not_there(tmp_path: Path) -> None:
    async with ear() as listener, sipp([invite(), answer(), hear("ACK"), *ENDS], tmp_path, ear=listener.port) as there:
        nobody = f"sip:127.0.0.1:{free_port()}"
        async with calling(nobody, FixedSpeech(tmp_path), backups=(there.url,)) as caller:
            assert (await caller.call()).code is C.OK


async def test_the_next_host_is_tried_where_one_has_no_service(tmp_path: Path) -> None:
    story = [invite(), answer(), hear("ACK"), *ENDS]
    async with (
        ear() as listener,
        sipp(story, tmp_path / "b", ear=listener.port) as b,
        sipp([invite(), say(503), *REFUSED], tmp_path / "a") as a,
        calling(a.url, FixedSpeech(tmp_path), backups=(b.url,)) as caller,
    ):
        assert (await caller.call()).code is C.OK


async def test_a_trunk_that_is_nowhere_is_told_at_once_and_nobody_was_called(tmp_path: Path) -> None:
    async with calling(f"sip:127.0.0.1:{free_port()}", FixedSpeech(tmp_path)) as caller:
        result = await caller.call()
    assert result.code is C.VOICE_UNREACHABLE
    assert result.receipt is None


# --- credentials (RFC 8760) ------------------------------------------------------------------------------------------

USER = {"username": "bob", "password": "s3cret"}
HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
VERIFY = '<verifyauth assign_to="n_right" username="bob" password="s3cret"/>'


def challenge(status: int, nonce: str, algorithm: str, more: str = ', qop="auth"') -> str:
    name = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}[status]
    return say(status, f'{name}: Digest realm="judge", nonce="{nonce}", algorithm={algorithm}, opaque="o"{more}')


def credentials(message: Message) -> dict[str, str]:
    value = ",".join([*message.all("Authorization"), *message.all("Proxy-Authorization")])
    return {name: text.strip('"') for name, text in re.findall(r'(\w+)=("[^"]*"|[^,\s]+)', value)}


def proof(message: Message) -> str:
    """The response that these credentials should bear (RFC 7616, section 3.4.1)."""
    said = credentials(message)

    def digest(*parts: str) -> str:
        return HASHES[said.get("algorithm", "MD5")](":".join(parts).encode()).hexdigest()

    first, second = digest("bob", said["realm"], "s3cret"), digest(message.first.split()[0], said["uri"])
    middle = (said["nc"], said["cnonce"], said["qop"]) if "qop" in said else ()
    return digest(first, said["nonce"], *middle, second)


CHALLENGES = [
    (401, "MD5", ', qop="auth"'),
    (407, "MD5", ""),
    (401, "SHA-256", ', qop="auth,auth-int"'),
    (407, "SHA-256", ', qop="auth"'),
]


async def test_a_challenge_is_answered_with_a_proof(call: Call, tmp_path: Path) -> None:
    async def check(folder: Path, status: int, algorithm: str, more: str) -> None:
        story = [invite(), say(100), challenge(status, "n1", algorithm, more), *REFUSED]
        story += [invite(), answer(), hear("ACK"), *ENDS]
        result, trunk, _, _ = await call(story, folder, **USER)
        assert result.code is C.OK
        first, second = trunk.heard("INVITE")
        assert proof(second) == credentials(second)["response"]
        assert (credentials(second)["nonce"], credentials(second)["opaque"]) == ("n1", "o")
        assert not credentials(first)
        assert int(second["CSeq"].split()[0]) > int(first["CSeq"].split()[0])
        assert branch(first) != branch(second)
        assert first["From"] == second["From"]

    await each(CHALLENGES, check, tmp_path)


async def test_sipp_finds_our_proof_right(call: Call, tmp_path: Path) -> None:
    story = [invite(), challenge(401, "n1", "MD5"), *REFUSED, invite(VERIFY), '<nop next="right" test="n_right"/>']
    story += [say(403), *REFUSED, '<nop next="end"/>', '<label id="right"/>', say(486), *REFUSED]
    result, _, _, _ = await call([*story, '<label id="end"/>', "<nop/>"], tmp_path, **USER)
    assert result.code is C.VOICE_BUSY


async def test_a_stale_nonce_is_replaced(call: Call, tmp_path: Path) -> None:
    story = [invite(), challenge(407, "n1", "MD5"), *REFUSED, invite()]
    story += [challenge(407, "n2", "MD5", ', qop="auth", stale=TRUE'), *REFUSED, invite(), say(486), *REFUSED]
    result, trunk, _, _ = await call(story, tmp_path, **USER)
    assert result.code is C.VOICE_BUSY
    assert credentials(trunk.heard("INVITE")[2])["nonce"] == "n2"


async def test_of_two_challenges_the_stronger_is_answered(call: Call, tmp_path: Path) -> None:
    lines = [f'WWW-Authenticate: Digest realm="judge", nonce="n", algorithm={name}, qop="auth"' for name in HASHES]
    story = [invite(), say(401, *reversed(lines)), *REFUSED, invite(), say(486), *REFUSED]
    result, trunk, _, _ = await call(story, tmp_path, **USER)
    assert result.code is C.VOICE_BUSY
    assert credentials(trunk.heard("INVITE")[1])["algorithm"] == "SHA-256"


async def test_credentials_that_are_refused_are_a_matter_of_configuration(call: Call, tmp_path: Path) -> None:
    story = [invite(), challenge(401, "n1", "MD5"), *REFUSED, invite(), challenge(401, "n2", "MD5"), *REFUSED]
    result, _, _, _ = await call(story, tmp_path, **USER)
    assert result.code is C.VOICE_MISCONFIGURED
    assert result.receipt is None


async def test_a_bye_is_proved_too(call: Call, tmp_path: Path) -> None:
    wanted = 'Proxy-Authenticate: Digest realm="judge", nonce="n1", algorithm=SHA-256, qop="auth"'
    story = [invite(), answer(), hear("ACK"), hear("BYE"), reply(407, wanted), hear("BYE"), reply()]
    result, trunk, _, _ = await call(story, tmp_path, **USER)
    assert result.code is C.OK
    last = trunk.heard("BYE")[-1]
    assert proof(last) == credentials(last)["response"]


async def test_a_registration_is_made_proved_and_taken_back(tmp_path: Path) -> None:
    wanted = 'WWW-Authenticate: Digest realm="judge", nonce="n1", algorithm=MD5, qop="auth"'
    taken = "Contact: <sip:bob@[local_ip]>;expires=600"
    story = [hear("REGISTER"), reply(401, wanted, tag=TAG), hear("REGISTER"), reply(200, taken, tag=TAG)]
    story += [hear("REGISTER"), reply(200, tag=TAG)]
    more = USER | {"register_every": 600}
    async with sipp(story, tmp_path) as registrar, calling(registrar.url, FixedSpeech(tmp_path), **more) as caller:
        await caller.until(lambda: caller.route.state.health.value == "up")
    first, second, last = registrar.heard("REGISTER")
    assert proof(second) == credentials(second)["response"]
    assert first.first.split()[1] == f"sip:127.0.0.1:{registrar.port}"
    assert "sip:bob@" in second["To"]
    assert re.search(r"expires=0\b", last["Contact"]) or last.all("Expires") == ["0"]


# --- extensions ------------------------------------------------------------------------------------------------------

RELIABLE = ("Require: 100rel", "RSeq: 41", CONTACT)


async def test_a_reliable_provisional_response_is_acknowledged(call: Call, tmp_path: Path) -> None:
    proved = hear("PRACK", check("RAck", "^ ?41 [0-9]+ INVITE"))
    story = [invite(), say(183, *RELIABLE, body=SDP), proved, reply(), say(180), answer(body=SDP), hear("ACK"), *ENDS]
    result, trunk, listener, speech = await call(story, tmp_path)
    assert result.code is C.OK
    assert listener.sound().count(speech.pcma) == 1
    assert "100rel" in ",".join(trunk.heard("INVITE")[0].all("Supported"))
    (acknowledgement,) = trunk.heard("PRACK")
    assert acknowledgement["RAck"].split()[1:] == trunk.heard("INVITE")[0]["CSeq"].split()


async def test_a_session_is_refreshed_by_update_and_by_invite(call: Call, tmp_path: Path) -> None:
    timer = "Session-Expires: 90;refresher=uas"
    story = [
        invite(),
        answer(timer),
        hear("ACK"),
        ask("UPDATE", 1, timer),
        gets(200),
        ask("UPDATE", 2, timer, body=SDP),
    ]
    story += [gets(200), ask("INVITE", 3, timer, body=SDP), gets(200), acknowledge(3), *ENDS]
    result, trunk, listener, speech = await call(story, tmp_path)
    assert result.code is C.OK
    assert listener.sound().count(speech.pcma) == 1
    bodies = [message.body for message in trunk.messages() if not message.sent]
    origins = [re.search(r"^o=.*$", body, re.MULTILINE)[0].split() for body in bodies if body.startswith("v=")]
    assert len({tuple(origin[:2]) for origin in origins}) == 1  # the same session throughout


async def test_a_call_that_is_held_goes_on_when_it_is_taken_back(call: Call, tmp_path: Path) -> None:
    story = [invite(), answer(), hear("ACK"), ask("INVITE", 1, body=HELD), gets(200), acknowledge(1), wait(100)]
    story += [ask("INVITE", 2, body=SDP), gets(200), acknowledge(2), *ENDS]
    result, trunk, _, _ = await call(story, tmp_path)
    assert result.code is C.OK
    (held,) = [message for message in trunk.heard("SIP/2.0") if message["CSeq"] == "1 INVITE"]
    assert re.search(r"^a=(recvonly|inactive)", held.text, re.MULTILINE)


async def test_a_request_that_we_do_not_know_is_refused_and_the_call_goes_on(call: Call, tmp_path: Path) -> None:
    story = [invite(), answer(), hear("ACK"), ask("OPTIONS", 1), gets(200), ask("MESSAGE", 2), gets(405), *ENDS]
    result, _, _, _ = await call(story, tmp_path)
    assert result.code is C.OK


# --- transports ------------------------------------------------------------------------------------------------------


async def test_over_tcp(tmp_path: Path) -> None:
    async with (
        ear() as listener,
        sipp([invite(), say(180), answer(), hear("ACK"), *ENDS], tmp_path, tcp=True, ear=listener.port) as trunk,
        calling(f"{trunk.url};transport=tcp", FixedSpeech(tmp_path)) as caller,
    ):
        result = await caller.call()
    assert (result.code, result.report.plays) == (C.OK, 1)
    assert trunk.heard("INVITE")[0]["Via"].startswith("SIP/2.0/TCP ")
    assert "transport=tcp" in trunk.heard("INVITE")[0]["Contact"].lower()


async def test_over_ipv6(tmp_path: Path) -> None:
    speech = FixedSpeech(tmp_path)
    story = [invite(), say(180), answer(), hear("ACK"), *ENDS]
    async with (
        ear("::1") as listener,
        sipp(story, tmp_path, host="::1", ear=listener.port) as trunk,
        calling(trunk.url, speech) as caller,
    ):
        result = await caller.call()
    assert result.code is C.OK
    assert listener.sound().count(speech.pcma) == 1
    assert "c=IN IP6 ::1" in trunk.heard("INVITE")[0].text
    assert "[::1]" in trunk.heard("INVITE")[0]["Contact"]


@asynccontextmanager
async def ending_tls(outer: int, inner: int, certificate: trustme.LeafCert) -> AsyncIterator[None]:
    """TLS in front of a SIPp that has none: what is inside goes on to its TCP port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", inner)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(join, "127.0.0.1", outer, ssl=context)
    try:
        yield
    finally:
        server.close()


async def test_over_tls_with_a_certificate_that_is_checked(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    outer = free_port()
    contact = f"Contact: <sip:phone@127.0.0.1:{outer};transport=tls>"
    story = [invite(), say(180), say(200, contact, body=SDP), hear("ACK"), *ENDS]
    async with (
        ear() as listener,
        sipp(story, tmp_path, tcp=True, ear=listener.port) as trunk,
        ending_tls(outer, trunk.port, authority.issue_cert("127.0.0.1")),
        calling(f"sips:127.0.0.1:{outer}", FixedSpeech(tmp_path), tls_ca=tmp_path / "ca.pem") as caller,
    ):
        result = await caller.call()
    assert result.code is C.OK
    assert trunk.heard("INVITE")[0]["Via"].startswith("SIP/2.0/TLS ")


async def test_a_certificate_of_somebody_else_ends_it_before_anything_is_said(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    outer = free_port()
    async with (
        ending_tls(outer, free_port(), trustme.CA().issue_cert("127.0.0.1")),
        calling(f"sips:127.0.0.1:{outer}", FixedSpeech(tmp_path), tls_ca=tmp_path / "ca.pem") as caller,
    ):
        result = await caller.call()
    assert result.code is C.VOICE_UNREACHABLE
    assert result.receipt is None


# --- who calls -------------------------------------------------------------------------------------------------------

BUSY = (invite(), say(486), *REFUSED)


async def test_the_caller_is_told_in_each_header_and_nothing_else_is(tmp_path: Path) -> None:
    async with sipp(BUSY, tmp_path) as trunk:
        identity = ("P-Asserted-Identity", "Remote-Party-ID")
        more = {"identity": identity, "from_domain": "campana.example", "number_format": "digits"}
        async with calling(trunk.url, FixedSpeech(tmp_path), **more) as caller:
            await caller.call(calling_name='Water "works" \\ Grüße\r\nX-Evil: 1\x00')
    (message,) = trunk.heard("INVITE")
    assert message.first == f"INVITE sip:{NUMBER[1:]}@127.0.0.1:{trunk.port} SIP/2.0"
    names = [re.match(r'"((?:[^"\\]|\\.)*)" ', message[header])[1] for header in ("From", *identity)]
    assert len(set(names)) == 1
    assert re.sub(r"\\(.)", r"\1", names[0]).startswith('Water "works" \\ Grüße')
    for header in ("From", *identity):
        assert f"<sip:{CALLER[1:]}@campana.example>" in message[header]
    assert not message.all("X-Evil")
    assert "\x00" not in message.text


WRITTEN = [
    # settings, the number dialled, the calling number
    ({"number_format": "e164"}, "+14165550123", "+14165550000"),
    ({"number_format": "national", "country_code": "1", "national_prefix": "9"}, "94165550123", "94165550000"),
    ({"number_format": "digits", "caller_format": "e164"}, "14165550123", "+14165550000"),
]


async def test_numbers_are_written_as_the_route_says(tmp_path: Path) -> None:
    async def check(folder: Path, settings: dict, dialled: str, caller: str) -> None:
        async with sipp(BUSY, folder) as trunk, calling(trunk.url, FixedSpeech(folder), **settings) as calls:
            await calls.call()
        (message,) = trunk.heard("INVITE")
        assert message.first.split()[1].startswith(f"sip:{dialled}@")
        assert f"sip:{caller}@" in message["From"]
        assert f"sip:{caller}@" in message["P-Asserted-Identity"]

    await each(WRITTEN, check, tmp_path)
