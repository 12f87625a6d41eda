"""What replies and enhanced codes mean: rows of the tables, and what must hold for all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.email.codes import (
    KIND,
    REPLIES,
    STATUSES,
    Verb,
    bounce_meaning,
    clean,
    enhanced_code,
    judge,
)
from campana.channels.errors import Misconfigured, RefusedForGood, RefusedForNow, SendError, Throttled, Unreachable
from campana.domain.outcome import DELIVERY_ERRORS, Class, DeliveryCode

C = DeliveryCode
G, H, A, M, R, D, E = Verb.GREETING, Verb.HELO, Verb.AUTH, Verb.MAIL, Verb.RCPT, Verb.DATA, Verb.END

ANSWERS: list[tuple[Verb, int, str, type[SendError], C, str]] = [
    # the enhanced code says more
    (
        R,
        550,
        "5.1.1 <x>: Recipient address rejected: User unknown",
        RefusedForGood,
        C.EMAIL_MAILBOX_UNKNOWN,
        "550 5.1.1",
    ),
    (R, 550, "5.2.1 The email account is disabled", RefusedForGood, C.EMAIL_MAILBOX_DISABLED, "550 5.2.1"),
    (R, 550, "5.1.2 no such domain", RefusedForGood, C.EMAIL_DOMAIN_UNKNOWN, "550 5.1.2"),
    (R, 556, "5.1.10 null MX", RefusedForGood, C.EMAIL_DOMAIN_UNKNOWN, "556 5.1.10"),
    (R, 452, "4.2.2 over quota", RefusedForNow, C.EMAIL_MAILBOX_FULL, "452 4.2.2"),
    (R, 552, "5.2.2 over quota", RefusedForNow, C.EMAIL_MAILBOX_FULL, "552 5.2.2"),
    (R, 451, "4.7.1 Greylisted, please try again", RefusedForNow, C.EMAIL_GREYLISTED, "451 4.7.1"),
    (R, 450, "4.2.0 <x>: Recipient address rejected: Greylisted", RefusedForNow, C.EMAIL_GREYLISTED, "450 4.2.0"),
    (R, 451, "Gray-listed, come back", RefusedForNow, C.EMAIL_GREYLISTED, "451"),
    (E, 550, "5.7.1 policy", RefusedForGood, C.EMAIL_POLICY_REFUSED, "550 5.7.1"),
    (E, 550, "5.7.26 DMARC", RefusedForGood, C.EMAIL_POLICY_REFUSED, "550 5.7.26"),
    (E, 554, "5.7.1 Spam message rejected", RefusedForGood, C.EMAIL_CONTENT_REFUSED, "554 5.7.1"),
    (E, 554, "5.6.0 bad content", RefusedForGood, C.EMAIL_CONTENT_REFUSED, "554 5.6.0"),
    (E, 552, "5.3.4 too big", RefusedForGood, C.EMAIL_TOO_LARGE, "552 5.3.4"),
    (E, 451, "4.4.5 congested", Throttled, C.EMAIL_THROTTLED, "451 4.4.5"),
    (E, 421, "4.7.28 flood", Throttled, C.EMAIL_THROTTLED, "421 4.7.28"),
    (R, 450, "4.7.28 flood", RefusedForNow, C.EMAIL_THROTTLED, "450 4.7.28"),
    (M, 553, "5.1.7 bad sender", RefusedForGood, C.EMAIL_SENDER_REFUSED, "553 5.1.7"),
    (M, 550, "5.6.7 needs SMTPUTF8", RefusedForGood, C.EMAIL_ADDRESS_NOT_SUPPORTED, "550 5.6.7"),
    (R, 553, "5.1.3 bad syntax", RefusedForGood, C.EMAIL_ADDRESS_NOT_SUPPORTED, "553 5.1.3"),
    # the reply code alone
    (R, 550, "No such user here", RefusedForGood, C.EMAIL_MAILBOX_UNKNOWN, "550"),
    (R, 551, "not local", RefusedForGood, C.EMAIL_MAILBOX_UNKNOWN, "551"),
    (M, 550, "no", RefusedForGood, C.EMAIL_SENDER_REFUSED, "550"),
    (E, 550, "no", RefusedForGood, C.EMAIL_POLICY_REFUSED, "550"),
    (E, 552, "too big", RefusedForGood, C.EMAIL_TOO_LARGE, "552"),
    (E, 451, "local error", RefusedForNow, C.EMAIL_TEMPORARY, "451"),
    (M, 452, "no space", RefusedForNow, C.EMAIL_TEMPORARY, "452"),
    (M, 421, "too many connections", Throttled, C.EMAIL_THROTTLED, "421"),
    (R, 421, "4.3.2 closing", RefusedForNow, C.EMAIL_TEMPORARY, "421 4.3.2"),
    (M, 555, "what is SIZE", Misconfigured, C.EMAIL_MISCONFIGURED, "555"),
    (D, 554, "no valid recipients", RefusedForGood, C.EMAIL_REFUSED, "554"),
    # the route is at fault
    (M, 530, "5.7.0 Authentication required", Misconfigured, C.EMAIL_MISCONFIGURED, "530 5.7.0"),
    (R, 554, "5.7.1 <x>: Relay access denied", Misconfigured, C.EMAIL_MISCONFIGURED, "554 5.7.1"),
    (R, 550, "relaying denied", Misconfigured, C.EMAIL_MISCONFIGURED, "550"),
    (A, 535, "5.7.8 wrong", Misconfigured, C.EMAIL_AUTHENTICATION_FAILED, "535 5.7.8"),
    (A, 454, "4.7.0 try later", Unreachable, C.EMAIL_UNREACHABLE, "454 4.7.0"),
    (A, 501, "what", Misconfigured, C.EMAIL_AUTHENTICATION_FAILED, "501"),
    (G, 554, "no service", Misconfigured, C.EMAIL_MISCONFIGURED, "554"),
    (G, 421, "4.7.0 busy", Unreachable, C.EMAIL_UNREACHABLE, "421 4.7.0"),
    (H, 451, "later", Unreachable, C.EMAIL_UNREACHABLE, "451"),
    (G, 521, "no mail here", Misconfigured, C.EMAIL_MISCONFIGURED, "521"),
    # unknown codes, and codes that contradict themselves
    (R, 459, "?", RefusedForNow, C.EMAIL_TEMPORARY, "459"),
    (R, 599, "?", RefusedForGood, C.EMAIL_REFUSED, "599"),
    (R, 450, "5.1.1 contradiction", RefusedForNow, C.EMAIL_GREYLISTED, "450"),
    (R, 550, "5.1.99 unheard of", RefusedForGood, C.EMAIL_MAILBOX_UNKNOWN, "550 5.1.99"),
    (R, 550, "5.9.1 unheard of", RefusedForGood, C.EMAIL_MAILBOX_UNKNOWN, "550 5.9.1"),
]


@pytest.mark.parametrize(
    ("verb", "code", "text", "kind", "ours", "said"),
    ANSWERS,
    ids=[f"{row[0].name} {row[1]} {row[2]}" for row in ANSWERS],
)
def test_answers(verb: Verb, code: int, text: str, kind: type[SendError], ours: C, said: str) -> None:
    error = judge(verb, code, text)
    assert (type(error), error.code, error.carrier_code) == (kind, ours, said)
    assert error.carrier_text == text


def test_every_meaning_agrees_with_the_domain_about_trying_again() -> None:
    for code, kind in KIND.items():
        final = DELIVERY_ERRORS[code].kind is Class.FINAL
        assert (kind is RefusedForGood) == final, code


def test_every_email_code_can_be_told() -> None:
    told = set(KIND) | {C.EMAIL_BOUNCED}
    assert told == {code for code in DeliveryCode if 400 <= code < 500}


def test_rows_keep_to_their_class() -> None:
    for reply in REPLIES:
        final = DELIVERY_ERRORS[reply.ours].kind is Class.FINAL
        assert (reply.kind is RefusedForGood) == final, reply
        assert not (final and reply.code < 500), reply
    for status in STATUSES:
        assert KIND[status.for_now] in {RefusedForNow, Throttled}, status


def test_no_row_stands_twice() -> None:
    details = [status.detail for status in STATUSES]
    assert len(details) == len(set(details))
    exact = [(row.verbs, row.code) for row in REPLIES]
    assert len(exact) == len(set(exact))


@given(st.sampled_from(Verb), st.integers(100, 599), st.text(max_size=600))
def test_any_answer_means_something(verb: Verb, code: int, text: str) -> None:
    error = judge(verb, code, text)
    assert DELIVERY_ERRORS[error.code].code is error.code
    assert error.carrier_text is not None
    assert len(error.carrier_text) <= 500
    assert error.carrier_text.isprintable()
    if 400 <= code < 500 and verb in {M, R, D, E}:
        assert not isinstance(error, RefusedForGood)
    if verb in {G, H, A, Verb.STARTTLS}:
        # No message is at fault where none was spoken of.
        assert isinstance(error, (Unreachable, Misconfigured))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("5.1.1 no", "5.1.1"),
        ("5.1.1", "5.1.1"),
        ("4.7.650 x", "4.7.650"),
        ("3.1.1 no", None),
        ("5.1 no", None),
        ("5.1.1111 no", None),
        ("see 5.1.1", None),
        ("5.1.1.1 address", None),
        ("", None),
        ("5.1.1\nsecond line", "5.1.1"),
    ],
)
def test_enhanced_code(text: str, code: str | None) -> None:
    assert enhanced_code(text) == code


@pytest.mark.parametrize(
    ("status", "code", "ours"),
    [
        ("5.1.1", "5.1.1", C.EMAIL_MAILBOX_UNKNOWN),
        ("5.1.1 (bad destination mailbox address)", "5.1.1", C.EMAIL_MAILBOX_UNKNOWN),
        ("5.2.2", "5.2.2", C.EMAIL_MAILBOX_FULL),
        ("5.4.4", "5.4.4", C.EMAIL_DOMAIN_UNKNOWN),
        ("5.7.1", "5.7.1", C.EMAIL_POLICY_REFUSED),
        ("4.4.7", "4.4.7", C.EMAIL_BOUNCED),
        ("4.2.2", "4.2.2", C.EMAIL_BOUNCED),
        ("5.7.8", "5.7.8", C.EMAIL_BOUNCED),
        ("5.0.0", "5.0.0", C.EMAIL_BOUNCED),
        ("2.0.0", "2.0.0", C.EMAIL_BOUNCED),
        ("", None, C.EMAIL_BOUNCED),
        ("nonsense", None, C.EMAIL_BOUNCED),
    ],
)
def test_bounces(status: str, code: str | None, ours: C) -> None:
    assert bounce_meaning(status) == (code, ours)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain words", "plain words"),
        ("two\nlines\tand \x1b[31m colour", "two lines and [31m colour"),
        ("x" * 600, "x" * 500),
        ("\0" * 5, ""),
        ("Grüße", "Grüße"),
        ("\u202eevil", "evil"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned
