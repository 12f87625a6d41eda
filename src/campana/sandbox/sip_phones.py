"""Owns the telephones of the sandbox's carrier: who called them, what they heard, and the WAV files of it.

Must not know SIP, sockets, fates or packets.
"""

from __future__ import annotations

import asyncio
import re
import wave
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from campana.channels.voice.media.g711 import decode
from campana.channels.voice.media.laws import OCTETS_PER_MS, SAMPLE_RATE, Law
from campana.sandbox.simulator import Boxes

MOST_FILES: Final = 500
"""WAV files of ours in a folder; then the oldest makes room."""
_OURS: Final = re.compile(r"[0-9A-Za-z+*._-]{1,64}-[0-9]+\.wav")
_UNSAFE: Final = re.compile(r"[^0-9A-Za-z+*_-]")


class Moment(Enum):
    """What a telephone lives through, in order."""

    INVITED = "invited"
    RINGING = "ringing"
    ANSWERED = "answered"
    TEXT = "text"
    """The first sound that is not silence reached it."""
    PRESSED = "pressed"
    """A key was pressed; once a key."""
    ENDED = "ended"


class EndedBy(Enum):
    """What ended a call, as the telephone saw it."""

    CALLER = "caller"
    """BYE, or CANCEL before an answer."""
    PHONE = "phone"
    """It hung up, or refused."""
    NOBODY = "nobody"
    """The caller was never heard of again."""


@dataclass(eq=False, slots=True)
class PhoneCall:
    """One call as the telephone lived it. Instants are seconds on the event loop's clock; None: it never came to it."""

    number: str
    """As dialled: the user part of the request URI."""
    attempt: int
    """1 for the first call to the number."""
    call_id: str
    caller: str
    """User part of From."""
    caller_name: str
    """Display name of From."""
    identity: tuple[tuple[str, str], ...]
    """The headers P-Asserted-Identity, P-Preferred-Identity and Remote-Party-ID as they came."""
    invited_at: float
    invites: int = 1
    """Copies of the INVITE that came."""
    rang_at: float | None = None
    answered_at: float | None = None
    text_at: float | None = None
    ended_at: float | None = None
    status: int = 0
    """The final response to the INVITE; 0 for none."""
    ended_by: EndedBy | None = None
    cancels: int = 0
    byes: int = 0
    law: Law | None = None
    heard: bytearray = field(default_factory=bytearray, repr=False)
    """Octets of `law`, in the order of their timestamps, what was lost as silence; empty where none are kept."""
    heard_octets: int = 0
    """Octets of sound that were listened to, kept or not."""
    packets: int = 0
    """RTP packets with sound that came, listened to or not."""
    reports: int = 0
    """RTCP packets that came."""
    longest_gap_ms: float = 0.0
    """Between two packets, by when they were read: 5 ms of it are the reader's."""
    pressed: str = ""
    """Keys that the telephone has pressed."""
    wav: Path | None = None
    moments: list[Moment] = field(default_factory=list)

    @property
    def heard_seconds(self) -> float:
        """Seconds of sound listened to."""
        return self.heard_octets / OCTETS_PER_MS / 1_000

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.ended_at is not None


class Telephones(Boxes[PhoneCall]):
    """All calls that came, and those that have ended as messages that a test may expect."""

    def __init__(self, keep: int, folder: Path | None, on_moment: Callable[[PhoneCall, Moment], None] | None) -> None:
        super().__init__(keep, None)
        self.calls: deque[PhoneCall] = deque(maxlen=keep)
        """The latest calls, oldest first."""
        self._attempts: Counter[str] = Counter()
        self._folder = folder
        self._on_moment = on_moment
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self, call: PhoneCall) -> None:
        """A new call came; it gets the number of its attempt."""
        self._attempts[call.number] += 1
        call.attempt = self._attempts[call.number]
        self.counts[call.number] += 1
        self.calls.append(call)
        self.tell(call, Moment.INVITED)

    def tell(self, call: PhoneCall, moment: Moment) -> None:
        """Something has happened to a call; at its end the sound is put into a file."""
        call.moments.append(moment)
        if moment is Moment.ENDED:
            if self._folder is not None and call.law is not None and call.heard:
                call.wav = save(call, call.law, self._folder)
            self.put(call)
        if self._on_moment is not None:
            self._on_moment(call, moment)
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def until(self, wanted: Callable[[PhoneCall], bool], within: float) -> PhoneCall | None:
        """The oldest call that is as wanted, as soon as one is; None where that took longer than `within` seconds."""
        try:
            async with asyncio.timeout(within):
                while True:
                    found = next((call for call in self.calls if wanted(call)), None)
                    if found is not None:
                        return found
                    await self._news_of_any()
        except TimeoutError:
            return None

    async def _news_of_any(self) -> None:
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(news)
        try:
            await news
        finally:
            self._waiting.discard(news)


def save(call: PhoneCall, law: Law, folder: Path) -> Path:
    """Write what was heard as `NUMBER-ATTEMPT.wav`, 8 kHz, 16 bits, one channel. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(
        (path for path in folder.iterdir() if _OURS.fullmatch(path.name)), key=lambda path: path.stat().st_mtime_ns
    )
    for oldest in files[: len(files) - MOST_FILES + 1] if len(files) >= MOST_FILES else ():
        oldest.unlink(missing_ok=True)
    path = folder / f"{_UNSAFE.sub('_', call.number)[:48] or 'nobody'}-{call.attempt}.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(decode(call.heard, law).astype("<i2").tobytes())
    return path
