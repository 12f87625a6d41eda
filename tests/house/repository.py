"""The repository's own files, for the tests that look at them."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "campana"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_NOT_OURS = {"__pycache__", "dist", "build", "campana-data", "node_modules"}


def files() -> list[Path]:
    """Every file of the repository: as git knows them or, in an unpacked archive, all but what was made here."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not _is_made_here(path.relative_to(ROOT))]
    return sorted(path for path in found if path.is_file())


def _is_made_here(path: Path) -> bool:
    return any(part in _NOT_OURS or (part.startswith(".") and part != ".ci") for part in path.parent.parts)


def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
