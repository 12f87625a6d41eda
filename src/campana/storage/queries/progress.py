"""Owns the portable statements on progress.

Must not be run here: a store compiles them for its database.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Integer, and_, bindparam, cast, exists, func, insert, or_, select, update

from campana.storage.progress_rows import PROGRESS_COLUMNS
from campana.storage.tables import campaigns, contacts, deliveries
from campana.storage.tables_of_progress import events, happenings, progress, strays

_HOW = ("at", "kind", "medium", "was", "status", "code", "first", "last", "ids", "size", "body")
_campaign: ColumnElement[int] = bindparam("campaign")

course = select(campaigns.c.media, campaigns.c.cancelled_at).where(
    campaigns.c.number == _campaign, campaigns.c.deleted_at.is_(None)
)
row = select(*(progress.c[name] for name in PROGRESS_COLUMNS)).where(progress.c.campaign == _campaign)
add = insert(progress)
keep = (
    update(progress)
    .where(progress.c.campaign == bindparam("of_campaign"))
    .values({name: bindparam(f"to_{name}") for name in PROGRESS_COLUMNS})
)
next_happenings = (
    select(happenings.c.id, *(happenings.c[name] for name in _HOW))
    .where(happenings.c.campaign == _campaign)
    .order_by(happenings.c.id)
    .limit(bindparam("most"))
)
is_to_be_folded = select(
    or_(
        exists().where(happenings.c.campaign == _campaign),
        ~exists().where(progress.c.campaign == _campaign),
    )
)
"""Whether anything happened that was not folded, or nothing was ever counted."""
has_strays = select(strays.c.delivery).where(strays.c.campaign == _campaign).limit(1)
_holding = (
    select(func.max(events.c.number))
    .where(events.c.campaign == _campaign, events.c.number <= bindparam("first"))
    .scalar_subquery()
)
some_events = (
    select(events.c.number, *(events.c[name] for name in _HOW))
    .where(events.c.campaign == _campaign, events.c.number >= func.coalesce(_holding, cast(0, Integer)))
    .order_by(events.c.number)
    .limit(bindparam("most"))
)
"""From the row that stands for the `first` event on."""

_contacts = (contacts.c.id > bindparam("after"), contacts.c.id <= bindparam("upto"))
last_contact = select(campaigns.c.contacts).where(campaigns.c.number == _campaign, campaigns.c.deleted_at.is_(None))
count_contacts = select(func.count()).select_from(contacts).where(*_contacts, contacts.c.deleted_at.is_(None))
count_deliveries = (
    select(deliveries.c.status, func.count())
    .where(deliveries.c.id > bindparam("after"), deliveries.c.id <= bindparam("upto"))
    .group_by(deliveries.c.status)
)
deleted_deliveries = (
    select(deliveries.c.id, deliveries.c.status)
    .join_from(contacts, deliveries, deliveries.c.id == contacts.c.id + bindparam("distance"))
    .where(*_contacts, contacts.c.deleted_at.is_not(None))
)
"""A delivery's id is its contact's id plus a distance that is the same for a campaign and medium."""
all_strays = select(strays.c.delivery).where(strays.c.campaign == _campaign)
unaudited = (
    select(campaigns.c.number)
    .join_from(campaigns, progress, progress.c.campaign == campaigns.c.number, isouter=True)
    .where(
        campaigns.c.deleted_at.is_(None),
        or_(
            progress.c.campaign.is_(None),
            and_(
                progress.c.audited_at < bindparam("before"),
                or_(
                    progress.c.finished_at.is_(None),
                    progress.c.is_uncounted == 1,
                    progress.c.counted_at >= progress.c.audited_at,
                ),
            ),
        ),
    )
    .order_by(campaigns.c.number)
    .limit(bindparam("most"))
)
