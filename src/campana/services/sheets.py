"""Owns how rows are written as CSV (RFC 4180) so that a spreadsheet shows them and runs nothing.

Must not know what the rows are.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What a spreadsheet may take for the beginning of a formula, in full width too."""
_NUMBER = re.compile(r"[+-]?[0-9][0-9 .,()/-]*")


def written(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows in UTF-8, each with its line end. None is a blank cell."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([[defused(cell) if isinstance(cell, str) else cell for cell in row] for row in rows])
    return out.getvalue().encode()


def defused(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe stands before one that it might.

    Numbers, those of telephones among them, are as they are.
    """
    if _FORMULA.match(text) is None or _NUMBER.fullmatch(text) is not None:
        return text
    return f"'{text}"
