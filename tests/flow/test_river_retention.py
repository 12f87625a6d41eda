"""What is over goes by itself in a running river."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from river_kit import flowing, phone, sms_campaign, sms_route

from campana.domain.moment import DAY
from campana.engine.options import RetentionOptions
from campana.sandbox.smsc import SmscSimulator

KEPT = RetentionOptions(deleted_ms=90 * DAY, ended_ms=30 * DAY, incoming_ms=365 * DAY, round_ms=50)


async def test_a_campaign_ends_is_deleted_and_removed(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc)], retention=KEPT) as river:
        today = datetime.now(UTC).replace(tzinfo=None)
        over, stays = await river.add(sms_campaign(active_to_date=today)), await river.add(sms_campaign())
        number = await river.number(over)
        for campaign in (over, stays):
            await river.contact(campaign, phone(1))
            await river.until_statuses(campaign, {4: 1})

        async def deleted() -> bool:
            row = await river.store.campaigns.find_number(number)
            return row is not None and row.deleted_at is not None

        async def removed() -> bool:
            return await river.store.campaigns.find_number(number) is None

        await river.move_clock(33 * DAY)
        await river.until(deleted)
        await river.move_clock(91 * DAY)
        await river.until(removed)
        assert await river.statuses(stays) == {4: 1}
        assert [line async for page in river.store.contacts.pages(number, over.guid) for line in page] == []
