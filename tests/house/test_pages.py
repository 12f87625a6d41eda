"""The documentation fits together: links lead somewhere, decisions are listed, commands and files exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pages
import pytest
import shown
from repository import PAGES, ROOT, SOURCE

from campana.config import load

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")


def of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in _LINK.findall(_FENCE.sub("", of(page))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_can_be_found_from_the_readme() -> None:
    found, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        found.add(page)
        for link in _LINK.findall(of(page)):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target not in found:
                waiting.append(target)
    assert set(PAGES) <= found


def test_every_decision_is_listed_under_its_own_title() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = dict(
        re.findall(r"^\| \[\d{4}\]\((\d{4}-[a-z0-9-]+\.md)\) \| (.+) \|$", of(folder / "README.md"), re.MULTILINE)
    )
    there = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    assert list(listed) == [path.name for path in there]
    for number, path in enumerate(there, start=1):
        assert of(path).startswith(f"# {number:04d}. {listed[path.name]}\n")
        for part in ("**Question.**", "**Decision.**", "**Why.**", "**Given up.**", "**Look again when**"):
            assert part in of(path), path.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_pages_name_exist(page: Path) -> None:
    text = of(page)
    for target in re.findall(r"(?:^|`|&& )make ([a-z]+)", text, re.MULTILINE):
        assert target in TARGETS, f"make {target}"
    words = {command.split()[0] for command in shown.commands()} | set(shown.commands())
    for command in re.findall(r"(?:^|`|bin/|\| )campana ((?:--config \S+ )?[a-z]+(?: [a-z]+\b)?)", text, re.MULTILINE):
        plain = re.sub(r"^--config \S+ ", "", command)
        assert plain in words or plain.split()[0] in words, command


def test_the_readme_begins_with_the_two_commands_and_a_picture_of_them() -> None:
    first = README.split("\n## ")[0]
    assert re.findall(r"^make (\w+)", first, re.MULTILINE) == ["demo", "test"]
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", first)
    assert "deliveries" in of(ROOT / picture)


def test_every_target_of_the_makefile_says_what_it_does() -> None:
    told = set(re.findall(r"^([a-z]+):.*## \S", MAKEFILE, re.MULTILINE))
    assert told == TARGETS
    assert re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[1].split() == re.findall(
        r"^([a-z]+):", MAKEFILE, re.MULTILINE
    )


def test_check_runs_everything_that_checks_and_ci_runs_the_tests() -> None:
    recipe = MAKEFILE.split("\ncheck:")[1].split("\n\n")[0]
    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports"):
        assert tool in recipe
    assert "$(MAKE) --no-print-directory check" in MAKEFILE.split("\ntest:")[1].split("\n\n")[0]
    assert of(ROOT / ".ci" / "run").rstrip().endswith("exec make test")


@pytest.mark.parametrize(
    ("page", "block"),
    [
        ("cli.md", "commands"),
        ("cli.md", "options for all"),
        ("operations.md", "metrics"),
        ("sandbox.md", "magic numbers"),
        ("sandbox.md", "magic telephones"),
        ("sandbox.md", "magic addresses"),
    ],
)
def test_parts_that_are_made_from_the_code_are_of_this_code(page: str, block: str) -> None:
    assert pages.blocks_of(of(ROOT / "docs" / page))[block] == shown.made()[block], "run make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_pages_name_exist(page: Path) -> None:
    places = (ROOT, SOURCE, *(path for path in (SOURCE / "channels").iterdir() if path.is_dir()))
    for name in _CODE.findall(_FENCE.sub("", of(page))):
        if re.fullmatch(r"[\w./*-]+\.py|(?:src|tests|docs|scripts|requirements)/[\w./*-]*", name):
            assert any(list(place.glob(name.rstrip("/"))) for place in places), name


def test_every_log_event_that_operations_explains_is_written_somewhere() -> None:
    section = of(ROOT / "docs" / "operations.md").split("\n## Logs\n")[1].split("\n## ")[0]
    events = [name for row in re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE) for name in _CODE.findall(row)]
    code = "\n".join(of(path) for path in SOURCE.rglob("*.py"))
    assert len(events) > 10
    for event in events:
        assert f'{event.removeprefix("….")}"' in code, event


@pytest.mark.parametrize(
    "page", ["README.md", "docs/many-machines.md", "docs/operations.md", "docs/sandbox.md", "docs/voice.md"]
)
def test_configurations_that_pages_show_are_valid(page: str, tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```$", of(ROOT / page), re.MULTILINE | re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        file = tmp_path / f"{number}.toml"
        file.write_text(block, encoding="utf-8")
        assert len(load(file, {}).routes) == len(tomllib.loads(block).get("routes", []))
