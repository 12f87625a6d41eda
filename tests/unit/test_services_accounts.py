"""Accounts and users: every rule has one sentence, names are compared without case, passwords are kept as hashes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from services_kit import PASSWORD, START, Kit, open_kit

from campana.domain.errors import MethodError
from campana.services.accounts import AccountError
from campana.services.principal import Role


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with open_kit(tmp_path) as opened:
        yield opened


async def test_an_account_has_what_it_was_given(kit: Kit) -> None:
    accounts = kit.services.accounts
    row = await accounts.add_account("acme", "Europe/Rome", "it")
    assert (row.id, row.time_zone, row.region, row.created_at) == ("acme", "Europe/Rome", "IT", START)
    plain = await accounts.add_account("Zeta 7 – Süd")
    assert (plain.time_zone, plain.region) == ("UTC", "ZZ")
    assert [found.id for found in await accounts.list_accounts()] == ["acme", "Zeta 7 – Süd"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (("",), "account id should be 1 to 64"),
        (("x" * 65,), "account id should be 1 to 64"),
        ((" acme",), "without blanks at its ends"),
        (("ac\nme",), "printable characters"),
        (("acme", "Mars/Olympus"), "not in the IANA database"),
        (("acme", "europe/rome"), "not in the IANA database"),
        (("acme", ""), "not in the IANA database"),
        (("acme", "../../etc/passwd"), "not in the IANA database"),
        (("acme", "UTC", "XX"), "not a country code"),
        (("acme", "UTC", "ITA"), "not a country code"),
        (("acme", "UTC", ""), "not a country code"),
        (("TAKEN",), "exists already"),
    ],
)
async def test_accounts_that_are_refused(kit: Kit, values: tuple[str, ...], sentence: str) -> None:
    await kit.services.accounts.add_account("taken")
    with pytest.raises(AccountError, match=sentence):
        await kit.services.accounts.add_account(*values)
    assert [row.id for row in await kit.services.accounts.list_accounts()] == ["taken"]


@pytest.mark.parametrize("role", list(Role))
async def test_users_of_every_role(kit: Kit, role: Role) -> None:
    await kit.services.accounts.add_account("acme")
    row = await kit.services.accounts.add_user("ACME", "ann@example.com", role, PASSWORD)
    assert (row.account.id, row.name, row.role) == ("acme", "ann@example.com", role)
    assert PASSWORD not in row.password_hash
    assert row.password_hash.startswith("$argon2id$")


async def test_an_empty_password_is_refused(kit: Kit) -> None:
    await kit.services.accounts.add_account("acme")
    with pytest.raises(AccountError, match="1 to 1024 characters"):
        await kit.services.accounts.add_user("acme", "bob", "api", "")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (("acme", "", "api", PASSWORD), "user name should be 1 to 64"),
        (("acme", "ann ", "api", PASSWORD), "without blanks"),
        (("acme", "bob", "root", PASSWORD), "not one of admin, operator, api, agent"),
        (("acme", "bob", "API", PASSWORD), "not one of"),
        (("acme", "bob", "api", "x" * 1025), "1 to 1024 characters"),
        (("other", "bob", "api", PASSWORD), 'no account "other"'),
        (("acme", "ANN", "api", PASSWORD), 'has a user "ANN" already'),
    ],
)
async def test_users_that_are_refused(kit: Kit, values: tuple[str, str, str, str], sentence: str) -> None:
    await kit.services.accounts.add_account("acme")
    await kit.services.accounts.add_user("acme", "ann", "api", PASSWORD)
    with pytest.raises(AccountError, match=sentence) as caught:
        await kit.services.accounts.add_user(*values)
    assert values[3] not in str(caught.value)
    assert [row.name for row in await kit.services.accounts.list_users("acme")] == ["ann"]


async def test_one_name_may_be_used_in_two_accounts(kit: Kit) -> None:
    for account in ("one", "two"):
        await kit.services.accounts.add_account(account)
        await kit.services.accounts.add_user(account, "ann", "api", f"{PASSWORD} {account}")
    for account, other in (("one", "two"), ("two", "one")):
        assert await kit.services.sessions.open(account, "ann", f"{PASSWORD} {account}", "::1")
        with pytest.raises(MethodError, match="InvalidCredentials"):
            await kit.services.sessions.open(account, "ann", f"{PASSWORD} {other}", "::1")


async def test_users_are_listed_by_account(kit: Kit) -> None:
    for account, name in (("one", "ann"), ("two", "bob"), ("one", "Abe")):
        await kit.user(account, name)
    assert [row.name for row in await kit.services.accounts.list_users("ONE")] == ["Abe", "ann"]
    with pytest.raises(AccountError, match='no account "three"'):
        await kit.services.accounts.list_users("three")


async def test_a_new_password_ends_the_old_one_and_all_sessions(kit: Kit) -> None:
    await kit.user("acme", "ann")
    token = await kit.services.sessions.open("acme", "ann", PASSWORD, "::1")
    await kit.services.accounts.set_password("acme", "ANN", "another password")
    with pytest.raises(MethodError, match="InvalidSession"):
        await kit.services.sessions.resume(token)
    with pytest.raises(MethodError, match="InvalidCredentials"):
        await kit.services.sessions.open("acme", "ann", PASSWORD, "::1")
    assert await kit.services.sessions.open("acme", "ann", "another password", "::1")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (("acme", "ann", ""), "1 to 1024"),
        (("acme", "bob", PASSWORD), 'no user "bob"'),
        (("other", "ann", PASSWORD), 'no account "other"'),
    ],
)
async def test_passwords_that_are_not_set(kit: Kit, values: tuple[str, str, str], sentence: str) -> None:
    await kit.user("acme", "ann")
    with pytest.raises(AccountError, match=sentence):
        await kit.services.accounts.set_password(*values)
    assert await kit.services.sessions.open("acme", "ann", PASSWORD, "::1")
