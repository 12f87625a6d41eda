"""Owns a process that speaks with espeak-ng: requests come by its standard input, sound leaves by its standard output.

Must not import anything of Campana, nor be imported by it: the library is under the GPL and stays in a process of its
own, as if it were a program. A frame is 4 octets of length (network order) and so many octets. A request is JSON:
`{"voices": true}`, or `{"voice": ..., "text": ..., "speed": ..., "octets": ...}`. An answer is an octet of kind
(`V` voices, `S` sound, `R` refused) and JSON, or for sound: 4 octets of sample rate and the samples.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, BinaryIO

import espeakng_loader

_LOADER: Any = espeakng_loader
_RETRIEVAL = 1
_NO_EXIT = 0x8000
_UTF8 = 1
_CHARACTERS = 1
_RATE = 1
_STANDARD_RATE = 175
"""Words a minute of espeak-ng where nobody asks for another speed."""
_GENDERS = {1: "male", 2: "female"}
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Voice(ctypes.Structure):
    """espeak_VOICE of speak_lib.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("unused", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class Library:
    """espeak-ng in this process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(_LOADER.get_library_path())
        self._data = Path(_LOADER.get_data_path())
        self._rate = self._library.espeak_Initialize(_RETRIEVAL, 200, str(self._data).encode(), _NO_EXIT)
        if self._rate <= 0:
            raise OSError(f"espeak-ng cannot use its data in {self._data}")
        self._library.espeak_Info.restype = ctypes.c_char_p
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self._library.espeak_GetCurrentVoice.restype = ctypes.POINTER(_Voice)
        self._samples = bytearray()
        self._most = 0
        self._callback = _Callback(self._take)
        self._library.espeak_SetSynthCallback(self._callback)

    def _take(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._samples += ctypes.string_at(samples, count * 2)
        return 1 if len(self._samples) > self._most else 0

    def describe(self) -> dict[str, object]:
        """Version, voices and variants, as the library lists them."""
        wanted = _Voice()
        variant = ctypes.create_string_buffer(b"variant")
        wanted.languages = ctypes.cast(variant, ctypes.c_void_p)
        return {
            "version": self._library.espeak_Info(None).decode(),
            "voices": [one for one in self._list(None) if self._is_whole(one)],
            "variants": self._list(ctypes.byref(wanted)),
        }

    def _is_whole(self, voice: dict[str, Any]) -> bool:
        """Whether the voice has its dictionary, and is none of mbrola, whose data are not here."""
        path = self._data / "lang" / voice["file"]
        if not path.is_file():
            return False
        named = re.search(r"^dictionary\s+(\w+)", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        dictionary = named[1] if named else voice["languages"][0].partition("-")[0]
        return (self._data / f"{dictionary}_dict").is_file()

    def _list(self, wanted: Any) -> list[dict[str, Any]]:
        listed = self._library.espeak_ListVoices(wanted)
        found = []
        place = 0
        while listed[place]:
            voice = listed[place].contents
            found.append(
                {
                    "name": voice.name.decode("utf-8", "replace").strip(),
                    "file": voice.identifier.decode("utf-8", "replace"),
                    "languages": _languages(voice.languages),
                    "gender": _GENDERS.get(voice.gender, ""),
                }
            )
            place += 1
        return found

    def speak(self, voice: str, text: str, speed: float, most: int) -> bytes | str:
        """Rate and samples of a text; a sentence where it is refused. `voice` is a file as listed, perhaps with
        `+` and a variant; `most` is in octets of samples."""
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0 or self._current() != voice:
            return "there is no such voice"
        self._library.espeak_SetParameter(_RATE, round(_STANDARD_RATE * speed), 0)
        self._samples = bytearray()
        self._most = most
        octets = text.encode("utf-8", "ignore").replace(b"\0", b" ") + b"\0"
        if self._library.espeak_Synth(octets, len(octets), 0, _CHARACTERS, 0, _UTF8, None, None) != 0:
            return "espeak-ng refuses the text"
        self._library.espeak_Synchronize()
        return int(self._rate).to_bytes(4, "big") + bytes(self._samples)

    def _current(self) -> str:
        identifier: bytes = self._library.espeak_GetCurrentVoice().contents.identifier
        return identifier.decode("utf-8", "replace")


def _languages(listed: int | None) -> list[str]:
    """Languages of a voice: an octet of priority and a name that ends with NUL, again and again until an octet 0."""
    found: list[str] = []
    if listed is None:
        return found
    while ctypes.string_at(listed, 1) != b"\0":
        name = ctypes.string_at(listed + 1)
        found.append(name.decode("ascii", "replace"))
        listed += len(name) + 2
    return found


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    body = stream.read(int.from_bytes(head, "big"))
    return body if len(body) == int.from_bytes(head, "big") else None


def _write(stream: BinaryIO, kind: bytes, body: bytes) -> None:
    stream.write((len(body) + 1).to_bytes(4, "big") + kind + body)
    stream.flush()


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    try:
        library = Library()
    except OSError as error:
        _write(answers, b"R", json.dumps(f"espeak-ng cannot be loaded: {error}").encode())
        return
    while (frame := _read(requests)) is not None:
        request = json.loads(frame)
        if "voices" in request:
            _write(answers, b"V", json.dumps(library.describe()).encode())
            continue
        spoken = library.speak(request["voice"], request["text"], request["speed"], request["octets"])
        if isinstance(spoken, bytes):
            _write(answers, b"S", spoken)
        else:
            _write(answers, b"R", json.dumps(spoken).encode())


if __name__ == "__main__":
    os.nice(5)
    serve(sys.stdin.buffer, sys.stdout.buffer)
