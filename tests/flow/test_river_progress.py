"""What only the clock, or a person, says of a campaign is told by a running river: windows, pauses, the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from river_kit import River, flowing, phone, sms_campaign, sms_route

from campana.domain.campaign import Campaign
from campana.domain.delivery import Medium, Status
from campana.domain.moment import DAY, HOUR
from campana.domain.progress import Event, EventKind, State
from campana.sandbox.smsc import SmscSimulator

SUCCESS = 4
OPENED, CLOSED, STARTED = EventKind.WINDOW_OPENED, EventKind.WINDOW_CLOSED, EventKind.STARTED
PAUSED, RESUMED, CANCELLED, FINISHED = (
    EventKind.PAUSED,
    EventKind.RESUMED,
    EventKind.CANCELLED,
    EventKind.FINISHED,
)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[River]:
    async with SmscSimulator(receipt_delay=0.05) as smsc, flowing(folder, [sms_route(smsc)]) as river:
        yield river


def around_now(river: River, before: timedelta, after: timedelta) -> dict[str, Any]:
    """A daily window around the river's time of day, in UTC, to the minute."""
    now = datetime.fromtimestamp(river.clock() / 1_000, UTC).replace(second=0, microsecond=0, tzinfo=None)
    return {"time_zone": "UTC", "active_from_time": now - before, "active_to_time": now + after}


async def told(river: River, campaign: Campaign) -> list[Event]:
    """All events but those of single contacts and counters."""
    events = await river.services.progress.events(await river.user(), campaign.guid, 0, 500)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    return [event for event in events if event.kind not in (EventKind.STATUS_CHANGED, EventKind.COUNTERS)]


async def until_told(river: River, campaign: Campaign, *kinds: EventKind) -> None:
    """Wait until exactly these were told."""
    seen: list[EventKind] = []

    async def there() -> bool:
        seen[:] = [event.kind for event in await told(river, campaign)]
        return seen == list(kinds)

    try:
        await river.until(there)
    except TimeoutError:
        raise AssertionError(f"told: {seen}") from None


async def state(river: River, campaign: Campaign) -> State:
    return (await river.services.progress.balance(await river.user(), campaign.guid)).state


async def test_windows_open_and_close_by_the_clock(tmp_path: Path) -> None:
    async with running(tmp_path) as river:
        day = around_now(river, -timedelta(hours=2), timedelta(hours=4))
        campaign = await river.add(sms_campaign(**day))
        number = await river.fill(campaign, [phone(1)])
        assert await state(river, campaign) in (State.SCHEDULED, State.WAITING)
        assert await told(river, campaign) == []
        await river.move_clock(3 * HOUR, number)
        await until_told(river, campaign, OPENED, STARTED, FINISHED)
        await river.move_clock(3 * HOUR, number)
        await until_told(river, campaign, OPENED, STARTED, FINISHED, CLOSED)
        await river.move_clock(DAY - 3 * HOUR, number)
        await until_told(river, campaign, OPENED, STARTED, FINISHED, CLOSED, OPENED)
        # Who is added to a campaign that was finished begins it again, and its end is told again.
        await river.contact(campaign, phone(2))
        await until_told(river, campaign, OPENED, STARTED, FINISHED, CLOSED, OPENED, FINISHED)
        assert (await told(river, campaign))[-1].balance.of(Medium.SMS, Status.SUCCESS) == 2


async def test_the_end_of_the_last_window_finishes_what_never_went(tmp_path: Path) -> None:
    async with running(tmp_path) as river:
        today = datetime.fromtimestamp(river.clock() / 1_000, UTC).replace(tzinfo=None)
        campaign = await river.add(sms_campaign(time_zone="UTC", is_paused=True, active_to_date=today))
        number = await river.fill(campaign, [phone(1), phone(2)])
        await until_told(river, campaign, OPENED)
        assert await state(river, campaign) is State.PAUSED
        await river.move_clock(2 * DAY, number)
        await until_told(river, campaign, OPENED, CLOSED, FINISHED)
        finished = (await told(river, campaign))[-1]
        assert finished.balance.of(Medium.SMS, Status.PENDING) == 2
        assert await state(river, campaign) is State.FINISHED


async def test_pauses_are_told_and_a_paused_campaign_has_not_started(tmp_path: Path) -> None:
    async with running(tmp_path) as river:
        campaign = await river.add(sms_campaign(is_paused=True))
        await river.fill(campaign, [phone(1)])
        await until_told(river, campaign, OPENED)
        await river.replace(sms_campaign(guid=campaign.guid))
        await until_told(river, campaign, OPENED, RESUMED, STARTED, FINISHED)
        await river.replace(sms_campaign(guid=campaign.guid, is_paused=True))
        await until_told(river, campaign, OPENED, RESUMED, STARTED, FINISHED, PAUSED)


async def test_a_cancelled_campaign_is_finished_once_nothing_waits(tmp_path: Path) -> None:
    async with running(tmp_path) as river:
        campaign = await river.add(sms_campaign(is_paused=True))
        await river.fill(campaign, [phone(number) for number in range(3)])
        await until_told(river, campaign, OPENED)
        await river.services.campaigns.cancel(await river.user(), campaign.guid)
        await until_told(river, campaign, OPENED, CANCELLED, CLOSED, FINISHED)
        finished = (await told(river, campaign))[-1]
        assert finished.balance.of(Medium.SMS, Status.CANCELLED) == 3
        assert await state(river, campaign) is State.CANCELLED


async def test_what_happened_while_nobody_was_at_work_is_told_at_the_start(tmp_path: Path) -> None:
    async with running(tmp_path) as river:
        campaign = await river.add(sms_campaign())
        await until_told(river, campaign, OPENED, STARTED)
    async with SmscSimulator(receipt_delay=0.05) as smsc, flowing(tmp_path, [sms_route(smsc)]) as river:
        river.people["acme"] = await river.services.sessions.resume(
            await river.services.sessions.open("acme", "ann", "correct horse battery", "::1")
        )
        await river.fill(campaign, [phone(1)])
        await until_told(river, campaign, OPENED, STARTED, FINISHED)
