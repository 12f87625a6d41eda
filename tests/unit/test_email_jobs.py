"""The queue between calls of send and connections: order, permits, and jobs that come back."""

from __future__ import annotations

import pytest

from campana.channels.contract import Accepted, Parcel, Permit
from campana.channels.email.jobs import Abilities, Batch, JobQueue
from campana.channels.email.message import Letter
from campana.channels.email.signing import Seal, Signer
from campana.channels.email.signing_key import SigningKey
from campana.channels.errors import RefusedForGood, Unreachable
from campana.domain.outcome import DeliveryCode

ABLE = Abilities(smtputf8=True)
LOST = Unreachable(DeliveryCode.EMAIL_UNREACHABLE, "421", "gone")


def parcel(number: int, *, utf8: bool = False, size: int = 100) -> Parcel:
    return Parcel(number, 1, "", Letter(b"", b"%d" % number, b"", b"", size, utf8))


def filled(*numbers: int, permit: Permit = lambda: True) -> tuple[JobQueue, Batch]:
    queue = JobQueue()
    return queue, queue.add([parcel(number) for number in numbers], permit)


def names(batch: Batch) -> list[str]:
    return [type(result).__name__ for result in batch.results]


async def test_jobs_leave_in_order_and_the_last_result_wakes_the_caller() -> None:
    queue, batch = filled(1, 2, 3)
    jobs = [queue.next(ABLE) for _ in range(4)]
    assert [job and job.letter.recipient for job in jobs] == [b"1", b"2", b"3", None]
    for job in jobs[:3]:
        assert not batch.done.done()
        assert job is not None
        job.settle(Accepted(final=True))
    assert batch.done.done()
    assert names(batch) == ["Accepted"] * 3


async def test_what_comes_back_goes_first_and_only_so_often() -> None:
    queue, batch = filled(1, 2, 3)
    first, second = queue.next(ABLE), queue.next(ABLE)
    assert first is not None
    assert second is not None
    first.refusal = RefusedForGood(DeliveryCode.EMAIL_REFUSED)
    queue.give_back([first, second], LOST)
    assert [queue.next(ABLE), queue.next(ABLE)] == [first, second]
    assert first.refusal is None, "what another connection refused does not count on the next"
    queue.give_back([first], LOST)
    assert queue.next(ABLE) is first
    queue.give_back([first], LOST)
    assert names(batch) == ["Unreachable", "NoneType", "NoneType"]
    assert isinstance(batch.results[0], Unreachable)
    assert batch.results[0].carrier_text == "gone"


async def test_a_busy_connection_leaves_jobs_to_those_on_their_way() -> None:
    queue, _ = filled(1, 2, 3)
    queue.awaited = 2
    assert queue.next_beyond(ABLE) is not None
    assert queue.next_beyond(ABLE) is None
    queue.awaited = 1
    assert queue.next_beyond(ABLE) is not None


async def test_only_what_lost_its_permit_is_withdrawn() -> None:
    asked = []
    queue, paused = filled(1, 2, permit=lambda: bool(asked.append("paused")))
    kept = queue.add([parcel(3)], lambda: True)
    queue.withdraw()
    assert names(paused) == ["Withdrawn"] * 2
    assert asked == ["paused"], "one question a call, however many wait"
    assert names(kept) == ["NoneType"]
    assert len(queue) == 1


@pytest.mark.parametrize(
    ("abilities", "utf8", "size", "code"),
    [
        (Abilities(), True, 100, DeliveryCode.EMAIL_ADDRESS_NOT_SUPPORTED),
        (Abilities(size=99), False, 100, DeliveryCode.EMAIL_TOO_LARGE),
        (Abilities(size=100), False, 100, None),
        (Abilities(size=0), False, 10**9, None),
        (Abilities(smtputf8=True), True, 100, None),
    ],
)
async def test_what_the_server_cannot_carry_is_settled(
    abilities: Abilities, utf8: bool, size: int, code: DeliveryCode | None
) -> None:
    queue = JobQueue()
    batch = queue.add([parcel(1, utf8=utf8, size=size)], lambda: True)
    assert (queue.next(abilities) is None) == (code is not None)
    if code is not None:
        assert isinstance(batch.results[0], RefusedForGood)
        assert batch.results[0].code is code


async def test_what_leaves_is_signed_and_measured_with_its_signature() -> None:
    key = SigningKey("ed25519-sha256", lambda hashed: hashed * 2)
    fields = b"From: a@b.example\r\n"
    seal = Seal(Signer("b.example", "s", key, lambda: 0), fields, (), b"\r\nx\r\n")
    queue = JobQueue()
    letters = [Letter(b"", b"1", fields, b"", 100, utf8=False, seal=seal) for _ in range(2)]
    batch = queue.add([Parcel(1, 1, "", letter) for letter in letters], lambda: True)
    job = queue.next(ABLE)
    assert job is not None
    assert job.letter.head.startswith(b"DKIM-Signature: ")
    assert job.letter.head.endswith(b"\r\n" + fields)
    assert job.letter.size == 100 + len(job.letter.head) - len(fields)
    assert queue.next(Abilities(size=job.letter.size - 1)) is None
    assert isinstance(batch.results[1], RefusedForGood)
    assert batch.results[1].code is DeliveryCode.EMAIL_TOO_LARGE


async def test_a_closed_queue_settles_whatever_comes() -> None:
    queue, waiting = filled(1, 2)
    under_way = queue.next(ABLE)
    assert under_way is not None
    queue.close(LOST)
    late = queue.add([parcel(3)], lambda: True)
    queue.give_back([under_way], LOST)
    assert names(waiting) == ["Unreachable"] * 2
    assert names(late) == ["Unreachable"]
    assert waiting.done.done()
