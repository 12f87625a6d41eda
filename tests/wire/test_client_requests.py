"""The Python client against a server that fails, at the socket: what it sends again, and what it tells of failures."""

from __future__ import annotations

import io
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from client_kit import asked, cuts, peer, problem, says, streams

from campana.client import (
    BrokenOff,
    CampaignDraft,
    Client,
    Conflict,
    Invalid,
    LogIn,
    NewContact,
    NotAuthenticated,
    NotFound,
    NotUnderstood,
    Refused,
    Retries,
    ServerFailed,
    Sms,
    TooMany,
    Transfer,
    Unavailable,
    Unreachable,
    VersionMismatch,
)

CAMPAIGN = {"id": "c1", "name": "Autumn", "created_at": "2026-11-28T09:30:00.000Z", "version": 3}
DONE = {"id": "i1", "campaign": "c1", "state": "done", "started_at": "2026-11-28T09:30:00.000Z", "accepted": 3}
IMPATIENT = Retries(patience_s=0.0)


@pytest.fixture(params=["blocking", "awaiting"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    "fails",
    [
        cuts,
        problem(503, 90),
        problem(429, 31),
        problem(409, 44, headers="Retry-After: 30\r\n"),
        says(502, raw=b"<html>Bad Gateway</html>"),
        says(504, raw=b""),
        streams(b'{"id":', ends=False, kind="application/json"),
    ],
)
async def test_what_may_pass_is_sent_again_as_it_was(kind: str, fails: Callable[..., Any]) -> None:
    async with peer(fails, fails, says(201, CAMPAIGN)) as here, asked(kind, here.url) as client:
        made = await client.once("create_campaign", CampaignDraft(name="Autumn", sms=Sms(enabled=True, from_="A")))
    assert (made.id, made.version, made.created_at.year) == ("c1", 3, 2026)
    assert here.targets == ["POST /api/v1/campaigns"] * 3
    assert len({one.key for one in here.seen}) == 1
    assert {one.headers["authorization"] for one in here.seen} == {"Bearer ck_abcdefgh_secret"}
    assert {one.body for one in here.seen} == {b'{"name":"Autumn","sms":{"enabled":true,"from":"A"}}'}


async def test_each_call_has_a_key_of_its_own_or_the_one_given(kind: str) -> None:
    async with peer(*[says(200, CAMPAIGN)] * 3) as here, asked(kind, here.url) as client:
        for key in (None, None, "mine"):
            await client.once("pause_campaign", "c1", key=key)
    first, second, third = (one.key for one in here.seen)
    assert len({first, second, "mine"}) == 3
    assert third == "mine"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, NotAuthenticated),
        (404, NotFound),
        (409, Conflict),
        (412, VersionMismatch),
        (422, Invalid),
        (429, TooMany),
        (500, ServerFailed),
        (503, Unavailable),
    ],
)
async def test_a_refusal_is_an_exception_that_says_why(kind: str, status: int, error: type[Refused]) -> None:
    answer = problem(status, 12, "sms.from is refused.", "sms.from")
    async with peer(answer) as here, asked(kind, here.url, IMPATIENT) as client:
        with pytest.raises(error) as told:
            await client.once("get_campaign", "c1")
    why = told.value
    assert (why.status, why.code, why.title, why.field) == (status, 12, "T", "sms.from")
    assert str(why) == why.detail == "sms.from is refused."
    assert len(here.seen) == 1


async def test_who_says_to_wait_for_longer_than_there_is_patience_is_not_asked_again(kind: str) -> None:
    async with peer(problem(429, 4, headers="Retry-After: 900\r\n")) as here, asked(kind, here.url) as client:
        with pytest.raises(TooMany):
            await client.once("get_campaign", "c1")
    assert len(here.seen) == 1


async def test_a_page_of_a_proxy_is_no_problem_of_campanas(kind: str) -> None:
    async with peer(says(403, raw=b"<html>No</html>")) as here, asked(kind, here.url) as client:
        with pytest.raises(Refused, match=r"^The server answered with HTTP status 403\.$") as told:
            await client.once("get_campaign", "c1")
    assert told.value.code == 0


@pytest.mark.parametrize("answer", [says(200, raw=b"<html>Hello</html>"), says(302), says(200, {"name": "Autumn"})])
async def test_what_is_no_campana_server_is_told(kind: str, answer: Callable[..., Any]) -> None:
    async with peer(answer) as here, asked(kind, here.url) as client:
        with pytest.raises(NotUnderstood, match="is there a Campana server"):
            await client.once("get_campaign", "c1")


async def test_an_id_that_would_lead_elsewhere_is_nobodys(kind: str) -> None:
    async with peer() as here, asked(kind, here.url) as client:
        for guid in ("", ".", ".."):
            with pytest.raises(NotFound, match=r"^There is nothing with such an id"):
                await client.once("delete_campaign", guid)
        for key in ("two words", "x" * 256, "é"):
            with pytest.raises(ValueError, match="visible ASCII"):
                await client.once("create_campaign", CampaignDraft(name="x"), key=key)
    assert here.seen == []


async def test_nobody_who_answers_is_told_in_a_sentence(kind: str) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        async with asked(kind, f"http://127.0.0.1:{held.getsockname()[1]}", Retries(0.1, 0.01)) as client:
            with pytest.raises(Unreachable, match=r"^The server at http://127\.0\.0\.1:\d+ cannot be reached: "):
                await client.once("get_campaign", "c1")


async def test_what_was_deleted_by_a_try_whose_answer_was_lost_is_deleted(kind: str) -> None:
    async with peer(cuts, problem(404, 10), problem(404, 10)) as here, asked(kind, here.url) as client:
        await client.once("delete_campaign", "c1", version=3)
        with pytest.raises(NotFound):
            await client.once("delete_campaign", "c1")
    assert [one.headers.get("if-match") for one in here.seen] == ['"3"', '"3"', None]


async def test_lists_are_read_page_by_page_as_they_are_gone_through(kind: str) -> None:
    pages = [says(200, {"items": [CAMPAIGN] * 2, "next": "a+b"}), says(200, {"items": [], "next": "c"})]
    async with peer(*pages, says(200, {"items": [CAMPAIGN], "next": None})) as here, asked(kind, here.url) as client:
        assert len(await client.many("list_campaigns", state="running")) == 3
    assert [one.target.partition("?")[2] for one in here.seen] == [
        "state=running&limit=1000",
        "state=running&limit=1000&cursor=a%2Bb",
        "state=running&limit=1000&cursor=c",
    ]


async def test_a_session_is_opened_when_it_is_needed_and_again_when_it_has_ended(kind: str) -> None:
    opened = [says(201, {"token": f"t{number}", "expires_in": 1200}) for number in (1, 2)]
    behaviours = [opened[0], says(200, CAMPAIGN), problem(401, 1), opened[1], says(200, CAMPAIGN), says(204)]
    async with peer(*behaviours) as here, asked(kind, here.url, log_in=LogIn("acme", "ann", "secret")) as client:
        assert here.seen == []
        await client.once("get_campaign", "c1")
        await client.once("get_campaign", "c1")
    assert [one.headers.get("authorization") for one in here.seen] == [
        None,
        "Bearer t1",
        "Bearer t1",
        None,
        "Bearer t2",
        "Bearer t2",
    ]
    assert here.targets[-1] == "DELETE /api/v1/sessions/current"
    assert json.loads(here.seen[0].body) == {"account": "acme", "user": "ann", "password": "secret"}


async def test_a_wrong_password_is_not_tried_again(kind: str) -> None:
    wrong, log_in = problem(401, 2, "The account, the user or the password is wrong."), LogIn("acme", "ann", "no")
    async with peer(wrong) as here, asked(kind, here.url, log_in=log_in) as client:
        with pytest.raises(NotAuthenticated, match="password is wrong"):
            await client.once("get_campaign", "c1")
    assert len(here.seen) == 1


# --- imports -----------------------------------------------------------------------------------------------------

ROWS = b"name,sms\nAda,+12025550100\nBea,+12025550101\n"


async def test_an_import_that_breaks_is_sent_again_from_its_beginning(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(ROWS * 100_000)
    told: list[Transfer] = []
    async with peer(problem(503, 90), says(201, DONE), read_most=1_000_000) as here, asked(kind, here.url) as client:
        done = await client.once("import_contacts", "c1", file, columns={"name": "name"}, progress=told.append)
    assert done.accepted == 3
    assert here.targets == ["POST /api/v1/campaigns/c1/imports?map=name%3Aname"] * 3
    assert len({one.key for one in here.seen}) == 1
    assert here.seen[-1].body == file.read_bytes()
    assert here.seen[-1].headers["content-type"] == "text/csv"
    assert told[-1] == Transfer(file.stat().st_size, file.stat().st_size, 3)
    assert {one.tries for one in told} == {1, 2, 3}
    within = [one.done for one in told if one.tries == 3]
    assert within == sorted(within)


async def test_contacts_of_a_program_are_sent_as_json_lines(kind: str) -> None:
    people = [NewContact(name="Ada", fields={"town": "Rome"}), {"name": "Bea"}]
    async with peer(cuts, says(201, DONE), says(201, DONE)) as here, asked(kind, here.url) as client:
        await client.once("import_contacts", "c1", people)
        await client.once("import_contacts", "c1", io.BytesIO(b"xx" + ROWS), kind="csv", key="mine")
    assert here.seen[0].body == here.seen[1].body == b'{"name":"Ada","fields":{"town":"Rome"}}\n{"name":"Bea"}\n'
    assert here.seen[1].headers["content-type"] == "application/jsonl"
    assert (here.seen[2].key, here.seen[2].body) == ("mine", b"xx" + ROWS)


async def test_what_cannot_be_read_twice_is_told_with_its_key(kind: str) -> None:
    async with peer(cuts) as here, asked(kind, here.url) as client:
        with pytest.raises(BrokenOff, match="cannot be read again") as told:
            await client.once("import_contacts", "c1", iter([{"name": "Ada"}]))
    assert told.value.key == here.seen[0].key
    assert len(here.seen) == 1


async def test_a_file_of_no_known_kind_is_not_sent(kind: str, tmp_path: Path) -> None:
    async with peer() as here, asked(kind, here.url) as client:
        with pytest.raises(ValueError, match="say which"):
            await client.once("import_contacts", "c1", tmp_path / "people.xls")
        with pytest.raises(ValueError, match="csv or jsonl"):
            await client.once("import_contacts", "c1", io.BytesIO(b""))
        with pytest.raises(ValueError, match="say which"):
            await client.once("export", "c1", "contacts", tmp_path / "people.xls")
        with pytest.raises(FileNotFoundError):
            await client.once("import_contacts", "c1", tmp_path / "none.csv")
    assert here.seen == []


# --- exports and events ------------------------------------------------------------------------------------------


async def test_an_export_that_breaks_begins_anew_and_is_whole_or_not_there(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    good, bad = streams(b"id\n", b"1\n2\n", kind="text/csv"), streams(b"id\n", b"1\n", ends=False, kind="text/csv")
    async with peer(bad, bad, good, problem(404, 10), bad) as here, asked(kind, here.url) as client:
        assert await client.once("export", "c1", "contacts", file) == 7
        assert file.read_bytes() == b"id\n1\n2\n"
        with pytest.raises(NotFound):
            await client.once("export", "c1", "contacts", tmp_path / "other.csv")
    assert here.targets[:3] == ["GET /api/v1/campaigns/c1/contacts.csv"] * 3
    assert os.listdir(tmp_path) == ["people.csv"]


async def test_an_export_to_an_open_file_begins_where_that_is(kind: str) -> None:
    class Tube(io.BytesIO):
        def seekable(self) -> bool:
            return False

    file = io.BytesIO(b"before\n")
    file.seek(0, 2)
    good, bad = streams(b"{}\n"), streams(b"{}\n" * 9, ends=False)
    async with peer(bad, good, bad) as here, asked(kind, here.url) as client:
        await client.once("export", "c1", "attempts", file, kind="jsonl")
        with pytest.raises(BrokenOff):
            await client.once("export", "c1", "attempts", Tube(), kind="jsonl")
    assert file.getvalue() == b"before\n{}\n"


def event(number: int) -> bytes:
    data = {"number": number, "type": "campaign.paused", "at": "2026-11-28T09:30:00.000Z", "data": {}}
    return f"id: {number}\r\nevent: campaign.paused\r\ndata: {json.dumps(data)}\r\n\r\n".encode()


async def test_a_stream_of_events_that_breaks_goes_on_after_the_last_one(kind: str) -> None:
    parts = b": hello\n\n" + event(4) + event(5)
    broken = streams(parts[:30], parts[30:120], parts[120:], event(6)[:20], ends=False)
    behaviours = [broken, problem(503, 90), streams(event(5), event(6)), streams(event(7))]
    async with peer(*behaviours) as here, asked(kind, here.url) as client:
        found = await client.many("events", "c1", after=3, live=True, most=4)
    assert [(one.number, one.type) for one in found] == [(number, "campaign.paused") for number in (4, 5, 6, 7)]
    assert [one.headers["last-event-id"] for one in here.seen] == ["3", "5", "5", "6"]


async def test_events_so_far_are_read_to_their_end(kind: str) -> None:
    items = [json.loads(event(number).partition(b"data: ")[2]) for number in (1, 2, 3)]
    pages = [says(200, {"items": items[:2], "next": 2}), says(200, {"items": items[2:], "next": None})]
    async with peer(*pages) as here, asked(kind, here.url) as client:
        assert [one.number for one in await client.many("events", "c1")] == [1, 2, 3]
    assert [one.target.partition("?")[2] for one in here.seen] == ["after=0&limit=1000", "after=2&limit=1000"]


# --- waiting -----------------------------------------------------------------------------------------------------


def balance(sent: int, finished: bool) -> dict[str, Any]:
    nobody = {"do_not_try": 2}
    return {
        "contacts": 2,
        "sms": {"success": sent, "pending": 2 - sent},
        "voice": nobody,
        "email": nobody,
        "finished": finished,
        "state": "running",
    }


async def test_a_campaign_is_watched_until_it_is_finished(kind: str) -> None:
    steps = [says(200, balance(sent, sent == 2)) for sent in (0, 1, 2)]
    async with peer(*steps, *steps) as here, asked(kind, here.url) as client:
        seen = await client.many("watch", "c1", every=0.01)
        end = await client.once("wait_until_finished", "c1", every=0.01)
    assert [one.done("sms") for one in seen] == [0, 1, 2]
    assert (end.finished, end.of("sms")["success"], end.done("voice")) == (True, 2, 2)


async def test_who_waits_for_too_long_is_told(kind: str) -> None:
    async with peer(*[says(200, balance(0, False))] * 50) as here, asked(kind, here.url) as client:
        with pytest.raises(TimeoutError, match="has not come to its end in time"):
            await client.once("wait_until_finished", "c1", every=0.01, timeout=0.05)


# --- making one --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "key", "rule"),
    [
        ("ftp://127.0.0.1", "ck_a_b", "http://HOST:PORT"),
        ("nowhere", "ck_a_b", "http://HOST:PORT"),
        ("http://", "ck_a_b", "http://HOST:PORT"),
        ("http://127.0.0.1", None, "CAMPANA_API_KEY"),
        ("http://127.0.0.1", "two words", "one word"),
        ("http://127.0.0.1", "two\nlines", "one word"),
    ],
)
def test_a_client_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, url: str, key: str | None, rule: str) -> None:
    monkeypatch.delenv("CAMPANA_API_KEY", raising=False)
    with pytest.raises(ValueError, match=rule):
        Client(url, api_key=key)
    with pytest.raises(ValueError, match="not both"):
        Client("http://127.0.0.1", api_key="ck_a_b", log_in=LogIn("acme", "ann", "secret"))


async def test_what_is_not_given_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    async with peer(says(200, CAMPAIGN)) as here:
        monkeypatch.setenv("CAMPANA_URL", here.url + "/api/v1/")
        monkeypatch.setenv("CAMPANA_API_KEY", "ck_of_environment")
        async with asked(kind, "") as client:
            await client.once("get_campaign", "a/b c")
        assert Client().context.token == "ck_of_environment"
    assert here.targets == ["GET /api/v1/campaigns/a%2Fb%20c"]
