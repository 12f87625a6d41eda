"""Owns one connection to the sandbox mail server: the SMTP commands (RFC 5321), their order and their answers.

Must not know fates: mail.py decides about recipients and messages.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from campana.sandbox.mail import MailSimulator

_PATH = re.compile(rb"(?:FROM|TO):\s*<([^<>]*)>\s*(.*)", re.IGNORECASE | re.DOTALL)
_COMMAND_LIMIT = 4096
_RECIPIENTS = 1000


class MailLink(asyncio.Protocol):
    """A connection. All that came in one piece is answered in one piece (RFC 2920)."""

    def __init__(self, server: MailSimulator) -> None:
        self.transport: asyncio.Transport | None = None
        self.sender: str | None = None
        self.began = (0, 0)
        """Epoch milliseconds: the message's MAIL came no earlier than this, and was read then."""
        self.recipients: list[str] = []
        self.encrypted = False
        self._server = server
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._in_data = False
        self._scanned = 0
        self._overflown = False
        self._waiting = False
        self._greeted = False
        self._user: str | None = None
        self._dialogue: Callable[[bytes], None] | None = None

    # --- asyncio.Protocol ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.transport.get_extra_info("sslcontext") is not None and not self.encrypted:
            self.encrypted = True
        self._server.came(self)
        self.answer("220 sandbox.invalid ESMTP")
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting = True
        self._server.went(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._work()

    # --- for the server ---------------------------------------------------------------------------------------

    def answer(self, line: str) -> None:
        """Answer what was asked last."""
        self._out.append(line.encode() + b"\r\n")

    def answer_later(self, line: str, seconds: float) -> None:
        """Answer after a while; meanwhile nothing that comes is looked at."""
        self._waiting = True
        asyncio.get_running_loop().call_later(seconds, self._answer_now, line)

    def fall_silent(self) -> None:
        """Never answer anything again, and stay connected."""
        self._waiting = True

    def cut(self) -> None:
        """Close without a word; answers that were not written are lost."""
        self._waiting = True
        if self.transport is not None:
            self.transport.abort()

    def resume_encrypted(self, transport: asyncio.Transport) -> None:
        """TLS is up: begin anew (RFC 3207 section 4.2)."""
        self.transport = transport
        self.encrypted = True
        self._greeted = False
        self._reset()
        self._waiting = False
        self._work()  # the client may have been quicker

    # --- work ------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._waiting and self._buffer:
            if not (self._take_data() if self._in_data else self._take_line()):
                break
        self._flush()

    def _flush(self) -> None:
        if self._out and self.transport is not None:
            self._server.flush_journal()
            data = b"".join(self._out)
            self._out.clear()
            if self._server.latency:
                asyncio.get_running_loop().call_later(self._server.latency, self.transport.write, data)
            else:
                self.transport.write(data)

    def _answer_now(self, line: str) -> None:
        self._waiting = False
        self.answer(line)
        self._work()

    def _take_line(self) -> bool:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > _COMMAND_LIMIT:
                self.cut()
            return False
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        if self._dialogue is not None:
            dialogue, self._dialogue = self._dialogue, None
            dialogue(line)
        else:
            verb, _, argument = line.partition(b" ")
            command = _COMMANDS.get(verb.upper())
            if command is None:
                self.answer("500 5.5.2 Unknown command")
            else:
                command(self, argument.strip())
        return True

    def _take_data(self) -> bool:
        """Look for the line with the dot; a message beyond the limit is dropped as it comes."""
        if not self._overflown and self._buffer.startswith(b".\r\n"):
            end, length = 0, 3
        else:
            end, length = self._buffer.find(b"\r\n.\r\n", max(self._scanned - 4, 0)), 5
        if end < 0:
            if len(self._buffer) > self._server.size:
                self._overflown = True
                del self._buffer[:-4]
            self._scanned = len(self._buffer)
            return False
        content = bytes(self._buffer[: end + 2] if length == 5 else b"")
        del self._buffer[: end + length]
        self._in_data = False
        if self._overflown or len(content) > self._server.size:
            self.answer("552 5.3.4 Message too large")
        else:
            content = content.replace(b"\r\n.", b"\r\n")
            self._server.message(self, content.removeprefix(b"."))
        self._reset()
        return True

    def _reset(self) -> None:
        self.sender = None
        self.recipients = []
        self._scanned = 0
        self._overflown = False

    # --- commands --------------------------------------------------------------------------------------------------

    def _ehlo(self, argument: bytes) -> None:
        self._greeted = True
        self._reset()
        offers = [name for name in sorted(self._server.extensions) if name != "SIZE"]
        if "SIZE" in self._server.extensions:
            offers.append(f"SIZE {self._server.size}")
        if self._server.tls_offered and not self.encrypted:
            offers.append("STARTTLS")
        if self._server.users is not None:
            offers.append("AUTH PLAIN LOGIN")
        lines = ["sandbox.invalid", *offers]
        for line in lines[:-1]:
            self.answer(f"250-{line}")
        self.answer(f"250 {lines[-1]}")

    def _helo(self, argument: bytes) -> None:
        self._greeted = True
        self._reset()
        self.answer("250 sandbox.invalid")

    def _mail(self, argument: bytes) -> None:
        path = _PATH.fullmatch(argument)
        if not self._greeted or self.sender is not None:
            self.answer("503 5.5.1 Bad sequence of commands")
        elif self._server.users is not None and self._user is None:
            self.answer("530 5.7.0 Authentication required")
        elif path is None:
            self.answer("501 5.5.4 Syntax: MAIL FROM:<address>")
        else:
            self._mail_with(path[1], path[2].upper().split())

    def _mail_with(self, path: bytes, parameters: list[bytes]) -> None:
        known = {b"SIZE", b"BODY", b"SMTPUTF8"}
        sizes = [int(value[5:]) for value in parameters if value.startswith(b"SIZE=") and value[5:].isdigit()]
        if any(value.partition(b"=")[0] not in known for value in parameters):
            self.answer("555 5.5.4 Unknown parameter")
        elif not path.isascii() and b"SMTPUTF8" not in parameters:
            self.answer("553 5.6.7 SMTPUTF8 is needed")
        elif sizes and sizes[0] > self._server.size:
            self.answer("552 5.3.4 Message too large")
        else:
            self.sender = path.decode("utf-8", "replace")
            self.began = self._server.now()
            self.answer("250 2.1.0 Sender OK")

    def _rcpt(self, argument: bytes) -> None:
        path = _PATH.fullmatch(argument)
        if self.sender is None:
            self.answer("503 5.5.1 MAIL first")
        elif path is None or not path[1] or path[2]:
            self.answer("501 5.5.4 Syntax: RCPT TO:<address>")
        elif len(self.recipients) >= _RECIPIENTS:
            self.answer("452 4.5.3 Too many recipients")
        else:
            address = path[1].decode("utf-8", "replace")
            refusal = self._server.recipient(address)
            if not refusal:
                self.recipients.append(address)
            self.answer(refusal or "250 2.1.5 Recipient OK")
            if refusal.startswith("421"):
                self._close()

    def _data(self, argument: bytes) -> None:
        if not self.recipients:
            self.answer("554 5.5.1 No valid recipients")
        else:
            self._in_data = True
            self.answer("354 End with a dot")

    def _rset(self, argument: bytes) -> None:
        self._reset()
        self.answer("250 2.0.0 OK")

    def _noop(self, argument: bytes) -> None:
        self.answer("250 2.0.0 OK")

    def _vrfy(self, argument: bytes) -> None:
        self.answer("252 2.5.2 Try it")

    def _quit(self, argument: bytes) -> None:
        self.answer("221 2.0.0 Goodbye")
        self._close()

    def _close(self) -> None:
        self._flush()
        self._waiting = True
        if self.transport is not None:
            self.transport.close()

    def _starttls(self, argument: bytes) -> None:
        if not self._server.tls_offered or self.encrypted or self.transport is None:
            self.answer("502 5.5.1 STARTTLS is not offered")
            return
        self.answer("220 2.0.0 Go ahead")
        self._flush()
        self._buffer.clear()
        self._waiting = True
        self.transport.pause_reading()  # what comes next is not for us to read
        self._server.start_tls(self)

    def _auth(self, argument: bytes) -> None:
        mechanism, _, initial = argument.partition(b" ")
        if self._server.users is None or mechanism.upper() not in {b"PLAIN", b"LOGIN"}:
            self.answer("504 5.5.4 Unknown mechanism")
        elif mechanism.upper() == b"LOGIN":
            self._dialogue = self._login_user
            self.answer("334 " + b64encode(b"Username:").decode())
        elif initial:
            self._plain(initial)
        else:
            self._dialogue = self._plain
            self.answer("334 ")

    def _plain(self, line: bytes) -> None:
        _, user, password = (*_unbase64(line).split("\0"), "", "", "")[:3]
        self._log_in(user, password)

    def _login_user(self, line: bytes) -> None:
        user = _unbase64(line)
        self._dialogue = lambda password: self._log_in(user, _unbase64(password))
        self.answer("334 " + b64encode(b"Password:").decode())

    def _log_in(self, user: str, password: str) -> None:
        if (self._server.users or {}).get(user) == password:
            self._user = user
            self.answer("235 2.7.0 Welcome")
        else:
            self.answer("535 5.7.8 Credentials invalid")


_COMMANDS: dict[bytes, Callable[[MailLink, bytes], None]] = {
    b"EHLO": MailLink._ehlo,
    b"HELO": MailLink._helo,
    b"MAIL": MailLink._mail,
    b"RCPT": MailLink._rcpt,
    b"DATA": MailLink._data,
    b"RSET": MailLink._rset,
    b"NOOP": MailLink._noop,
    b"VRFY": MailLink._vrfy,
    b"QUIT": MailLink._quit,
    b"STARTTLS": MailLink._starttls,
    b"AUTH": MailLink._auth,
}


def _unbase64(line: bytes) -> str:
    try:
        return b64decode(line, validate=True).decode("utf-8", "replace")
    except ValueError:
        return ""
