"""The house numbers: cards, sizes, and what must never stand in the repository."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

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


# All files in one test each: there are thousands, and a test of its own costs more than a look at a file.


def test_a_module_opens_with_what_it_owns_and_what_it_must_not_know() -> None:
    wrong = []
    for path in MODULES:
        card = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
        if not (re.search(r"\b[Oo]wns\b", card) and re.search(r"\b[Mm]ust not\b", card)):
            wrong.append(name(path))
    assert wrong == []


def test_functions_and_files_are_short() -> None:
    wrong = []
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        if text.count("\n") >= LONGEST_FILE or "NotImplementedError" in text:
            wrong.append(name(path))
        wrong += [f"{name(path)}: {problem}" for problem in _of_functions(ast.parse(text))]
    assert wrong == []


def _of_functions(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION:
                yield f"{node.name} is too long"
            if any(isinstance(inner, ast.Import | ast.ImportFrom) for inner in ast.walk(node)):
                yield f"{node.name} imports in its body"


def test_nothing_of_a_machine_or_a_registry_stands_in_a_file() -> None:
    wrong = []
    for path in files():
        if path.suffix not in BINARY:
            text = path.read_text(encoding="utf-8", errors="replace")
            wrong += [f"{name(path)}: {host}" for host in HOSTS if host in text]
            wrong += [f"{name(path)}: {found[0]}" for found in MACHINE.finditer(text)]
    assert wrong == []


def test_nothing_is_left_unfinished() -> None:
    wrong = []
    for path in files():
        if path.suffix in {".py", ".sh", ".toml"}:
            wrong += [f"{name(path)}: {found[0]}" for found in UNFINISHED.finditer(path.read_text(encoding="utf-8"))]
    assert wrong == []


def test_silenced_tools_say_why() -> None:
    wrong = []
    for path in MODULES:
        for line in path.read_text(encoding="utf-8").splitlines():
            marker = re.search(r"#\s*(?:noqa|type: ignore)\b(.*)", line)
            if marker is not None and not re.search(r"[-#] \w+", marker[1]):
                wrong.append(f"{name(path)}: {line.strip()}")
    assert wrong == []
