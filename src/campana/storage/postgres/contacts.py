"""Owns contacts and how they are added, edited, deleted and listed on PostgreSQL.

Must not know the rules of adding and editing: it is handed what passed them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
from sqlalchemy.sql.expression import ClauseElement

from campana.domain.contact import EditPlanner, MediumState, ReplaceMedium
from campana.domain.delivery import Medium, Status
from campana.domain.person import Person, person_of
from campana.storage.happenings import How, moved_alike, went
from campana.storage.persons import (
    details_of,
    details_range,
    media_distances,
    person_columns,
    unbegun_of,
    unbegun_range,
)
from campana.storage.postgres.adding import Addition, add_all
from campana.storage.postgres.database import Collision, Connection, Database, among_campaigns, fetch, fetch_row, run
from campana.storage.postgres.gathering import Gathering
from campana.storage.postgres.happenings import happen
from campana.storage.postgres.recording import list_due
from campana.storage.queries import contacts as queries
from campana.storage.store import Cancelled, ContactDetails, ContactLine, NewContact, StoreUnavailable, Unbegun
from campana.storage.tables import CONTACT_BITS, contact_id, contacts, deliveries, delivery_id, lanes, number_of

FIRST_PAGE = 20
"""Contacts in the first page, which tells how long their texts are."""
MOST_TEXT = 4_000_000
"""Characters of a page, about."""
PAGE = 2_000
"""Contacts in one page of a list: some 0.5 MB in memory."""
_ROOM = 64
"""Characters that a contact takes besides its texts, about."""

# A contact's row is the lock of its edits; its deliveries are locked in the order of their ids, as everybody does.
_FIND = queries.find.with_for_update(of=contacts, key_share=True)
_FIND_PERSON = queries.find_person.with_for_update(of=contacts, key_share=True)
_STATES = queries.states.order_by(deliveries.c.id).with_for_update(of=deliveries, key_share=True)
# A planner that moves the lane on is waited for, and waits: either it sees the edit, or the edit sees where it is.
_PLANNED = queries.planned.with_for_update(of=lanes, read=True)

# Dialect twins.
_COVERING = """
SELECT k.id FROM unnest($2::smallint[], $3::bigint[]) AS j(medium, delivery)
JOIN chunks AS k ON k.campaign = $1 AND k.medium = j.medium AND k.first <= j.delivery AND k.last >= j.delivery
ORDER BY k.id FOR NO KEY UPDATE OF k
"""
_PAGE_OF_GUIDS = """
SELECT id, guid::text FROM contacts WHERE id > $1 AND id <= $2 AND deleted_at IS NULL ORDER BY id LIMIT $3
"""
_PAGE = """
SELECT c.guid::text,
  s.destination, s.text, coalesce(s.status, 0), coalesce(s.last_error, 0), coalesce(s.attempts_left, 0),
  v.destination, v.text, coalesce(v.status, 0), coalesce(v.last_error, 0), coalesce(v.attempts_left, 0),
  e.destination, e.text, coalesce(e.status, 0), coalesce(e.last_error, 0), coalesce(e.attempts_left, 0), c.id
FROM (
  SELECT id, guid FROM contacts WHERE id > $1 AND id <= $2 AND deleted_at IS NULL ORDER BY id LIMIT $3
) AS c
LEFT JOIN deliveries AS s ON s.id = c.id + $4::bigint
LEFT JOIN deliveries AS v ON v.id = c.id + $5::bigint
LEFT JOIN deliveries AS e ON e.id = c.id + $6::bigint
ORDER BY c.id
"""


class PostgresContacts:
    """Contacts of a campaign; see the contract in storage/store.py."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._adding: Gathering[Addition, None] = Gathering(self._add_together)

    async def add(self, contact: NewContact, at: int) -> None:
        """Group-committed. Raises Conflict where the guid is in use; LookupError where the campaign is gone."""
        await self._adding.put(Addition(contact, at))

    async def add_many(self, new: Sequence[NewContact], at: int) -> list[bool]:
        """Add many in one transaction; False for each whose guid was in use. LookupError where a campaign is gone."""

        async def work(connection: Connection) -> list[bool]:
            answers = await add_all(connection, new, at)
            for answer in answers:
                if isinstance(answer, LookupError | Cancelled):
                    raise answer
            return [answer is None for answer in answers]

        return await self._database.write(work)

    async def edit(self, campaign: int, guid: str, plan: EditPlanner, at: int, person: Person | None = None) -> bool:
        """Read, let `plan` decide, store its decision: one transaction. False where there is no such contact."""

        async def work(connection: Connection) -> bool:
            found = await fetch_row(connection, _FIND_PERSON, campaign=campaign, guid=guid or None)
            if found is None:
                return False
            number = number_of(found[0])
            states = await _read_states(connection, campaign, number)
            known = {state.medium: state.status for state in states}
            changes = plan(states, person_of(*found[1:]))
            if any(change.begins for change in changes):
                await _demand_alive(connection, campaign)
            if person is not None:
                name, reference, fields = person_columns(person)
                named = {"to_name": name, "to_reference": reference, "to_fields": fields}
                await run(connection, queries.set_person, contact=found[0], **named)
            for change in changes:
                await _store_change(connection, _Edit(campaign, number, at), change, known.get(change.medium))
            return True

        return await self._database.write(work, first=among_campaigns(campaign))

    async def details(
        self, campaign: int, after: int, limit: int, reference: str | None = None
    ) -> list[ContactDetails]:
        """Contacts with numbers above `after`, in the order of adding; those with a reference alone if one is given."""
        if reference is None:
            return await self._details(queries.details, details_range(campaign, after, limit))
        where = {"campaign": campaign, "reference": reference, "after": contact_id(campaign, after), "most": limit}
        return await self._details(queries.details_by_reference, where | media_distances(campaign))

    async def one(self, campaign: int, guid: str) -> ContactDetails | None:
        """A contact; None where there is no such one."""
        where = {"campaign": campaign, "guid": guid or None, **media_distances(campaign)}
        found = await self._details(queries.details_of_one, where)
        return found[0] if found else None

    async def delete(self, campaign: int, guid: str, at: int) -> bool:
        """Gone from every answer; what waits of it is cancelled. False where there is no such contact."""

        async def work(connection: Connection) -> bool:
            found = await fetch_row(connection, _FIND, campaign=campaign, guid=guid or None)
            if found is None:
                return False
            ids = {medium: delivery_id(campaign, medium, number_of(found[0])) for medium in Medium}
            number = number_of(found[0])
            states = await _hold_still(connection, campaign, number)
            await run(connection, queries.mark_deleted, contact=found[0], at=at)
            for medium, delivery in ids.items():
                place = {"campaign": campaign, "medium": int(medium)}
                await run(connection, queries.withdraw, delivery=delivery, of_campaign=campaign, of_medium=int(medium))
                await run(connection, queries.cancel, delivery=delivery, **place)
                await run(connection, queries.no_more, delivery=delivery)
                await run(connection, queries.forget_due, delivery=delivery, **place)
            left = await _read_states(connection, campaign, number)
            await happen(connection, [went(campaign, number, states, left, at)])
            return True

        return await self._database.write(work)

    async def count_waiting(self, campaign: int, medium: Medium) -> int:
        """How many deliveries wait for an attempt on a medium, or were claimed for one."""
        after, upto = delivery_id(campaign, medium, 0), delivery_id(campaign, medium, (1 << CONTACT_BITS) - 1)
        (row,) = await self._database.read(
            lambda connection: fetch(connection, queries.count_waiting, after=after, upto=upto)
        )
        found: int = row[0]
        return found

    async def unbegun(self, campaign: int, medium: Medium) -> AsyncIterator[list[Unbegun]]:
        """All contacts that have not begun on a medium, page by page."""
        where = unbegun_range(campaign, medium, contact_id(campaign, 0), PAGE)
        while rows := await self._database.read(partial(_unbegun, where)):
            where["after"] = rows[-1][0]
            yield unbegun_of([tuple(row) for row in rows])

    async def guids(self, campaign: int) -> AsyncIterator[list[str]]:
        """All contacts' guids in the order of adding, page by page."""
        after, last, limit = contact_id(campaign, 0), _last(campaign), FIRST_PAGE
        while rows := await self._read(_PAGE_OF_GUIDS, after, last, limit):
            after, limit = rows[-1][0], min(PAGE, limit * 4)
            yield [guid for _, guid in rows]

    async def pages(self, campaign: int, guid: str) -> AsyncIterator[list[ContactLine]]:
        """All contacts in the order of adding, page by page, as flat lines."""
        base = contact_id(campaign, 0)
        # A delivery's id is its contact's id plus a distance that is the same for a whole campaign.
        distances = [delivery_id(campaign, medium, 0) - base for medium in Medium]
        last, limit = _last(campaign), FIRST_PAGE
        reading = asyncio.ensure_future(self._read(_PAGE, base, last, limit, *distances))
        try:
            while rows := await reading:
                lines: list[ContactLine] = [list(row[:16]) for row in rows]
                limit = _next_limit(limit, lines)
                # The server reads the next page while this one is written: they share the time, not the core.
                reading = asyncio.ensure_future(self._read(_PAGE, rows[-1][16], last, limit, *distances))
                yield lines
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def finish(self) -> None:
        """Wait for the contacts that are being added."""
        await self._adding.finish()

    async def _read(self, statement: str, *values: int) -> list[asyncpg.Record]:
        return await self._database.read(lambda connection: connection.fetch(statement, *values))

    async def _details(self, statement: ClauseElement, where: dict[str, Any]) -> list[ContactDetails]:
        rows = await self._database.read(lambda connection: fetch(connection, statement, **where))
        return [details_of(tuple(row)) for row in rows]

    async def _add_together(self, items: Sequence[Addition]) -> list[Exception | None]:
        try:
            return await self._add_at_once(items)
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(items) == 1:
                return [error]
            # One of them is at fault; the others are not to suffer for it.
            return [answer for item in items for answer in await self._add_together([item])]

    async def _add_at_once(self, items: Sequence[Addition]) -> list[Exception | None]:
        at = max(item.at for item in items)
        new = [item.contact for item in items]
        return await self._database.write(lambda connection: add_all(connection, new, at))


async def _unbegun(where: dict[str, int], connection: Connection) -> list[asyncpg.Record]:
    return await fetch(connection, queries.unbegun, **where)


def _next_limit(limit: int, lines: Sequence[ContactLine]) -> int:
    """How many contacts the next page has: fewer where the texts of this one are long."""
    texts = sum(len(text) for line in lines for text in (line[2], line[7], line[12]) if isinstance(text, str))
    return max(1, min(PAGE, limit * 4, limit * MOST_TEXT // (texts + _ROOM * len(lines))))


def _last(campaign: int) -> int:
    return contact_id(campaign, (1 << CONTACT_BITS) - 1)


async def _hold_still(connection: Connection, campaign: int, number: int) -> list[MediumState]:
    """Keep a contact's deliveries from being claimed, sent and recorded until the transaction ends; how they stand.

    Chunks come before deliveries, in the order in which a step of a lease takes them. A chunk that was cut and
    claimed between the two is a collision.
    """
    ids = [delivery_id(campaign, medium, number) for medium in Medium]
    where = (campaign, [int(medium) for medium in Medium], ids)
    covering = await connection.fetch(_COVERING, *where)
    states = await _read_states(connection, campaign, number)
    if len(await connection.fetch(_COVERING, *where)) > len(covering):
        raise Collision
    return states


async def _read_states(connection: Connection, campaign: int, number: int) -> list[MediumState]:
    ids = {medium: delivery_id(campaign, medium, number) for medium in Medium}
    rows = await fetch(connection, _STATES, **{medium.name.lower(): id_ for medium, id_ in ids.items()})
    of_id = {id_: medium for medium, id_ in ids.items()}
    return [MediumState(of_id[row[0]], *row[1:]) for row in rows]


async def _demand_alive(connection: Connection, campaign: int) -> None:
    """Raises Cancelled. The transaction is among_campaigns with this one."""
    (found,) = await fetch(connection, queries.cancelled_at, campaign=campaign)
    if found[0] is not None:
        raise Cancelled


@dataclass(frozen=True, slots=True)
class _Edit:
    """Which contact is edited, and when."""

    campaign: int
    number: int
    at: int


async def _store_change(connection: Connection, edit: _Edit, change: ReplaceMedium, was: int | None) -> None:
    delivery = delivery_id(edit.campaign, change.medium, edit.number)
    values: dict[str, Any] = {"destination": change.destination, "dial": change.dial, "text": change.text}
    status = int(Status.DO_NOT_TRY if change.dial is None else Status.PENDING)
    if was is None:
        fresh = {"status": status, "last_error": 0, "tries": 0, "revision": None, "due_at": edit.at}
        await run(connection, queries.add_delivery, id=delivery, attempts_left=change.attempts_left, **fresh, **values)
    else:
        named = {f"to_{name}": value for name, value in values.items()} | {"to_attempts": change.attempts_left}
        if not change.restart:
            await run(connection, queries.edit, delivery=delivery, **named)
            return
        await run(connection, queries.restart, delivery=delivery, to_status=status, at=edit.at, **named)
    await happen(connection, moved_alike([delivery], How(was or int(Status.DO_NOT_TRY), status, 0, edit.at)))
    if change.dial is None:
        return
    medium = int(change.medium)
    planned = await fetch_row(connection, _PLANNED, campaign=edit.campaign, medium=medium)
    if planned and edit.number <= planned[0]:
        await list_due(connection, [(edit.campaign, medium, edit.at, delivery)])
