"""Owns what the sandbox mail server sends back: bounces (RFC 3464) and holiday notes, and handing them in.

Must not know when they are due, nor how they are read.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.mime.text import MIMEText
from email.policy import SMTP
from email.utils import formatdate
from typing import Literal

from campana.sandbox.magic_mail import Notice
from campana.sandbox.mail_boxes import ReceivedMail

_HOST = "sandbox.invalid"
_SUBJECTS = {
    "failed": "Undelivered Mail Returned to Sender",
    "delayed": "Delayed Mail (still being retried)",
    "vacation": "Out of office",
}


class NotTaken(Exception):
    """The server did not take it."""


@dataclass(frozen=True, slots=True)
class Office:
    """Where notices are handed in."""

    host: str
    port: int
    protocol: Literal["lmtp", "smtp"] = "lmtp"


def write_notice(notice: Notice, mail: ReceivedMail) -> bytes:
    """Return the message that goes back to the envelope sender of `mail`."""
    message = _report(notice, mail) if notice.status else MIMEText("I am away until Monday.\n")
    message["From"] = f"MAILER-DAEMON@{_HOST}" if notice.status else mail.recipients[0]
    message["To"] = mail.sender
    message["Subject"] = _SUBJECTS[notice.action]
    message["Date"] = formatdate(mail.at / 1000)
    message["Auto-Submitted"] = "auto-replied"
    return message.as_bytes(policy=SMTP)


async def hand_in(office: Office, sender: str, recipient: str, message: bytes) -> None:
    """Deliver a message in one go. Raises NotTaken where it is not taken, OSError where nobody listens."""
    reader, writer = await asyncio.open_connection(office.host, office.port)
    try:
        hello = "LHLO" if office.protocol == "lmtp" else "EHLO"
        stuffed = b"\r\n".join(b"." + line if line[:1] == b"." else line for line in message.split(b"\r\n"))
        await _ask(reader, writer, b"", b"220")
        await _ask(reader, writer, f"{hello} {_HOST}\r\n".encode(), b"250")
        await _ask(reader, writer, f"MAIL FROM:<{sender}>\r\n".encode(), b"250")
        await _ask(reader, writer, f"RCPT TO:<{recipient}>\r\n".encode(), b"250")
        await _ask(reader, writer, b"DATA\r\n", b"354")
        await _ask(reader, writer, stuffed + b"\r\n.\r\n", b"250")
        writer.write(b"QUIT\r\n")
    finally:
        writer.close()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes, wanted: bytes) -> None:
    writer.write(line)
    while True:
        answer = await reader.readline()
        if answer[3:4] != b"-":
            break
    if not answer.startswith(wanted):
        raise NotTaken(answer.decode("utf-8", "replace").strip())


def _report(notice: Notice, mail: ReceivedMail) -> Message:
    """RFC 6522: words for people, the delivery status, and the header of the message that it is about."""
    server = Message()
    server["Reporting-MTA"] = f"dns; {_HOST}"
    server["Arrival-Date"] = formatdate(mail.at / 1000)
    recipient = Message()
    recipient["Final-Recipient"] = f"rfc822; {mail.recipients[0]}"
    recipient["Action"] = notice.action
    recipient["Status"] = notice.status
    recipient["Diagnostic-Code"] = notice.diagnostic
    status = MIMENonMultipart("message", "delivery-status")
    status.set_payload([server, recipient])
    returned = MIMENonMultipart("text", "rfc822-headers")
    returned.set_payload(mail.raw.partition(b"\r\n\r\n")[0].decode("ascii", "replace") + "\r\n")
    words = MIMEText("This is the mail system of the sandbox.\n")
    return MIMEMultipart("report", _subparts=[words, status, returned], report_type="delivery-status")
