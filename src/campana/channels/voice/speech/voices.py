"""Owns which voice speaks for a name: one that is here, an alias, or one of the language that the name suggests.

Must not let a name pass that no engine lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from campana.channels.voice.speech.contract import SpeechUnavailable, Voice
from campana.channels.voice.speech.names import Hint, canonical, hint

Variant = Callable[[Voice, str], Voice | None]
"""What makes `en-us+f3` of `en-us` where there is such a variant; None where there is none."""

_ENGLISH: Final = Hint("en-US")
_USUAL: Final = {"en": "en-US", "fr": "fr-FR"}
"""Which country's voice speaks a language whose country is not told, where no voice is of the language alone."""
_NEIGHBOURS: Final = dict.fromkeys(("en-AU", "en-IE", "en-IN", "en-NZ", "en-ZA"), "en-GB")
"""Whose voice speaks for a country of which there is none; for all others, the usual one of the language."""
_VARIANT_OF: Final = {"female": "f3", "male": "m3"}
"""Variants of espeak-ng for a voice of another gender than the language's own."""


class VoiceBook:
    """All voices that are here, and how names lead to them."""

    def __init__(self, voices: Sequence[Voice], aliases: Mapping[str, str], default: str, variant: Variant) -> None:
        """`voices` come in the order in which they are liked."""
        self._voices = voices
        self._aliases = {_same(name): wanted for name, wanted in aliases.items()}
        self._default = default
        self._variant = variant
        self._by_name: dict[str, Voice] = {}
        for voice in voices:
            self._by_name.setdefault(voice.name.casefold(), voice)
            self._by_name[f"{voice.engine}:{voice.name}".casefold()] = voice

    def resolve(self, wanted: str) -> Voice:
        """The voice that a name stands for, the same every time. Raises SpeechUnavailable where no voice is here."""
        found = self._named(wanted) or self._suggested(hint(wanted))
        if found is None and self._default:
            found = self._named(self._default) or self._suggested(hint(self._default))
        found = found or self._suggested(_ENGLISH) or next(iter(self._voices), None)
        if found is None:
            raise SpeechUnavailable("no engine that speaks is on this machine")
        return found

    def _named(self, wanted: str) -> Voice | None:
        alias = self._aliases.get(_same(wanted))
        return self._exact(wanted) or (None if alias is None else self._exact(alias) or self._suggested(hint(alias)))

    def _exact(self, wanted: str) -> Voice | None:
        name = _same(wanted)
        base, plus, variant = name.partition("+")
        voice = self._by_name.get(base)
        return voice if voice is None or not plus else self._variant(voice, variant)

    def _suggested(self, told: Hint) -> Voice | None:
        """The best voice of the language: of its country, then of the gender, then of the engine that is liked best."""
        family = told.language.partition("-")[0]
        speak_it = [voice for voice in self._voices if canonical(voice.language).partition("-")[0] == family]
        if not family or not speak_it:
            return None
        place, voice = max(enumerate(speak_it), key=lambda item: (*self._fitness(item[1], told), -item[0]))
        return voice if self._fits(voice, told) else self._turned(speak_it[place], told)

    def _fitness(self, voice: Voice, told: Hint) -> tuple[int, bool]:
        return _nearness(canonical(voice.language), told.language), self._fits(voice, told)

    def _fits(self, voice: Voice, told: Hint) -> bool:
        return not told.gender or not voice.gender or voice.gender == told.gender

    def _turned(self, voice: Voice, told: Hint) -> Voice:
        """The voice with a variant of the gender that is asked for, where its engine has variants."""
        return self._variant(voice, _VARIANT_OF[told.gender]) or voice


def _nearness(have: str, want: str) -> int:
    """How near a voice of a language (and country) comes to the wanted one, which it shares the language with."""
    usual = _USUAL.get(want.partition("-")[0], "")
    if have.casefold() == _USUAL.get(want, want).casefold():
        return 3
    if "-" not in have or have == _NEIGHBOURS.get(want, usual):
        return 2
    return 1 if have.count("-") == 1 else 0


def _same(name: str) -> str:
    return " ".join(name.split()).casefold()
