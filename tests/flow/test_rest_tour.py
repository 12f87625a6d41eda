"""The tour of docs/rest.md works as it is written: its commands are run by a shell, and what it shows is what comes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rest_server import RestServer, rest_server

TOUR = (Path(__file__).parents[2] / "docs" / "rest.md").read_text(encoding="utf-8")
STEPS: list[tuple[str, str]] = re.findall(r"^```sh\n(.*?)^```\n\n```json\n(.*?)^```", TOUR, re.MULTILINE | re.DOTALL)
PAUSE = "\nprintf '\\n===\\n'\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestServer]:
    with rest_server(tmp_path_factory.mktemp("house")) as opened:
        yield opened


def differs(shown: Any, came: Any, place: str = "") -> str:
    """Where what came is not what is shown: a part of it, in which `…` stands for any text. Blank: nowhere."""
    if isinstance(shown, dict) and isinstance(came, dict):
        return next((d for name in shown if (d := differs(shown[name], came.get(name, "?"), f"{place}.{name}"))), "")
    if isinstance(shown, list) and isinstance(came, list) and len(shown) == len(came):
        return next((d for one, other in zip(shown, came, strict=True) if (d := differs(one, other, place))), "")
    same = isinstance(came, str) and came if shown == "…" else shown == came
    return "" if same else f"{place}: {shown!r} is shown, {came!r} came"


def test_the_tour_works_as_it_is_written(server: RestServer, tmp_path: Path) -> None:
    assert len(STEPS) >= 6
    commands = PAUSE.join(step for step, _ in STEPS)
    script = commands.replace("http://localhost:8080/api/v1", server.url)
    assert script != commands
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script], check=False, cwd=tmp_path, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    answers = done.stdout.decode().split("\n===\n")
    for (_, shown), answered in zip(STEPS, answers, strict=True):
        came = list(values(answered))
        expected = list(values(shown))
        assert len(came) == len(expected), answered
        for one, other in zip(expected, came, strict=True):
            assert differs(one, other) == ""


def values(text: str) -> Iterator[Any]:
    """The JSON values that follow each other in a text."""
    decoder, place = json.JSONDecoder(), 0
    while place < len(text.rstrip()):
        value, end = decoder.raw_decode(text, place + len(text[place:]) - len(text[place:].lstrip()))
        yield value
        place = end


def test_a_tour_that_shows_something_else_would_be_found() -> None:
    assert differs({"a": "…"}, {"a": "x", "b": 1}) == ""
    assert differs({"a": {"b": 1}}, {"a": {"b": 2}}) == ".a.b: 1 is shown, 2 came"
    assert differs({"a": 1}, {}) == ".a: 1 is shown, '?' came"
    assert differs([1], []) == ": [1] is shown, [] came"
