"""Owns the whole of the tables: `metadata` holds every one of them.

Must not hold statements.
"""

from __future__ import annotations

from campana.storage import tables, tables_of_doors, tables_of_progress

__all__ = ["TABLES", "metadata"]

TABLES = (tables, tables_of_progress, tables_of_doors)
"""The modules that describe them."""
metadata = tables.metadata
