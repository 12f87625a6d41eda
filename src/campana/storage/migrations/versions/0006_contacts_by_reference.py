"""Contacts by the client's own reference

Revision 0006, after 0005.
"""

from campana.storage.additions import add_index

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
phase = "before"


def upgrade() -> None:
    """Bring the schema from the revision before to this one."""
    add_index("ix_contacts_reference", "contacts", ["campaign", "reference"], where="reference IS NOT NULL")
