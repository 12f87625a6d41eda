"""Receipts on their way in: in order, in batches, and none lost whatever goes wrong above."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from campana.channels.voice.postbox import BATCH, RETRY_SECONDS, Postbox
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState

SOON = 5.0


class Desk:
    """Whoever keeps receipts."""

    def __init__(self, failures: int = 0) -> None:
        self.batches: list[list[str]] = []
        self.failures = failures
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.asked = asyncio.Event()

    async def receipts(self, batch: Sequence[Receipt]) -> None:
        self.asked.set()
        await self.may_go_on.wait()
        if self.failures:
            self.failures -= 1
            raise RuntimeError("a defect above")
        self.batches.append([receipt.carrier_ids[0] for receipt in batch])

    @property
    def kept(self) -> list[str]:
        return [one for batch in self.batches for one in batch]


def receipt(call_id: str) -> Receipt:
    return Receipt("trunk", ReceiptState.DELIVERED, DeliveryCode.OK, 1, (call_id,))


@asynccontextmanager
async def running(desk: Desk) -> AsyncIterator[Postbox]:
    postbox = Postbox("trunk")
    task = asyncio.create_task(postbox.run(desk))
    yield postbox
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_many_receipts_are_kept_in_order_and_in_batches() -> None:
    desk = Desk()
    async with running(desk) as postbox:
        ids = [f"call-{n}" for n in range(2 * BATCH + 5)]
        for one in ids:
            postbox.put(receipt(one))
        await postbox.drain(SOON)
    assert desk.kept == ids
    assert [len(batch) for batch in desk.batches] == [BATCH, BATCH, 5]


async def test_what_was_not_kept_is_handed_in_again() -> None:
    desk = Desk(failures=1)
    async with running(desk) as postbox:
        postbox.put(receipt("one"))
        await asyncio.wait_for(desk.asked.wait(), SOON)
        postbox.put(receipt("two"))
        await postbox.drain(SOON)
    assert desk.kept == ["one", "two"]


async def test_one_that_can_never_be_kept_holds_no_other_up() -> None:
    class Choosy(Desk):
        async def receipts(self, batch: Sequence[Receipt]) -> None:
            if any("bad" in receipt.carrier_ids for receipt in batch):
                self.asked.set()
                raise RuntimeError("a defect above")
            await super().receipts(batch)

    desk = Choosy()
    async with running(desk) as postbox:
        for one in ("bad", "one", "two"):
            postbox.put(receipt(one))
        await asyncio.wait_for(desk.asked.wait(), SOON)
        postbox.put(receipt("three"))
        await postbox.drain(RETRY_SECONDS * 2.5)
        assert postbox.holds("bad")
    assert sorted(desk.kept) == ["one", "three", "two"]


async def test_a_receipt_is_held_until_it_is_kept() -> None:
    desk = Desk()
    desk.may_go_on.clear()
    async with running(desk) as postbox:
        postbox.put(receipt("one"))
        await asyncio.wait_for(desk.asked.wait(), SOON)
        assert postbox.holds("one")
        await postbox.drain(0.01)
        assert desk.kept == []
        desk.may_go_on.set()
        await postbox.drain(SOON)
        assert not postbox.holds("one")
    assert desk.kept == ["one"]


async def test_an_empty_box_is_drained_at_once() -> None:
    async with running(Desk()) as postbox:
        await asyncio.wait_for(postbox.drain(SOON), 0.5)
