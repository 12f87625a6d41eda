"""What comes back to a bounce address: bounces of several servers, what only looks like one, and hostile mail."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.email.bounces import judge_notice
from campana.channels.email.dsn import read_notice
from campana.domain.outcome import DeliveryCode, ReceiptState

C = DeliveryCode
FAILED, INTERIM = ReceiptState.FAILED, ReceiptState.INTERIM


def report(
    *recipients: str, subject: str = "Undelivered Mail Returned to Sender", head: str = "", end: str = "\r\n"
) -> bytes:
    """A DSN as Postfix lays it out."""
    status = "\n\n".join(["Reporting-MTA: dns; mx.example.net\nX-Postfix-Queue-ID: 4F1", *recipients])
    text = (
        "From: MAILER-DAEMON@mx.example.net (Mail Delivery System)\n"
        f"Subject: {subject}\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n{head}"
        'Content-Type: multipart/report; report-type=delivery-status;\n\tboundary="4F1.1/mx.example.net"\n\n'
        "This is a MIME-encapsulated message.\n\n"
        "--4F1.1/mx.example.net\nContent-Type: text/plain; charset=us-ascii\n\nI'm sorry.\n\n"
        "--4F1.1/mx.example.net\nContent-Description: Delivery report\nContent-Type: message/delivery-status\n\n"
        f"{status}\n\n"
        "--4F1.1/mx.example.net\nContent-Type: message/rfc822\n\n"
        "Subject: Hello\nAction: failed\nStatus: 5.9.9\n\nAction: failed\n\n--4F1.1/mx.example.net--\n"
    )
    return text.replace("\n", end).encode()


def recipient(action: str = "failed", status: str = "5.1.1", diagnostic: str = "smtp; 550 5.1.1 User unknown") -> str:
    return (
        "Final-Recipient: rfc822; ann@example.net\nOriginal-Recipient: rfc822;ann@example.net\n"
        f"Action: {action}\nStatus: {status}\nRemote-MTA: dns; mx.example.net\nDiagnostic-Code: {diagnostic}"
    )


def plain(subject: str, head: str = "") -> bytes:
    return f"From: x@example.net\r\nSubject: {subject}\r\n{head}\r\nHi. This is the qmail-send program.\r\n".encode()


VERDICTS: list[tuple[str, bytes, tuple[ReceiptState, DeliveryCode, str | None, str]]] = [
    ("Postfix", report(recipient()), (FAILED, C.EMAIL_MAILBOX_UNKNOWN, "5.1.1", "550 5.1.1 User unknown")),
    (
        "bare line feeds",
        report(recipient(), end="\n"),
        (FAILED, C.EMAIL_MAILBOX_UNKNOWN, "5.1.1", "550 5.1.1 User unknown"),
    ),
    (
        "folded diagnostic",
        report(recipient(diagnostic="smtp; 550-5.2.1 The account\n    550 5.2.1 is disabled", status="5.2.1")),
        (FAILED, C.EMAIL_MAILBOX_DISABLED, "5.2.1", "550-5.2.1 The account 550 5.2.1 is disabled"),
    ),
    (
        "a vague status, a better diagnostic",
        report(recipient(status="5.0.0", diagnostic="smtp; 550 #5.1.2 no such host")),
        (FAILED, C.EMAIL_DOMAIN_UNKNOWN, "5.1.2", "550 #5.1.2 no such host"),
    ),
    (
        "vague through and through",
        report(recipient(status="5.0.0", diagnostic="X-Unix; 127")),
        (FAILED, C.EMAIL_BOUNCED, "5.0.0", "127"),
    ),
    (
        "given up after days",
        report(recipient(status="4.4.7", diagnostic="smtp; 451 4.4.1 no answer")),
        (FAILED, C.EMAIL_BOUNCED, "4.4.7", "451 4.4.1 no answer"),
    ),
    (
        "a status with a comment",
        report(recipient(status="5.2.2 (mailbox full)")),
        (FAILED, C.EMAIL_MAILBOX_FULL, "5.2.2", "550 5.1.1 User unknown"),
    ),
    ("no status", report("Action: failed"), (FAILED, C.EMAIL_BOUNCED, None, "")),
    ("capital letters", report("ACTION: Failed\nSTATUS: 5.1.1"), (FAILED, C.EMAIL_MAILBOX_UNKNOWN, "5.1.1", "")),
    (
        "delayed",
        report(recipient("delayed", "4.4.1", "smtp; 451 no answer"), subject="Delayed Mail"),
        (INTERIM, C.EMAIL_TEMPORARY, "4.4.1", "451 no answer"),
    ),
    (
        "several recipients: the worst",
        report(recipient("relayed", "2.0.0"), recipient("delayed", "4.4.1"), recipient("failed", "5.2.1")),
        (FAILED, C.EMAIL_MAILBOX_DISABLED, "5.2.1", "550 5.1.1 User unknown"),
    ),
    (
        "all in one block",
        report().replace(b"X-Postfix-Queue-ID: 4F1", b"X-Postfix-Queue-ID: 4F1\r\nAction: failed\r\nStatus: 5.1.1"),
        (FAILED, C.EMAIL_MAILBOX_UNKNOWN, "5.1.1", ""),
    ),
    (
        "not a report, but with a delivery status",
        report(recipient()).replace(b"multipart/report; report-type=delivery-status;", b"multipart/mixed;"),
        (FAILED, C.EMAIL_MAILBOX_UNKNOWN, "5.1.1", "550 5.1.1 User unknown"),
    ),
    ("qmail, without any status", plain("failure notice"), (FAILED, C.EMAIL_BOUNCED, None, "failure notice")),
    (
        "Exim of old",
        plain("Mail delivery failed: returning message to sender"),
        (FAILED, C.EMAIL_BOUNCED, None, "Mail delivery failed: returning message to sender"),
    ),
    ("Exchange of old", plain("Undeliverable: Hello"), (FAILED, C.EMAIL_BOUNCED, None, "Undeliverable: Hello")),
    (
        "an encoded subject",
        plain("=?utf-8?q?Undelivered_Mail_Returned?="),
        (FAILED, C.EMAIL_BOUNCED, None, "Undelivered Mail Returned"),
    ),
]


@pytest.mark.parametrize(("message", "verdict"), [row[1:] for row in VERDICTS], ids=[row[0] for row in VERDICTS])
def test_bounces(message: bytes, verdict: tuple[ReceiptState, DeliveryCode, str | None, str]) -> None:
    found = judge_notice(read_notice(message), null_sender=True)
    assert found is not None
    assert (found.state, found.code, found.carrier_code, found.carrier_text) == verdict


def test_a_status_in_another_encoding() -> None:
    inner = "UmVwb3J0aW5nLU1UQTogZG5zOyB4CgpBY3Rpb246IGZhaWxlZApTdGF0dXM6IDUuMS4xCg=="  # in base64
    for encoding, content in (
        ("base64", inner),
        ("quoted-printable", "Reporting-MTA: dns; x\n\nAct=\nion: failed\nStatus: 5=2E1.1\n"),
    ):
        text = (
            'Content-Type: multipart/report; report-type="delivery-status"; boundary=b\n\n--b\n'
            f"Content-Type: message/global-delivery-status\nContent-Transfer-Encoding: {encoding}\n\n{content}\n--b--\n"
        )
        found = judge_notice(read_notice(text.encode()), null_sender=True)
        assert found is not None
        assert (found.state, found.carrier_code) == (FAILED, "5.1.1")


NO_BOUNCES: list[tuple[str, bytes, bool]] = [
    ("a holiday note", plain("Out of office: failure notice", "Auto-Submitted: auto-replied\r\n"), True),
    (
        "a holiday note that sounds like a bounce",
        plain("Undeliverable until Monday", "Auto-Submitted: auto-replied (vacation)\r\n"),
        True,
    ),
    ("a person answers", plain("Re: Hello"), False),
    ("a person forwards a bounce", plain("Undeliverable: Hello"), False),
    ("a warning", plain("Warning: could not send message for past 4 hours"), True),
    ("delivered", report(recipient("delivered", "2.0.0")), True),
    ("relayed", report(recipient("relayed", "2.0.0")), True),
    ("an unheard-of action", report(recipient("teleported", "5.0.0")), True),
    (
        "a read receipt",
        report(recipient())
        .replace(b"report-type=delivery-status", b"report-type=disposition-notification")
        .replace(b"message/delivery-status", b"message/disposition-notification"),
        True,
    ),
    (
        "a complaint",
        report(recipient())
        .replace(b"report-type=delivery-status", b"report-type=feedback-report")
        .replace(b"message/delivery-status", b"message/feedback-report"),
        True,
    ),
    ("a report without a status, and a harmless subject", report(subject="Notice"), True),
    ("empty", b"", True),
    ("no header", b"\r\nfailure notice\r\n", True),
    (
        "a delivery status deep inside",
        b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n" + report(recipient(), subject="x") + b"--o--\r\n",
        True,
    ),
]


@pytest.mark.parametrize(
    ("message", "null_sender"), [row[1:] for row in NO_BOUNCES], ids=[row[0] for row in NO_BOUNCES]
)
def test_what_is_no_bounce(message: bytes, null_sender: bool) -> None:
    assert judge_notice(read_notice(message), null_sender=null_sender) is None


MIB = 1024 * 1024


def nested(depth: int) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level) for level in range(depth)
    )


HOSTILE: list[tuple[str, bytes]] = [
    ("nested", nested(20_000)),
    ("header without end", b"Subject: " + b"x" * 2 * MIB),
    ("many header fields", b"A: b\r\n" * 300_000),
    ("many parts", b"Content-Type: multipart/report; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 200_000),
    ("many recipients", report(*[recipient()] * 5_000)),
    ("a parameter of semicolons", b'Content-Type: multipart/report; boundary="' + b";" * 60_000 + b"\r\n\r\nx"),
    ("many parameters", b"Content-Type: multipart/report" + b"; a=b" * 12_000 + b"\r\n\r\nx"),
    ("many encoded words", b"Subject: " + b"=?utf-8?q?x?= " * 4_000 + b"\r\n\r\nx"),
    ("half-open encoded words", b"Subject: " + b"=?utf-8?q?" * 6_000 + b"\r\n\r\nx"),
    (
        "an alphabet that is none",
        b"Subject: =?no-such?q?x?=\r\nContent-Type: multipart/report; boundary*=no-such''b\r\n\r\n--b\r\n\r\n",
    ),
    ("base64 that is none", b"Subject: =?utf-8?b?x?=\r\nContent-Type: text/plain\r\n\r\n"),
    ("NUL and 8 bits", bytes(range(256)) * 1000),
    ("blank lines", b"\r\n" * MIB),
    ("line feeds in the status", report("Action: failed\n" + "\n" * 200_000 + "Status: 5.1.1")),
    ("blanks between blank lines", b"A: b\r\n" + b" \t" * 30_000 + b"x"),
    ("dashes", b"Content-Type: multipart/report; boundary=-\r\n\r\n" + b"-" * 2 * MIB),
]


@pytest.mark.parametrize("message", [row[1] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_hostile_mail_costs_no_more_than_its_size(message: bytes) -> None:
    begun = time.process_time()
    judge_notice(read_notice(message), null_sender=True)
    assert time.process_time() - begun < 1.0


FRAGMENTS = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"--b",
        b"--b\r\n",
        b"Content-Type: multipart/report; boundary=b\r\n",
        b"Content-Type: message/delivery-status\r\n",
        b"Action: failed\r\n",
        b"Status: 5.1.1\r\n",
        b"Subject: =?",
        b"?utf-8?b?",
        b'"',
        b";",
        b"boundary*0*=",
        b"''",
    ]
)


@given(st.lists(st.one_of(FRAGMENTS, st.binary(max_size=20)), max_size=30))
def test_any_mail_can_be_read(pieces: list[bytes]) -> None:
    verdict = judge_notice(read_notice(b"".join(pieces)), null_sender=True)
    assert verdict is None or verdict.carrier_text.isprintable()
