"""Which voice speaks for a name, with the voices that a machine may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.voice.speech.contract import SpeechUnavailable, Voice
from campana.channels.voice.speech.names import Hint, hint
from campana.channels.voice.speech.voices import VoiceBook

PIPER = [Voice("piper", "de_DE-thorsten-medium", "de-DE"), Voice("piper", "en_GB-alba-medium", "en-GB")]
FLITE = [
    Voice("flite", "slt", "en-US", "female"),
    Voice("flite", "rms", "en-US", "male"),
    Voice("flite", "awb", "en-GB-scotland", "male"),
]
ESPEAK = [
    Voice("espeak", name, language, "male")
    for name, language in [
        *(("cmn", "cmn"), ("de", "de"), ("en-029", "en-029"), ("en-gb", "en-GB"), ("en-gb-scotland", "en-GB-scotland")),
        *(("en-us", "en-US"), ("en-us-nyc", "en-US-nyc"), ("es", "es"), ("es-419", "es-419"), ("fr-be", "fr-BE")),
        *(("fr-fr", "fr-FR"), ("nb", "nb"), ("pt", "pt"), ("pt-br", "pt-BR"), ("ru", "ru")),
    ]
]


def variant(voice: Voice, name: str) -> Voice | None:
    if voice.engine != "espeak" or name not in {"f3", "m3"}:
        return None
    return Voice("espeak", f"{voice.name}+{name}", voice.language, "female" if name == "f3" else "male")


def book(voices: list[Voice], aliases: dict[str, str] | None = None, default: str = "") -> VoiceBook:
    return VoiceBook(voices, aliases or {}, default, variant)


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("Microsoft Zira Desktop", Hint("en-US", "female")),
        ("Microsoft David", Hint("en-US", "male")),
        ("Microsoft Hedda Desktop - German", Hint("de", "female")),
        ("Polly.Joanna", Hint("en-US", "female")),
        ("Polly.Conchita-Neural", Hint("es-ES", "female")),
        ("en-GB-SoniaNeural", Hint("en-GB", "female")),
        ("de-DE-Standard-A", Hint("de-DE")),
        ("cmn-CN-Wavenet-B", Hint("cmn-CN")),
        ("zh-CN-XiaoxiaoNeural", Hint("cmn-CN", "female")),
        ("es-MX-DaliaNeural", Hint("es-419", "female")),
        ("IVONA 2 Amy", Hint("en-GB", "female")),
        ("Loquendo Susan", Hint("en-US", "female")),
        ("VW Kate", Hint("en-US", "female")),
        ("Carlos", Hint("es-ES", "male")),
        ("fr-CA Chantal", Hint("fr-CA", "female")),
        ("Polly.Chantal", Hint("fr-CA", "female")),
        ("Microsoft Caroline", Hint("fr-CA", "female")),
        ("Polly.Miguel", Hint("es-419", "male")),
        ("Chrome OS Deutsch 1", Hint("de")),
        ("Google UK English Female", Hint("en-GB", "female")),
        ("Google UK English Male", Hint("en-GB", "male")),
        ("Google français", Hint("fr")),
        ("Español", Hint("es")),
        ("Brazilian Portuguese", Hint("pt-BR")),
        ("pt-br", Hint("pt-BR")),
        ("pt_BR", Hint("pt-BR")),
        ("no", Hint("nb")),
        ("Русский", Hint("ru")),
        ("en-zz", Hint("en-ZZ")),
        ("RoboVoice 3000", Hint()),
        ("", Hint()),
        ("-nope", Hint()),
        ("xx-YY-Something", Hint()),
    ],
)
def test_names_of_other_products_suggest_a_language(name: str, suggested: Hint) -> None:
    assert hint(name) == suggested


@pytest.mark.parametrize(
    ("wanted", "voices", "found"),
    [
        ("slt", FLITE + ESPEAK, "flite:slt"),
        (" SLT ", FLITE + ESPEAK, "flite:slt"),
        ("Flite:RMS", FLITE + ESPEAK, "flite:rms"),
        ("espeak:en-us", FLITE + ESPEAK, "espeak:en-us"),
        ("en-us", FLITE + ESPEAK, "espeak:en-us"),
        ("en-US+F3", FLITE + ESPEAK, "espeak:en-us+f3"),
        ("en-us+nope", FLITE + ESPEAK, "flite:slt"),
        ("slt+f3", FLITE + ESPEAK, "flite:slt"),
        ("flite:slt", ESPEAK, "espeak:en-us"),
        ("Microsoft Zira", FLITE + ESPEAK, "flite:slt"),
        ("Microsoft David", FLITE + ESPEAK, "flite:rms"),
        ("Microsoft Zira", ESPEAK, "espeak:en-us+f3"),
        ("en-GB-SoniaNeural", FLITE + ESPEAK, "espeak:en-gb+f3"),
        ("en-GB-SoniaNeural", PIPER + FLITE + ESPEAK, "piper:en_GB-alba-medium"),
        ("German", FLITE + ESPEAK, "espeak:de"),
        ("de-DE-Standard-A", PIPER + ESPEAK, "piper:de_DE-thorsten-medium"),
        ("Polly.Marlene", ESPEAK, "espeak:de+f3"),
        ("English", ESPEAK, "espeak:en-us"),
        ("French", ESPEAK, "espeak:fr-fr"),
        ("es-AR-Someone", ESPEAK, "espeak:es-419"),
        ("Portuguese", ESPEAK, "espeak:pt"),
        ("Microsoft Sabina", ESPEAK, "espeak:es-419+f3"),
        ("Polly.Chantal", ESPEAK, "espeak:fr-fr+f3"),
        ("Microsoft Richard", ESPEAK, "espeak:en-us"),
        ("en-AU-NatashaNeural", ESPEAK, "espeak:en-gb+f3"),
        ("en-IN", ESPEAK, "espeak:en-gb"),
        ("en-029", ESPEAK, "espeak:en-029"),
        ("Swahili", FLITE + ESPEAK, "flite:slt"),
        ("-nope", FLITE + ESPEAK, "flite:slt"),
        ("nope", ESPEAK, "espeak:en-us"),
        ("", ESPEAK, "espeak:en-us"),
        ("anything", [ESPEAK[1]], "espeak:de"),
    ],
)
def test_a_name_finds_a_voice_that_is_here(wanted: str, voices: list[Voice], found: str) -> None:
    voice = book(voices).resolve(wanted)
    assert f"{voice.engine}:{voice.name}" == found


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("house voice", "rms"),
        ("  House   VOICE ", "rms"),
        ("Zira", "en-us+f3"),
        ("by language", "de"),
        ("slt", "slt"),
        ("nowhere", "ru"),
        ("who knows", "ru"),
    ],
)
def test_aliases_and_the_default_come_from_the_configuration(wanted: str, found: str) -> None:
    aliases = {"House Voice": "rms", "Zira": "espeak:en-us+f3", "by language": "German", "slt": "rms", "nowhere": "??"}
    assert book(FLITE + ESPEAK, aliases, "Russian").resolve(wanted).name == found


def test_a_default_that_is_not_here_is_english() -> None:
    assert book(ESPEAK, default="nope").resolve("").name == "en-us"


def test_without_any_voice_nothing_speaks() -> None:
    with pytest.raises(SpeechUnavailable):
        book([]).resolve("slt")


@given(st.text() | st.sampled_from(["en-us+", "+f3", ":", "espeak:", "flite:+", "en-US-x-y"]))
def test_whatever_is_asked_for_the_voice_is_listed_and_stays_the_same(wanted: str) -> None:
    voices = book(PIPER + FLITE + ESPEAK)
    voice = voices.resolve(wanted)
    listed = [*PIPER, *FLITE, *ESPEAK]
    assert voice in listed or Voice(voice.engine, voice.name.partition("+")[0], voice.language, "male") in listed
    assert voices.resolve(wanted) == voice
