"""Bend 3: owns making parcels of deliveries: what is the same for a campaign is made once, not per contact.

Must not know any wire format: routes compose. It takes claimed deliveries and yields parcels, or errors.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from campana.channels.contract import Composer, Parcel
from campana.channels.errors import RefusedForGood, SendError
from campana.domain.delivery import Medium
from campana.domain.message import Content
from campana.domain.outcome import DeliveryCode
from campana.domain.person import NOBODY, Person
from campana.domain.text.merge import OPEN, parse_template, values_of
from campana.engine.limits import Way
from campana.storage.river import ClaimedDelivery, Lease, River
from campana.storage.store import StoreUnavailable

log = structlog.get_logger(__name__)

REMEMBERED = 512
"""Composers kept ready: one a campaign's revision and route."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is ready for a campaign's revision on a route."""

    composer: Composer
    merges: bool
    """Fields take their places also for contacts of whom nothing could be said."""
    takes_from_all: bool
    """Something of every contact is taken: by the subject ..."""
    takes: bool
    """... or of every contact without a text of its own."""


class Renderer:
    """Makes parcels, keeping the composers of the campaigns that are being sent."""

    def __init__(self, river: River) -> None:
        self._river = river
        self._prepared: OrderedDict[tuple[int, int, Medium, str], _Prepared] = OrderedDict()

    async def render(self, lease: Lease, way: Way, deliveries: Sequence[ClaimedDelivery]) -> list[Parcel | SendError]:
        """One parcel, or the reason why there is none, for each delivery in its order. Raises StoreUnavailable."""
        rendered: list[Parcel | SendError] = []
        persons: dict[int, Person | None] | None = None
        for delivery in deliveries:
            try:
                prepared = self._prepared.get((lease.campaign, delivery.revision, lease.medium, way.name))
                if prepared is None:
                    prepared = await self._prepare(lease, way, delivery.revision)
                text = delivery.text
                if prepared.takes_from_all or (OPEN in text if text else prepared.takes):
                    if persons is None:
                        # All at once: what one takes, the others nearly always take as well.
                        persons = await self._river.persons(lease.campaign, [one.id for one in deliveries])
                    fields = _fields(persons.get(delivery.id), prepared)
                    rendered.append(prepared.composer(delivery.id, delivery.attempt, delivery.dial, text, fields))
                else:
                    rendered.append(prepared.composer(delivery.id, delivery.attempt, delivery.dial, text))
            except SendError as error:
                rendered.append(error)
            except StoreUnavailable:
                raise
            except Exception:
                log.exception("rendering.defect", delivery=delivery.id, route=way.name)
                rendered.append(RefusedForGood(DeliveryCode.UNRENDERABLE))
        return rendered

    async def _prepare(self, lease: Lease, way: Way, revision: int) -> _Prepared:
        content = await self._river.content(lease.campaign, revision, lease.medium) or Content(lease.medium, "", "")
        prepared = _Prepared(
            composer=way.route.composer(content),
            merges=content.merges,
            takes_from_all=parse_template(content.subject) is not None,
            takes=parse_template(content.text) is not None,
        )
        self._prepared[lease.campaign, revision, lease.medium, way.name] = prepared
        if len(self._prepared) > REMEMBERED:
            self._prepared.popitem(last=False)
        return prepared


def _fields(person: Person | None, prepared: _Prepared) -> dict[str, str] | None:
    """What texts may take of a contact; None where they are meant to the letter."""
    if person is None and not prepared.merges:
        return None
    return values_of(person or NOBODY)
