"""What tests of single bends share: a clock moved by hand, campaigns and lanes in memory, routes that only stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from campana.channels.contract import Composer, Health, Inbound, Parcel, Permit, Result, RouteReport, RouteState
from campana.channels.settings import RouteSettings
from campana.channels.sms.settings import SmsRouteSettings
from campana.channels.voice.settings import VoiceRouteSettings
from campana.domain.campaign import Campaign, EmailSettings, SmsSettings
from campana.domain.delivery import Medium
from campana.domain.message import Content
from campana.domain.outcome import Receipt
from campana.engine.options import EngineOptions
from campana.engine.ways import Ways
from campana.storage.river import Cut, Lane, Lease, Waiting
from campana.storage.store import CampaignRow, StoreUnavailable
from campana.storage.tables import NEVER

START = 1_790_000_000_000  # 2026-09-21T14:13:20Z, a Monday


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


def options(**changes: Any) -> EngineOptions:
    return EngineOptions(**({"owner": "test", "retry_delays": (60_000,)} | changes))


def campaign_row(number: int = 1, account: int = 1, **changes: Any) -> CampaignRow:
    """A campaign that may send SMS and email at any time; `changes` are the campaign's fields."""
    values: dict[str, Any] = {
        "guid": f"00000000-0000-4000-8000-{number:012d}",
        "name": "Autumn",
        "sms": SmsSettings(True, "Campana", "Hello"),
        "email": EmailSettings(True, "news@example.com", "Hello", "<p>Hello</p>"),
    }
    campaign = Campaign(**(values | changes))
    zone = campaign.time_zone or "UTC"
    return CampaignRow(number, account, 1, "api", 1, 1, zone, campaign, account_id=f"account-{account}")


def lease(until: int = START + 30_000_000) -> Lease:
    """A lease of nothing, for whatever only asks how long it lasts."""
    return Lease(1, 1, Medium.SMS, "test", 1, until, 0, NEVER, [])


class Shelf:
    """Campaigns in memory, shaped as the part of the store that gates use."""

    def __init__(self, *rows: CampaignRow) -> None:
        self.rows = {row.number: row for row in rows}
        self.is_away = False

    async def find_number(self, number: int) -> CampaignRow | None:
        if self.is_away:
            raise StoreUnavailable("away")
        return self.rows.get(number)

    def put(self, row: CampaignRow) -> None:
        """Replace a campaign: a new version and a new revision."""
        old = self.rows[row.number]
        self.rows[row.number] = replace(row, version=old.version + 1, revision=old.revision + 1)


@dataclass
class Silt:
    """A lane kept in memory: contacts that were never planned, moments of what is due, chunks that wait."""

    campaign: int
    account: int
    fresh: int = 0
    due: list[int] = field(default_factory=list)
    medium: Medium = Medium.SMS
    chunks: list[Cut] = field(default_factory=list)


class Bed:
    """Lanes in memory, shaped as the part of the store that the planner uses. Chunks are claimed by `claim`."""

    def __init__(self, *lanes: Silt) -> None:
        self.lanes_ = list(lanes)
        self.gated: list[tuple[int, Medium, int, int]] = []
        self.cuts: list[Cut] = []
        self.is_away = False

    async def lanes(self, campaign: int | None = None) -> list[Lane]:
        if self.is_away:
            raise StoreUnavailable("away")
        return [
            Lane(
                lane.campaign,
                lane.medium,
                lane.account,
                lane.fresh,
                min(lane.due, default=None),
                _waiting(lane.chunks),
            )
            for lane in self.lanes_
            if campaign in (None, lane.campaign) and (lane.fresh or lane.due or lane.chunks)
        ]

    async def plan(self, cuts: Sequence[Cut], now: int) -> list[int]:
        return [self._cut(cut, now) for cut in cuts]

    async def gate(self, campaign: int, medium: Medium, opens_at: int, closes_at: int) -> None:
        self.gated.append((campaign, medium, opens_at, closes_at))
        lane = self._lane(campaign, medium)
        lane.chunks = [replace(cut, opens_at=opens_at, closes_at=closes_at) for cut in lane.chunks]

    def claim(self) -> Cut | None:
        """Take the chunk whose turn is next."""
        waiting = [(cut.turn, place, lane) for place, lane in enumerate(self.lanes_) for cut in lane.chunks]
        if not waiting:
            return None
        turn, _, lane = min(waiting, key=lambda one: one[:2])
        cut = next(cut for cut in lane.chunks if cut.turn == turn)
        lane.chunks.remove(cut)
        return cut

    def _lane(self, campaign: int, medium: Medium) -> Silt:
        return next(lane for lane in self.lanes_ if (lane.campaign, lane.medium) == (campaign, medium))

    def _cut(self, cut: Cut, now: int) -> int:
        lane = self._lane(cut.campaign, cut.medium)
        ready = [at for at in lane.due if at <= now][: cut.limit]
        size = len(ready) or min(lane.fresh, cut.limit)
        if ready:
            lane.due = lane.due[len(ready) :]
        else:
            lane.fresh -= size
        if size:
            lane.chunks.append(cut)
            self.cuts.append(cut)
        return size


def _waiting(chunks: list[Cut]) -> Waiting | None:
    if not chunks:
        return None
    opens, closes = [cut.opens_at for cut in chunks], [cut.closes_at for cut in chunks]
    return Waiting(len(chunks), min(opens), max(opens), min(closes), max(closes))


class StandingRoute:
    """A route that is only looked at."""

    def __init__(self, name: str, medium: Medium = Medium.SMS, health: Health = Health.UP) -> None:
        self.name = name
        self.medium = medium
        self.state = RouteState(health)
        self.connections = 0

    def allow(self, connections: int) -> None:
        self.connections = connections

    async def start(self, inbound: Inbound) -> None:
        raise NotImplementedError

    async def stop(self, budget: float) -> None:
        raise NotImplementedError

    def composer(self, content: Content) -> Composer:
        raise NotImplementedError

    async def send(self, parcels: Sequence[Parcel], permit: Permit) -> list[Result]:
        raise NotImplementedError

    async def query(self, carrier_id: str, source: str, destination: str) -> Receipt | None:
        raise NotImplementedError

    async def check(self) -> RouteReport:
        raise NotImplementedError


def ways(*routes: tuple[StandingRoute, dict[str, Any]]) -> Ways:
    """Routes with what is set of each; those of voice have lines."""
    return Ways([(route, settings_of(route, changes)) for route, changes in routes])


def settings_of(route: StandingRoute, changes: dict[str, Any]) -> RouteSettings:
    if route.medium is Medium.VOICE:
        return VoiceRouteSettings(name=route.name, url="sip:127.0.0.1:5060", **changes)
    if "binds" in changes:
        return SmsRouteSettings(name=route.name, url="smpp://id:secret@127.0.0.1:2775", **changes)
    return RouteSettings(name=route.name, channel=route.medium.name.lower(), url="x://y", **changes)
