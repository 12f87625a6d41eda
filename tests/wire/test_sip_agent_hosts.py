"""Which host is asked next, credentials, redirections, and the ways that dialogs prescribe."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib

import pytest
import structlog.testing

from campana.channels.voice.sip.contract import LegEnded, TrunkState
from campana.channels.voice.sip.headers import parse_challenge, parse_via
from campana.channels.voice.sip.message import response_to, tag_of
from campana.channels.voice.sip.problem import Problem
from campana.domain.call import HungUpBy
from tests.wire.sip_kit import (
    ANSWER,
    QUICK,
    SDP,
    Ear,
    Heard,
    Trunk,
    answered,
    dead_port,
    house,
    open_stream_trunk,
    open_trunk,
)

USER = {"username": "alice", "password": "open sesame"}
CHALLENGE = 'Digest realm="trunk", nonce="n1", qop="auth,auth-int", algorithm=MD5'


def proof(heard: Heard, header: str = "Authorization", password: str = "open sesame") -> dict[str, str]:
    """The parameters of an answer to a challenge, after checking it as RFC 7616 says."""
    (value,) = heard.headers.all(header)
    scheme, found = parse_challenge(value)
    assert scheme == "digest"
    name = {"MD5": "md5", "SHA-256": "sha256"}[found["algorithm"]]

    def digest(text: str) -> str:
        return hashlib.new(name, text.encode()).hexdigest()

    secret = digest(f"{found['username']}:{found['realm']}:{password}")
    action = digest(f"{heard.request.method}:{found['uri']}")
    middle = f"{found['nonce']}:{found['nc']}:{found['cnonce']}:auth" if "qop" in found else found["nonce"]
    assert found["response"] == digest(f"{secret}:{middle}:{action}")
    assert found["uri"] == heard.request.uri
    return found


async def refuse(trunk: Trunk, name: str, status: int, *challenges: str) -> Heard:
    """Hear a request and ask for credentials."""
    heard = await trunk.hear(name)
    header = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    trunk.say(heard, status, "Who are you", [(header, challenges[0])] if challenges else [])
    if name == "INVITE":
        await trunk.hear("ACK")
    return heard


# --- credentials -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "header"), [(401, "Authorization"), (407, "Proxy-Authorization")])
async def test_a_challenge_is_answered_and_every_later_request_bears_the_next_count(status: int, header: str) -> None:
    async with open_trunk() as trunk, house(trunk, **USER) as home:
        ear = Ear()
        leg = home.dial(ear)
        first = await refuse(trunk, "INVITE", status, CHALLENGE)
        invite = await trunk.hear("INVITE")
        assert proof(invite, header)["nc"] == "00000001"
        assert invite.headers.get("CSeq") == "2 INVITE"
        for name in ("Call-ID", "From", "To"):
            assert invite.headers.get(name) == first.headers.get(name)
        assert home.asked == 1
        trunk.say(invite, 200, "OK", SDP, ANSWER)
        ack = await trunk.hear("ACK")
        assert ack.headers.all(header) == invite.headers.all(header)
        await ear.until("answered")
        leg.hang_up()
        bye = await trunk.hear("BYE")
        assert proof(bye, header)["nc"] == "00000002"
        trunk.say(bye, 200)
        assert ear.names == ["sent", 200, "answered", "ended"]


async def test_a_bye_is_sent_again_with_credentials() -> None:
    async with open_trunk() as trunk, house(trunk, **USER) as home:
        ear = Ear()
        leg = home.dial(ear)
        await answered(trunk, ear)
        leg.hang_up()
        first = await refuse(trunk, "BYE", 407, CHALLENGE)
        bye = await trunk.hear("BYE")
        proof(bye, "Proxy-Authorization")
        assert (first.headers.get("CSeq"), bye.headers.get("CSeq")) == ("2 BYE", "3 BYE")
        trunk.say(bye, 200)


async def test_sha_256_is_taken_where_it_is_offered() -> None:
    async with open_trunk() as trunk, house(trunk, **USER) as home:
        home.dial(Ear())
        first = await trunk.hear("INVITE")
        both = 'Digest realm="trunk", nonce="n2", algorithm=SHA-256, qop="auth", opaque="o"'
        answer = response_to(first.request, 401, "No", "x")
        for value in (CHALLENGE, both, 'Digest realm="trunk", nonce="n3", algorithm=SHA-512-256'):
            answer.headers.add("WWW-Authenticate", value)
        trunk.send(first, answer)
        await trunk.hear("ACK")
        found = proof(await trunk.hear("INVITE"))
        assert (found["algorithm"], found["nonce"], found["opaque"]) == ("SHA-256", "n2", "o")


async def test_without_qop_the_older_form_is_used() -> None:
    async with open_trunk() as trunk, house(trunk, **USER) as home:
        home.dial(Ear())
        await refuse(trunk, "INVITE", 401, 'Digest realm="trunk", nonce="n1"')
        assert not {"qop", "nc", "cnonce"} & proof(await trunk.hear("INVITE")).keys()


async def test_a_wrong_password_ends_after_one_try_and_marks_the_trunk() -> None:
    async with open_trunk() as trunk, house(trunk, **USER) as home:
        ear = Ear()
        await home.agent.start()
        with structlog.testing.capture_logs() as logs:
            home.dial(ear)
            await refuse(trunk, "INVITE", 401, CHALLENGE)
            await refuse(trunk, "INVITE", 401, CHALLENGE.replace("n1", "n2"))
            assert await ear.end() == LegEnded(HungUpBy.NETWORK, 401, "Who are you", None, Problem.AUTHENTICATION)
        assert home.states[-1] == (TrunkState.DOWN, "misconfigured: the trunk refuses username and password")
        assert "sesame" not in repr(logs) + repr(home.states)
        assert trunk.unheard == []


async def test_a_stale_nonce_is_replaced() -> None:
    async with open_trunk() as trunk, house(trunk, **USER) as home:
        ear = Ear()
        home.dial(ear)
        await refuse(trunk, "INVITE", 401, CHALLENGE)
        await refuse(trunk, "INVITE", 401, 'Digest realm="trunk", nonce="n2", qop="auth", stale=TRUE')
        invite = await trunk.hear("INVITE")
        assert (proof(invite)["nonce"], proof(invite)["nc"]) == ("n2", "00000001")


async def test_a_trunk_that_finds_every_nonce_stale_is_given_up() -> None:
    async with open_trunk() as trunk, house(trunk, **USER) as home:
        ear = Ear()
        home.dial(ear)
        for _ in range(5):
            await refuse(trunk, "INVITE", 401, CHALLENGE + ", stale=true")
        assert (await ear.end()).problem is Problem.AUTHENTICATION


async def test_a_proxy_and_a_server_may_both_ask() -> None:
    async with open_trunk() as trunk, house(trunk, **USER) as home:
        home.dial(Ear())
        await refuse(trunk, "INVITE", 407, CHALLENGE)
        await refuse(trunk, "INVITE", 401, CHALLENGE.replace("trunk", "server"))
        invite = await trunk.hear("INVITE")
        assert proof(invite, "Proxy-Authorization")["realm"] == "trunk"
        assert proof(invite, "Authorization")["realm"] == "server"


@pytest.mark.parametrize(
    ("settings", "challenges"),
    [
        ({}, [CHALLENGE]),
        (USER, []),
        (USER, ['Digest realm="trunk", nonce="n1", algorithm=SHA-512-256']),
        (USER, ['Digest realm="trunk", nonce="n1", qop="auth-int"']),
        (USER, ['Basic realm="trunk"']),
        (USER, ['Digest realm="trunk", nonce="unfinished']),
        (USER, [f'Digest realm="trunk", nonce="{"n" * 8_000}"']),
    ],
)
async def test_what_cannot_be_answered_is_refused_credentials(settings: dict[str, str], challenges: list[str]) -> None:
    async with open_trunk() as trunk, house(trunk, **settings) as home:
        ear = Ear()
        home.dial(ear)
        await refuse(trunk, "INVITE", 401, *challenges)
        ended = await ear.end()
        assert (ended.status, ended.problem) == (401, Problem.AUTHENTICATION)


# --- the next host -----------------------------------------------------------------------------------------------


async def test_a_host_that_is_not_there_is_passed_over_with_the_same_call() -> None:
    async with open_trunk() as trunk:
        gone = Trunk()
        gone.port = dead_port()
        async with house(gone, trunk) as home:
            ear = Ear()
            home.dial(ear)
            invite = await trunk.hear("INVITE", within=0.3)
            assert home.asked == 2
            assert invite.request.uri.startswith(f"sip:+15550100@127.0.0.1:{trunk.port}")
            trunk.say(invite, 486)
            assert (await ear.end()).status == 486
            assert ear.names == ["sent", 486, "ended"]


async def test_a_silent_host_is_left_and_whoever_answers_there_late_is_hung_up() -> None:
    async with open_trunk() as silent, open_trunk() as trunk, house(silent, trunk) as home:
        ear = Ear()
        leg = home.dial(ear)
        first = await silent.hear("INVITE")
        second = await trunk.hear("INVITE")
        assert second.at - first.at == trunk.near(0.4, 0.05)
        for name in ("Call-ID", "From", "To", "CSeq"):
            assert first.headers.get(name) == second.headers.get(name)
        assert parse_via(first.headers.get("Via") or "").branch != parse_via(second.headers.get("Via") or "").branch
        silent.say(first, 180)
        silent.say(await silent.hear("CANCEL"), 200)
        silent.say(first, 200, "OK", SDP, b"late", tag="late")
        await silent.hear("ACK")
        bye = await silent.hear("BYE")
        assert tag_of(bye.headers.get("To") or "") == "late"
        silent.say(bye, 200)
        trunk.say(second, 200, "OK", SDP, ANSWER)
        await trunk.hear("ACK")
        assert await ear.until("answered") == ("answered", ANSWER)
        assert leg.is_answered
        # The next call begins with the host that worked.
        home.dial(Ear())
        await trunk.hear("INVITE")
        assert silent.unheard == []


async def test_a_host_that_is_busy_with_itself_is_passed_over() -> None:
    async with open_trunk() as full, open_trunk() as trunk, house(full, trunk) as home:
        ear = Ear()
        home.dial(ear)
        first = await full.hear("INVITE")
        full.say(first, 100)
        full.say(first, 503, "Service Unavailable")
        await full.hear("ACK")
        trunk.say(await trunk.hear("INVITE"), 404, "Not Found")
        assert (await ear.end()).status == 404


async def test_a_host_from_which_no_sound_could_come_is_passed_over() -> None:
    async with open_trunk() as deaf, open_trunk() as trunk, house(deaf, trunk) as home:
        home.soundless = {deaf.port}
        ear = Ear()
        home.dial(ear)
        trunk.say(await trunk.hear("INVITE"), 404, "Not Found")
        assert (await ear.end()).status == 404
        assert (deaf.log, home.asked) == ([], 1)


async def test_a_call_to_which_no_sound_could_come_reaches_nobody() -> None:
    async with open_trunk() as deaf, house(deaf) as home:
        home.soundless = {deaf.port}
        ear = Ear()
        home.dial(ear)
        ended = await ear.end()
        assert (ended.problem, ear.names) == (Problem.TRANSPORT, ["ended"])
        assert deaf.log == []


async def test_nobody_else_is_asked_once_a_phone_may_have_rung() -> None:
    async with open_trunk() as ringing, open_trunk() as trunk, house(ringing, trunk, timers=QUICK) as home:
        ear = Ear()
        home.dial(ear)
        first = await ringing.hear("INVITE")
        ringing.say(first, 180)
        with pytest.raises(TimeoutError):
            await ear.until("ended", within=0.3)
        ringing.say(first, 503, "Service Unavailable")
        assert (await ear.end()).status == 503
        assert trunk.log == []


async def test_a_call_is_not_sent_to_a_further_host_without_leave() -> None:
    async with open_trunk() as full, open_trunk() as trunk, house(full, trunk) as home:
        home.permits = [True, False]
        ear = Ear()
        home.dial(ear)
        full.say(await full.hear("INVITE"), 503)
        assert (await ear.end()).problem is Problem.WITHDRAWN
        assert trunk.log == []


async def test_what_left_over_a_connection_that_broke_may_have_arrived_though_it_may_go_no_further() -> None:
    async with open_stream_trunk() as broken, open_trunk() as trunk, house(broken, trunk) as home:
        home.permits = [True, False]
        ear = Ear()
        home.dial(ear)
        await broken.hear("INVITE")
        broken.writers[0].transport.abort()
        ended = await ear.end()
        assert (ended.problem, ended.may_have_arrived) == (Problem.WITHDRAWN, True)
        assert trunk.log == []


async def test_an_icmp_error_about_a_later_copy_says_nothing_of_the_first_one() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        await trunk.hear("INVITE")
        await trunk.until(lambda: bool(trunk.repeated))
        trunk.udp.close()
        ended = await ear.end()
        assert (ended.problem, ended.may_have_arrived) == (Problem.TRANSPORT, True)


async def test_an_icmp_error_about_the_only_copy_says_that_it_has_not_arrived() -> None:
    gone = Trunk()
    gone.port = dead_port()
    async with house(gone) as home:
        ear = Ear()
        home.dial(ear)
        ended = await ear.end()
        assert (ended.problem, ended.may_have_arrived) == (Problem.TRANSPORT, False)


async def test_a_defect_after_the_invite_left_does_not_say_that_it_never_did() -> None:
    class Broken(Ear):
        def sent(self) -> None:
            raise RuntimeError("a defect above")

    async with open_trunk() as trunk, house(trunk) as home:
        ear = Broken()
        home.dial(ear)
        assert (await ear.end()).may_have_arrived
        trunk.say(await trunk.hear("INVITE"), 180)
        await trunk.hear("CANCEL")


async def test_without_leave_nothing_is_sent_at_all() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        home.permits = [False]
        ear = Ear()
        home.dial(ear)
        assert await ear.end() == LegEnded(HungUpBy.US, None, "", None, Problem.WITHDRAWN)
        assert ear.names == ["ended"]
        assert trunk.log == []


async def test_no_host_at_all_is_a_transport_problem() -> None:
    gone = Trunk()
    gone.port = dead_port()
    async with house(gone) as home:
        ear = Ear()
        home.dial(ear)
        ended = await ear.end(1.0)
        assert (ended.by, ended.status, ended.problem) == (HungUpBy.NETWORK, None, Problem.TRANSPORT)


async def test_an_outbound_proxy_gets_everything_first() -> None:
    async with contextlib.AsyncExitStack() as opened:
        proxy, trunk = [await opened.enter_async_context(open_trunk()) for _ in range(2)]
        home = await opened.enter_async_context(house(trunk, proxy=f"sip:127.0.0.1:{proxy.port}"))
        home.dial(Ear())
        invite = await proxy.hear("INVITE")
        assert invite.headers.all("Route") == [f"<sip:127.0.0.1:{proxy.port};lr>"]
        assert invite.request.uri == f"sip:+15550100@127.0.0.1:{trunk.port}"


# --- redirections ------------------------------------------------------------------------------------------------


async def test_a_redirection_is_followed_best_first_and_each_place_once() -> None:
    async with open_trunk() as trunk, open_trunk() as other, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        invite = await trunk.hear("INVITE")
        places = [f"<sip:a@127.0.0.1:{other.port}>;q=0.2", f'"B, C" <sip:b@127.0.0.1:{other.port};transport=UDP>;q=0.9']
        trunk.say(invite, 302, "Moved", [("Contact", ", ".join([*places, "<tel:+1>", "garbage<"]))])
        await trunk.hear("ACK")
        second = await other.hear("INVITE")
        assert second.request.uri == f"sip:b@127.0.0.1:{other.port};transport=UDP"
        assert second.headers.get("CSeq") == "2 INVITE"
        assert second.headers.get("To") == invite.headers.get("To")
        other.say(second, 302, "Moved", [("Contact", f"<{second.request.uri}>, <{invite.request.uri}>")])
        await other.hear("ACK")
        third = await other.hear("INVITE")
        assert third.request.uri == f"sip:a@127.0.0.1:{other.port}"
        other.say(third, 486, "Busy Here")
        assert (await ear.end()).status == 486
        assert home.asked == 3


async def test_redirections_end_after_five() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        for count in range(6):
            invite = await trunk.hear("INVITE")
            trunk.say(invite, 302, "Moved", [("Contact", f"<sip:next{count}@127.0.0.1:{trunk.port}>")])
            await trunk.hear("ACK")
        assert (await ear.end()).status == 302
        assert trunk.unheard == []


# --- routes ------------------------------------------------------------------------------------------------------


async def test_record_route_becomes_the_route_reversed_and_contact_the_target() -> None:
    async with open_trunk() as trunk, open_trunk() as edge, house(trunk) as home:
        ear = Ear()
        leg = home.dial(ear)
        invite = await trunk.hear("INVITE")
        inner, outer = "<sip:core.test;lr;x=1>", f"<sip:127.0.0.1:{edge.port};transport=UDP;lr>"
        extra = [*SDP, ("Record-Route", f"{inner}, {outer}"), ("Contact", "<sip:phone@10.0.0.1:5099;transport=UDP>")]
        trunk.say(invite, 200, "OK", extra, ANSWER)
        ack = await edge.hear("ACK")
        assert ack.request.uri == "sip:phone@10.0.0.1:5099;transport=UDP"
        assert ack.headers.all("Route") == [outer, inner]
        await ear.until("answered")
        leg.hang_up()
        bye = await edge.hear("BYE")
        assert (bye.request.uri, bye.headers.all("Route")) == (ack.request.uri, [outer, inner])
        edge.say(bye, 200)
        assert trunk.unheard == []


async def test_a_strict_router_is_addressed_as_it_wants() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        leg = home.dial(ear)
        invite = await trunk.hear("INVITE")
        routes = [f"<sip:127.0.0.1:{trunk.port}>", "<sip:second.test;lr>"]
        extra = [*SDP, ("Record-Route", ", ".join(routes[::-1])), ("Contact", "<sip:phone@10.0.0.1>")]
        trunk.say(invite, 200, "OK", extra, ANSWER)
        ack = await trunk.hear("ACK")
        assert ack.request.uri == f"sip:127.0.0.1:{trunk.port}"
        assert ack.headers.all("Route") == ["<sip:second.test;lr>", "<sip:phone@10.0.0.1>"]
        await ear.until("answered")
        leg.hang_up()
        await trunk.hear("BYE")


@pytest.mark.parametrize("contact", ["<sip:x@no.such.host.invalid>", "garbage", "<sip:[::bad@>", "*"])
async def test_a_contact_that_leads_nowhere_is_reached_the_way_of_the_invite(contact: str) -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        leg = home.dial(ear)
        invite = await trunk.hear("INVITE")
        trunk.say(invite, 200, "OK", [*SDP, ("Contact", contact)], ANSWER)
        await trunk.hear("ACK")
        await ear.until("answered")
        leg.hang_up()
        trunk.say(await trunk.hear("BYE"), 200)


async def test_many_calls_at_once_end_each_for_itself() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ears = [Ear() for _ in range(60)]
        for ear in ears:
            home.dial(ear)
        await trunk.until(lambda: len(trunk.unheard) == len(ears))
        for _ in ears:
            invite = await trunk.hear("INVITE")
            trunk.say(invite, 200, "OK", SDP, (invite.headers.get("Call-ID") or "").encode())
        for _ in ears:
            await trunk.hear("ACK")
        answers = await asyncio.gather(*(ear.until("answered") for ear in ears))
        assert answers == [("answered", f"call-{number}".encode()) for number in range(1, 61)]


async def test_nothing_is_remembered_of_calls_that_are_over() -> None:
    """Refused, answered and hung up by either side, cancelled, forked: after the last timer nothing is left."""
    async with open_trunk() as trunk, house(trunk, timers=QUICK) as home:
        ears = [Ear() for _ in range(4)]
        legs = [home.dial(ear) for ear in ears]
        await trunk.until(lambda: len(trunk.unheard) == 4)
        refused, ours, theirs, cancelled = [await trunk.hear("INVITE") for _ in range(4)]
        trunk.say(refused, 486)
        for invite in (ours, theirs):
            trunk.say(invite, 180, tag="other phone")
            trunk.say(invite, 200, "OK", SDP, ANSWER)
        trunk.say(cancelled, 180)
        await asyncio.gather(*(ear.until("responded") for ear in ears))
        await asyncio.gather(*(ear.until("answered") for ear in ears[1:3]))
        trunk.ask(theirs, "BYE")
        legs[1].hang_up()
        legs[3].hang_up()
        await trunk.until(lambda: {"BYE", "CANCEL"} <= {heard.name for heard in trunk.unheard})
        for heard in list(trunk.unheard):
            if heard.name in ("BYE", "CANCEL"):
                trunk.say(heard, 200)
        trunk.say(cancelled, 487)
        await asyncio.gather(*(ear.end() for ear in ears))
        assert home.agent.remembered > 0
        with pytest.raises(TimeoutError):
            await trunk.until(lambda: home.agent.remembered < 0, within=1.5)  # timers of 0.64 s, one after the other
        assert home.agent.remembered == 0
