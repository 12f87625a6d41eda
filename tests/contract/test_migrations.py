"""The schema and its migrations hold together."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

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
