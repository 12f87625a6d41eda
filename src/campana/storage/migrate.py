"""Owns bringing a database to the schema of this version, by Alembic.

Must not know what the tables mean.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from campana.storage.store import StoreUnavailable

_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(url: str) -> tuple[str | None, str | None]:
    """Bring the database at a SQLAlchemy `url` to the newest revision; create it where there is none.

    Returns the revisions before and after. Raises StoreUnavailable; a failed step leaves the revision before it.
    """
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    head = ScriptDirectory.from_config(config).get_current_head()
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            before = MigrationContext.configure(connection).get_current_revision()
            if before != head:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"the database cannot be upgraded: {error.__cause__ or error}") from error
    finally:
        engine.dispose()
    return before, head
