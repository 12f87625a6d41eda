"""API keys, users and the account through the REST door: scopes, expiry, revoking, disabling, the last admin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rest_kit import PASSWORD, RestHouse, problem, rest_house

from campana.domain.delivery import Medium
from campana.domain.moment import DAY, MINUTE
from campana.services.routes import RouteState

ROUTES = (
    RouteState("mail", "email", Medium.EMAIL, "down", "The server does not answer."),
    RouteState("theirs", "sms", Medium.SMS, "up", "", ("other",)),
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RestHouse]:
    async with rest_house(tmp_path, routes=lambda: ROUTES) as opened:
        yield opened


WANTED = {"name": "billing", "scopes": ["campaigns:read", "account:admin"]}


async def test_a_key_is_told_once_and_acts_as_its_user_within_its_scopes(house: RestHouse) -> None:
    admin = await house.as_user()
    made = await admin.post("/api-keys", json=WANTED | {"per_minute": 100})
    assert made.status_code == 201
    key, id = made.json()["key"], made.json()["id"]
    assert made.headers["location"].endswith(f"/api-keys/{id}")
    client = house.client(key)
    told = (await client.get("/sessions/current")).json()
    assert (told["user"], told["role"], told["scopes"], told["expires_in"]) == (
        "admin",
        "admin",
        ["account:admin", "campaigns:read"],
        None,
    )
    shown = await client.get(f"/api-keys/{id}")
    assert key not in shown.text
    assert shown.json() == {name: value for name, value in made.json().items() if name != "key"} | {
        "last_used_at": "2026-11-30T00:53:20.000Z"
    }
    assert key.startswith(shown.json()["prefix"])
    assert (await client.get("/routes")).status_code == 200
    problem(await client.delete("/sessions/current"), 422, 42)
    problem(await client.post("/api-keys", json={"name": "more", "scopes": ["contacts:write"]}), 403, 3)


async def test_a_key_without_the_scope_is_refused(house: RestHouse) -> None:
    admin = await house.as_user()
    key = (await admin.post("/api-keys", json={"name": "x", "scopes": ["contacts:read"]})).json()["key"]
    told = problem(await house.client(key).get("/routes"), 403, 3)
    assert "campaigns:read" in str(told["detail"])


async def test_a_key_ends(house: RestHouse) -> None:
    admin = await house.as_user()
    expires = {"expires_at": "2026-12-01T00:53:20Z"}
    first = (await admin.post("/api-keys", json=WANTED | expires)).json()
    assert first["expires_at"] == "2026-12-01T00:53:20.000Z"
    second = (await admin.post("/api-keys", json=WANTED)).json()
    assert (await admin.delete(f"/api-keys/{second['id']}")).status_code == 204
    assert (await admin.delete(f"/api-keys/{second['id']}")).status_code == 204
    problem(await house.client(second["key"]).get("/routes"), 401, 1)
    assert (await house.client(first["key"]).get("/routes")).status_code == 200
    house.time.now += DAY
    problem(await house.client(first["key"]).get("/routes"), 401, 1)


async def test_the_last_use_is_written_to_the_minute(house: RestHouse) -> None:
    admin = await house.as_user()
    made = (await admin.post("/api-keys", json=WANTED)).json()
    client, where = house.client(made["key"]), f"/api-keys/{made['id']}"
    for passes, written in ((0, "00:53:20"), (MINUTE - 1, "00:53:20"), (1, "00:54:20")):
        house.time.now += passes
        await client.get("/routes")
        assert (await admin.get(where)).json()["last_used_at"] == f"2026-11-30T{written}.000Z"


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"name": ""}, 42, "name"),
        ({"name": " "}, 42, "name"),
        ({"name": "x" * 101}, 42, "name"),
        ({"scopes": []}, 42, "scopes"),
        ({"scopes": ["everything"]}, 42, "scopes"),
        ({"expires_at": "yesterday"}, 42, "expires_at"),
        ({"expires_at": "2026-11-30T00:53:20"}, 42, "expires_at"),
        ({"expires_at": "2026-11-30T00:53:20Z"}, 42, "expires_at"),
        ({"expires_at": "2099-11-30T00:53:20Z"}, 42, "expires_at"),
        ({"per_minute": 0}, 42, "per_minute"),
    ],
)
async def test_a_key_that_cannot_be(house: RestHouse, changes: dict, code: int, field: str) -> None:
    problem(await (await house.as_user()).post("/api-keys", json=WANTED | changes), 422, code, field)


async def test_keys_are_listed_in_pages_and_belong_to_their_users(house: RestHouse) -> None:
    admin, operator, other = (
        await house.as_user(),
        await house.as_user("operator"),
        await house.as_user("admin", "other"),
    )
    ids = []
    for client in (admin, operator, admin):
        house.time.now += 1
        ids.append((await client.post("/api-keys", json=WANTED)).json()["id"])
    first = (await admin.get("/api-keys", params={"limit": 2})).json()
    assert [one["id"] for one in first["items"]] == ids[:2]
    rest = (await admin.get("/api-keys", params={"limit": 2, "cursor": first["next"]})).json()
    assert ([one["id"] for one in rest["items"]], rest["next"]) == (ids[2:], None)
    assert [one["id"] for one in (await operator.get("/api-keys")).json()["items"]] == ids[1:2]
    assert (await other.get("/api-keys")).json() == {"items": [], "next": None}
    for stranger in (operator, other):
        problem(await stranger.get(f"/api-keys/{ids[0]}"), 404, 40)
        problem(await stranger.delete(f"/api-keys/{ids[0]}"), 404, 40)
    assert (await house.client((await admin.post("/api-keys", json=WANTED)).json()["key"]).get("/routes")).is_success


@pytest.mark.parametrize("cursor", ["x", "AAAA", "!!", "zw", "z" * 101])
async def test_a_cursor_that_is_none_is_refused(house: RestHouse, cursor: str) -> None:
    problem(await (await house.as_user()).get("/api-keys", params={"cursor": cursor}), 422, 42, "cursor")


async def test_wrong_keys_lock_their_source_but_not_log_ins_nor_good_keys_of_others(house: RestHouse) -> None:
    admin = await house.as_user()
    key = (await admin.post("/api-keys", json=WANTED)).json()["key"]
    wrong = house.client("ck_aaaaaaaa_" + "b" * 43)
    for _ in range(100):
        problem(await wrong.get("/routes"), 401, 1)
    problem(await wrong.get("/routes"), 429, 4)
    problem(await house.client(key).get("/routes"), 429, 4)
    log_in = {"account": "acme", "user": "admin", "password": PASSWORD}
    assert (await house.client().post("/sessions", json=log_in)).status_code == 201
    assert (await admin.get("/routes")).status_code == 200


# --- users -------------------------------------------------------------------------------------------------------


async def test_a_user_is_added_changed_and_removed(house: RestHouse) -> None:
    admin = await house.as_user()
    added = await admin.post("/users", json={"name": "ann", "role": "operator", "password": PASSWORD})
    assert added.status_code == 201
    assert PASSWORD not in added.text
    expected = {"name": "ann", "role": "operator", "disabled": False, "created_at": "2026-11-30T00:53:20.000Z"}
    assert added.json() == expected | {"disabled_at": None}
    problem(await admin.post("/users", json={"name": "ANN", "role": "api", "password": "x"}), 409, 41, "name")
    ann = await house.as_user("ann")
    key = (await ann.post("/api-keys", json=WANTED)).json()["key"]
    assert (await admin.patch("/users/ann", json={"role": "agent"})).json()["role"] == "agent"
    assert (await ann.get("/sessions/current")).json()["role"] == "agent"
    disabled = await admin.patch("/users/ann", json={"disabled": True})
    assert (disabled.json()["disabled"], disabled.json()["role"]) == (True, "agent")
    problem(await ann.get("/sessions/current"), 401, 1)
    problem(await house.client(key).get("/routes"), 401, 1)
    log_in = {"account": "acme", "user": "ann", "password": PASSWORD}
    problem(await house.client().post("/sessions", json=log_in), 401, 2)
    assert (await admin.patch("/users/ann", json={"disabled": False})).json()["disabled"] is False
    assert (await house.client(key).get("/routes")).status_code == 200
    assert (await admin.put("/users/ann/password", json={"password": "another"})).status_code == 204
    problem(await house.client().post("/sessions", json=log_in), 401, 2)
    assert (await admin.delete("/users/ann")).status_code == 204
    problem(await house.client(key).get("/routes"), 401, 1)
    problem(await admin.delete("/users/ann"), 404, 40)
    assert [one["name"] for one in (await admin.get("/users")).json()["items"]] == ["admin", "agent", "api", "operator"]


async def test_only_admins_manage_users_and_everybody_their_own_password(house: RestHouse) -> None:
    for role in ("operator", "api", "agent"):
        client = await house.as_user(role)
        for method, path, sent in (
            ("GET", "/users", None),
            ("GET", "/users/admin", None),
            ("POST", "/users", {"name": "x", "role": "api", "password": "x"}),
            ("PATCH", "/users/admin", {"role": "api"}),
            ("PUT", "/users/admin/password", {"password": "x"}),
            ("DELETE", "/users/admin", None),
            ("PATCH", "/account", {"region": "IT"}),
        ):
            problem(await client.request(method, path, json=sent), 403, 3)
        assert (await client.get(f"/users/{role}")).json()["role"] == role
        assert (await client.put(f"/users/{role.upper()}/password", json={"password": "x"})).status_code == 204
        problem(await client.get("/sessions/current"), 401, 1)


async def test_the_last_admin_stays(house: RestHouse) -> None:
    admin = await house.as_user()
    problem(await admin.patch("/users/admin", json={"role": "api"}), 403, 3)
    problem(await admin.patch("/users/admin", json={"disabled": True}), 403, 3)
    problem(await admin.delete("/users/admin"), 422, 42)
    await admin.post("/users", json={"name": "second", "role": "admin", "password": PASSWORD})
    assert (await admin.patch("/users/second", json={"disabled": True})).status_code == 200
    problem(await admin.patch("/users/admin", json={"role": "api"}), 403, 3)
    assert (await admin.patch("/users/second", json={"disabled": False})).status_code == 200
    assert (await admin.patch("/users/admin", json={"role": "api"})).status_code == 200
    problem(await admin.get("/users"), 403, 3)


async def test_users_of_another_account_do_not_exist(house: RestHouse) -> None:
    admin = await house.as_user()
    await admin.post("/users", json={"name": "ann", "role": "api", "password": PASSWORD})
    other = await house.as_user("admin", "other")
    problem(await other.get("/users/ann"), 404, 40)
    problem(await other.patch("/users/ann", json={"disabled": True}), 404, 40)
    problem(await other.put("/users/ann/password", json={"password": "x"}), 404, 40)
    problem(await other.delete("/users/ann"), 404, 40)


# --- account and routes ------------------------------------------------------------------------------------------


async def test_the_account_is_read_and_changed(house: RestHouse) -> None:
    admin = await house.as_user()
    before = (await admin.get("/account")).json()
    assert before == {"id": "acme", "time_zone": "UTC", "region": "ZZ", "created_at": before["created_at"]}
    changed = await admin.patch("/account", json={"time_zone": "Europe/Rome", "region": "IT"})
    assert changed.json() == before | {"time_zone": "Europe/Rome", "region": "IT"}
    assert (await admin.get("/account")).json() == changed.json()
    assert (await admin.patch("/account", json={})).json() == changed.json()
    problem(await admin.patch("/account", json={"time_zone": "Mars/Base"}), 422, 42, "time_zone")
    problem(await admin.patch("/account", json={"region": "XX"}), 422, 42, "region")
    problem(await admin.patch("/account", json={"region": None}), 422, 42, "region")


async def test_routes_are_those_of_the_account(house: RestHouse) -> None:
    agent, other = await house.as_user("agent"), await house.as_user("agent", "other")
    mail = {"name": "mail", "medium": "email", "health": "down", "reason": "The server does not answer."}
    assert (await agent.get("/routes")).json() == {"items": [mail], "next": None}
    assert (await agent.get("/routes/mail")).json() == mail
    problem(await agent.get("/routes/theirs"), 404, 40)
    assert (await other.get("/routes/theirs")).json()["health"] == "up"


async def test_a_user_with_the_number_of_one_that_was_removed_is_somebody_else(house: RestHouse) -> None:
    body, key = {"name": "Reminder", "sms": {"enabled": True, "from": "Office"}}, {"idempotency-key": "1"}
    given = []
    for account, name in (("acme", "zoe"), ("other", "zed")):
        admin = await house.as_user(account=account)
        await admin.post("/users", json={"name": name, "role": "operator", "password": PASSWORD})
        user = await house.as_user(name, account)
        given.append(await user.post("/campaigns", json=body, headers=key))
        assert (await user.get(f"/campaigns/{given[-1].json()['id']}")).status_code == 200
        assert (await admin.delete(f"/users/{name}")).status_code == 204
    assert [answer.headers.get("idempotency-replayed") for answer in given] == [None, None]
