"""Owns the portable statements on imports.

Must not be run here: a store compiles them for its database.
"""

from __future__ import annotations

from sqlalchemy import and_, bindparam, insert, or_, select, update

from campana.storage.tables import campaigns
from campana.storage.tables_of_doors import imports, refusals

_COLUMNS = (
    imports.c.id,
    imports.c.account,
    imports.c.user,
    imports.c.campaign,
    imports.c.key,
    imports.c.options,
    imports.c.state,
    imports.c.started_at,
    imports.c.changed_at,
    imports.c.rows_read,
    imports.c.accepted,
    imports.c.refused,
    imports.c.digest,
    imports.c.problem,
)
add = insert(imports)
find = select(*_COLUMNS).where(imports.c.account == bindparam("account"), imports.c.id == bindparam("id"))
find_key = select(*_COLUMNS).where(imports.c.key == bindparam("key"))
page = (
    select(*_COLUMNS)
    .where(
        imports.c.campaign == bindparam("campaign"),
        imports.c.started_at <= bindparam("started_at"),
        or_(
            imports.c.started_at < bindparam("started_at"),
            and_(imports.c.started_at == bindparam("started_at"), imports.c.id < bindparam("id")),
        ),
    )
    .order_by(imports.c.started_at.desc(), imports.c.id.desc())
    .limit(bindparam("most"))
)
_here = (imports.c.id == bindparam("import_id"), imports.c.rows_read == bindparam("after"))
resume = update(imports).where(*_here).values(state="reading", changed_at=bindparam("at"), problem=None)
move_on = (
    update(imports)
    .where(*_here, imports.c.state == "reading")
    .values(
        rows_read=bindparam("to_rows"),
        digest=bindparam("to_digest"),
        accepted=imports.c.accepted + bindparam("more_accepted"),
        refused=imports.c.refused + bindparam("more_refused"),
        changed_at=bindparam("at"),
    )
)
end = (
    update(imports)
    .where(*_here, imports.c.state == "reading")
    .values(state=bindparam("to_state"), problem=bindparam("to_problem"), changed_at=bindparam("at"))
)
campaign = select(campaigns.c.contacts, campaigns.c.deleted_at, campaigns.c.cancelled_at).where(
    campaigns.c.number == bindparam("number")
)
refused = (
    select(refusals.c.row, refusals.c.column, refusals.c.code, refusals.c.rule)
    .where(refusals.c.import_id == bindparam("id"), refusals.c.row > bindparam("after"))
    .order_by(refusals.c.row)
    .limit(bindparam("most"))
)
