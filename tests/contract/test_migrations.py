"""The schema and its migrations hold together."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from campana.storage import migrate
from campana.storage.migrate import upgrade
from campana.storage.tables import metadata


def test_the_migrations_lead_to_the_tables(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'campana.db'}"
    upgrade(url)
    with create_engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_upgrading_twice_does_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'campana.db'}"
    before, head = upgrade(url)
    assert (before, upgrade(url)) == (None, (head, head))


def test_a_database_of_the_first_version_is_brought_along(tmp_path: Path) -> None:
    path = tmp_path / "campana.db"
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    with create_engine(f"sqlite:///{path}").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    old = sqlite3.connect(path)
    old.execute("INSERT INTO attempts VALUES (1, 1, 7, 'sms', 4, 0, 0, NULL, 'delivered')")
    old.commit()
    before, after = upgrade(f"sqlite:///{path}")
    assert (before, after) == ("0001", "0002")
    # An earlier version that still has it open goes on.
    old.execute("INSERT INTO attempts VALUES (2, 1, 8, 'sms', 4, 0, 0, NULL, NULL)")
    old.commit()
    assert old.execute("SELECT delivery, at FROM attempts").fetchall() == [(1, 7), (2, 8)]
    assert old.execute("SELECT count(*) FROM calls").fetchall() == [(0,)]
    old.close()
