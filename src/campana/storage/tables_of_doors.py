"""Owns the tables behind the doors: keys of programs, answers that are given again, and lists that are being imported.

Must not hold statements.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, SmallInteger, Table, Text

from campana.storage.tables import Guid, metadata

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Guid, primary_key=True),
    Column("user", ForeignKey("users.number"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("key_hash", LargeBinary(32), nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
    Column("per_minute", Integer),
)
"""Keys by which programs come, each acting for a user: only the SHA-256 is kept. `scopes` is a JSON list."""

answers = Table(
    "answers",
    metadata,
    Column("key", LargeBinary(32), primary_key=True),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("status", SmallInteger),
    Column("headers", Text),
    Column("body", LargeBinary),
    sqlite_with_rowid=False,
)
"""Answers to requests with an Idempotency-Key, to be given again. `key` stands for account, address and key;
`fingerprint` for the request; without `status` the request is still being carried out, or was cut off."""

imports = Table(
    "imports",
    metadata,
    Column("id", Guid, primary_key=True),
    Column("account", BigInteger, nullable=False),
    Column("user", BigInteger, nullable=False),
    Column("campaign", BigInteger, nullable=False),
    Column("key", LargeBinary(32), unique=True),
    Column("options", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("rows_read", BigInteger, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("problem", Text),
)
"""A list of contacts that was sent in one request. Rows up to `rows_read` have been dealt with, and `digest` stands for
them; `key` for account, address and Idempotency-Key."""

Index("ix_imports_campaign", imports.c.campaign, imports.c.started_at)

refusals = Table(
    "refusals",
    metadata,
    Column("import_id", Guid, primary_key=True),
    Column("row", BigInteger, primary_key=True, autoincrement=False),
    Column("column", Text),
    Column("code", SmallInteger, nullable=False),
    Column("rule", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Rows of an import that were not taken: where, and by which rule. They hold no value of the row."""
