"""The store contract: API keys, answers that are given again, and what admins change of accounts and users."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from campana.storage.doors import Claim, KeptAnswer, NewKey
from campana.storage.store import Change, Stale
from tests.contract.conftest import NOW, World, a_campaign, guid

KEY = b"k" * 32
CLAIM = Claim(b"f" * 32, NOW, guid(1))


def a_key(number: int, user: int, **changes: Any) -> NewKey:
    key = NewKey(guid(number), user, f"key {number}", "ck_abcdefgh", bytes([number]) * 32, ("campaigns:read",))
    return replace(key, **changes)


async def test_a_key_is_found_by_its_hash_and_by_its_id(world: World) -> None:
    keys = world.store.keys
    await keys.add(a_key(1, world.user, expires_at=NOW + 5, per_minute=60, scopes=("a", "b")), NOW)
    row = await keys.find_hash(b"\x01" * 32)
    assert (row.id, row.name, row.prefix, row.scopes) == (guid(1), "key 1", "ck_abcdefgh", ("a", "b"))
    assert (row.created_at, row.expires_at, row.revoked_at, row.last_used_at) == (NOW, NOW + 5, None, None)
    assert (row.per_minute, row.user.name, row.user.account.id) == (60, "maria", "acme")
    assert await keys.find(world.account, guid(1)) == row
    assert await keys.find(world.account + 1, guid(1)) is None
    assert await keys.find_hash(b"\x02" * 32) is None


async def test_a_key_whose_answer_was_lost_has_a_new_secret(world: World) -> None:
    keys = world.store.keys
    await keys.add(a_key(1, world.user), NOW)
    await keys.add(a_key(1, world.user, key_hash=b"n" * 32, prefix="ck_newer000"), NOW + 1)
    assert await keys.find_hash(b"\x01" * 32) is None
    row = await keys.find_hash(b"n" * 32)
    assert (row.prefix, row.created_at) == ("ck_newer000", NOW)


async def test_keys_are_listed_in_pages(world: World) -> None:
    keys, accounts = world.store.keys, world.store.accounts
    other = await accounts.add_user(world.account, "paul", "api", "hash", NOW)
    stranger = await accounts.add_user((await accounts.add_account("b", "UTC", "CA", NOW)).number, "x", "api", "h", NOW)
    for number, user in ((3, world.user), (1, world.user), (2, other.number), (4, stranger.number)):
        await keys.add(a_key(number, user), NOW)
    assert [row.id for row in await keys.page(world.account, None, "", 2)] == [guid(1), guid(2)]
    assert [row.id for row in await keys.page(world.account, None, guid(2), 2)] == [guid(3)]
    assert [row.id for row in await keys.page(world.account, world.user, "", 9)] == [guid(1), guid(3)]
    assert [row.id for row in await keys.page(world.account, world.user, guid(1), 9)] == [guid(3)]


async def test_a_key_is_revoked_once_and_its_use_moves_on_only(world: World) -> None:
    keys = world.store.keys
    await keys.add(a_key(1, world.user), NOW)
    await keys.touch([(guid(1), NOW + 9)])
    await keys.touch([(guid(1), NOW + 2), (guid(7), NOW)])
    assert await keys.revoke(guid(1), NOW + 3) is True
    assert await keys.revoke(guid(1), NOW + 4) is False
    row = await keys.find(world.account, guid(1))
    assert (row.revoked_at, row.last_used_at) == (NOW + 3, NOW + 9)


async def test_an_answer_is_claimed_once_kept_and_given_again(store: Any) -> None:
    answers = store.answers
    assert await answers.claim(KEY, CLAIM, NOW - 30) is None
    second = replace(CLAIM, at=NOW + 1, new_id=guid(2))
    assert await answers.claim(KEY, second, NOW - 29) == CLAIM
    await answers.keep(KEY, KeptAnswer(201, b"sealed"))
    assert await answers.claim(KEY, second, NOW + 1) == replace(CLAIM, answer=KeptAnswer(201, b"sealed"))
    await answers.release(KEY)
    assert await answers.claim(KEY, second, NOW + 1) is not None
    assert await answers.purge(NOW) == 0
    assert await answers.purge(NOW + 1) == 1
    assert await answers.claim(KEY, second, NOW + 1) is None


async def test_a_claim_that_was_cut_off_is_taken_over_by_the_same_request(store: Any) -> None:
    answers = store.answers
    await answers.claim(KEY, CLAIM, 0)
    other = replace(CLAIM, fingerprint=b"x" * 32, at=NOW + 40)
    assert await answers.claim(KEY, other, NOW + 10) == CLAIM
    later = replace(CLAIM, at=NOW + 40, new_id=guid(2))
    assert await answers.claim(KEY, later, NOW - 1) == CLAIM
    taken = await answers.claim(KEY, later, NOW + 10)
    assert taken == replace(CLAIM, at=NOW + 40, is_ours=True)
    assert await answers.claim(KEY, later, NOW + 10) == replace(CLAIM, at=NOW + 40)


async def test_of_many_who_claim_at_once_one_has_the_turn(store: Any) -> None:
    claims = [replace(CLAIM, new_id=guid(number)) for number in range(20)]
    found = await asyncio.gather(*(store.answers.claim(KEY, claim, NOW - 30) for claim in claims))
    assert found.count(None) == 1
    winner = claims[found.index(None)]
    assert {one.new_id for one in found if one is not None} == {winner.new_id}


async def test_a_claim_is_released(store: Any) -> None:
    await store.answers.claim(KEY, CLAIM, 0)
    await store.answers.release(KEY)
    assert await store.answers.claim(KEY, CLAIM, 0) is None


# --- accounts and users ------------------------------------------------------------------------------------------


async def test_an_account_has_another_zone_and_region(world: World) -> None:
    changed = await world.store.accounts.set_account(world.account, "Europe/Rome", "IT")
    assert (changed.time_zone, changed.region) == ("Europe/Rome", "IT")
    assert await world.store.accounts.find_account("acme") == changed
    assert (await world.store.campaigns.find(world.account, guid(900))).zone == "Europe/Rome"
    assert await world.store.accounts.set_account(world.account + 99, "UTC", "IT") is None


async def test_whoever_is_disabled_is_out(world: World) -> None:
    accounts, sessions = world.store.accounts, world.store.sessions
    await sessions.open(b"a" * 32, world.user, "hash", NOW)
    assert await accounts.change_user(world.user, "agent", NOW) is Change.DONE
    assert await sessions.find(b"a" * 32) is None
    assert await sessions.open(b"b" * 32, world.user, "hash", NOW) is False
    user = await accounts.find_user("acme", "maria")
    assert (user.role, user.disabled_at) == ("agent", NOW)
    assert await accounts.change_user(world.user, "api", None) is Change.DONE
    assert await sessions.open(b"b" * 32, world.user, "hash", NOW) is True
    assert await accounts.change_user(world.user + 99, "api", None) is Change.GONE


async def test_the_last_admin_stays(world: World) -> None:
    accounts = world.store.accounts
    first = (await accounts.add_user(world.account, "first", "admin", "hash", NOW)).number
    second = (await accounts.add_user(world.account, "second", "admin", "hash", NOW)).number
    assert await accounts.change_user(second, "admin", NOW) is Change.DONE
    for change in (accounts.change_user(first, "api", None), accounts.change_user(first, "admin", NOW)):
        assert await change is Change.LAST_ADMIN
    assert await accounts.delete_user(first, world.user) is Change.LAST_ADMIN
    assert await accounts.change_user(second, "admin", None) is Change.DONE
    outcomes = await asyncio.gather(accounts.change_user(first, "api", None), accounts.change_user(second, "api", None))
    assert sorted(one.value for one in outcomes) == ["done", "last admin"]


async def test_a_user_that_is_removed_leaves_campaigns_to_an_heir(world: World) -> None:
    accounts = world.store.accounts
    heir = await accounts.add_user(world.account, "heir", "admin", "hash", NOW)
    await world.store.sessions.open(b"a" * 32, world.user, "hash", NOW)
    await world.store.keys.add(a_key(1, world.user), NOW)
    assert await accounts.delete_user(world.user, heir.number) is Change.DONE
    assert await accounts.delete_user(world.user, heir.number) is Change.GONE
    assert await world.store.sessions.find(b"a" * 32) is None
    assert await world.store.keys.find_hash(b"\x01" * 32) is None
    assert (await world.store.campaigns.find(world.account, guid(900))).owner == heir.number


# --- campaigns in pages, and by version --------------------------------------------------------------------------


async def test_campaigns_are_listed_in_pages_both_ways(world: World) -> None:
    campaigns = world.store.campaigns
    for number in (901, 902, 903):
        await campaigns.add(world.account, world.user, a_campaign(number), NOW)
    gone = await campaigns.find(world.account, guid(902))
    await campaigns.delete(gone.number, NOW)

    async def guids(after: int, limit: int, newest_first: bool) -> list[str]:
        return [
            row.campaign.guid for row in await campaigns.page(world.account, after, limit, newest_first=newest_first)
        ]

    assert await guids(0, 2, False) == [guid(900), guid(901)]
    first = await campaigns.page(world.account, 0, 2)
    assert await guids(first[-1].number, 2, False) == [guid(903)]
    assert await guids(0, 2, True) == [guid(903), guid(901)]
    assert await guids(first[-1].number, 9, True) == [guid(900)]
    assert await campaigns.page(world.account + 99, 0, 9) == []


async def test_a_campaign_is_replaced_by_version(world: World) -> None:
    campaigns, number = world.store.campaigns, world.campaign.number
    changed = await campaigns.replace(number, a_campaign(name="second"), NOW, version=1)
    assert changed.version == 2
    with pytest.raises(Stale):
        await campaigns.replace(number, a_campaign(name="third"), NOW, version=1)
    assert (await campaigns.find(world.account, guid(900))).campaign.name == "second"
