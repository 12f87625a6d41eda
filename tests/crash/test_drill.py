"""`campana drill` as an administrator runs it: short ones on both stores, and one that is interrupted.

That a drill sees each kind of fault is shown on fabricated journals (tests/unit/test_drill_judging.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from crash_kit import PROGRAM

from campana.cli.app import main
from campana.storage import migrate
from campana.storage.postgres import trial
from tests.contract import postgres_kit

pytestmark = [pytest.mark.xdist_group("crash"), pytest.mark.timeout(180)]

SHORT = ("--contacts", "240", "--rate", "30", "--kills", "3", "--freezes", "1", "--lease", "2")
STRIKES = ("kill -9", "freeze", "cut")


@pytest.fixture
async def database(postgres: postgres_kit.Server) -> AsyncIterator[str]:
    """The URL of a database that was never used."""
    name = await postgres.create("template0")
    yield postgres.tcp_url(name)
    await postgres.drop(name)


async def drill(*arguments: str, folder: Path) -> asyncio.subprocess.Process:
    """Start a drill that puts all its files into `folder`."""
    return await asyncio.create_subprocess_exec(
        PROGRAM,
        "drill",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(folder)},
    )


async def ended(running: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    """Exit code, standard output and standard error of a drill, once it is over."""
    out, err = await running.communicate()
    return running.returncode, out.decode(), err.decode()


def of_folder(folder: Path) -> list[str]:
    """The command lines of all processes that were told to use a file in this folder."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in line:
            lines.append(line)
    return lines


def check(report: dict[str, Any], store: str, media: set[str]) -> None:
    """All of it has happened, and all promises were kept."""
    assert report["broken"] == []
    assert report["kept"]
    assert report["store"] == store
    assert set(report["balance"]) == media
    for medium in media - {"voice"}:
        assert report["balance"][medium]["accepted"] == 240
        assert report["balance"][medium]["succeeded"] + report["balance"][medium]["uncertain"] == 240
    whats = [event["what"] for event in report["events"]]
    assert [whats.count(what) for what in STRIKES] == ([3, 1, 1] if store == "PostgreSQL" else [3, 1, 0])
    assert {event["role"] for event in report["events"]} == (
        {"worker", "planner", "api", "database"} if store == "PostgreSQL" else {"serve"}
    ) or len(report["events"]) < 5
    assert 0 < report["limits"]["SMS in any second"]["most"] <= 30


async def test_a_short_drill_on_sqlite(tmp_path: Path) -> None:
    code, out, err = await ended(await drill(*SHORT, "--json", folder=tmp_path))
    print(out, err, file=sys.stderr)
    assert (code, err) == (0, "")
    check(json.loads(out), "SQLite", {"sms", "email", "voice"})
    assert os.listdir(tmp_path) == []
    assert of_folder(tmp_path) == []


async def test_a_short_drill_on_postgresql(tmp_path: Path, database: str) -> None:
    options = ("--workers", "2", "--apis", "2", "--cuts", "1", "--media", "sms,email", "--database", database)
    code, out, err = await ended(await drill(*SHORT, *options, "--json", folder=tmp_path))
    print(out, err, file=sys.stderr)
    assert (code, err) == (0, "")
    check(json.loads(out), "PostgreSQL", {"sms", "email"})
    assert os.listdir(tmp_path) == []
    assert of_folder(tmp_path) == []
    assert not await trial.was_used(database), "its tables are dropped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
async def test_no_process_outlives_a_drill(tmp_path: Path, number: signal.Signals) -> None:
    """However it ends. Its files stay only where it could not say good-bye."""
    running = await drill(*SHORT, "--media", "sms", folder=tmp_path)
    assert running.stdout is not None
    while b"arrived" not in (line := await running.stdout.readline()):
        assert line, "it ended before anything had happened"
    assert of_folder(tmp_path)
    running.send_signal(number)
    code, _, err = await ended(running)
    if number is signal.SIGINT:
        assert (code, err) == (130, "campana: the drill was interrupted; its processes are gone\n")
        assert os.listdir(tmp_path) == []
    async with asyncio.timeout(10):
        while of_folder(tmp_path):  # noqa: ASYNC110 - nothing tells that a process of somebody else is gone
            await asyncio.sleep(0.01)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a drill says which cannot be run."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["drill", *arguments])
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (1, "", 1)
    return err


def test_a_database_that_was_used_is_left_alone(
    capsys: pytest.CaptureFixture[str], postgres: postgres_kit.Server
) -> None:
    database = postgres.tcp_url(asyncio.run(postgres.create("template0")))
    migrate.upgrade(database)
    sentence = told(capsys, *SHORT, "--database", database)
    assert sentence.startswith("campana: the database is not an empty one: Campana has used it before.")
    assert asyncio.run(trial.was_used(database))
    asyncio.run(trial.remove(database))
    assert not asyncio.run(trial.was_used(database))
