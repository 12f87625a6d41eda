"""The store contract: accounts, users, sessions and failed log-ins."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from campana.storage.store import Conflict, Failures
from tests.contract.conftest import NOW, World


async def test_accounts_are_found_without_case(store: Any) -> None:
    added = await store.accounts.add_account("Acme", "Europe/Berlin", "DE", NOW)
    assert await store.accounts.find_account("aCME") == added
    assert (added.id, added.time_zone, added.region, added.created_at) == ("Acme", "Europe/Berlin", "DE", NOW)
    assert await store.accounts.find_account("nobody") is None


@pytest.mark.parametrize("name", ["nul \x00", "lone \ud800", ""])
async def test_a_name_that_nobody_can_have_is_not_found(world: World, name: str) -> None:
    assert await world.store.accounts.find_account(name) is None
    assert await world.store.accounts.find_user(name, "maria") is None
    assert await world.store.accounts.find_user("acme", name) is None


async def test_an_account_id_is_given_once(store: Any) -> None:
    await store.accounts.add_account("Acme", "UTC", "DE", NOW)
    with pytest.raises(Conflict):
        await store.accounts.add_account("ACME", "UTC", "DE", NOW)
    assert [account.id for account in await store.accounts.list_accounts()] == ["Acme"]


async def test_a_user_name_is_given_once_an_account(world: World) -> None:
    with pytest.raises(Conflict):
        await world.store.accounts.add_user(world.account, "MARIA", "admin", "x", NOW)
    other = await world.store.accounts.add_account("other", "UTC", "DE", NOW)
    user = await world.store.accounts.add_user(other.number, "maria", "admin", "x", NOW)
    assert user.account == other
    assert (await world.store.accounts.find_user("OTHER", "Maria")).number == user.number
    assert [one.name for one in await world.store.accounts.list_users(world.account)] == ["maria"]


async def test_a_new_password_ends_the_sessions(world: World) -> None:
    assert await world.store.sessions.open(b"a" * 32, world.user, "hash", NOW) is True
    await world.store.accounts.set_password(world.user, "new")
    assert await world.store.sessions.find(b"a" * 32) is None
    # One that was verified before, and comes after.
    assert await world.store.sessions.open(b"b" * 32, world.user, "hash", NOW) is False
    assert await world.store.sessions.find(b"b" * 32) is None
    assert (await world.store.accounts.find_user("acme", "maria")).password_hash == "new"


async def test_rehashing_keeps_sessions_and_never_undoes_a_change(world: World) -> None:
    await world.store.sessions.open(b"a" * 32, world.user, "hash", NOW)
    await world.store.accounts.rehash(world.user, "hash", "better")
    await world.store.accounts.rehash(world.user, "hash", "stale")
    assert (await world.store.accounts.find_user("acme", "maria")).password_hash == "better"
    assert await world.store.sessions.find(b"a" * 32) is not None


async def test_a_session_is_found_touched_and_closed(world: World) -> None:
    token = b"t" * 32
    await world.store.sessions.open(token, world.user, "hash", NOW)
    found = await world.store.sessions.find(token)
    assert (found.user.name, found.user.account.id, found.opened_at, found.last_used_at) == ("maria", "acme", NOW, NOW)
    await world.store.sessions.touch([(token, NOW + 5)])
    await world.store.sessions.touch([(token, NOW + 2)])
    assert (await world.store.sessions.find(token)).last_used_at == NOW + 5
    assert await world.store.sessions.close(token) is True
    assert await world.store.sessions.close(token) is False
    assert await world.store.sessions.find(token) is None


async def test_uses_of_many_sessions_are_noted_together(world: World) -> None:
    sessions = world.store.sessions
    tokens = [bytes([number]) * 32 for number in range(50)]
    for token in tokens:
        await sessions.open(token, world.user, "hash", NOW)
    await sessions.touch([(tokens[3], NOW + 1_000)])
    await sessions.touch([(token, NOW + number) for number, token in enumerate(tokens[:40])] + [(b"?" * 32, NOW)])
    found = [(await sessions.find(token)).last_used_at - NOW for token in tokens]
    assert found == [0, 1, 2, 1_000, *range(4, 40)] + [0] * 10
    await sessions.touch([])


async def test_purging_takes_idle_sessions_and_spent_failures_alone(world: World) -> None:
    await world.store.sessions.open(b"o" * 32, world.user, "hash", NOW)
    await world.store.sessions.open(b"n" * 32, world.user, "hash", NOW + 100)
    kept = {
        b"spent": Failures(((NOW, 3), (NOW + 80, 1))),
        b"locked": Failures(((NOW, 10),), NOW + 900),
        b"young": Failures(((NOW + 60, 1),)),
    }
    for name, failures in kept.items():
        await world.store.sessions.judge_failures(name.ljust(32), lambda _, failures=failures: failures)
    assert await world.store.sessions.purge(NOW + 50, NOW + 55) == 1
    assert await world.store.sessions.find(b"n" * 32) is not None
    left = {name: await world.store.sessions.failures(name.ljust(32)) for name in kept}
    assert left == kept | {b"spent": None}
    assert await world.store.sessions.purge(NOW + 50, NOW + 61) == 0
    assert await world.store.sessions.failures(b"young".ljust(32)) is None


async def test_failures_are_kept_replaced_and_cleared(store: Any) -> None:
    key = b"k" * 32
    assert await store.sessions.failures(key) is None
    steps = [Failures(((NOW, 1),)), Failures(((NOW, 1), (NOW + 3, 2)), 7), None, None]
    for before, after in pairwise([None, *steps]):
        seen: list[Failures | None] = []

        def judge(failures: Failures | None, seen: list[Any] = seen, after: Failures | None = after) -> Any:
            seen.append(failures)
            return after

        await store.sessions.judge_failures(key, judge)
        assert seen == [before]
        assert await store.sessions.failures(key) == after


async def test_a_judgement_that_raises_changes_nothing(store: Any) -> None:
    def refuse(failures: Failures | None) -> None:
        raise KeyError

    key, failures = b"k" * 32, Failures(((NOW, 1),))
    await store.sessions.judge_failures(key, lambda _: failures)
    with pytest.raises(KeyError):
        await store.sessions.judge_failures(key, refuse)
    assert await store.sessions.failures(key) == failures
