"""Owns the portable statements on answers that are given again.

Must not be run here: a store compiles them for its database.
"""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select, update

from campana.storage.compiled import insert_keyless
from campana.storage.tables_of_doors import answers

CLAIM_COLUMNS = (answers.c.fingerprint, answers.c.at, answers.c.headers, answers.c.status, answers.c.body)
"""What `claim_row` takes, in its order. Until there is an answer, and after, `headers` is the id of what is made."""
find = select(*CLAIM_COLUMNS).where(answers.c.key == bindparam("key"))
add = insert_keyless(answers, "status", "body").values(key=bindparam("key"))
take_over = (
    update(answers)
    .where(
        answers.c.key == bindparam("key_is"),
        answers.c.status.is_(None),
        answers.c.fingerprint == bindparam("fingerprint_is"),
        answers.c.at <= bindparam("lapsed"),
    )
    .values(at=bindparam("to_at"))
)
keep = (
    update(answers)
    .where(answers.c.key == bindparam("key_is"))
    .values(status=bindparam("to_status"), body=bindparam("to_body"))
)
release = delete(answers).where(answers.c.key == bindparam("key"), answers.c.status.is_(None))
purge = delete(answers).where(answers.c.at < bindparam("before"))
