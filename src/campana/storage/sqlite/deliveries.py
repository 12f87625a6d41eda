"""Owns deliveries as people look at them on SQLite, and what an operator says of one that is held.

Must not know who may look, nor what a status means.
"""

from __future__ import annotations

import sqlite3

from campana.domain.delivery import Medium, Status
from campana.domain.outcome import DeliveryCode
from campana.storage.compiled import run
from campana.storage.deliveries import (
    DeliveryPage,
    DeliveryRow,
    Paging,
    delivery_row,
)
from campana.storage.happenings import How, moved_alike
from campana.storage.queries import contacts as of_contacts
from campana.storage.queries import deliveries as queries
from campana.storage.sqlite.database import Database
from campana.storage.sqlite.happenings import happen
from campana.storage.sqlite.recording import list_due
from campana.storage.store import Cancelled
from campana.storage.tables import contact_id, delivery_id, number_of


class SqliteDeliveries:
    """Deliveries of contacts that are not deleted; see the contract in storage/deliveries.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, campaign: int, medium: Medium | None, status: Status | None, after: int, limit: int
    ) -> DeliveryPage:
        """Deliveries of a campaign, at most `limit`."""
        paging = Paging(campaign, medium, status, after, limit)

        def read(connection: sqlite3.Connection) -> DeliveryPage:
            while not paging.is_filled:
                bounds = paging.bounds()
                rows = run(connection, queries.page, **bounds, **paging.which()).fetchall()
                paging.take(rows, run(connection, queries.passed, **bounds).fetchone())
            return paging.page()

        return await self._database.read(read)

    async def one(self, campaign: int, guid: str, medium: Medium) -> DeliveryRow | None:
        """A contact's delivery on a medium; None where there is none."""
        distance = delivery_id(campaign, medium, 0) - contact_id(campaign, 0)
        which = {"campaign": campaign, "guid": guid, "distance": distance}
        columns = await self._database.read(lambda connection: run(connection, queries.one, **which).fetchone())
        return None if columns is None else delivery_row(medium, columns)

    async def decide(self, campaign: int, guid: str, medium: Medium, resend: bool, now: int) -> bool:
        """An operator's word on an uncertain delivery that is held. Raises Cancelled."""

        def work(connection: sqlite3.Connection) -> bool:
            found = run(connection, of_contacts.find, campaign=campaign, guid=guid).fetchone()
            if found is None:
                return False
            delivery = delivery_id(campaign, medium, number_of(found[0]))
            if not resend:
                given_up = run(connection, queries.give_up, delivery=delivery).rowcount > 0
                how = How(Status.WAITING_FOR_RETRY, Status.PERMANENT_FAILURE, DeliveryCode.UNCERTAIN, now)
                happen(connection, moved_alike([delivery] if given_up else [], how))
                return given_up
            if run(connection, of_contacts.cancelled_at, campaign=campaign).fetchone()[0] is not None:
                raise Cancelled
            goes = run(connection, queries.send_again, delivery=delivery, at=now).rowcount > 0
            if goes:
                list_due(connection, [(campaign, int(medium), now, delivery)])
            return goes

        return await self._database.write(work)
