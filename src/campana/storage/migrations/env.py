"""Owns how Alembic runs inside Campana: on the connection that migrate.py hands in.

Must not read files or the environment.
"""

from alembic import context

from campana.storage.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
