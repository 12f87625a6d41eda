"""espeak-ng is under the GPL: one script alone loads it, and that script and Campana never meet in a process."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import campana
from campana.channels.voice.speech.espeak import CHILD

SOURCE = Path(campana.__file__).parent


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_only_the_child_loads_the_library() -> None:
    loading = [path for path in SOURCE.rglob("*.py") if any("espeakng" in name for name in imported(path))]
    assert loading == [CHILD]


def test_nothing_imports_the_child() -> None:
    assert [path for path in SOURCE.rglob("*.py") if any("espeak_child" in name for name in imported(path))] == []


def test_the_child_imports_nothing_but_the_library_and_python() -> None:
    roots = {name.partition(".")[0] for name in imported(CHILD)}
    assert roots - {"espeakng_loader"} <= sys.stdlib_module_names
