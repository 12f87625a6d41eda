"""The house numbers: cards, sizes, and what must never stand in the repository."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from repository import ROOT, SOURCE, files

MODULES = [path for path in sorted(SOURCE.rglob("*.py")) if "versions" not in path.parts]
LONGEST_FUNCTION = 80
LONGEST_FILE = 600
MOST_PARAMETERS = 6
"""Five, and the object itself."""

BINARY = {".png", ".jpg", ".ico", ".db"}
HOSTS = ["pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "crates" + ".io"]
MACHINE = re.compile(r"(?<![\w.:/$}-])/(?:home|root|Users|work|workspace|farm|mnt)/\w")
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|pytest\.mark\.x" + "fail")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_opens_with_what_it_owns_and_what_it_must_not_know(path: Path) -> None:
    card = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
    assert re.search(r"\b[Oo]wns\b", card)
    assert re.search(r"\b[Mm]ust not\b", card)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_functions_and_files_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") < LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, node.name
            imports = [inner for inner in ast.walk(node) if isinstance(inner, ast.Import | ast.ImportFrom)]
            assert not imports, f"{node.name} imports in its body"
    assert "NotImplementedError" not in text


@pytest.mark.parametrize("path", files(), ids=name)
def test_nothing_of_a_machine_or_a_registry_stands_in_a_file(path: Path) -> None:
    if path.suffix in BINARY:
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    assert not [host for host in HOSTS if host in text]
    found = MACHINE.search(text)
    assert found is None, found


@pytest.mark.parametrize("path", [path for path in files() if path.suffix in {".py", ".sh", ".toml"}], ids=name)
def test_nothing_is_left_unfinished(path: Path) -> None:
    found = UNFINISHED.search(path.read_text(encoding="utf-8"))
    assert found is None, found


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_silenced_tools_say_why(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        marker = re.search(r"#\s*(?:noqa|type: ignore)\b(.*)", line)
        assert marker is None or re.search(r"[-#] \w+", marker[1]), line.strip()
