"""Owns one SMTP connection (RFC 5321): writing messages in groups (RFC 2920) and telling what became of each.

Must not know how it was opened (opening.py), how many others there are (pool.py) or when to try again. All of it
runs in data_received: one write and one read a message, no task and no timer of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from campana.channels.contract import Accepted
from campana.channels.email.codes import Verb, clean, enhanced_code, judge
from campana.channels.email.jobs import Abilities, Job, JobQueue
from campana.channels.email.replies import MalformedReply, Reply, ReplyReader
from campana.channels.email.settings import EmailRouteSettings
from campana.channels.errors import SendError, Uncertain, Unreachable, Withdrawn
from campana.domain.outcome import DeliveryCode

_MAIL, _RCPT, _DATA, _END, _RSET, _QUIT = Verb.MAIL, Verb.RCPT, Verb.DATA, Verb.END, Verb.RSET, Verb.QUIT
_QUIT_SECONDS = 5.0
_NEVER = float("inf")


class Session(asyncio.Protocol):
    """A connection to the relay. While it opens, `exchange` speaks line by line; once `ready`, it takes jobs.

    `on_idle` is called whenever it has nothing to do, `on_lost` once when it is gone: with the reason, or None
    where it was no loss (closed by us, or by the server while idle).
    """

    def __init__(
        self,
        settings: EmailRouteSettings,
        queue: JobQueue,
        on_idle: Callable[[Session], None],
        on_lost: Callable[[Session, SendError | None], None],
    ) -> None:
        self.transport: asyncio.Transport | None = None
        self.abilities = Abilities()
        self.fruitful = False
        """The server has answered for at least one message."""
        self._settings = settings
        self._queue = queue
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._expected: deque[tuple[Verb, Job | None]] = deque()
        self._ready = False
        self._idle = False
        self._gone = False
        self._needs_reset = False
        self._left = settings.messages_per_connection
        self._deadline = _NEVER
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._broken: SendError | None = None

    # --- while it opens --------------------------------------------------------------------------------------------

    async def exchange(self, line: bytes | None) -> Reply:
        """Write a line (None: only listen) and return the reply. Raises Unreachable where none comes in time."""
        if line is not None:
            self._write(line + b"\r\n")
        if not self._replies and self._broken is None:
            self._waiter = self._loop.create_future()
            try:
                await asyncio.wait_for(self._waiter, self._settings.connect_timeout)
            except TimeoutError:
                raise _unreachable("the mail server did not answer in time") from None
        if self._replies:
            return self._replies.popleft()
        raise self._broken or _unreachable("the connection was lost")

    @property
    def leaving(self) -> bool:
        """It takes no more jobs: it ends after those that it has."""
        return self._left <= 0

    @property
    def quiet(self) -> bool:
        """Nothing has come that was not asked for."""
        return self._reader.clean and not self._replies

    def ready(self, abilities: Abilities) -> None:
        """End the opening: from now on the session takes jobs. Call `begin` next."""
        self.abilities = abilities
        self._ready = True

    # --- work ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take a job and write its envelope; idle where there is none, gone where the connection has had its share."""
        if self._gone:
            return
        job = self._queue.next(self.abilities) if self._left > 0 else None
        if job is not None:
            self._idle = False
            envelope = self._envelope(job)
            self._wait(self._settings.command_timeout)
            self._write(envelope)
        elif self._left > 0:
            self._idle = True
            self._wait(self._settings.idle_seconds)
            self._on_idle(self)
        else:
            self.quit()

    def retire(self) -> None:
        """Take no more jobs: quit at once where there is none, else after those that it has."""
        self._left = 0
        if self._idle:
            self.quit()

    def quit(self) -> None:
        """Say goodbye, once, and close; a server that does not answer is not waited for long."""
        if self._gone or (self._expected and self._expected[-1][0] is _QUIT):
            return
        self._idle = False
        self._left = 0
        self._expected.append((_QUIT, None))
        self._wait(_QUIT_SECONDS)
        self._write(b"QUIT\r\n")

    def abort(self, error: SendError) -> None:
        """Close at once. What was handed over is uncertain, the rest is given back; on_lost is told."""
        if self._gone:
            return
        self._gone = True
        jobs = list(dict.fromkeys(job for _, job in self._expected if job is not None))
        self._expected.clear()
        if self.transport is not None:
            self.transport.abort()
        for job in jobs:
            if job.handed_over:
                words = clean(f"no answer to the message: {error.carrier_text or error.code.name}")
                job.settle(Uncertain(DeliveryCode.UNCERTAIN, error.carrier_code, words))
        self._queue.give_back([job for job in jobs if not job.handed_over], error)
        self._on_lost(self, error)

    def expire(self, now: float) -> None:
        """Act on time: an idle connection is closed, a silent server is left. `now` is the loop's time."""
        if now < self._deadline or self._gone:
            return
        if self._idle:
            self.quit()
        elif self._expected and self._expected[0][0] is _QUIT:
            self._vanish()
        else:
            self.abort(_unreachable("the mail server did not answer in time"))

    # --- asyncio.Protocol ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it

    def data_received(self, data: bytes) -> None:
        try:
            replies = self._reader.feed(data)
        except MalformedReply as error:
            self._break(_unreachable(str(error)))
            return
        if not self._ready:
            self._replies.extend(replies)
            self._wake()
            return
        for code, text in replies:
            if self._gone:
                return
            if not self._expected:
                self._unasked(code, text)
                return
            verb, job = self._expected.popleft()
            if job is None or code == 421:
                self._close_on(verb, job, code, text)
            elif verb is _END:
                self._on_end(job, code, text)
            elif verb is _DATA:
                self._on_data(job, code, text)
            else:
                self._on_envelope(verb, job, code, text)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle or (self._expected and self._expected[0][0] is _QUIT):
            self._vanish()
        else:
            self._break(_unreachable("the connection was lost"))

    # --- steps -----------------------------------------------------------------------------------------------------

    def _envelope(self, job: Job) -> bytes:
        """Expect the answers to the envelope and return its commands: all of them, or the first (RFC 2920)."""
        verbs: tuple[Verb, ...] = (_MAIL, _RCPT, _DATA)
        if self._needs_reset:
            self._needs_reset = False
            verbs = (_RSET, *verbs)
        if not (self.abilities.pipelining and self._settings.pipelining):
            verbs = verbs[:1]
        self._expected.extend([(verb, job) for verb in verbs])
        if len(verbs) == 3:
            letter = job.letter
            return b"MAIL FROM:<%b>%b\r\nRCPT TO:<%b>\r\nDATA\r\n" % (
                letter.sender,
                self._parameters(job),
                letter.recipient,
            )
        return b"".join([self._command(verb, job) for verb in verbs])

    def _command(self, verb: Verb, job: Job) -> bytes:
        if verb is _MAIL:
            return b"MAIL FROM:<%b>%b\r\n" % (job.letter.sender, self._parameters(job))
        if verb is _RCPT:
            return b"RCPT TO:<%b>\r\n" % job.letter.recipient
        return b"DATA\r\n" if verb is _DATA else b"RSET\r\n"

    def _parameters(self, job: Job) -> bytes:
        size = b" SIZE=%d" % job.letter.size if self.abilities.declares_size else b""
        return size + b" SMTPUTF8" if job.letter.utf8 else size

    def _on_envelope(self, verb: Verb, job: Job, code: int, text: str) -> None:
        """An answer to RSET, MAIL or RCPT: remember a refusal; without pipelining, write what comes next."""
        if 300 <= code < 400 or code < 200:
            self._out_of_step(verb, job)
            return
        if code >= 400 and verb is not _RSET and job.refusal is None:
            job.refusal = judge(verb, code, text)
        if self._expected:
            return
        if job.refusal is not None:
            self._conclude(job)
            return
        following = _AFTER[verb]
        self._expected.append((following, job))
        self._wait(self._settings.command_timeout)
        self._write(self._command(following, job))

    def _on_data(self, job: Job, code: int, text: str) -> None:
        """The answer to DATA: write the message, and with it the next one's envelope."""
        if 200 <= code < 400 and code != 354:
            self._out_of_step(_DATA, job)
        elif code != 354:
            if job.refusal is None:
                job.refusal = judge(_DATA, code, text)
            self._conclude(job)
        elif job.refusal is not None:
            # A server that wants a message though it refused the envelope gets an empty one (RFC 2920 section 3.1).
            self._expected.append((_END, job))
            self._write(b".\r\n")
        elif not job.batch.permit():
            # After 354 there is no way back but to hang up.
            job.settle(Withdrawn())
            self._queue.withdraw()
            self._vanish()
        else:
            self._write_message(job)

    def _write_message(self, job: Job) -> None:
        job.handed_over = True
        self._left -= 1
        letter = job.letter
        pieces = [letter.head, letter.rest]
        self._expected.append((_END, job))
        if self.abilities.pipelining and self._settings.pipelining and self._left > 0:
            following = self._queue.next_beyond(self.abilities)
            if following is not None:
                pieces.append(self._envelope(following))
        self._wait(self._settings.final_timeout)
        self._write(b"".join(pieces))

    def _on_end(self, job: Job, code: int, text: str) -> None:
        """The answer to the whole message."""
        if job.refusal is not None:
            self._conclude(job)
            return
        if code < 300 and code >= 200:
            said = enhanced_code(text)
            job.settle(Accepted((), True, f"{code} {said}" if said else str(code), clean(text)))
        elif code < 400:
            self._out_of_step(_END, job)
            return
        else:
            job.settle(judge(_END, code, text))
        self.fruitful = True
        if self._expected:
            self._wait(self._settings.command_timeout)
        else:
            self.begin()

    def _conclude(self, job: Job) -> None:
        """An envelope was refused: the transaction is still open, so the next one begins with RSET."""
        assert job.refusal is not None
        job.settle(job.refusal)
        self.fruitful = True
        self._needs_reset = True
        self.begin()

    # --- endings ---------------------------------------------------------------------------------------------------

    def _close_on(self, verb: Verb, job: Job | None, code: int, text: str) -> None:
        """421 in the place of any answer (RFC 5321 section 3.8), or the answer to QUIT."""
        if job is None:
            self._vanish()
            return
        if self.fruitful and verb in {_RSET, _MAIL}:
            # The connection has had its share, the message is not at fault: a fresh one takes it.
            self._expected.appendleft((verb, job))
        else:
            self._expected = deque(answer for answer in self._expected if answer[1] is not job)
            job.settle(job.refusal or judge(verb, code, text))
            self.fruitful = self.fruitful or verb is not _MAIL
        self.abort(Unreachable(DeliveryCode.EMAIL_UNREACHABLE, str(code), clean(text)))

    def _unasked(self, code: int, text: str) -> None:
        """A server may close an idle connection with 421; anything else that nobody asked for is out of step."""
        if self._idle and code == 421:
            self._vanish()
        else:
            self._break(Unreachable(DeliveryCode.EMAIL_UNREACHABLE, str(code), clean(text)))

    def _out_of_step(self, verb: Verb, job: Job) -> None:
        """The answer fits no question of ours: nothing that follows could be trusted."""
        self._expected.appendleft((verb, job))
        self._break(_unreachable("the mail server is out of step"))

    def _vanish(self) -> None:
        """Close without this being anybody's fault."""
        if self._gone:
            return
        self._gone = True
        if self.transport is not None:
            self.transport.abort()
        waiting = [job for _, job in self._expected if job is not None]
        self._expected.clear()
        self._queue.give_back(list(dict.fromkeys(waiting)), _unreachable("the connection was closed"))
        self._on_lost(self, None)

    def _break(self, error: SendError) -> None:
        if self._ready:
            self.abort(error)
            return
        self._gone = True
        self._broken = self._broken or error
        if self.transport is not None:
            self.transport.abort()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _wait(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds

    def _write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)


_AFTER = {_RSET: _MAIL, _MAIL: _RCPT, _RCPT: _DATA}


def _unreachable(words: str) -> Unreachable:
    return Unreachable(DeliveryCode.EMAIL_UNREACHABLE, carrier_text=words)
