"""`campana voices` and `campana say`, with espeak-ng alone and with nothing that speaks."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import structlog

from campana.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "campana.toml"
    path.write_text('[speech]\nengines = ["espeak"]\naliases = { "House" = "de" }\n', encoding="utf-8")
    return path


@pytest.fixture
def run(file: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main(["--config", str(file), *words])
        printed = capsys.readouterr()
        return int(exit_.value.code or 0), printed.out, printed.err

    return run_


def test_voices_are_listed_with_language_gender_and_engine(run: Run) -> None:
    code, out, err = run("voices")
    assert (code, err) == (0, "")
    assert out.split()[:4] == ["voice", "language", "gender", "engine"]
    rows = [line.split() for line in out.splitlines()]
    assert ["en-us", "en-US", "male", "espeak"] in rows
    assert len(rows) > 100


def test_voices_are_listed_for_scripts(run: Run) -> None:
    voices = json.loads(run("voices", "--json")[1])
    assert {"name": "en-us", "language": "en-US", "gender": "male", "engine": "espeak"} in voices


@pytest.mark.parametrize(
    ("wanted", "name"), [("Microsoft Hedda", "de+f3"), ("house", "de"), ("en-gb", "en-gb"), ("??", "en-us")]
)
def test_a_name_s_voice_is_shown(run: Run, wanted: str, name: str) -> None:
    (voice,) = json.loads(run("voices", "--for", wanted, "--json")[1])
    assert voice["name"] == name


def test_engines_that_are_missing_are_told(run: Run, file: Path) -> None:
    file.write_text('[speech]\nengines = ["flite"]\nflite = "/nowhere/flite"\n', encoding="utf-8")
    code, out, _ = run("voices")
    assert code == 0
    assert "flite: flite is not installed." in out
    code, out, err = run("say", "Hello", "-o", str(file.parent / "hello.wav"))
    assert (code, out) == (1, "")
    assert err == "campana: nothing can be spoken: no engine that speaks is on this machine\n"


def test_a_text_is_written_as_a_telephone_hears_it(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "hello.wav"
    code, out, err = run("say", "--voice", "en-us", "Hello, world.", "-o", str(path))
    assert (code, err) == (0, "")
    assert out.startswith(f"{path}: ")
    assert out.endswith(" seconds in the voice en-us (en-US) of espeak.\n")
    with wave.open(str(path)) as sound:
        assert (sound.getframerate(), sound.getsampwidth(), sound.getnchannels()) == (8_000, 2, 1)
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(int)
    assert 6_000 < samples.size < 24_000
    assert np.abs(samples).max() == pytest.approx(0.7 * 32_767, rel=0.05)
    assert not (tmp_path / "campana-data").exists()


def test_a_text_may_come_by_standard_input(file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "campana", "--config", str(file), "say", "-", "-o", str(tmp_path / "hello.wav")]
    ran = subprocess.run(command, input="Grüße, 你好", capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "hello.wav").stat().st_size > 8_000


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "nothing is to be heard of the text"), ("x" * 20_001, "the text has more than 20000 characters")],
)
def test_what_cannot_be_spoken_is_refused_and_nothing_is_written(run: Run, tmp_path: Path, text: str, why: str) -> None:
    code, out, err = run("say", text, "-o", str(tmp_path / "hello.wav"))
    assert (code, out, err) == (1, "", f"campana: the text cannot be spoken: {why}\n")
    assert not (tmp_path / "hello.wav").exists()


def test_a_place_that_cannot_be_written_is_named(run: Run, tmp_path: Path) -> None:
    code, out, err = run("say", "Hello", "-o", str(tmp_path / "nowhere" / "hello.wav"))
    assert (code, out) == (1, "")
    assert "nowhere/hello.wav" in err
    assert run("say", "Hello")[0] == 2
