"""What tests of clients stand on: one real server for all of them, and commands that ask it."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest
from serve_kit import Done, Run, Served, served

from campana.cli import main


@pytest.fixture(scope="session")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that sends, with an API key."""
    with served(tmp_path_factory.mktemp("served")) as one:
        yield one


@pytest.fixture
def asking(here: Served, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, with the server and the key in the environment."""
    monkeypatch.setenv("CAMPANA_URL", here.url)
    monkeypatch.setenv("CAMPANA_API_KEY", here.key)
    monkeypatch.setenv("COLUMNS", "200")

    def run_(*words: str, stdin: str = "", code: int = 0) -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main(list(words))
        printed = capsysbinary.readouterr()
        done = Done(int(exit_.value.code or 0), printed.out.decode(), printed.err.decode())
        assert "Traceback" not in done.err
        assert done.code == code, done
        return done

    return run_
