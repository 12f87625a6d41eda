"""Benchmarks run and say figure, ceiling, ratio and target; their page names each of them.

The runs are so small that their figures mean nothing: what is judged here is that they can be made at all. All of them
take minutes even so, and are a command of their own: `make bench ARGS=--quick`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.report import Finding, Target, number, percentile
from tests.contract import postgres_kit

ROOT = Path(__file__).parents[2]
FINDINGS = {"sms": 2, "calls": 2, "store": 2}
"""How many a benchmark has of a store, where that is more than one."""
TRIED = ["sms", "store", "add-contact", "imports"]
"""What the others are made of as well. They run one after the other, so that not each has to load everything first."""


@pytest.mark.timeout(100 * len(TRIED))
def test_benchmarks_run_and_say_what_they_found() -> None:
    for name, found in zip(TRIED, findings("sqlite", *TRIED), strict=True):
        judge(name, found)


@pytest.mark.skipif(postgres_kit.why_not() is not None, reason=postgres_kit.why_not() or "")
@pytest.mark.timeout(100)
def test_benchmarks_run_on_postgresql() -> None:
    (found,) = findings("postgresql", "store")
    judge("store", found)


def findings(store: str, *names: str) -> list[list[str]]:
    """What each benchmark finds in a quick run on a store, as blocks of lines."""
    command = [sys.executable, "-m", "benchmarks", "--quick", "--store", store, *names]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100 * len(names), check=False)
    assert ran.returncode == 0, ran.stderr
    runs = re.split(r"^  took .*\n", ran.stdout, flags=re.MULTILINE)[:-1]
    return [re.split(r"(?:\A|\n)\n", run)[1:] for run in runs]


def judge(name: str, blocks: list[str]) -> None:
    """Each finding says figure, ceiling, ratio and target."""
    assert [re.split("[,\n]", block)[0] for block in blocks] == [name] * FINDINGS.get(name, 1)
    for block in blocks:
        for label in ("figure", "ceiling", "ratio"):
            assert re.search(rf"^  {label} +\S", block, re.MULTILINE), block
        assert re.search(r"^  target .*: (reached|missed by .+ \(\d+ %\))$", block, re.MULTILINE), block


def test_the_page_tells_of_every_benchmark() -> None:
    page = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert [name for name in BENCHMARKS if f"| `{name}` |" not in page] == []


def test_an_unknown_benchmark_is_refused_by_name() -> None:
    command = [sys.executable, "-m", "benchmarks", "speed"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert "there is no benchmark speed" in ran.stderr


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Target(5_000, 5_000, "req/s"), ">= 5,000 req/s: reached"),
        (Target(4_000, 5_000, "req/s"), ">= 5,000 req/s: missed by 1,000 req/s (20 %)"),
        (Target(3.5, 3.5, "s", at_least=False), "<= 3.5 s: reached"),
        (Target(7, 3.5, "s", at_least=False, what="CPU"), "CPU <= 3.5 s: missed by 3.5 s (100 %)"),
    ],
)
def test_a_target_says_whether_it_is_reached(target: Target, text: str) -> None:
    assert str(target) == text


@pytest.mark.parametrize(("value", "text"), [(1_234.4, "1,234"), (99.94, "99.9"), (3.5, "3.5"), (0.123, "0.12")])
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_percentiles_are_nearest_ranks(share: float, value: int) -> None:
    assert percentile([float(one) for one in range(100, 0, -1)], share) == value


def test_what_is_skipped_says_why() -> None:
    assert Finding("kannel", "", skipped="It needs bearerbox.").lines() == ["kannel: skipped. It needs bearerbox."]
