"""Sessions: what opens one, what ends one, and what locks the door; time is moved by hand."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import structlog
from services_kit import CHEAP, PASSWORD, HandClock, Kit, open_kit

from campana.domain.errors import MethodCode, MethodError
from campana.domain.moment import MINUTE, SECOND
from campana.services import sessions as module
from campana.services.house import ServiceOptions
from campana.services.passwords import Cost, Passwords
from campana.services.sessions import SessionOptions
from campana.services.uses import QUIET
from campana.telemetry import configure_logging

HERE = "192.0.2.1"


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with open_kit(tmp_path) as opened:
        await opened.user("acme", "ann", "operator")
        yield opened


async def opened(kit: Kit, user: str = "ann", source: str = HERE) -> str:
    return await kit.services.sessions.open("acme", user, PASSWORD, source)


async def code_of(kit: Kit, account: str, user: str, password: str, source: str = HERE) -> MethodCode:
    """What opening a session answers, as its code."""
    try:
        await kit.services.sessions.open(account, user, password, source)
    except MethodError as error:
        return error.code
    return MethodCode.SUCCESS


async def is_alive(kit: Kit, token: str) -> bool:
    try:
        await kit.services.sessions.resume(token)
    except MethodError as error:
        return error.code is not MethodCode.INVALID_SESSION
    return True


async def until(happened: Callable[[], bool]) -> None:
    """Wait until something can be seen from outside."""
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110 - it is seen in the database, or in a log
            await asyncio.sleep(0.001)


# --- opening and closing -----------------------------------------------------------------------------------------


async def test_a_session_tells_whose_it_is(kit: Kit) -> None:
    who = await kit.services.sessions.resume(await opened(kit))
    assert (who.account.id, who.user.name, who.role, who.agent) == ("acme", "ann", "operator", False)


@pytest.mark.parametrize(
    ("role", "marked", "agent"), [("api", False, False), ("api", True, True), ("agent", False, True)]
)
async def test_agents_are_a_role_and_a_mark(kit: Kit, role: str, marked: bool, agent: bool) -> None:
    who = await kit.user("acme", f"{role}-user", role, agent=marked)
    assert (who.agent, who.role) == (agent, role)


async def test_names_are_compared_without_case_and_passwords_with(kit: Kit) -> None:
    assert await code_of(kit, "ACME", "Ann", PASSWORD) is MethodCode.SUCCESS
    assert await code_of(kit, "acme", "ann", PASSWORD.upper()) is MethodCode.INVALID_CREDENTIALS


async def test_tokens_have_256_random_bits_and_only_their_hash_is_kept(kit: Kit, tmp_path: Path) -> None:
    tokens = {await opened(kit) for _ in range(20)}
    assert len(tokens) == 20
    assert all(len(token) == 43 for token in tokens)
    kept = sqlite3.connect(tmp_path / "campana.db").execute("SELECT token_hash FROM sessions").fetchall()
    assert {sha256(token.encode()).digest() for token in tokens} <= {row[0] for row in kept}
    stored = all_bytes(tmp_path)
    assert not any(token.encode() in stored for token in tokens)
    assert PASSWORD.encode() not in stored


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "é" * 43, "\ud800", "x" * 100_000])
async def test_unknown_tokens(kit: Kit, token: str) -> None:
    assert not await is_alive(kit, token)
    with pytest.raises(MethodError, match="InvalidSession"):
        await kit.services.sessions.close(token)


async def test_a_closed_session_is_gone_at_once_and_others_stay(kit: Kit) -> None:
    one, other = await opened(kit), await opened(kit)
    await kit.services.sessions.close(one)
    assert not await is_alive(kit, one)
    assert await is_alive(kit, other)
    with pytest.raises(MethodError, match="InvalidSession"):
        await kit.services.sessions.close(one)


@pytest.mark.parametrize(
    ("account", "user", "password"),
    [
        ("nobody", "ann", PASSWORD),
        ("acme", "nobody", PASSWORD),
        ("acme", "ann", "wrong"),
        ("", "", ""),
        ("acme", "ann", ""),
        ("acme", "ann", "x" * 100_000),
        ("acme\0", "ann", PASSWORD),
    ],
)
async def test_bad_credentials_answer_the_same(kit: Kit, account: str, user: str, password: str) -> None:
    with pytest.raises(MethodError) as caught:
        await kit.services.sessions.open(account, user, password, HERE)
    assert str(caught.value) == "2 InvalidCredentials; The account, the user or the password is wrong."


async def test_every_kind_of_bad_credentials_costs_one_verification(tmp_path: Path) -> None:
    """The same timing follows from the same work: one argon2 verification at the same cost, whatever is wrong."""
    seen: list[str | None] = []

    class Watched(Passwords):
        async def verify(self, encoded: str | None, password: str) -> bool:
            seen.append(encoded)
            return await super().verify(encoded, password)

    async with open_kit(tmp_path) as kit:
        await kit.user("acme", "ann")
        tools = replace(kit.services.tools, passwords=Watched(1, CHEAP))
        service = module.SessionService(kit.store.accounts, kit.store.sessions, tools, SessionOptions())
        for account, user in (("nobody", "ann"), ("acme", "nobody"), ("acme", "ann")):
            with pytest.raises(MethodError, match="InvalidCredentials"):
                await service.open(account, user, "wrong", HERE)
        tools.passwords.close()
    assert [encoded is None for encoded in seen] == [True, True, False]


async def test_a_failed_log_in_is_counted_and_logged_without_names(kit: Kit) -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    try:
        await code_of(kit, "acme", "secret-name", "secret-password")
    finally:
        structlog.reset_defaults()
    (entry,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (entry["event"], entry["source"]) == ("login.failed", HERE)
    assert "secret" not in stream.getvalue()
    assert b"campana_login_failures_total 1.0" in kit.metrics.render()


async def test_the_hash_follows_a_new_cost_and_sessions_go_on(tmp_path: Path) -> None:
    async with open_kit(tmp_path) as kit:
        await kit.user("acme", "ann")
        token = await opened(kit)
        before = (await kit.store.accounts.list_users(1))[0].password_hash
        dearer = replace(kit.services.tools, passwords=Passwords(1, Cost(passes=2, memory_kib=16, lanes=1)))
        service = module.SessionService(kit.store.accounts, kit.store.sessions, dearer, SessionOptions())
        await service.open("acme", "ann", PASSWORD, HERE)
        after = (await kit.store.accounts.list_users(1))[0].password_hash
        assert before != after
        assert "m=16,t=2" in after
        assert await is_alive(kit, token)
        assert await service.open("acme", "ann", PASSWORD, HERE)
        assert (await kit.store.accounts.list_users(1))[0].password_hash == after
        dearer.passwords.close()


class Meanwhile(Passwords):
    """Has something happen right after a password was found right."""

    def __init__(self, happening: Callable[[], Awaitable[None]]) -> None:
        super().__init__(1, CHEAP)
        self._happening = happening

    async def verify(self, encoded: str | None, password: str) -> bool:
        right = await super().verify(encoded, password)
        await self._happening()
        return right


@pytest.mark.parametrize(("changed_to", "opens"), [("another one", False), (PASSWORD, True)])
async def test_a_password_that_is_changed_while_it_is_verified(kit: Kit, changed_to: str, opens: bool) -> None:
    changes = [changed_to]

    async def change() -> None:
        if changes:
            await kit.services.accounts.set_password("acme", "ann", changes.pop())

    tools = replace(kit.services.tools, passwords=Meanwhile(change))
    service = module.SessionService(kit.store.accounts, kit.store.sessions, tools, SessionOptions())
    if opens:
        await service.resume(await service.open("acme", "ann", PASSWORD, HERE))
    else:
        with pytest.raises(MethodError, match="InvalidCredentials"):
            await service.open("acme", "ann", PASSWORD, HERE)
    tools.passwords.close()


# --- expiry ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gaps", "alive"),
    [
        ([20 * MINUTE - 1], True),
        ([20 * MINUTE], False),
        ([19 * MINUTE, 19 * MINUTE, 19 * MINUTE], True),
        ([1, 20 * MINUTE - 1], True),
        ([14 * SECOND, 20 * MINUTE - 1], True),
        ([14 * SECOND, 20 * MINUTE], False),
        ([19 * MINUTE, 20 * MINUTE], False),
    ],
)
async def test_expiry_slides_and_is_exact(kit: Kit, gaps: list[int], alive: bool) -> None:
    token = await opened(kit)
    for gap in gaps[:-1]:
        kit.clock.pass_(gap)
        assert await is_alive(kit, token)
    kit.clock.pass_(gaps[-1])
    assert await is_alive(kit, token) is alive
    assert await is_alive(kit, token) is alive


async def test_an_expired_session_cannot_be_closed(kit: Kit) -> None:
    token = await opened(kit)
    kit.clock.pass_(20 * MINUTE)
    with pytest.raises(MethodError, match="InvalidSession"):
        await kit.services.sessions.close(token)


async def test_idle_minutes_are_configurable(tmp_path: Path) -> None:
    async with open_kit(tmp_path, ServiceOptions(sessions=SessionOptions(idle=2 * MINUTE))) as kit:
        await kit.user("acme", "ann")
        token = await opened(kit)
        kit.clock.pass_(2 * MINUTE - 1)
        assert await is_alive(kit, token)
        kit.clock.pass_(2 * MINUTE)
        assert not await is_alive(kit, token)


def last_used(path: Path, token: str) -> int:
    query = "SELECT last_used_at FROM sessions WHERE token_hash = ?"
    at: int = sqlite3.connect(path / "campana.db").execute(query, (sha256(token.encode()).digest(),)).fetchone()[0]
    return at


async def test_steady_use_is_written_at_most_every_15_seconds(kit: Kit, tmp_path: Path) -> None:
    token = await opened(kit)
    written = {last_used(tmp_path, token)}
    for _ in range(60):
        kit.clock.pass_(SECOND)
        await asyncio.gather(*(is_alive(kit, token) for _ in range(5)))
        written.add(last_used(tmp_path, token))
    assert len(written) == 5  # when it was opened, and after 15, 30, 45 and 60 seconds


async def test_a_use_is_written_once_the_session_is_quiet(kit: Kit, tmp_path: Path) -> None:
    steady, quiet = await opened(kit), await opened(kit)
    kit.clock.pass_(10 * SECOND)
    assert await is_alive(kit, quiet)
    kit.clock.pass_(4 * SECOND)
    assert await is_alive(kit, steady)
    kit.clock.pass_(SECOND)
    keeping = asyncio.create_task(kit.services.sessions.keep_uses(0.001))
    await until(lambda: last_used(tmp_path, quiet) == kit.clock.now - 5 * SECOND)
    keeping.cancel()
    assert last_used(tmp_path, steady) == kit.clock.now - 15 * SECOND


async def test_uses_are_written_again_after_the_store_was_away(tmp_path: Path) -> None:
    clock = HandClock()
    async with open_kit(tmp_path, clock=clock) as kit:
        await kit.user("acme", "ann")
        token = await opened(kit)
        clock.pass_(10 * SECOND)
        assert await is_alive(kit, token)
        clock.pass_(5 * SECOND)
        with closing(sqlite3.connect(tmp_path / "campana.db")) as other:
            other.execute("ALTER TABLE sessions RENAME TO gone")
            stream = io.StringIO()
            configure_logging("info", "json", stream)
            keeping = asyncio.create_task(kit.services.sessions.keep_uses(0.001))
            await until(lambda: "sessions.store_unavailable" in stream.getvalue())
            other.execute("ALTER TABLE gone RENAME TO sessions")
            await until(lambda: last_used(tmp_path, token) == clock.now - 5 * SECOND)
            keeping.cancel()
            structlog.reset_defaults()


@pytest.mark.parametrize("gap", [SECOND, 10 * SECOND, 19 * MINUTE])
async def test_expiry_is_exact_whichever_process_judges(kit: Kit, gap: int) -> None:
    """One process knows of the last use, and the other is asked 20 minutes later to the millisecond."""
    options = SessionOptions()
    processes = [
        module.SessionService(kit.store.accounts, kit.store.sessions, kit.services.tools, options) for _ in range(2)
    ]
    for asked_in_time in (True, False):
        token = await opened(kit)
        for number in (0, 1, 0, 1):
            kit.clock.pass_(gap)
            await processes[number].resume(token)
        last_use = kit.clock.now
        kit.clock.pass_(QUIET)
        await processes[1].flush()  # as keep_uses does it
        kit.clock.now = last_use + 20 * MINUTE - asked_in_time
        if asked_in_time:
            await processes[0].resume(token)
        else:
            for process in processes:
                with pytest.raises(MethodError, match="InvalidSession"):
                    await process.resume(token)


async def test_a_session_that_one_process_closed_is_closed_for_all(kit: Kit) -> None:
    other = module.SessionService(kit.store.accounts, kit.store.sessions, kit.services.tools, SessionOptions())
    token = await opened(kit)
    await other.resume(token)
    await kit.services.sessions.close(token)
    with pytest.raises(MethodError, match="InvalidSession"):
        await other.resume(token)
    kit.clock.pass_(QUIET)
    await other.flush()
    with pytest.raises(MethodError, match="InvalidSession"):
        await kit.services.sessions.resume(token)


async def test_a_stop_writes_the_last_use_and_a_crash_costs_15_seconds_at_most(tmp_path: Path) -> None:
    clock = HandClock()
    async with open_kit(tmp_path, clock=clock) as kit:
        await kit.user("acme", "ann")
        token = await opened(kit)
        clock.pass_(14 * SECOND)
        assert await is_alive(kit, token)
        assert clock.now - last_used(tmp_path, token) == 14 * SECOND
    clock.pass_(20 * MINUTE - 1)
    async with open_kit(tmp_path, clock=clock) as kit:
        assert await is_alive(kit, token)


async def test_only_so_many_uses_are_remembered_and_none_is_lost(tmp_path: Path) -> None:
    async with open_kit(tmp_path, ServiceOptions(sessions=SessionOptions(remembered=2))) as kit:
        await kit.user("acme", "ann")
        tokens = [await opened(kit) for _ in range(5)]
        kit.clock.pass_(10 * SECOND)
        for token in tokens:
            assert await is_alive(kit, token)
        written = [last_used(tmp_path, token) for token in tokens]
        assert written == [kit.clock.now] * 3 + [kit.clock.now - 10 * SECOND] * 2
        kit.clock.pass_(20 * MINUTE - 1)
        assert [await is_alive(kit, token) for token in tokens] == [True] * 5


async def test_purging_forgets_what_is_past_and_nothing_else(kit: Kit, tmp_path: Path) -> None:
    old = await opened(kit)
    await code_of(kit, "acme", "ann", "wrong")
    kit.clock.pass_(14 * SECOND)
    assert await is_alive(kit, old)  # in memory alone
    kit.clock.pass_(20 * MINUTE - 1)
    await kit.services.sessions.purge()
    assert await is_alive(kit, old)
    young = await opened(kit, source="198.51.100.1")
    kit.clock.pass_(20 * MINUTE + 30 * SECOND)
    assert await kit.services.sessions.purge() == 3  # the fixture's is one
    kit.clock.pass_(-SECOND)
    assert not await is_alive(kit, young)
    counted = sqlite3.connect(tmp_path / "campana.db").execute("SELECT count(*) FROM failures").fetchone()
    assert counted == (0,)


async def test_purging_keeps_failures_that_still_count(tmp_path: Path) -> None:
    options = ServiceOptions(sessions=SessionOptions(idle=MINUTE, failures=2))
    async with open_kit(tmp_path, options) as kit:
        await kit.user("acme", "ann")
        await code_of(kit, "acme", "ann", "wrong")
        kit.clock.pass_(10 * MINUTE)
        await kit.services.sessions.purge()
        await code_of(kit, "acme", "ann", "wrong")
        assert await code_of(kit, "acme", "ann", PASSWORD) is MethodCode.TOO_MANY_ATTEMPTS


# --- locks -------------------------------------------------------------------------------------------------------

WRONG, LOCKED, RIGHT = MethodCode.INVALID_CREDENTIALS, MethodCode.TOO_MANY_ATTEMPTS, MethodCode.SUCCESS


@pytest.mark.parametrize(
    ("account", "user"), [("acme", "ann"), ("acme", "nobody"), ("nobody", "ann")], ids=["known", "user", "account"]
)
async def test_ten_failures_in_a_row_lock_for_a_quarter_of_an_hour(kit: Kit, account: str, user: str) -> None:
    for _ in range(10):
        assert await code_of(kit, account, user, "wrong") is WRONG
    assert await code_of(kit, account, user, "wrong") is LOCKED
    assert await code_of(kit, account.upper(), user.upper(), PASSWORD) is LOCKED
    kit.clock.pass_(15 * MINUTE - 1)
    assert await code_of(kit, account, user, PASSWORD) is LOCKED
    kit.clock.pass_(1)
    assert await code_of(kit, account, user, PASSWORD) is (RIGHT if (account, user) == ("acme", "ann") else WRONG)


async def test_a_success_starts_the_count_again(kit: Kit) -> None:
    for _ in range(3):
        for _ in range(9):
            assert await code_of(kit, "acme", "ann", "wrong") is WRONG
        assert await code_of(kit, "acme", "ann", PASSWORD) is RIGHT


async def test_a_lock_that_has_passed_starts_the_count_again(kit: Kit) -> None:
    for _ in range(10):
        await code_of(kit, "acme", "ann", "wrong")
    kit.clock.pass_(15 * MINUTE)
    for _ in range(9):
        assert await code_of(kit, "acme", "ann", "wrong") is WRONG
    assert await code_of(kit, "acme", "ann", PASSWORD) is RIGHT


@pytest.mark.parametrize(
    ("gaps", "locked"),
    [
        ([0] * 10, True),
        ([0] + [100 * SECOND - 1] * 9, True),  # the first and the tenth just within 15 minutes
        ([0] + [100 * SECOND] * 9, False),
        ([0, 14 * MINUTE] + [0] * 7 + [2 * MINUTE], False),  # the first has passed by then
        ([0, 14 * MINUTE] + [0] * 7 + [2 * MINUTE, 0], True),  # nine of them and one more, within 15 minutes
    ],
)
async def test_failures_count_within_a_span_that_slides(kit: Kit, gaps: list[int], locked: bool) -> None:
    for gap in gaps:
        kit.clock.pass_(gap)
        assert await code_of(kit, "acme", "ann", "wrong") is WRONG
    assert await code_of(kit, "acme", "ann", PASSWORD) is (LOCKED if locked else RIGHT)


async def test_pairs_are_locked_one_by_one(kit: Kit) -> None:
    await kit.user("acme", "bob")
    await kit.user("other", "ann")
    for _ in range(10):
        await code_of(kit, "acme", "ann", "wrong")
    assert await code_of(kit, "acme", "ann", PASSWORD) is LOCKED
    assert await code_of(kit, "acme", "bob", PASSWORD) is RIGHT
    assert await code_of(kit, "other", "ann", PASSWORD) is RIGHT


async def test_parts_of_a_pair_are_not_confused(kit: Kit) -> None:
    for _ in range(10):
        await code_of(kit, "ac", "meann", "wrong")
    assert await code_of(kit, "acme", "ann", "wrong") is WRONG


async def test_an_open_session_goes_on_while_its_user_is_locked(kit: Kit) -> None:
    token = await opened(kit)
    for _ in range(10):
        await code_of(kit, "acme", "ann", "wrong")
    assert await is_alive(kit, token)


async def test_a_restart_forgives_nothing(tmp_path: Path) -> None:
    clock = HandClock()
    for _ in range(5):
        async with open_kit(tmp_path, clock=clock) as kit:
            await kit.store.sessions.purge(0, 0)
            for _ in range(2):
                assert await code_of(kit, "acme", "ann", "wrong") is WRONG
    async with open_kit(tmp_path, clock=clock) as kit:
        assert await code_of(kit, "acme", "ann", "wrong") is LOCKED


async def test_a_burst_gets_no_more_guesses_than_one_after_the_other(kit: Kit) -> None:
    codes = await asyncio.gather(*(code_of(kit, "acme", "ann", "wrong", f"192.0.2.{n}") for n in range(60)))
    assert (codes.count(WRONG), codes.count(LOCKED)) == (10, 50)


async def test_a_burst_of_right_log_ins_is_let_in(kit: Kit) -> None:
    codes = await asyncio.gather(*(code_of(kit, "acme", "ann", PASSWORD) for _ in range(60)))
    assert set(codes) == {RIGHT}


async def test_failures_from_one_address_lock_it_for_every_user(tmp_path: Path) -> None:
    async with open_kit(tmp_path, ServiceOptions(sessions=SessionOptions(source_failures=20))) as kit:
        await kit.user("acme", "ann")
        for _ in range(30):
            assert await code_of(kit, "acme", "ann", PASSWORD) is RIGHT  # successes do not count
        for number in range(20):
            assert await code_of(kit, "acme", f"user-{number}", "wrong") is WRONG
        assert await code_of(kit, "acme", "ann", PASSWORD) is LOCKED
        assert await code_of(kit, "acme", "ann", PASSWORD, "192.0.2.2") is RIGHT
        kit.clock.pass_(15 * MINUTE)
        assert await code_of(kit, "acme", "ann", PASSWORD) is RIGHT


async def test_a_burst_from_one_address_stays_locked(tmp_path: Path) -> None:
    async with open_kit(tmp_path, ServiceOptions(sessions=SessionOptions(source_failures=20))) as kit:
        codes = await asyncio.gather(*(code_of(kit, "acme", f"user-{n}", "wrong") for n in range(60)))
        assert codes.count(WRONG) >= 20
        assert await code_of(kit, "acme", "ann", "wrong") is LOCKED
        kit.clock.pass_(15 * MINUTE)
        assert await code_of(kit, "acme", "ann", "wrong") is WRONG


@pytest.mark.parametrize(
    ("sources", "one"),
    [
        (("2001:db8::1", "2001:db8::ffff:1"), True),
        (("2001:db8:0:1::1", "2001:db8:0:2::1"), False),
        (("::ffff:192.0.2.1", "192.0.2.1"), True),
        (("192.0.2.1", "192.0.2.2"), False),
        (("unix", "unix"), True),
    ],
)
async def test_what_counts_as_one_address(tmp_path: Path, sources: tuple[str, str], one: bool) -> None:
    async with open_kit(tmp_path, ServiceOptions(sessions=SessionOptions(source_failures=1))) as kit:
        await kit.user("acme", "ann")
        assert await code_of(kit, "acme", "ann", "wrong", sources[0]) is WRONG
        assert await code_of(kit, "acme", "ann", PASSWORD, sources[1]) is (LOCKED if one else RIGHT)


async def test_a_flood_is_told_to_come_back(tmp_path: Path) -> None:
    async with open_kit(tmp_path, ServiceOptions(sessions=SessionOptions(openings=5))) as kit:
        await kit.user("acme", "ann")
        codes = await asyncio.gather(*(code_of(kit, "acme", "ann", PASSWORD) for _ in range(12)))
        assert (codes.count(RIGHT), codes.count(MethodCode.SERVICE_UNAVAILABLE)) == (5, 7)
        assert await code_of(kit, "acme", "ann", PASSWORD) is RIGHT
