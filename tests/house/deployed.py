"""Reads what Campana is deployed with: Dockerfile, units of systemd, commands, expressions of Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import shown
import yaml
from repository import ROOT

from campana.telemetry import Metrics

DEPLOY = ROOT / "deploy"


def of_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


# --- Dockerfile --------------------------------------------------------------------------------------------------


def instructions(path: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, each on one line, with the values of its own ARGs in FROM."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.strip() for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines() if line.strip()]
    found = [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]
    given = dict(rest.partition("=")[::2] for name, rest in found if name == "ARG" and "=" in rest)
    return [
        (name, re.sub(r"\$\{(\w+)\}", lambda hit: given[hit[1]], rest) if name == "FROM" else rest)
        for name, rest in found
    ]


def stages(path: Path) -> list[list[tuple[str, str]]]:
    """The instructions of each stage; the first of each is FROM."""
    found: list[list[tuple[str, str]]] = []
    for name, rest in instructions(path):
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, rest))
    return found


def exec_form(rest: str) -> list[str]:
    """The words of an instruction in exec form, which no shell reads. Fails where it is none."""
    words = json.loads(rest)
    assert isinstance(words, list)
    assert all(isinstance(word, str) for word in words)
    return words


# --- systemd -----------------------------------------------------------------------------------------------------


def unit(path: Path) -> dict[str, list[tuple[str, str]]]:
    """The sections of a unit, with keys in their order; a key may stand there more than once."""
    sections: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r"\[(\w+)\]", line):
            current = sections.setdefault(found[1], [])
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            current.append((key, value))
    return sections


def started(service: Sequence[tuple[str, str]]) -> list[str]:
    """The words of ExecStart, with the values that the unit itself gives its variables, as instance 9101."""
    given = dict(value.partition("=")[::2] for key, value in service if key == "Environment")
    (command,) = (value for key, value in service if key == "ExecStart")
    words: list[str] = []
    for word in command.replace("%i", "9101").split():
        # $NAME as a word of its own is as many words as it has; ${NAME} is put in as it is.
        words += given[word[1:]].split() if re.fullmatch(r"\$\w+", word) else [_with(word, given)]
    return words


def _with(word: str, given: dict[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda hit: given[hit[1]], word)


# --- commands ----------------------------------------------------------------------------------------------------


def mistake(words: Sequence[str]) -> str | None:
    """What is wrong with a command, given without `campana`; None where it is one. It is read and not run."""
    rest = list(words)
    if rest[:1] == ["--config"]:
        rest = rest[2:]
    commands = shown.commands()
    for length in (2, 1):
        name = " ".join(rest[:length])
        if name in commands:
            try:
                commands[name].make_context(name, rest[length:])
            except Exception as error:
                return f"{name}: {error}"
            return None
    return f"there is no such command: {' '.join(words)}"


# --- Prometheus --------------------------------------------------------------------------------------------------


def series() -> dict[str, set[str]]:
    """Every series that Campana shows, with its labels."""
    metrics = Metrics()
    found = {}
    for one in vars(metrics).values():
        family = getattr(one, "_family", None)
        if family is not None:
            described = family.describe()[0]
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(described.type, [""])
            found |= {f"{described.name}{suffix}": set(family._labelnames) for suffix in suffixes}
    for described in metrics.registry.collect():
        if described.name.startswith("process_"):
            found |= {sample.name: set() for sample in described.samples}
    return found


OF_PROMETHEUS = {"job", "instance", "le"}


def unknown_names(expression: str) -> list[str]:
    """Series and labels of an expression that neither Campana nor Prometheus itself has."""
    known = series() | {"up": set()}
    wrong = []
    asked = re.findall(r"([a-z_]\w*)(\{[^}]*\})?", re.sub(r'"[^"]*"', '""', expression))
    for name, selector in asked:
        if re.match(r"campana_|process_|up$", name) or selector:
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            wrong += [name] if name not in known else sorted(labels - known[name] - OF_PROMETHEUS)
    of_all = set().union(*known.values(), OF_PROMETHEUS)
    for group in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expression):
        wrong += sorted({label.strip() for label in group.split(",")} - of_all)
    return wrong
