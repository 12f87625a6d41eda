"""Owns whether the trunk is there: OPTIONS asked regularly, the registration kept up, and the state that follows.

Must not know calls, but for one that tells that the trunk refused our credentials.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from campana.channels.voice.sip.contract import TrunkState
from campana.channels.voice.sip.errand import Errand
from campana.channels.voice.sip.flow import Target
from campana.channels.voice.sip.headers import SipSyntaxError, parse_parameters, split_address
from campana.channels.voice.sip.message import Response
from campana.channels.voice.sip.stack import Stack

RECHECK_SECONDS: Final = 60.0
"""How long a trunk that refused our credentials is taken for misconfigured, where nothing else is asked of it."""
SOON_SECONDS: Final = 5.0
"""Pause between questions while the trunk is down, where the usual pause is longer."""
REFRESH_AT: Final = 0.8
"""Share of the time that a registration holds after which it is renewed."""
SHORTEST_REGISTRATION: Final = 10
LONGEST_REGISTRATION: Final = 86_400
REFUSED: Final = "misconfigured: the trunk refuses username and password"

TellState = Callable[[TrunkState, str], None]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """What asking has found: `problem` is blank where all is well."""

    problem: str = ""
    facts: tuple[tuple[str, str], ...] = ()


class Watch:
    """Keeps an eye on the trunk."""

    def __init__(self, stack: Stack, tell_state: TellState) -> None:
        self._stack = stack
        self._tell_state = tell_state
        self._options = Errand(stack, "OPTIONS")
        self._register = Errand(stack, "REGISTER")
        self._told: tuple[TrunkState, str] | None = None
        settings = stack.settings
        self._problems = {
            "ping": "" if not settings.ping else None,
            "register": None if settings.register_every else "",
        }
        self._registered_at: Target | None = None
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to ask."""
        self._note()
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(self._keep_asking()))
        if self._stack.settings.register_every:
            self._tasks.append(loop.create_task(self._keep_registered()))

    async def stop(self) -> None:
        """Ask no more, and take the registration back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._registered_at is not None:
            with suppress(OSError):
                await self._register.run(self._registered_at, (("Expires", "0"),))

    def refused(self) -> None:
        """The trunk refused our credentials in a call."""
        self._problems["ping"] = REFUSED
        self._note()

    def doubt(self) -> None:
        """A call could not reach the trunk: ask now."""
        self._wake.set()

    # --- asking --------------------------------------------------------------------------------------------------

    async def ping(self) -> Finding:
        """Ask the hosts in turn until one answers."""
        locator, loop = self._stack.locator, asyncio.get_running_loop()
        problem = "no host of the trunk could be found"
        for target in await locator.targets():
            asked = loop.time()
            try:
                response = await self._options.run(target)
            except OSError as error:
                problem = f"{target.name}: {_words(error)}"
                locator.failed(target)
                continue
            problem = _judge(response, bool(self._stack.settings.username))
            if problem and problem != REFUSED:
                locator.failed(target)
                continue
            locator.worked(target)
            where = f"{target.transport.value} {target.name}:{target.port}"
            answer = f"{response.status} {response.reason}, after {(loop.time() - asked) * 1_000:.0f} ms"
            return Finding(problem, (("trunk", where), ("OPTIONS", answer)))
        return Finding(problem)

    async def register(self, seconds: int) -> tuple[Finding, int]:
        """Register once; what was found, and for how many seconds it holds."""
        problem = "no host of the trunk could be found"
        for target in await self._stack.locator.targets():
            try:
                response = await self._register_at(target, seconds)
            except OSError as error:
                problem = f"{target.name}: {_words(error)}"
                self._stack.locator.failed(target)
                continue
            fact = (("REGISTER", f"{response.status} {response.reason}"),)
            if 200 <= response.status < 300:
                self._registered_at = target
                return Finding("", fact), _granted(response, seconds)
            if response.status in (401, 403, 407):
                return Finding(REFUSED, fact), 0
            problem = f"the registration was refused with {response.status} {response.reason}"
        return Finding(problem), 0

    async def _register_at(self, target: Target, seconds: int) -> Response:
        response = await self._register.run(target, (("Expires", str(seconds)),))
        if response.status == 423:
            least = _seconds(response.headers.get("Min-Expires"))
            if least is not None and seconds < least <= LONGEST_REGISTRATION:
                response = await self._register.run(target, (("Expires", str(least)),))
        return response

    # --- again and again -----------------------------------------------------------------------------------------

    async def _keep_asking(self) -> None:
        every = self._stack.settings.ping
        while True:
            if every:
                self._problems["ping"] = (await self.ping()).problem
                self._note()
            pause = every or RECHECK_SECONDS
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(pause, SOON_SECONDS) if every and self._problems["ping"] else pause):
                    await self._wake.wait()
            if not every and self._problems["ping"]:
                self._problems["ping"] = ""
                self._note()

    async def _keep_registered(self) -> None:
        wanted = self._stack.settings.register_every
        while True:
            finding, holds = await self.register(wanted)
            self._problems["register"] = finding.problem
            self._note()
            await asyncio.sleep(REFRESH_AT * holds if holds else min(REFRESH_AT * wanted, SOON_SECONDS))

    def _note(self) -> None:
        problem = next((one for one in self._problems.values() if one), "")
        if problem:
            state = TrunkState.DOWN
        else:
            state = TrunkState.CONNECTING if None in self._problems.values() else TrunkState.UP
        if (state, problem) != self._told:
            self._told = (state, problem)
            log = _log.warning if state is TrunkState.DOWN else _log.info
            log("voice.trunk_state", route=self._stack.settings.name, state=state.value, reason=problem)
            self._tell_state(state, problem)


def _judge(response: Response, has_user: bool) -> str:
    """What is wrong after an answer to OPTIONS: any but 408 and 503 shows that the trunk is there."""
    if response.status in (408, 503):
        return f"the trunk answers {response.status} {response.reason}"
    return REFUSED if has_user and response.status in (401, 407) else ""


def _granted(response: Response, wanted: int) -> int:
    """For how many seconds a registration holds: our Contact's `expires`, else Expires, else as wished."""
    granted: int | None = None
    for value in response.headers.all("Contact"):
        try:
            uri, parameters = split_address(value)
            if uri.lower().startswith("sip:campana@"):
                granted = _seconds(parse_parameters(parameters).get("expires")) or granted
        except SipSyntaxError:
            continue
    granted = granted or _seconds(response.headers.get("Expires")) or wanted
    return min(max(granted, SHORTEST_REGISTRATION), LONGEST_REGISTRATION)


def _seconds(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 9 else None


def _words(error: OSError) -> str:
    """What an error says, without addresses of ours."""
    return "no answer in time" if isinstance(error, TimeoutError) else (error.strerror or type(error).__name__)
