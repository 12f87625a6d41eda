"""The embedded store: SQLite in WAL mode, one writer thread with group commit, readers beside it.

Owns how the store contract is kept on SQLite, dialect twins included. Must not be named outside wiring and tests.
"""

from campana.storage.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
