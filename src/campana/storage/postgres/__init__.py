"""The store for many machines: PostgreSQL 15 or later, any number of processes, its row locks as the only referee.

Owns how the store contract is kept on PostgreSQL, dialect twins included. Must not be named outside wiring and tests.
"""

from campana.storage.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
