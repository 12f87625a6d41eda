"""Owns deliveries as people look at them on PostgreSQL, and what an operator says of one that is held.

Must not know who may look, nor what a status means.
"""

from __future__ import annotations

from campana.domain.delivery import Medium, Status
from campana.domain.outcome import DeliveryCode
from campana.storage.deliveries import (
    DeliveryPage,
    DeliveryRow,
    Paging,
    delivery_row,
)
from campana.storage.happenings import How, moved_alike
from campana.storage.postgres.database import Connection, Database, among_campaigns, fetch, fetch_row, run
from campana.storage.postgres.happenings import happen
from campana.storage.postgres.recording import list_due
from campana.storage.queries import contacts as of_contacts
from campana.storage.queries import deliveries as queries
from campana.storage.store import Cancelled
from campana.storage.tables import contact_id, contacts, delivery_id, number_of

_HOLD_CONTACT = of_contacts.find.with_for_update(of=contacts, key_share=True)


class PostgresDeliveries:
    """Deliveries of contacts that are not deleted; see the contract in storage/deliveries.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, campaign: int, medium: Medium | None, status: Status | None, after: int, limit: int
    ) -> DeliveryPage:
        """Deliveries of a campaign, at most `limit`."""

        # Anew each time: a read that was cut off runs again.
        async def read(connection: Connection) -> DeliveryPage:
            paging = Paging(campaign, medium, status, after, limit)
            while not paging.is_filled:
                bounds = paging.bounds()
                rows = [tuple(row) for row in await fetch(connection, queries.page, **bounds, **paging.which())]
                (passed,) = await fetch(connection, queries.passed, **bounds)
                paging.take(rows, tuple(passed))
            return paging.page()

        return await self._database.read(read)

    async def one(self, campaign: int, guid: str, medium: Medium) -> DeliveryRow | None:
        """A contact's delivery on a medium; None where there is none."""
        distance = delivery_id(campaign, medium, 0) - contact_id(campaign, 0)
        which = {"campaign": campaign, "guid": guid or None, "distance": distance}
        columns = await self._database.read(lambda connection: fetch_row(connection, queries.one, **which))
        return None if columns is None else delivery_row(medium, columns)

    async def decide(self, campaign: int, guid: str, medium: Medium, resend: bool, now: int) -> bool:
        """An operator's word on an uncertain delivery that is held. Raises Cancelled."""

        async def work(connection: Connection) -> bool:
            found = await fetch_row(connection, _HOLD_CONTACT, campaign=campaign, guid=guid or None)
            if found is None:
                return False
            delivery = delivery_id(campaign, medium, number_of(found[0]))
            if not resend:
                given_up = await run(connection, queries.give_up, delivery=delivery) > 0
                how = How(Status.WAITING_FOR_RETRY, Status.PERMANENT_FAILURE, DeliveryCode.UNCERTAIN, now)
                await happen(connection, moved_alike([delivery] if given_up else [], how))
                return given_up
            (cancelled,) = await fetch(connection, of_contacts.cancelled_at, campaign=campaign)
            if cancelled[0] is not None:
                raise Cancelled
            goes = await run(connection, queries.send_again, delivery=delivery, at=now) > 0
            if goes:
                await list_due(connection, [(campaign, int(medium), now, delivery)])
            return goes

        return await self._database.write(work, first=among_campaigns(campaign))
