"""Owns the sandbox mail server: an SMTP server on a real socket that takes messages and lets each meet its fate.

Must not know anything of Campana: it speaks the wire protocol and nothing else.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack, cast

import structlog

from campana.domain.moment import Clock
from campana.sandbox.magic_mail import DELIVERED, Answer, Fate, Notice, Step, fate_of
from campana.sandbox.mail_boxes import Mailboxes, ReceivedMail, journal_entries
from campana.sandbox.mail_link import MailLink
from campana.sandbox.mail_notices import NotTaken, Office, hand_in, write_notice
from campana.sandbox.simulator import Simulator, run

EXTENSIONS: Final = frozenset({"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"})
_TAKEN: Final = "250 2.0.0 Taken"
_LATE: Final = 10
_HAND_IN_TRIES: Final = 30

_log = structlog.get_logger(__name__)


class MailOptions(TypedDict, total=False):
    """What may be set of a simulator, all of it also later, as attributes of the same names."""

    magic: bool
    """Magic recipients meet their fates (true), or everything is delivered."""
    latency: float
    """Seconds before any answer (0)."""
    extensions: frozenset[str]
    """What is offered besides STARTTLS and AUTH (EXTENSIONS)."""
    size: int
    """The largest message taken, in octets (10 MiB)."""
    users: dict[str, str] | None
    """Passwords by user; none lets everybody send."""
    implicit_tls: bool
    """With a TLS context: TLS from the first byte in place of STARTTLS (false). Fixed at the start."""
    keep: int
    """Messages to keep; 0 makes the simulator a sink that only counts (10,000). Fixed at the start."""
    slow_delay: float
    """Seconds before a slow message is answered (2)."""
    bounce_to: Office | None
    """Where bounces are handed in; none keeps them to itself."""
    bounce_delay: float
    """Seconds from taking a message to its bounce (0.2); ten times that for a late one."""


class MailSimulator(Simulator[MailLink]):
    """A mail server for tests, the demo and benchmarks. `start` it, give `port` to a client, `stop` it."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        clock: Clock | None = None,
        on_message: Callable[[ReceivedMail], None] | None = None,
        journal: Path | None = None,
        tls: ssl.SSLContext | None = None,
        **options: Unpack[MailOptions],
    ) -> None:
        super().__init__(host, port, journal, clock)
        self.magic = options.get("magic", True)
        self.latency = options.get("latency", 0.0)
        self.extensions = options.get("extensions", EXTENSIONS)
        self.size = options.get("size", 10 * 1024 * 1024)
        self.users = options.get("users")
        self.slow_delay = options.get("slow_delay", 2.0)
        self.bounce_to = options.get("bounce_to")
        self.bounce_delay = options.get("bounce_delay", 0.2)
        self.accepted = 0
        """Messages taken."""
        self.connections = 0
        """Connections made, since the start."""
        self.boxes = Mailboxes(options.get("keep", 10_000), on_message)
        self._keep = options.get("keep", 10_000)
        self._on_message = on_message
        self._implicit_tls = options.get("implicit_tls", False)
        self._tls = tls
        self._met: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- its life --------------------------------------------------------------------------------------------------

    def _link(self) -> MailLink:
        return MailLink(self)

    def _tls_from_the_start(self) -> ssl.SSLContext | None:
        return self._tls if self._implicit_tls else None

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- what tests ask of it --------------------------------------------------------------------------------------

    @property
    def messages(self) -> deque[ReceivedMail]:
        """The latest messages, oldest first."""
        return self.boxes.messages

    @property
    def counts(self) -> Counter[str]:
        """Messages taken, by recipient."""
        return self.boxes.counts

    async def expect(self, recipient: str, within: float = 5.0) -> ReceivedMail:
        """The oldest message to `recipient` not expected before. Raises TimeoutError after `within` seconds."""
        found = await self.boxes.expect(lambda mail: recipient in mail.recipients, within)
        if found is None:
            raise TimeoutError(f"no message to {recipient} came within {within:g} s")
        return found

    @property
    def unexpected(self) -> list[ReceivedMail]:
        """The messages that nobody has expected, oldest first."""
        return self.boxes.unexpected

    # --- what links ask of it --------------------------------------------------------------------------------------

    @property
    def tls_offered(self) -> bool:
        """STARTTLS is offered."""
        return self._tls is not None and not self._implicit_tls

    def now(self) -> tuple[int, int]:
        """What is read now came no earlier than the first, and is read at the second, in epoch milliseconds."""
        return self.looks.since, self.clock()

    def came(self, link: MailLink) -> None:
        """A client has come."""
        super().came(link)
        self.connections += 1

    def start_tls(self, link: MailLink) -> None:
        """Upgrade a connection."""
        self._keep_task(self._upgrade(link))

    def recipient(self, address: str) -> str:
        """Return the refusal of a recipient, empty where it is taken."""
        if not self.magic:
            return ""
        fate, refusals = fate_of(address)
        return fate.reply if fate.step is Step.RCPT and self._refuses(fate, refusals, address) else ""

    def message(self, link: MailLink, content: bytes) -> None:
        """Decide about a message and tell the link how to answer: its first recipient's fate is the message's."""
        self._met_at_end(link, content, *self._fate(link.recipients[0]))

    # --- fates -----------------------------------------------------------------------------------------------------

    def _fate(self, address: str) -> tuple[Fate, int | None]:
        return fate_of(address) if self.magic else (DELIVERED, None)

    def _refuses(self, fate: Fate, refusals: int | None, address: str) -> bool:
        if not fate.reply:
            return False
        self._met[address] += 1
        return refusals is None or self._met[address] <= refusals

    def _met_at_end(self, link: MailLink, content: bytes, fate: Fate, refusals: int | None) -> None:
        address = link.recipients[0]
        if fate.step is Step.END and self._refuses(fate, refusals, address):
            link.answer(fate.reply)
            return
        answer = fate.answer
        if answer in {Answer.LOST, Answer.HANG_UP}:
            self._met[address] += 1
            answer = answer if self._met[address] == 1 else Answer.TAKEN
        if answer is Answer.HANG_UP:
            link.cut()
            return
        self._take(link, content, fate.notice)
        if answer is Answer.SLOW:
            link.answer_later(_TAKEN, self.slow_delay)
        elif answer is Answer.SILENCE:
            link.fall_silent()
        elif answer is Answer.LOST:
            self.flush_journal()
            link.cut()
        else:
            link.answer(_TAKEN)

    def _take(self, link: MailLink, content: bytes, notice: Notice | None) -> None:
        self.accepted += 1
        if not self._keep and self._journal is None and self._on_message is None and notice is None:
            return
        since, begun = link.began
        mail = ReceivedMail(
            sender=link.sender or "",
            recipients=tuple(link.recipients),
            raw=content,
            at=self.clock(),
            begun=begun,
            since=since,
            connections=len(self.links),
        )
        self.boxes.take(mail)
        if self._journal is not None:
            for entry in journal_entries(mail):
                self._journal.note(entry)
        if notice is not None and self.bounce_to is not None and mail.sender:
            self._keep_task(self._send_back(notice, mail, self.bounce_to))

    # --- what runs beside ------------------------------------------------------------------------------------------

    def _keep_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _upgrade(self, link: MailLink) -> None:
        assert self._tls is not None
        assert link.transport is not None
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(link.transport, link, self._tls, server_side=True)
        except OSError:
            link.cut()
            return
        link.resume_encrypted(cast(asyncio.Transport, transport))

    async def _send_back(self, notice: Notice, mail: ReceivedMail, office: Office) -> None:
        """Hand a notice in as a mail server does: again and again until it is taken."""
        message = write_notice(notice, mail)
        sender = "" if notice.status else mail.recipients[0]
        await asyncio.sleep(self.bounce_delay * (_LATE if notice.late else 1))
        for _ in range(_HAND_IN_TRIES):
            try:
                await hand_in(office, sender, mail.sender, message)
                return
            except (OSError, NotTaken) as error:
                _log.info("sandbox.notice_not_taken", error=type(error).__name__)
            await asyncio.sleep(1.0)


async def serve_mail(
    host: str,
    port: int,
    journal: Path | None = None,
    ready: Callable[[int], None] | None = None,
    **options: Unpack[MailOptions],
) -> None:
    """Run a simulator until cancelled; `ready` is told the port. Raises OSError where the port is taken."""
    await run(MailSimulator(host, port, journal=journal, **options), ready)
