"""Owns how Alembic runs inside Campana: on the connection that migrate.py hands in.

Must not read files or the environment.
"""

from alembic import context

from campana.storage.schema import metadata

# While a step waits for a table, whoever comes after it waits as well: so it waits no longer than this, and is tried
# again after others have had their turn.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '500ms'"

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(LOCK_TIMEOUT)
    context.run_migrations()
