"""How many requests a session or key may make: token buckets, and what the headers say."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from rest_kit import problem, rest_house

from campana.api.rest.app import RestOptions
from campana.api.rest.limiting import REMEMBERED, Limited, Limiter


def limits(answer: httpx.Response) -> tuple[int, ...]:
    """What the headers say: limit, what remains, seconds until all are there."""
    return tuple(int(answer.headers[f"ratelimit-{name}"]) for name in ("limit", "remaining", "reset"))


async def test_each_session_has_its_bucket(tmp_path: Path) -> None:
    async with rest_house(tmp_path, RestOptions(requests_per_minute=3)) as house:
        first, second = await house.as_user(), await house.as_user()
        for remaining, reset in ((2, 20), (1, 40), (0, 60)):
            assert limits(await first.get("/routes")) == (3, remaining, reset)
        refused = await first.get("/routes")
        told = problem(refused, 429, 31)
        assert told["detail"] == "No more than 3 requests a minute are allowed."
        assert limits(refused) == (3, 0, 60)
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert limits(await second.get("/campaigns/x")) == (3, 2, 20)
        assert (await house.client().get("/routes")).status_code == 401


async def test_a_key_may_have_its_own_limit(tmp_path: Path) -> None:
    async with rest_house(tmp_path, RestOptions(requests_per_minute=0)) as house:
        admin = await house.as_user()
        wanted = {"name": "slow", "scopes": ["campaigns:read"], "per_minute": 2}
        made = await admin.post("/api-keys", json=wanted)
        assert "ratelimit-limit" not in made.headers
        client = house.client(made.json()["key"])
        assert limits(await client.get("/routes")) == (2, 1, 30)
        assert limits(await client.get("/routes")) == (2, 0, 60)
        problem(await client.get("/routes"), 429, 31)


@pytest.fixture
def clock() -> list[float]:
    return [100.0]


def test_a_bucket_fills_evenly(clock: list[float]) -> None:
    limiter = Limiter(60, lambda: clock[0])
    for _ in range(60):
        limiter.take(b"a")
    with pytest.raises(Limited) as refused:
        limiter.take(b"a")
    assert refused.value.seconds == 1
    clock[0] += 0.5
    with pytest.raises(Limited):
        limiter.take(b"a")
    clock[0] += 0.5
    taken = limiter.take(b"a")
    assert taken is not None
    assert (taken.remaining, taken.reset) == (0, 60)
    clock[0] += 3_600
    taken = limiter.take(b"a")
    assert taken is not None
    assert (taken.remaining, taken.reset) == (59, 1)


def test_buckets_are_bounded(clock: list[float]) -> None:
    limiter = Limiter(2, lambda: clock[0])
    limiter.take(b"first")
    for number in range(REMEMBERED):
        limiter.take(number.to_bytes(4, "big"))
    taken = limiter.take(b"first")
    assert taken is not None
    assert taken.remaining == 1


def test_without_a_limit_nothing_is_said(clock: list[float]) -> None:
    assert Limiter(0, lambda: clock[0]).take(b"a") is None
