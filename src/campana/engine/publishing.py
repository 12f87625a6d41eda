"""Bend 8b: owns that endpoints are told what happened: in batches, in order, one batch of a campaign at a time.

Must not know how an endpoint is reached. Endpoints that are slow or dead cost deliveries nothing: each is told in a
task of its own, a few tasks at a time, and between two words with it nothing of the database is held.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from functools import partial

import structlog

from campana.bus.endpoints import Answer, Message, Outcome, Outlet, new_secret
from campana.bus.wording import batch_id, batch_words
from campana.domain.backoff import next_try, rests
from campana.domain.moment import SECOND
from campana.domain.progress import Event
from campana.engine.duties import Duty
from campana.engine.options import Tools
from campana.storage.progress import Progress
from campana.storage.publications import Census, Failure, Publication, Publications
from campana.storage.store import CampaignRow, Campaigns, StoreUnavailable

log = structlog.get_logger(__name__)

BATCH = 500
"""Events in one message at most."""
AT_ONCE = 32
"""Campaigns whose endpoints are told at the same time."""
AT_ONCE_OF_ACCOUNT = 8
"""Of one account: its dead endpoints keep nobody else's waiting."""
LOOK_AGAIN_MS = 30 * SECOND
"""How often is looked for what was not told yet."""
WATCH_SECONDS = 1.0
PAGE = 500
"""Endpoints that are read in one go."""


class Publisher:
    """Tells endpoints. Of several processes one does; that two believe to is repeated, not reordered."""

    def __init__(
        self,
        publications: Publications,
        progress: Progress,
        campaigns: Campaigns,
        outlet: Outlet,
        *,
        duty: Duty,
        tools: Tools,
    ) -> None:
        self._publications = publications
        self._progress = progress
        self._campaigns = campaigns
        self._outlet = outlet
        self._duty = duty
        self._clock = tools.clock
        self._metrics = tools.metrics
        self._wake = asyncio.Event()
        self._look_at = 0
        """When is looked next for what was not told yet."""
        self._waiting: dict[int, int] = {}
        """Campaigns to be told of, with their accounts."""
        self._resting: dict[int, tuple[int, int]] = {}
        """Until when endpoints that failed are left alone, and their accounts."""
        self._running: dict[int, asyncio.Task[None]] = {}
        self._of_account: Counter[int] = Counter()

    def call(self, row: CampaignRow, changed: bool) -> None:
        """A campaign may have new events. Where it was changed, its endpoint is asked at once, even if it failed."""
        number = row.number
        if changed:
            self._resting.pop(number, None)
        if (row.campaign.progress_endpoint or changed) and number not in self._resting:
            self._waiting[number] = row.account
            self._wake.set()

    async def run(self) -> None:
        """Tell for ever; to be cancelled, which leaves what is on its way to be told again."""
        try:
            while True:
                try:
                    if await self._duty.held():
                        await self._look()
                        self._dispatch()
                    else:
                        self._rest()
                except StoreUnavailable as error:
                    log.warning("publishing.store_unavailable", reason=str(error))
                await self._wait()
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _rest(self) -> None:
        """Another process has the duty."""
        if self._look_at:
            self._count(Census(0, 0, 0))
        self._look_at = 0
        self._waiting.clear()

    def _count(self, census: Census) -> None:
        self._metrics.endpoints.set("failing", to=census.failing)
        self._metrics.endpoints.set("stopped", to=census.stopped)
        self._metrics.publish_backlog.set(to=census.behind)

    async def _wait(self) -> None:
        now = self._clock()
        rest = min((at - now for at, _ in self._resting.values()), default=SECOND)
        try:
            async with asyncio.timeout(min(WATCH_SECONDS, max(rest, 1) / 1_000)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _look(self) -> None:
        """Look for all that was not told yet, and count how endpoints are."""
        now = self._clock()
        for number, (at, account) in list(self._resting.items()):
            if not rests(at, now):
                del self._resting[number]
                self._waiting[number] = account
        if now < self._look_at <= now + LOOK_AGAIN_MS:
            return
        self._look_at = now + LOOK_AGAIN_MS
        after = 0
        while some := await self._publications.behind(after, PAGE):
            for one in some:
                # What a person said to be told again may rest here, where the word of it was lost.
                if one.next_at <= now:
                    self._resting.pop(one.campaign, None)
                if one.campaign not in self._resting:
                    self._waiting[one.campaign] = one.account
            after = some[-1].campaign
        self._count(await self._publications.census())

    def _dispatch(self) -> None:
        for number, account in list(self._waiting.items()):
            if len(self._running) >= AT_ONCE:
                return
            if number in self._running or self._of_account[account] >= AT_ONCE_OF_ACCOUNT:
                continue
            del self._waiting[number]
            self._of_account[account] += 1
            task = asyncio.create_task(self._serve(number, account), name=f"publishing-{number}")
            self._running[number] = task
            task.add_done_callback(partial(self._ended, number, account))

    def _ended(self, number: int, account: int, _: asyncio.Task[None]) -> None:
        del self._running[number]
        self._of_account[account] -= 1
        self._wake.set()

    async def _serve(self, number: int, account: int) -> None:
        """Tell the endpoint of a campaign all that there is, batch by batch, as long as it takes them."""
        try:
            while await self._duty.held() and await self._tell_some(number):
                pass
        except StoreUnavailable as error:
            log.warning("publishing.store_unavailable", reason=str(error))
            self._resting[number] = self._clock() + SECOND, account
        except Exception:
            log.exception("publishing.defect", campaign=number)
            self._resting[number] = self._clock() + LOOK_AGAIN_MS, account

    async def _tell_some(self, number: int) -> bool:
        """Tell one batch; True where it was taken and there may be more."""
        row = await self._campaigns.find_number(number)
        if row is None or row.deleted_at is not None:
            return False
        endpoint = row.campaign.progress_endpoint or ""
        if not endpoint and await self._publications.find(number) is None:
            return False
        told = await self._publications.address(number, endpoint)
        if not endpoint or told.stopped_at is not None:
            return False
        if rests(told.next_at, self._clock()):
            self._resting[number] = told.next_at, row.account
            return False
        events = await self._batch(told)
        if not events:
            return False
        last = events[-1].number
        # Kept before it leaves: what is told again is the same batch, by the same id, whatever has come meanwhile.
        if last != told.offered and not await self._publications.offer(told, last):
            return True
        answer = await self._outlet.tell(endpoint, await self._message(row, events))
        return await self._record(row, told, last, answer)

    async def _batch(self, told: Publication) -> list[Event]:
        size = told.offered - told.sent if told.offered > told.sent else BATCH
        return await self._progress.events(told.campaign, told.sent, size)

    async def _message(self, row: CampaignRow, events: list[Event]) -> Message:
        guid, last = row.campaign.guid, events[-1].number
        id = batch_id(guid, row.campaign.created_at, events[0].number, last)
        secrets = await self._publications.secrets(row.account)
        if secrets is None:
            secrets = await self._publications.begin_secret(row.account, new_secret())
        both = [secrets.secret]
        if secrets.earlier is not None and (secrets.earlier_until or 0) > self._clock():
            both.append(secrets.earlier)
        return Message(guid, id, last, batch_words(guid, events), tuple(both))

    async def _record(self, row: CampaignRow, told: Publication, last: int, answer: Answer) -> bool:
        """Keep what an endpoint answered; True where it goes on."""
        now, number = self._clock(), told.campaign
        self._metrics.publish_attempts.add(answer.outcome.value)
        if answer.outcome is Outcome.TAKEN:
            if told.failures:
                log.info("publishing.goes_on", campaign=row.campaign.guid)
            await self._publications.taken(told, last, now)
            return True
        since = now if told.failing_since is None else told.failing_since
        chance = random.random()  # noqa: S311  # no secret hangs on it
        asked = int(answer.wait * SECOND)
        next_at = next_try(told.failures + 1, since, now, asked=asked, chance=chance)
        if answer.outcome is Outcome.GONE:
            next_at = None
        await self._publications.failed(told, Failure(now, answer.reason, next_at))
        if next_at is None:
            log.warning("publishing.stopped", campaign=row.campaign.guid, reason=answer.reason)
        else:
            self._resting[number] = next_at, row.account
            if not told.failures:
                log.warning("publishing.failed", campaign=row.campaign.guid, reason=answer.reason)
        return False
