"""Owns the portable statements on old data.

Must not be run here: a store compiles them for its database. Every portion is a range of a primary key: it is found
and removed without looking at anything else, however much there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Delete,
    Select,
    Table,
    bindparam,
    delete,
    exists,
    func,
    select,
    update,
)

from campana.storage.tables import (
    NEVER,
    attempts,
    calls,
    campaigns,
    chunks,
    contact_id,
    contacts,
    contents,
    deliveries,
    delivery_id,
    due,
    handovers,
    incoming,
    lanes,
)
from campana.storage.tables_of_doors import imports, refusals
from campana.storage.tables_of_progress import events, happenings, progress, publications, strays

_campaign: BindParameter[int] = bindparam("campaign")
_is_still = (
    exists().where(lanes.c.campaign == campaigns.c.number),
    exists().where(chunks.c.campaign == campaigns.c.number, chunks.c.owner.is_not(None)),
)
_is_at_rest = (campaigns.c.deleted_at.is_not(None), *(~one for one in _is_still))
"""Deleted, cancelled as far as that had to be, and nothing of it under way."""

expired = (
    select(campaigns.c.number)
    .where(campaigns.c.deleted_at < bindparam("before"), campaigns.c.number > bindparam("after"), *_is_at_rest)
    .order_by(campaigns.c.number)
    .limit(bindparam("most"))
)
at_rest = select(campaigns.c.number).where(campaigns.c.number == _campaign, *_is_at_rest)
mark_deleted = (
    update(campaigns)
    .where(
        campaigns.c.number == bindparam("of_campaign"),
        campaigns.c.version == bindparam("of_version"),
        campaigns.c.deleted_at.is_(None),
    )
    .values(deleted_at=bindparam("at"), version=campaigns.c.version + 1)
)


@dataclass(frozen=True, slots=True)
class Portion:
    """Rows of a campaign in one table: where the next some of them end, and how they are removed."""

    end: Select[Any]
    drop: Delete
    bounds: Callable[[int], tuple[int, int]]
    """The first and last key that a campaign may have there."""


def _portion(table: Table, key: ColumnElement[int], *which: ColumnElement[bool]) -> tuple[Select[Any], Delete]:
    within = (*which, key >= bindparam("first"), key <= bindparam("last"))
    end = select(key).where(*within).order_by(key).limit(1).offset(bindparam("most"))
    return end, delete(table).where(*within)


def _contacts_of(campaign: int) -> tuple[int, int]:
    return contact_id(campaign, 0), contact_id(campaign + 1, 0) - 1


def _deliveries_of(campaign: int) -> tuple[int, int]:
    return delivery_id(campaign, 0, 0), delivery_id(campaign + 1, 0, 0) - 1


def _numbers(campaign: int) -> tuple[int, int]:
    return 0, NEVER


end_of_deliveries, drop_deliveries = _portion(deliveries, deliveries.c.id)
end_of_attempts, drop_attempts = _portion(attempts, attempts.c.delivery)
end_of_calls, drop_calls = _portion(calls, calls.c.delivery)
end_of_contacts, drop_contacts = _portion(contacts, contacts.c.id)
end_of_strays, drop_strays = _portion(strays, strays.c.delivery, strays.c.campaign == _campaign)
end_of_events, drop_events = _portion(events, events.c.number, events.c.campaign == _campaign)
end_of_happenings, drop_happenings = _portion(happenings, happenings.c.id, happenings.c.campaign == _campaign)

PORTIONS = (
    Portion(end_of_deliveries, drop_deliveries, _deliveries_of),
    Portion(end_of_attempts, drop_attempts, _deliveries_of),
    Portion(end_of_calls, drop_calls, _deliveries_of),
    Portion(end_of_contacts, drop_contacts, _contacts_of),
    Portion(end_of_strays, drop_strays, _deliveries_of),
    Portion(end_of_events, drop_events, _numbers),
    Portion(end_of_happenings, drop_happenings, _numbers),
)
"""Deliveries first: late news looks for them, and adds to nothing where they are gone."""

drop_due = delete(due).where(due.c.campaign == _campaign)
drop_chunks = delete(chunks).where(chunks.c.campaign == _campaign)
drop_contents = delete(contents).where(contents.c.campaign == _campaign)
drop_progress = delete(progress).where(progress.c.campaign == _campaign)
drop_publications = delete(publications).where(publications.c.campaign == _campaign)
drop_refusals = delete(refusals).where(
    refusals.c.import_id.in_(select(imports.c.id).where(imports.c.campaign == _campaign))
)
drop_imports = delete(imports).where(imports.c.campaign == _campaign)
drop_campaign = delete(campaigns).where(
    campaigns.c.number == _campaign, campaigns.c.number < select(func.max(campaigns.c.number)).scalar_subquery()
)
REST = (
    drop_due,
    drop_chunks,
    drop_contents,
    drop_progress,
    drop_publications,
    drop_refusals,
    drop_imports,
    drop_campaign,
)
"""What is left of a campaign after its portions: little, and its row at last."""

_next_handovers = (
    select(handovers.c.id).where(handovers.c.id > bindparam("after")).order_by(handovers.c.id).limit(bindparam("most"))
).subquery()
end_of_handovers = select(func.max(_next_handovers.c.id))
_is_orphan = ~exists().where(deliveries.c.id == handovers.c.delivery)
_passed = (handovers.c.id > bindparam("after"), handovers.c.id <= bindparam("upto"))
orphan = select(handovers.c.id).where(*_passed, _is_orphan).limit(1)
drop_orphans = delete(handovers).where(*_passed, _is_orphan)

_next_incoming = select(incoming.c.id, incoming.c.at).order_by(incoming.c.id).limit(bindparam("most")).subquery()
end_of_incoming = select(func.max(_next_incoming.c.id)).where(_next_incoming.c.at < bindparam("before"))
drop_incoming = delete(incoming).where(
    incoming.c.id <= bindparam("upto"),
    incoming.c.at < bindparam("before"),
    incoming.c.id < select(func.max(incoming.c.id)).scalar_subquery(),
)
