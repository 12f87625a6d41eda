"""Passwords: argon2id, never on the event loop, and nobody's hash is as slow as anybody's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from services_kit import CHEAP

from campana.services.passwords import LONGEST_PASSWORD, STANDARD, Cost, Passwords


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(2, CHEAP)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("password", "tried", "right"),
    [
        ("correct horse", "correct horse", True),
        ("correct horse", "correct  horse", False),
        ("correct horse", "", False),
        ("correct horse", "Correct horse", False),
        ("caf\u00e9 noir", "cafe\u0301 noir", True),  # composed and decomposed
        ("ｐａｓｓｗｏｒｄ", "password", True),  # full width, as some keyboards write
        ("💧💧💧💧", "💧💧💧💧", True),
        ("x" * LONGEST_PASSWORD, "x" * LONGEST_PASSWORD, True),
        ("x" * LONGEST_PASSWORD, "x" * (LONGEST_PASSWORD + 1), False),
        ("nul\0here", "nul\0here", True),
        ("nul\0here", "nul", False),
        ("lone surrogate", "\ud800", False),
    ],
)
async def test_verifying(passwords: Passwords, password: str, tried: str, right: bool) -> None:
    encoded = await passwords.hash(password)
    assert encoded.startswith("$argon2id$")
    assert await passwords.verify(encoded, tried) is right


@pytest.mark.parametrize("tried", ["", "correct horse", "x" * 5_000])
async def test_nobodys_password_is_never_right(passwords: Passwords, tried: str) -> None:
    assert await passwords.verify(None, tried) is False


@pytest.mark.parametrize("broken", ["", "plain", "$argon2id$v=19$m=8,t=1,p=1$", "$2b$12$abcdefghijklmnopqrstuv"])
async def test_a_broken_hash_is_never_right_and_raises_nothing(passwords: Passwords, broken: str) -> None:
    assert await passwords.verify(broken, "plain") is False


async def test_equal_passwords_have_different_hashes(passwords: Passwords) -> None:
    assert await passwords.hash("same") != await passwords.hash("same")


async def test_a_hash_at_another_cost_is_outdated(passwords: Passwords) -> None:
    dearer = Passwords(1, Cost(passes=2, memory_kib=8, lanes=1))
    encoded = await passwords.hash("correct horse")
    assert not passwords.outdated(encoded)
    assert dearer.outdated(encoded)
    assert await dearer.verify(encoded, "correct horse")
    dearer.close()


def test_the_standard_cost_is_the_recommended_one() -> None:
    assert (STANDARD.passes, STANDARD.memory_kib, STANDARD.lanes) == (2, 19_456, 1)


async def test_nobodys_hash_costs_what_a_real_one_does() -> None:
    """The work is the same because cost, salt and digest are: told apart by nothing but being right."""
    passwords = Passwords(1)
    real = (await passwords.hash("correct horse")).split("$")
    dummy = passwords._dummy.split("$")
    assert real[:4] == dummy[:4]
    assert [len(part) for part in real[4:]] == [len(part) for part in dummy[4:]]
    passwords.close()


async def test_hashing_leaves_the_event_loop_free_and_takes_its_own_threads(passwords: Passwords) -> None:
    before = set(threading.enumerate())
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    slow = Passwords(2, Cost(passes=4, memory_kib=4_096, lanes=1))
    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(slow.hash("correct horse") for _ in range(6)))
    ticking.cancel()
    assert ticks > 10
    assert len(set(threading.enumerate()) - before) == 2
    slow.close()
