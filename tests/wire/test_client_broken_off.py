"""Commands that ask a server, where that breaks off: what is said, and how to go on."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from client_kit import Writer, cuts, peer, says

from campana.cli import main

KEY = "ck_abcdefgh_secret"


class Tube(io.BytesIO):
    """Standard input as a pipe has it."""

    def seekable(self) -> bool:
        return False


async def test_a_list_that_cannot_be_read_again_is_told_with_the_key_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Tube(b"name,sms\nAda,+12025550100\n")))
    async with peer(cuts) as here:
        words = ["contacts", "import", "c1", "-", "--kind", "csv", "--url", here.url, "--api-key", KEY]
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(main, words)
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        "campana: The connection broke, and the rows cannot be read again from their beginning; what was acknowledged "
        f"is kept; to go on: campana contacts import c1 - --key {here.seen[0].key}\n"
    )


async def test_an_import_that_is_interrupted_says_how_to_go_on(tmp_path: Path) -> None:
    came, over = asyncio.Event(), asyncio.Event()

    async def silent(_writer: Writer) -> None:
        came.set()
        await over.wait()

    file = tmp_path / "people.csv"
    file.write_text("name,sms\nAda,+12025550100\n")
    async with peer(silent) as here:
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "campana", "contacts", "import", "c1", str(file), "--url", here.url),
            env=os.environ | {"CAMPANA_API_KEY": KEY},
            stderr=asyncio.subprocess.PIPE,
        )
        await asyncio.wait_for(came.wait(), 30)
        running.send_signal(signal.SIGINT)
        _, said = await asyncio.wait_for(running.communicate(), 30)
        over.set()
    assert running.returncode == 130
    told = rf"campana: the import was interrupted; .*: campana contacts import c1 \S+ --key {here.seen[0].key}\n"
    assert re.fullmatch(told, said.decode())


async def test_an_import_that_the_server_ended_early_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("CAMPANA_API_KEY", KEY)
    file = tmp_path / "people.csv"
    file.write_text("name,sms\nAda,+12025550100\n")
    told = {"id": "i1", "campaign": "c1", "state": "failed", "started_at": "2026-11-28T09:30:00.000Z"}
    async with peer(says(201, told | {"rows_read": 1, "accepted": 1, "problem": "Row 2 is not CSV."})) as here:
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(main, ["contacts", "import", "c1", str(file), "--url", here.url])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (1, "1 rows read: 1 contacts added, 0 refused.\n")
    assert err == "campana: the import ended early: Row 2 is not CSV.\n"
