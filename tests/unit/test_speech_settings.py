"""`[speech]` from file and environment, and the rules of its keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from campana.config import ConfigError, describe, load


def file_with(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "campana.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_section_every_engine_may_speak(tmp_path: Path) -> None:
    speech = load(file_with(tmp_path, ""), {}).speech
    assert speech.engines == ("piper", "flite", "espeak")
    assert (speech.longest_text, speech.longest_seconds, speech.cache_mb) == (20_000, 300, 512)
    assert speech.piper_voices is None


def test_aliases_and_paths_come_from_the_file(tmp_path: Path) -> None:
    text = '[speech]\nengines = ["espeak"]\npiper_voices = "voices"\n[speech.aliases]\n"Microsoft Zira" = "flite:slt"\n'
    settings = load(file_with(tmp_path, text), {})
    assert settings.speech.aliases == {"Microsoft Zira": "flite:slt"}
    assert settings.speech.piper_voices == tmp_path / "voices"
    shown = {line.key: line.value for line in describe(settings)}
    assert shown["speech.aliases"] == {"Microsoft Zira": "flite:slt"}
    assert shown["speech.engines"] == ["espeak"]


def test_variables_set_lists_with_commas_and_aliases_as_json(tmp_path: Path) -> None:
    environ = {"CAMPANA_SPEECH__ENGINES": "flite, espeak", "CAMPANA_SPEECH__ALIASES": '{"Zira": "slt"}'}
    speech = load(file_with(tmp_path, ""), environ).speech
    assert speech.engines == ("flite", "espeak")
    assert speech.aliases == {"Zira": "slt"}


def test_aliases_that_are_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(file_with(tmp_path, ""), {"CAMPANA_SPEECH__ALIASES": "Zira=slt"})
    assert refused.value.problems == ["CAMPANA_SPEECH__ALIASES: should be a JSON object"]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("engines = []", "speech.engines"),
        ('engines = ["sapi"]', "speech.engines"),
        ("speed = 0.4", "speech.speed"),
        ("speed = 2.1", "speech.speed"),
        ("workers = 0", "speech.workers"),
        ("workers = 17", "speech.workers"),
        ("waiting = 0", "speech.waiting"),
        ("longest_text = 20_001", "speech.longest_text"),
        ("longest_seconds = 0", "speech.longest_seconds"),
        ("timeout = 0", "speech.timeout"),
        ("cache_mb = 15", "speech.cache_mb"),
        ('flite = ""', "speech.flite"),
        ("aliases = { a = 1 }", "speech.aliases.a"),
        ('voice = "x"', "speech.voice"),
    ],
)
def test_values_out_of_their_range_are_refused_by_name(tmp_path: Path, line: str, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(file_with(tmp_path, f"[speech]\n{line}\n"), {})
    assert refused.value.problems
    assert all(problem.startswith(key) for problem in refused.value.problems)
