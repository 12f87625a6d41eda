"""Owns how contacts and their deliveries are added on PostgreSQL: any number, of any campaigns, in one transaction.

Must not know the rules of adding: it is handed what passed them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from campana.storage.campaign_rows import count_of
from campana.storage.happenings import first_status, new_shape
from campana.storage.persons import person_columns
from campana.storage.postgres.database import Connection
from campana.storage.postgres.happenings import CAME
from campana.storage.postgres.recording import columns_of
from campana.storage.store import Conflict, NewContact
from campana.storage.tables import contact_id, delivery_id, number_of

# Dialect twins. A campaign's row is the lock under which its contacts get their numbers: they are committed in the
# order of their numbers, and whoever sees the count of a campaign sees every contact up to it.
_COUNTERS = """
SELECT number, contacts, deleted_at, cancelled_at FROM campaigns WHERE number = ANY($1::bigint[])
ORDER BY number FOR NO KEY UPDATE
"""
_ADD = f"""
WITH wanted AS (
  SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::uuid[], $14::text[], $15::text[], $16::text[], $17::smallint[])
    AS j(id, campaign, guid, name, reference, fields, shape)
), added AS (
  INSERT INTO contacts (id, campaign, guid, created_at, name, reference, fields)
  SELECT id, campaign, guid, $1::bigint, name, reference, fields FROM wanted
  ON CONFLICT DO NOTHING
  RETURNING id
), delivered AS (
  INSERT INTO deliveries (id, status, last_error, attempts_left, tries, due_at, destination, dial, text)
  SELECT j.id, j.status, 0, j.attempts_left, 0, $1::bigint, j.destination, j.dial, j.text
  FROM unnest($5::bigint[], $6::bigint[], $7::smallint[], $8::smallint[], $9::text[], $10::text[], $11::text[])
    AS j(contact, id, status, attempts_left, destination, dial, text)
  JOIN added ON added.id = j.contact
), counted AS (
  UPDATE campaigns SET contacts = j.contacts FROM unnest($12::bigint[], $13::bigint[]) AS j(number, contacts)
  WHERE campaigns.number = j.number
), {CAME}
SELECT id FROM added
"""
_MEDIA_COLUMNS = 7


class Addition(msgspec.Struct, frozen=True):
    """A contact that waits to be added with others."""

    contact: NewContact
    at: int


async def add_all(connection: Connection, new: Sequence[NewContact], at: int) -> list[Exception | None]:
    """Add contacts of any campaigns; for each None, or why it was not added (Conflict, LookupError, Cancelled)."""
    wanted = sorted({contact.campaign for contact in new})
    rows = await connection.fetch(_COUNTERS, wanted)
    found = {number: count_of(row) for number, *row in rows}
    counters = {number: count for number, count in found.items() if isinstance(count, int)}
    answers: list[Exception | None] = [None] * len(new)
    ids = []
    for index, contact in enumerate(new):
        count = found[contact.campaign] if contact.campaign in found else count_of(None)
        if isinstance(count, Exception):
            answers[index] = count
            ids.append(0)
            continue
        counters[contact.campaign] += 1
        ids.append(contact_id(contact.campaign, counters[contact.campaign]))
    numbered = [(id_, contact) for id_, contact in zip(ids, new, strict=True) if id_]
    if not numbered:
        return answers
    there = await _add(connection, numbered, counters, at)
    for index, id_ in enumerate(ids):
        if id_ and id_ not in there:
            answers[index] = Conflict("contact")
    return answers


async def _add(
    connection: Connection, numbered: Sequence[tuple[int, NewContact]], counters: dict[int, int], at: int
) -> set[int]:
    """Write contacts under their ids, with their deliveries and the campaigns' counts; which were not there before."""
    contacts = columns_of([(id_, contact.campaign, contact.guid) for id_, contact in numbered])
    persons = columns_of([person_columns(contact.person) for _, contact in numbered])
    media = [
        (
            id_,
            delivery_id(contact.campaign, one.medium, number_of(id_)),
            first_status(one),
            one.attempts_left,
            one.destination,
            one.dial,
            one.text,
        )
        for id_, contact in numbered
        for one in contact.media
    ]
    deliveries = columns_of(media) if media else [[] for _ in range(_MEDIA_COLUMNS)]
    counts = [list(counters), list(counters.values())]
    shapes = [new_shape(contact) for _, contact in numbered]
    rows = await connection.fetch(_ADD, at, *contacts, *deliveries, *counts, *persons, shapes)
    return {row[0] for row in rows}
