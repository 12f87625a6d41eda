"""Owns what `campana routes check` finds out about a voice route: its trunk, and whether anything can be spoken.

Must not know SIP: a media process of its own asks, so that a route that is in use is left alone.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from campana.channels.contract import RouteReport
from campana.channels.voice.process.frames import Check, Checked, Configure, ToMain
from campana.channels.voice.process.launching import launch
from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.speech.contract import SpeechUnavailable
from campana.channels.voice.speech.speech import Speech

ANSWERS_WITHIN: Final = 45.0
"""Seconds for starting a process, looking up the trunk, and asking each of its hosts."""
GOODBYE: Final = 3.0


async def check_route(settings: VoiceRouteSettings, speech: Speech) -> RouteReport:
    """Ask the trunk once; say what was found."""
    checked, voice = await asyncio.gather(_ask_trunk(settings), _default_voice(speech))
    facts = [*checked.facts, ("speech", voice or "none")]
    if checked.ok and voice is None:
        return RouteReport(False, facts, "No speech engine is here: nothing can be spoken.")
    return RouteReport(checked.ok, facts, checked.problem)


async def _ask_trunk(settings: VoiceRouteSettings) -> Checked:
    answer: asyncio.Future[Checked] = asyncio.get_running_loop().create_future()

    def hear(frame: ToMain) -> None:
        if isinstance(frame, Checked) and not answer.done():
            answer.set_result(frame)

    try:
        link = await launch(hear)
    except OSError as error:
        return Checked(False, [], f"The media process cannot be started: {error.strerror}.")
    try:
        link.pipe.send(Configure(settings.model_dump(mode="json"), only_checks=True))
        link.pipe.send(Check())
        first: set[asyncio.Future[Any]] = {answer, link.lost}
        await asyncio.wait(first, timeout=ANSWERS_WITHIN, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if link.lost.done():
            return Checked(False, [], "The media process ended before it answered; its log says why.")
        return Checked(False, [], f"The trunk was not heard of within {ANSWERS_WITHIN:.0f} seconds.")
    finally:
        await link.end(GOODBYE)


async def _default_voice(speech: Speech) -> str | None:
    try:
        voice = await speech.resolve("")
    except SpeechUnavailable:
        return None
    return f"{voice.engine}:{voice.name} ({voice.language})"
