"""Calls

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
phase = "before"


def upgrade() -> None:
    """Bring the schema from the revision before to this one."""
    op.create_table(
        "calls",
        sa.Column("delivery", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ringing_ms", sa.Integer(), nullable=True),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("heard_ms", sa.Integer(), nullable=False),
        sa.Column("plays", sa.SmallInteger(), nullable=False),
        sa.Column("digits", sa.Text(), nullable=False),
        sa.Column("acknowledged", sa.SmallInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_by", sa.Text(), nullable=False),
        sa.Column("sip_status", sa.SmallInteger(), nullable=True),
        sa.Column("q850", sa.SmallInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("delivery", "attempt", name=op.f("pk_calls")),
        sqlite_with_rowid=False,
    )
