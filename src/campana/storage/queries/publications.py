"""Owns the portable statements on endpoints and their secrets.

Must not be run here: a store compiles them for its database.
"""

from __future__ import annotations

from sqlalchemy import and_, bindparam, case, func, insert, null, select, update

from campana.storage.tables import accounts, campaigns
from campana.storage.tables_of_progress import progress, publications

_of_campaign = publications.c.campaign == bindparam("of_campaign")
_still = and_(_of_campaign, publications.c.endpoint == bindparam("of_endpoint"))
_all = tuple(publications.c)
"""In the order of the fields of Publication."""

find = select(*_all).where(publications.c.campaign == bindparam("campaign"))
add = insert(publications)
address = (
    update(publications)
    .where(_of_campaign)
    .values(
        endpoint=bindparam("to_endpoint"),
        failures=0,
        failing_since=null(),
        next_at=0,
        stopped_at=null(),
        last_success_at=null(),
        last_error_at=null(),
        last_error=null(),
    )
)
_has_more = publications.c.sent < progress.c.number
_addressed = publications.c.endpoint != ""
behind = (
    select(publications.c.campaign, campaigns.c.account, publications.c.next_at)
    .join_from(publications, progress, progress.c.campaign == publications.c.campaign)
    .join(campaigns, campaigns.c.number == publications.c.campaign)
    .where(
        publications.c.campaign > bindparam("after"),
        publications.c.stopped_at.is_(None),
        campaigns.c.deleted_at.is_(None),
        _addressed,
        _has_more,
    )
    .order_by(publications.c.campaign)
    .limit(bindparam("most"))
)
offer = (
    update(publications)
    .where(_still, publications.c.sent == bindparam("of_sent"), publications.c.stopped_at.is_(None))
    .values(offered=bindparam("upto"))
)
taken = (
    update(publications)
    .where(_still, publications.c.sent < bindparam("upto"))
    .values(
        sent=bindparam("upto"),
        failures=0,
        failing_since=null(),
        next_at=0,
        stopped_at=null(),
        last_success_at=bindparam("at"),
    )
)
failed = (
    update(publications)
    .where(_still, publications.c.sent == bindparam("of_sent"))
    .values(
        failures=publications.c.failures + 1,
        failing_since=func.coalesce(publications.c.failing_since, bindparam("at")),
        next_at=bindparam("to_next_at"),
        stopped_at=bindparam("to_stopped_at"),
        last_error_at=bindparam("at"),
        last_error=bindparam("reason"),
    )
)
retry = update(publications).where(_of_campaign).values(failures=0, failing_since=null(), next_at=0, stopped_at=null())
_is_stopped = publications.c.stopped_at.is_not(None)
census = (
    select(
        func.coalesce(func.sum(case((and_(~_is_stopped, publications.c.failures > 0), 1), else_=0)), 0),
        func.coalesce(func.sum(case((_is_stopped, 1), else_=0)), 0),
        func.coalesce(
            func.sum(case((and_(~_is_stopped, _has_more), progress.c.number - publications.c.sent), else_=0)), 0
        ),
    )
    .join_from(publications, progress, progress.c.campaign == publications.c.campaign)
    .join(campaigns, campaigns.c.number == publications.c.campaign)
    .where(_addressed, campaigns.c.deleted_at.is_(None))
)

_of_account = accounts.c.number == bindparam("account")
secrets = select(accounts.c.webhook_secret, accounts.c.earlier_secret, accounts.c.earlier_until).where(_of_account)
begin_secret = (
    update(accounts)
    .where(_of_account, accounts.c.webhook_secret.is_(None))
    .values(webhook_secret=bindparam("to_secret"))
)
rotate_secret = (
    update(accounts)
    .where(_of_account)
    .values(
        earlier_secret=accounts.c.webhook_secret,
        earlier_until=bindparam("until"),
        webhook_secret=bindparam("to_secret"),
    )
)
