"""Owns how fast texts become finished clips: seconds of sound in a second, from text to both laws on disk.

Must not know how an engine speaks. The ceiling is espeak-ng alone in as many processes, its samples thrown away.
"""

from __future__ import annotations

import asyncio
import json
import runpy
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.processes import folder, python, running
from benchmarks.report import Finding, Scale, Target, median, number
from campana.channels.voice.speech.espeak import CHILD
from campana.channels.voice.speech.settings import SpeechSettings
from campana.channels.voice.speech.speech import Speech

COUNT = 400
WORKERS = 2
VOICE = "en-us"
REAL_TIME = 250
SAMPLE_OCTETS = 2


def run(scale: Scale) -> Iterator[Finding]:
    """Texts that were never spoken before, then the same ones again."""
    count = scale.size(COUNT, 8)
    ours, bare = [], []
    for _ in range(scale.rounds):
        bare.append(_bare(count))
        ours.append(_ours(count))
    speed, most = (median([one["seconds"] / one["took"] for one in of]) for of in (ours, bare))
    again = median([count / one["again"] for one in ours])
    yield Finding(
        "speech",
        f"{number(speed)} x real time: texts to clips in both laws on disk",
        f"{number(most)} x: espeak-ng alone in {WORKERS} processes, its samples thrown away",
        f"{speed / most * 100:.0f} %",
        (Target(speed, REAL_TIME, "x real time"),),
        (
            f"{count} texts of some 190 characters, {ours[0]['seconds'] / count:.1f} s each, voice {VOICE}, "
            f"{WORKERS} workers",
            f"the same texts again, from the cache: {number(again)} clips/s",
        ),
    )


def _ours(count: int) -> dict[str, Any]:
    with folder() as place, running(python("benchmarks.speech", "clips", count, place)) as one:
        return one.answer()


def _bare(count: int) -> dict[str, Any]:
    with ExitStack() as stack:
        each = count // WORKERS
        parts = [
            stack.enter_context(running(python("benchmarks.speech", "bare", each, number * each)))
            for number in range(WORKERS)
        ]
        answers = [part.answer() for part in parts]
    return {
        "seconds": sum(answer["seconds"] for answer in answers),
        "took": max(answer["took"] for answer in answers),
    }


def text(place: int) -> str:
    """One of the texts; all are different."""
    return (
        f"Hello. This is a message from the clinic for number {place}. Your appointment of Thursday was moved "
        "to Friday, the third of May, at half past nine. Please press one to confirm it, or call us back."
    )


def bare(count: int, first: int) -> None:
    """Speak in this process; printed are the seconds of sound and the time that it took."""
    library = runpy.run_path(str(CHILD))["Library"]()
    file = next(one["file"] for one in library.describe()["voices"] if VOICE in one["languages"])
    began = time.perf_counter()
    octets = sum(len(library.speak(file, text(first + place), 1.0, 10**8)) - 4 for place in range(count))
    took = time.perf_counter() - began
    print(json.dumps({"seconds": octets / SAMPLE_OCTETS / 22_050, "took": took}), flush=True)


async def clips(count: int, place: Path) -> None:
    """Have clips made; printed are the seconds of sound, and the time that it took the first and the second time."""
    speech = Speech(SpeechSettings(engines=("espeak",), workers=WORKERS), place)
    await speech.start()
    began = time.perf_counter()
    made = await asyncio.gather(*(speech.clip(text(number), VOICE) for number in range(count)))
    took = time.perf_counter() - began
    began = time.perf_counter()
    await asyncio.gather(*(speech.clip(text(number), VOICE) for number in range(count)))
    again = time.perf_counter() - began
    await speech.close()
    seconds = sum(clip.ms for clip in made) / 1_000
    print(json.dumps({"seconds": seconds, "took": took, "again": again}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "bare":
        bare(int(sys.argv[2]), int(sys.argv[3]))
    else:
        uvloop.run(clips(int(sys.argv[2]), Path(sys.argv[3])))
