"""Bend 3: owns making parcels of deliveries: what is the same for a campaign is made once, not per contact.

Must not know any wire format: routes compose. It takes claimed deliveries and yields parcels, or errors.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import structlog

from campana.channels.contract import Composer, Parcel
from campana.channels.errors import RefusedForGood, SendError
from campana.domain.delivery import Medium
from campana.domain.message import Content
from campana.domain.outcome import DeliveryCode
from campana.engine.limits import Way
from campana.storage.river import ClaimedDelivery, Lease, River
from campana.storage.store import StoreUnavailable

log = structlog.get_logger(__name__)

REMEMBERED = 512
"""Composers kept ready: one a campaign's revision and route."""


class Renderer:
    """Makes parcels, keeping the composers of the campaigns that are being sent."""

    def __init__(self, river: River) -> None:
        self._river = river
        self._composers: OrderedDict[tuple[int, int, Medium, str], Composer] = OrderedDict()

    async def render(self, lease: Lease, way: Way, deliveries: Sequence[ClaimedDelivery]) -> list[Parcel | SendError]:
        """One parcel, or the reason why there is none, for each delivery in its order. Raises StoreUnavailable."""
        rendered: list[Parcel | SendError] = []
        for delivery in deliveries:
            try:
                composer = self._composers.get((lease.campaign, delivery.revision, lease.medium, way.name))
                if composer is None:
                    composer = await self._prepare(lease, way, delivery.revision)
                rendered.append(composer(delivery.id, delivery.attempt, delivery.dial, delivery.text))
            except SendError as error:
                rendered.append(error)
            except StoreUnavailable:
                raise
            except Exception:
                log.exception("rendering.defect", delivery=delivery.id, route=way.name)
                rendered.append(RefusedForGood(DeliveryCode.UNRENDERABLE))
        return rendered

    async def _prepare(self, lease: Lease, way: Way, revision: int) -> Composer:
        content = await self._river.content(lease.campaign, revision, lease.medium)
        composer = way.route.composer(content or Content(lease.medium, "", ""))
        self._composers[lease.campaign, revision, lease.medium, way.name] = composer
        if len(self._composers) > REMEMBERED:
            self._composers.popitem(last=False)
        return composer
