"""Owns what the voice names of other products suggest: languages, countries and first names, as tables.

Must not know which voices are here.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

_LANGUAGES: Final = {
    "af": "afrikaans",
    "ar": "arabic العربية",
    "az": "azerbaijani",
    "be": "belarusian",
    "bg": "bulgarian български",
    "bn": "bengali bangla",
    "bs": "bosnian bosanski",
    "ca": "catalan català",
    "cmn": "chinese mandarin 中文",
    "cs": "czech čeština",
    "cy": "welsh cymraeg",
    "da": "danish dansk",
    "de": "german deutsch allemand",
    "el": "greek ελληνικά",
    "en": "english englisch inglés anglais",
    "eo": "esperanto",
    "es": "spanish español castellano espanol",
    "et": "estonian eesti",
    "eu": "basque euskara",
    "fa": "persian farsi",
    "fi": "finnish suomi",
    "fr": "french français francais",
    "ga": "irish gaeilge",
    "gu": "gujarati",
    "he": "hebrew עברית",
    "hi": "hindi हिन्दी",
    "hr": "croatian hrvatski",
    "hu": "hungarian magyar",
    "hy": "armenian",
    "id": "indonesian bahasa",
    "is": "icelandic íslenska",
    "it": "italian italiano",
    "ja": "japanese 日本語",
    "ka": "georgian",
    "kk": "kazakh",
    "kn": "kannada",
    "ko": "korean 한국어",
    "lt": "lithuanian lietuvių",
    "lv": "latvian latviešu",
    "mk": "macedonian",
    "ml": "malayalam",
    "mr": "marathi",
    "ms": "malay melayu",
    "mt": "maltese malti",
    "nb": "norwegian norsk bokmål",
    "ne": "nepali",
    "nl": "dutch nederlands flemish",
    "pa": "punjabi",
    "pl": "polish polski",
    "pt": "portuguese português portugues",
    "ro": "romanian română",
    "ru": "russian русский",
    "sk": "slovak slovenčina",
    "sl": "slovenian slovenščina",
    "sq": "albanian shqip",
    "sr": "serbian српски srpski",
    "sv": "swedish svenska",
    "sw": "swahili kiswahili",
    "ta": "tamil",
    "te": "telugu",
    "th": "thai ไทย",
    "tr": "turkish türkçe turkce",
    "uk": "ukrainian українська",
    "ur": "urdu",
    "uz": "uzbek",
    "vi": "vietnamese",
    "yue": "cantonese",
}
"""Language names, English and its own, by the code under which voices have it."""

_SAME: Final = {"no": "nb", "nn": "nb", "zh": "cmn", "iw": "he", "in": "id", "tl": "fil"}
"""Codes that name a language which voices have under another one."""

_LATIN_AMERICAN: Final = frozenset(
    {
        "es-MX",
        "es-AR",
        "es-CO",
        "es-CL",
        "es-PE",
        "es-VE",
        "es-UY",
        "es-US",
        "es-EC",
        "es-GT",
        "es-CR",
        "es-PA",
        "es-DO",
    }
)
"""Countries whose Spanish voices have as es-419."""

_REGIONS: Final = {
    "us": "en-US",
    "american": "en-US",
    "uk": "en-GB",
    "gb": "en-GB",
    "british": "en-GB",
    "scottish": "en-GB-scotland",
    "australian": "en-AU",
    "mexican": "es-MX",
    "brazilian": "pt-BR",
    "brasil": "pt-BR",
    "canadian": "",
}
"""Words that make a language, or alone mean one."""

_PEOPLE: Final = {
    ("en-US", "female"): "zira joanna kendra kimberly salli ivy aria jenny ava samantha allison susan victoria kate "
    "julie crystal lauren michelle jessica heather laura nancy ruth danielle michele eva",
    ("en-US", "male"): "david mark joey justin matthew guy tom alex fred paul mike rich ray james christopher eric "
    "stephen gregory kevin ryan steffan roger",
    ("en-GB", "female"): "hazel amy emma sonia libby serena bridget audrey charlotte elizabeth kate-uk",
    ("en-GB", "male"): "george brian daniel oliver simon thomas arthur geraint",
    ("en-AU", "female"): "catherine nicole olivia karen natasha",
    ("en-AU", "male"): "russell lee william",
    ("en-CA", "female"): "linda clara",
    ("en-CA", "male"): "richard",
    ("en-IN", "female"): "heera raveena aditi neerja",
    ("en-IN", "male"): "ravi prabhat",
    ("de-DE", "female"): "hedda katja marlene vicki anna petra sarah klara steffi",
    ("de-DE", "male"): "stefan hans conrad markus yannick klaus reiner",
    ("fr-FR", "female"): "hortense julie-fr celine lea denise audrey-fr virginie amelie aurelie alice",
    ("fr-FR", "male"): "mathieu henri nicolas thierry remi",
    ("fr-CA", "female"): "chantal caroline gabrielle sylvie",
    ("fr-CA", "male"): "felix claude antoine",
    ("es-ES", "female"): "helena conchita lucia elvira monica carmen leonor",
    ("es-ES", "male"): "pablo enrique alvaro jorge carlos diego juan",
    ("es-MX", "female"): "sabina mia dalia paulina esperanza soledad",
    ("es-MX", "male"): "raul andres javier",
    ("es-US", "female"): "penelope lupe",
    ("es-US", "male"): "miguel pedro",
    ("it-IT", "female"): "elsa carla bianca isabella chiara paola lucia-it",
    ("it-IT", "male"): "cosimo giorgio luca roberto",
    ("pt-BR", "female"): "maria heloisa vitoria camila francisca luciana fernanda gabriela",
    ("pt-BR", "male"): "ricardo antonio felipe",
    ("pt-PT", "female"): "ines raquel joana catarina",
    ("pt-PT", "male"): "cristiano duarte",
    ("nl-NL", "female"): "lotte colette fenna claire saskia",
    ("nl-NL", "male"): "ruben frank maarten xander",
    ("pl-PL", "female"): "paulina-pl ewa maja zosia agnieszka zofia",
    ("pl-PL", "male"): "jacek jan adam marek",
    ("ru-RU", "female"): "irina tatyana svetlana milena olga",
    ("ru-RU", "male"): "pavel maxim dmitry yuri",
    ("sv-SE", "female"): "astrid elin sofie alva",
    ("sv-SE", "male"): "bengt mattias oskar",
    ("da-DK", "female"): "helle naja christel sara",
    ("da-DK", "male"): "mads jeppe magnus",
    ("nb-NO", "female"): "liv pernille nora",
    ("nb-NO", "male"): "jon finn henrik",
    ("tr-TR", "female"): "filiz emel yelda",
    ("tr-TR", "male"): "tolga ahmet cem",
    ("ja-JP", "female"): "haruka mizuki nanami kyoko ayumi",
    ("ja-JP", "male"): "ichiro takumi keita",
    ("ko-KR", "female"): "heami seoyeon sunhi yuna",
    ("cmn-CN", "female"): "huihui zhiyu xiaoxiao yaoyao tingting",
    ("cmn-CN", "male"): "kangkang yunxi yunyang",
    ("ro-RO", "female"): "carmen-ro alina ioana",
    ("cy-GB", "female"): "gwyneth nia",
    ("is-IS", "female"): "dora gudrun",
    ("is-IS", "male"): "karl gunnar",
    ("el-GR", "female"): "athina melina",
    ("fi-FI", "female"): "heidi suvi noora satu",
    ("cs-CZ", "female"): "zuzana vlasta",
    ("cs-CZ", "male"): "jakub antonin",
    ("hu-HU", "female"): "noemi mariska",
    ("hu-HU", "male"): "szabolcs tamas",
    ("hi-IN", "female"): "kalpana swara lekha",
    ("hi-IN", "male"): "hemant madhur",
    ("ar-SA", "female"): "hoda zeina zariyah laila",
    ("ar-SA", "male"): "naayf hamed maged",
}
"""First names of well-known voices, by language and gender: those that many products share."""

_GENDERS: Final = {"female": "female", "woman": "female", "frau": "female", "male": "male", "man": "male"}
_CODE: Final = re.compile(r"(?<![A-Za-z])([a-z]{2,3})[-_]((?:[A-Z][a-z]{3}[-_])?(?:[A-Z]{2}|\d{3}))(?![A-Za-z0-9])")
_WORD: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


def _plain(text: str) -> str:
    """Small letters without accents."""
    apart = unicodedata.normalize("NFD", text.casefold())
    return "".join(one for one in apart if not unicodedata.combining(one))


_BY_WORD: Final = {_plain(word): code for code, words in _LANGUAGES.items() for word in words.split()}
_BY_PERSON: Final = {word: known for known, words in _PEOPLE.items() for word in words.split() if "-" not in word}


@dataclass(frozen=True, slots=True)
class Hint:
    """What a name says about a voice. Blank where it says nothing."""

    language: str = ""
    """BCP 47."""
    gender: str = ""


def hint(name: str) -> Hint:
    """What the name suggests: a code in it first, else a language's name, else a known voice's first name."""
    words = [_plain(word) for word in _WORD.findall(_split(name))]
    pieces = [piece for word in words for piece in (word, *word.split("-"))]
    person = next((_BY_PERSON[piece] for piece in pieces if piece in _BY_PERSON), None)
    gender = next((_GENDERS[piece] for piece in pieces if piece in _GENDERS), person[1] if person else "")
    coded = _code(name)
    if coded:
        return Hint(coded, gender)
    language = next((_BY_WORD[piece] for piece in pieces if piece in _BY_WORD), "")
    region = next((_REGIONS[piece] for piece in pieces if piece in _REGIONS), "")
    if language:
        return Hint(region if region.startswith(f"{language}-") else language, gender)
    if person:
        return Hint(region if region.partition("-")[0] == person[0].partition("-")[0] else canonical(person[0]), gender)
    return Hint(region, gender)


def canonical(language: str) -> str:
    """A BCP 47 code as voices have it: `zh-CN` is `cmn-CN`, `no` is `nb`, and `es-AR` is `es-419`."""
    first, separator, rest = language.replace("_", "-").partition("-")
    whole = _SAME.get(first.lower(), first.lower()) + separator + rest
    return "es-419" if whole in _LATIN_AMERICAN else whole


def known(language: str) -> bool:
    """Whether a language is one that the tables name."""
    return canonical(language).partition("-")[0] in _LANGUAGES


def _code(name: str) -> str:
    found = _CODE.search(name)
    if found and known(found[1]):
        return canonical(f"{found[1]}-{found[2].replace('_', '-')}")
    whole = name.strip()
    plain = re.fullmatch(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{2}|\d{3}))?", whole)
    if plain and known(plain[1]):
        return canonical(plain[1] + (f"-{plain[2].upper()}" if plain[2] else ""))
    return ""


def _split(name: str) -> str:
    """Words that capitals begin, apart: `SoniaNeural` is two."""
    return re.sub(r"(?<=[a-zà-ÿ])(?=[A-Z])", " ", name)
