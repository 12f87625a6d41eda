"""Campaigns of an account in their order

Revision 0005, after 0004.
"""

from campana.storage.additions import add_index

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
phase = "before"


def upgrade() -> None:
    """Bring the schema from the revision before to this one."""
    add_index("ix_campaigns_account", "campaigns", ["account", "number"])
