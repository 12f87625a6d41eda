"""Owns contacts and how they are added, edited, deleted and listed on SQLite.

Must not know the rules of adding and editing: it is handed what passed them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from sqlalchemy.sql.expression import ClauseElement

from campana.domain.contact import Admitted, EditPlanner, MediumState, ReplaceMedium
from campana.domain.delivery import Medium, Status
from campana.domain.person import Person, person_of
from campana.storage.campaign_rows import count_of
from campana.storage.compiled import run
from campana.storage.happenings import How, came, first_status, moved_alike, new_shape, went
from campana.storage.persons import (
    details_of,
    details_range,
    media_distances,
    person_columns,
    unbegun_of,
    unbegun_range,
)
from campana.storage.queries import contacts as queries
from campana.storage.sqlite.database import Database
from campana.storage.sqlite.happenings import happen
from campana.storage.sqlite.recording import list_due
from campana.storage.store import Cancelled, Conflict, ContactDetails, ContactLine, NewContact, Unbegun
from campana.storage.tables import (
    CONTACT_BITS,
    contact_id,
    delivery_id,
    number_of,
)

FIRST_PAGE = 20
"""Contacts in the first page, which tells how long their texts are."""
MOST_TEXT = 4_000_000
"""Characters of a page, about."""
PAGE = 2_000
"""Contacts in one page of a list: some 0.5 MB in memory."""


# Dialect twins: one statement for many rows, its values as one JSON text. The rows are then read and written in one
# call of the driver, which needs Python's lock once and leaves it to the event loop meanwhile.
_ADD_CONTACTS = """
INSERT INTO contacts (id, campaign, guid, created_at, name, reference, fields)
SELECT value->>0, value->>1, value->>2, :at, value->>3, value->>4, value->>5 FROM json_each(:rows) WHERE true
ON CONFLICT DO NOTHING
"""
_WHICH_CONTACTS = """
SELECT json_group_array(c.id) FROM json_each(:rows) AS j CROSS JOIN contacts AS c ON c.id = j.value->>0
"""
_ADD_DELIVERIES = """
INSERT INTO deliveries (id, status, last_error, attempts_left, tries, due_at, destination, dial, text)
SELECT value->>0, value->>1, 0, value->>2, 0, :at, value->>3, value->>4, value->>5 FROM json_each(:rows)
"""
_PAGE_OF_GUIDS = """
SELECT max(id), json_group_array(guid) FROM (
  SELECT id, guid FROM contacts WHERE id > :after AND id <= :last AND deleted_at IS NULL ORDER BY id LIMIT :limit
)
"""
_PAGE = """
SELECT max(c.id), json_group_array(json_array(c.guid,
  s.destination, s.text, coalesce(s.status, 0), coalesce(s.last_error, 0), coalesce(s.attempts_left, 0),
  v.destination, v.text, coalesce(v.status, 0), coalesce(v.last_error, 0), coalesce(v.attempts_left, 0),
  e.destination, e.text, coalesce(e.status, 0), coalesce(e.last_error, 0), coalesce(e.attempts_left, 0)))
FROM (
  SELECT id, guid FROM contacts WHERE id > :after AND id <= :last AND deleted_at IS NULL ORDER BY id LIMIT :limit
) AS c
LEFT JOIN deliveries AS s ON s.id = c.id + :sms
LEFT JOIN deliveries AS v ON v.id = c.id + :voice
LEFT JOIN deliveries AS e ON e.id = c.id + :email
"""

_encode = msgspec.json.Encoder().encode
_decode_ids = msgspec.json.Decoder(list[int]).decode
_decode_guids = msgspec.json.Decoder(list[str]).decode
_decode_lines = msgspec.json.Decoder(list[ContactLine]).decode


class _Addition(msgspec.Struct, frozen=True):
    """A contact that waits to be added with others."""

    contact: NewContact
    at: int


class SqliteContacts:
    """Contacts of a campaign; see the contract in storage/store.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, contact: NewContact, at: int) -> None:
        """Group-committed. Raises Conflict where the guid is in use; LookupError where the campaign is gone."""
        await self._database.write_together(_add_together, _Addition(contact, at))

    async def add_many(self, new: Sequence[NewContact], at: int) -> list[bool]:
        """Add many in one transaction; False for each whose guid was in use. LookupError where a campaign is gone."""

        def work(connection: sqlite3.Connection) -> list[bool]:
            answers = _add_all(connection, new, at)
            for answer in answers:
                if isinstance(answer, LookupError | Cancelled):
                    raise answer
            return [answer is None for answer in answers]

        return await self._database.write(work)

    async def edit(self, campaign: int, guid: str, plan: EditPlanner, at: int, person: Person | None = None) -> bool:
        """Read, let `plan` decide, store its decision: one transaction. False where there is no such contact."""

        def work(connection: sqlite3.Connection) -> bool:
            found = run(connection, queries.find_person, campaign=campaign, guid=guid).fetchone()
            if found is None:
                return False
            number = number_of(found[0])
            states = _read_states(connection, campaign, number)
            known = {state.medium: state.status for state in states}
            changes = plan(states, person_of(*found[1:]))
            if any(change.begins for change in changes):
                _demand_alive(connection, campaign)
            if person is not None:
                name, reference, fields = person_columns(person)
                named = {"to_name": name, "to_reference": reference, "to_fields": fields}
                run(connection, queries.set_person, contact=found[0], **named)
            for change in changes:
                _store_change(connection, _Edit(campaign, number, at), change, known.get(change.medium))
            return True

        return await self._database.write(work)

    async def details(
        self, campaign: int, after: int, limit: int, reference: str | None = None
    ) -> list[ContactDetails]:
        """Contacts with numbers above `after`, in the order of adding; those with a reference alone if one is given."""
        if reference is None:
            read = partial(_details, queries.details, details_range(campaign, after, limit))
        else:
            where = {"campaign": campaign, "reference": reference, "after": contact_id(campaign, after), "most": limit}
            read = partial(_details, queries.details_by_reference, where | media_distances(campaign))
        return await self._database.read(read)

    async def one(self, campaign: int, guid: str) -> ContactDetails | None:
        """A contact; None where there is no such one."""
        where = {"campaign": campaign, "guid": guid, **media_distances(campaign)}
        found = self._database.look(partial(_details, queries.details_of_one, where))
        return found[0] if found else None

    async def delete(self, campaign: int, guid: str, at: int) -> bool:
        """Gone from every answer; what waits of it is cancelled. False where there is no such contact."""

        def work(connection: sqlite3.Connection) -> bool:
            found = run(connection, queries.find, campaign=campaign, guid=guid).fetchone()
            if found is None:
                return False
            states = _read_states(connection, campaign, number_of(found[0]))
            run(connection, queries.mark_deleted, contact=found[0], at=at)
            for medium in Medium:
                place = {"campaign": campaign, "medium": int(medium)}
                delivery = delivery_id(campaign, medium, number_of(found[0]))
                run(connection, queries.withdraw, delivery=delivery, of_campaign=campaign, of_medium=int(medium))
                run(connection, queries.cancel, delivery=delivery, **place)
                run(connection, queries.no_more, delivery=delivery)
                run(connection, queries.forget_due, delivery=delivery, **place)
            left = _read_states(connection, campaign, number_of(found[0]))
            happen(connection, [went(campaign, number_of(found[0]), states, left, at)])
            return True

        return await self._database.write(work)

    async def count_waiting(self, campaign: int, medium: Medium) -> int:
        """How many deliveries wait for an attempt on a medium, or were claimed for one."""
        after, upto = delivery_id(campaign, medium, 0), delivery_id(campaign, medium, (1 << CONTACT_BITS) - 1)
        found: int = await self._database.read(
            lambda connection: run(connection, queries.count_waiting, after=after, upto=upto).fetchone()[0]
        )
        return found

    async def unbegun(self, campaign: int, medium: Medium) -> AsyncIterator[list[Unbegun]]:
        """All contacts that have not begun on a medium, page by page."""
        after = contact_id(campaign, 0)
        while True:
            read = partial(_rows, queries.unbegun, unbegun_range(campaign, medium, after, PAGE))
            rows = await self._database.read(read)
            if not rows:
                return
            after = rows[-1][0]
            yield unbegun_of(rows)

    async def guids(self, campaign: int) -> AsyncIterator[list[str]]:
        """All contacts' guids in the order of adding, page by page."""
        async for page in self._walk(campaign, _PAGE_OF_GUIDS, {}):
            yield _decode_guids(page)

    async def pages(self, campaign: int, guid: str) -> AsyncIterator[list[ContactLine]]:
        """All contacts in the order of adding, page by page, as flat lines."""
        # A delivery's id is its contact's id plus a distance that is the same for a whole campaign.
        base = contact_id(campaign, 0)
        distances = {medium.name.lower(): delivery_id(campaign, medium, 0) - base for medium in Medium}
        async for page in self._walk(campaign, _PAGE, distances):
            yield _decode_lines(page)

    async def _walk(self, campaign: int, statement: str, more: dict[str, int]) -> AsyncIterator[str]:
        last = contact_id(campaign, (1 << CONTACT_BITS) - 1)
        after, limit = contact_id(campaign, 0), FIRST_PAGE
        while True:
            where = {"after": after, "last": last, "limit": limit, **more}
            reached, page = await self._database.read(_page_reader(statement, where))
            if reached is None:
                return
            after = reached
            limit = max(1, min(PAGE, limit * 4, limit * MOST_TEXT // len(page)))
            yield page


def _rows(statement: ClauseElement, where: dict[str, Any], connection: sqlite3.Connection) -> list[Any]:
    return run(connection, statement, **where).fetchall()


def _details(statement: ClauseElement, where: dict[str, Any], connection: sqlite3.Connection) -> list[ContactDetails]:
    return [details_of(row) for row in _rows(statement, where, connection)]


def _page_reader(statement: str, parameters: dict[str, int]) -> Callable[[sqlite3.Connection], tuple[int | None, str]]:
    def read(connection: sqlite3.Connection) -> tuple[int | None, str]:
        reached, page = connection.execute(statement, parameters).fetchone()
        return reached, page

    return read


def _add_together(connection: sqlite3.Connection, items: list[_Addition]) -> list[BaseException | None]:
    return _add_all(connection, [item.contact for item in items], max(item.at for item in items))


def _add_all(connection: sqlite3.Connection, new: Sequence[NewContact], at: int) -> list[BaseException | None]:
    """Add contacts of any campaigns; for each None, or why it was not added (Conflict, LookupError, Cancelled)."""
    answers: list[BaseException | None] = [None] * len(new)
    numbers = _number(connection, new, answers)
    rows = [
        (contact_id(c.campaign, n), c.campaign, c.guid, *person_columns(c.person))
        for c, n in zip(new, numbers, strict=True)
        if n
    ]
    if not rows:
        return answers
    packed = _encode(rows).decode()
    added = connection.execute(_ADD_CONTACTS, {"rows": packed, "at": at}).rowcount
    if added < len(rows):
        there = set(_decode_ids(connection.execute(_WHICH_CONTACTS, {"rows": packed}).fetchone()[0]))
        for index, (contact, number) in enumerate(zip(new, numbers, strict=True)):
            if number and contact_id(contact.campaign, number) not in there:
                answers[index] = Conflict("contact")
    wanted = [
        _delivery(contact.campaign, number, medium)
        for contact, number, answer in zip(new, numbers, answers, strict=True)
        if answer is None
        for medium in contact.media
    ]
    if wanted:
        connection.execute(_ADD_DELIVERIES, {"rows": _encode(wanted).decode(), "at": at})
    added_ones = (contact for contact, answer in zip(new, answers, strict=True) if answer is None)
    happen(connection, came(((contact.campaign, new_shape(contact)) for contact in added_ones), at))
    return answers


def _number(
    connection: sqlite3.Connection, new: Sequence[NewContact], answers: list[BaseException | None]
) -> list[int]:
    """Give each contact its running number in its campaign; 0, and why not as answer, where that takes none."""
    counters: dict[int, int | Exception] = {}
    numbers: list[int] = []
    for index, contact in enumerate(new):
        if contact.campaign not in counters:
            row = run(connection, queries.counter, campaign=contact.campaign).fetchone()
            counters[contact.campaign] = count_of(row)
        count = counters[contact.campaign]
        if isinstance(count, Exception):
            answers[index] = count
            numbers.append(0)
            continue
        counters[contact.campaign] = count + 1
        numbers.append(count + 1)
    for campaign, count in counters.items():
        if isinstance(count, int):
            run(connection, queries.count_up, campaign=campaign, to=count)
    return numbers


def _delivery(campaign: int, number: int, medium: Admitted) -> tuple[int, int, int, str, str | None, str | None]:
    return (
        delivery_id(campaign, medium.medium, number),
        first_status(medium),
        medium.attempts_left,
        medium.destination,
        medium.dial,
        medium.text,
    )


def _read_states(connection: sqlite3.Connection, campaign: int, number: int) -> list[MediumState]:
    ids = {medium: delivery_id(campaign, medium, number) for medium in Medium}
    rows = run(
        connection, queries.states, sms=ids[Medium.SMS], voice=ids[Medium.VOICE], email=ids[Medium.EMAIL]
    ).fetchall()
    of_id = {id_: medium for medium, id_ in ids.items()}
    return [MediumState(of_id[row[0]], *row[1:]) for row in rows]


def _demand_alive(connection: sqlite3.Connection, campaign: int) -> None:
    """Raises Cancelled."""
    if run(connection, queries.cancelled_at, campaign=campaign).fetchone()[0] is not None:
        raise Cancelled


@dataclass(frozen=True, slots=True)
class _Edit:
    """Which contact is edited, and when."""

    campaign: int
    number: int
    at: int


def _store_change(connection: sqlite3.Connection, edit: _Edit, change: ReplaceMedium, was: int | None) -> None:
    delivery = delivery_id(edit.campaign, change.medium, edit.number)
    values = {"destination": change.destination, "dial": change.dial, "text": change.text}
    status = int(Status.DO_NOT_TRY if change.dial is None else Status.PENDING)
    if was is None:
        fresh = {"status": status, "last_error": 0, "tries": 0, "revision": None, "due_at": edit.at}
        run(connection, queries.add_delivery, id=delivery, attempts_left=change.attempts_left, **fresh, **values)
    else:
        named = {f"to_{name}": value for name, value in values.items()} | {"to_attempts": change.attempts_left}
        if not change.restart:
            run(connection, queries.edit, delivery=delivery, **named)
            return
        run(connection, queries.restart, delivery=delivery, to_status=status, at=edit.at, **named)
    happen(connection, moved_alike([delivery], How(was or int(Status.DO_NOT_TRY), status, 0, edit.at)))
    if change.dial is None:
        return
    place = {"campaign": edit.campaign, "medium": int(change.medium)}
    planned = run(connection, queries.planned, **place).fetchone()
    if planned and edit.number <= planned[0]:
        list_due(connection, [(edit.campaign, int(change.medium), edit.at, delivery)])
