"""Libraries: their licences, their lock, and the page that names them, all against the installed packages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import metadata, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from repository import ROOT, project

PERMISSIVE = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "PSF-2.0",
    "Unlicense",
    "Zlib",
}

CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "The Unlicense (Unlicense)": "Unlicense",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}

TOLD_BY_THEIR_TEXT = {
    # Their metadata say less than, or something else than, the licence that they ship.
    "dkimpy": "Zlib",
    "espeakng-loader": "GPL-3.0-or-later",
    "import-linter": "BSD-2-Clause",
    "rich-click": "MIT",
}

EXCEPTIONS = {"certifi": "MPL-2.0", "espeakng-loader": "GPL-3.0-or-later", "soxr": "LGPL-2.1-or-later"}
"""certifi: only the file of certificates itself; it is passed on unchanged, and Campana does not use it.
espeakng-loader: in a process of its own alone (test_speech_licence.py). soxr: a shared library."""

ROW = re.compile(r"^\| ([a-z0-9-]+) \| ([^|]+) \|", re.MULTILINE)


def licences(name: str) -> set[str]:
    """The licences of a package, joined by OR or AND, by their SPDX names."""
    if name in TOLD_BY_THEIR_TEXT:
        return {TOLD_BY_THEIR_TEXT[name]}
    told = metadata(name)
    expression = told.get("License-Expression")
    if expression is None:
        classifiers = [line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or [] if "License ::" in line]
        known = {CLASSIFIERS[one] for one in classifiers if one in CLASSIFIERS}
        expression = " OR ".join(sorted(known)) or told.get("License") or "none"
    return set(re.split(r" OR | AND ", expression))


def closure(names: Iterable[str]) -> set[str]:
    """The packages and all that they need on this machine."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            needed = [Requirement(line) for line in requires(name) or []]
            waiting += [
                canonicalize_name(one.name)
                for one in needed
                if one.marker is None or one.marker.evaluate({"extra": ""})
            ]
    return found


def names(requirements: Iterable[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


RUNTIME = names(project()["project"]["dependencies"])
DEMO = names(project()["project"]["optional-dependencies"]["demo"])
DEVELOPING = names(project()["dependency-groups"]["dev"])


@pytest.mark.parametrize("name", sorted(closure(RUNTIME | DEMO)))
def test_what_runs_with_campana_is_permissive(name: str) -> None:
    found = licences(name)
    assert found <= PERMISSIVE or found == {EXCEPTIONS.get(name)}, found


def test_every_dependency_is_locked_with_hashes() -> None:
    lock = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", lock.strip())
    locked = {canonicalize_name(re.split(r"[=\s]", block)[0]): block for block in blocks if block[0] != "#"}
    assert locked.keys() >= RUNTIME | DEMO | DEVELOPING
    assert locked.keys() >= closure(RUNTIME | DEMO)
    assert all("==" in block and "--hash=sha256:" in block for block in locked.values())


def test_every_locked_version_satisfies_what_is_asked_for() -> None:
    lock = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")
    versions = {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.M)}
    extras = project()["project"]["optional-dependencies"].values()
    asked = [*project()["project"]["dependencies"], *(line for extra in extras for line in extra)]
    for requirement in map(Requirement, [*asked, *project()["dependency-groups"]["dev"]]):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize(
    ("heading", "declared"),
    [
        ("What runs with Campana", RUNTIME),
        ("What only the demo needs", DEMO),
        ("What only developing needs", DEVELOPING),
    ],
)
def test_the_page_names_exactly_the_libraries_with_their_licences(heading: str, declared: set[str]) -> None:
    page = (ROOT / "docs" / "libraries.md").read_text(encoding="utf-8")
    rows = dict(ROW.findall(page.split(f"\n## {heading}\n")[1].split("\n## ")[0]))
    rows.pop("library", None)
    expected = declared - DEMO if heading == "What only developing needs" else declared
    assert rows.keys() == expected
    for name, licence in rows.items():
        assert set(re.split(r" OR | AND ", licence)) == licences(name), name
