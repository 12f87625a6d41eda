"""Phone numbers, email addresses, from-addresses and senders, as people write them; shortcuts against the libraries."""

from __future__ import annotations

from email.headerregistry import Address

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from campana.domain.destination import (
    Mailbox,
    check_sender,
    dial_phone,
    normalise_email,
    parse_mailbox,
)

PHONES = [
    # as written, region, E.164
    ("+14165550123", "US", "+14165550123"),
    ("+14165550123", "DE", "+14165550123"),
    ("4165550123", "CA", "+14165550123"),
    ("1 416 555 0123", "CA", "+14165550123"),
    ("(416) 555-0123", "CA", "+14165550123"),
    ("+1 (416) 555-0123", "CA", "+14165550123"),
    ("  +14165550123\r\n", "CA", "+14165550123"),
    ("tel:+1-416-555-0123", "CA", "+14165550123"),
    ("+1\u00a0416\u00a0555\u00a00123", "CA", "+14165550123"),
    ("＋１４１６５５５０１２３", "CA", "+14165550123"),
    ("1-800-FLOWERS", "US", "+18003569377"),
    ("0151 12345678", "DE", "+4915112345678"),
    ("0049 151 12345678", "DE", "+4915112345678"),
    ("07911 123456", "GB", "+447911123456"),
    ("+44 (0)7911 123456", "GB", "+447911123456"),
    ("06 698 12345", "IT", "+390669812345"),
    ("+390669812345", "US", "+390669812345"),
    ("+15005550006", "US", "+15005550006"),  # possible, though no subscriber has it
    ("+80012345678", "US", "+80012345678"),
    ("+14165550123".ljust(64), "US", "+14165550123"),
]


@pytest.mark.parametrize(("written", "region", "dialled"), PHONES)
def test_a_number_is_dialled_in_international_form(written: str, region: str, dialled: str) -> None:
    assert dial_phone(written, region) == dialled


NO_PHONES = [
    "",
    "   ",
    "+",
    "hello",
    "12",
    "+1416555",
    "+141655501234",
    "+9991234567",
    "+4",
    "4165550123 ext. 5",
    "+14165550123x12",
    "+14165550123;ext=12",
    "tel:+14165550123;ext=12",
    "+1416\r\n5550123",
    "+1416555\x000123",
    "+1416\u20285550123",
    "+14165550123\ud800",
    "john@example.com",
    "+14165550123" + " " * 64,
    "9" * 1_000_000,
]


@pytest.mark.parametrize("written", NO_PHONES)
def test_what_cannot_be_dialled_is_refused_without_quoting_it(written: str) -> None:
    with pytest.raises(ValueError) as refused:
        dial_phone(written, "CA")
    assert type(refused.value) is ValueError
    assert str(refused.value).startswith("A phone number must ")


def test_a_national_number_needs_a_known_region() -> None:
    with pytest.raises(ValueError):
        dial_phone("4165550123", "ZZ")


def by_the_library(text: str, region: str) -> str | None:
    """What phonenumbers alone says."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def by_us(text: str, region: str) -> str | None:
    try:
        return dial_phone(text, region)
    except ValueError:
        return None


def test_the_shortcut_agrees_with_the_library_for_every_country_and_length() -> None:
    refused = dialled = 0
    for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        for length in range(2, 15):
            for lead in ("0", "00", "1", "11", "15", "2", "44", "58", "7", "80", "9"):
                text = f"+{code}{(lead + '234567890123456')[:length]}"
                expected = by_the_library(text, "US")
                assert by_us(text, "US") == expected, text
                refused += expected is None
                dialled += expected == text
    assert refused > 1_000
    assert dialled > 1_000


@settings(max_examples=1_500)
@given(
    st.from_regex(r"\+[1-9][0-9]{3,15}", fullmatch=True), st.sampled_from(["US", "CA", "DE", "IT", "AR", "BR", "MX"])
)
@example("+5491123456789", "AR")
@example("+541151234567", "AR")
@example("+390123456", "IT")
@example("+11234567890", "US")
def test_the_shortcut_agrees_with_the_library_for_any_digits(text: str, region: str) -> None:
    assert by_us(text, region) == by_the_library(text, region)


@given(st.text(max_size=70))
def test_any_text_is_dialled_or_refused(text: str) -> None:
    dialled = by_us(text, "US")
    assert dialled is None or (dialled[0] == "+" and dialled[1:].isascii() and dialled[1:].isdigit())


ADDRESSES = [
    ("john.doe@example.com", "john.doe@example.com"),
    ("John.Doe@Example.COM", "John.Doe@example.com"),
    ("  john@example.com\r\n", "john@example.com"),
    ("o'neil+tag/x=y@sub.example.co.uk", "o'neil+tag/x=y@sub.example.co.uk"),
    ("INFO@example.com", "info@example.com"),
    ("info@example.com", "info@example.com"),
    ("jörg@müller.de", "jörg@müller.de"),
    ("jo\u0308rg@MU\u0308LLER.de", "jörg@müller.de"),
    ("a@xn--mller-kva.de", "a@müller.de"),
    ("用户@例子.广告", "用户@例子.广告"),
    ("ok@sandbox.test", "ok@sandbox.test"),
    ("ok@example.invalid", "ok@example.invalid"),
    ("ok@printer.local", "ok@printer.local"),
    ("root@localhost", "root@localhost"),
    ("root@LOCALHOST", "root@localhost"),
    ("a@test", "a@test"),
]


@pytest.mark.parametrize(("written", "address"), ADDRESSES)
def test_an_address_is_normalised(written: str, address: str) -> None:
    assert normalise_email(written) == address
    assert normalise_email(address) == address


NO_ADDRESSES = [
    "",
    "john",
    "@example.com",
    "john@",
    "john@gmail",
    "john@@example.com",
    "john@exa mple.com",
    "john..doe@example.com",
    ".john@example.com",
    "john@-example.com",
    "john@example..com",
    "john@example.c0m1",
    "john@127.0.0.1",
    "john@[127.0.0.1]",
    '"john doe"@example.com',
    "John <john@example.com>",
    "<john@example.com>",
    "john@example.com, jane@example.com",
    "john@example.com\r\nBcc: jane@example.com",
    "john\n@example.com",
    "john\x00@example.com",
    "john\u2028@example.com",
    "john\x85doe@example.com",
    "john\ud800@example.com",
    "john@exa\ud800mple.com",
    "a" * 250 + "@example.com",
    "a@" + "b" * 64 + ".com",
    "a" * 1_000_000,
]


@pytest.mark.parametrize("written", NO_ADDRESSES)
def test_what_is_no_address_is_refused_without_quoting_it(written: str) -> None:
    with pytest.raises(ValueError) as refused:
        normalise_email(written)
    assert type(refused.value) is ValueError
    assert str(refused.value).startswith("An email address must ")


def address_by_the_library(text: str) -> str | None:
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError:
        return None


def address_by_us(text: str) -> str | None:
    try:
        return normalise_email(text)
    except ValueError:
        return None


LOCAL = st.text(alphabet="abzINFO019._+-'/{}!", min_size=1, max_size=12) | st.sampled_from(
    ["Info", "info", "POSTMASTER"]
)
DOMAIN = st.text(alphabet="abzA019.-", min_size=1, max_size=12) | st.sampled_from(["town", "a-b", "x--y", "ab--c"])


@settings(max_examples=1_500)
@given(LOCAL, DOMAIN, st.sampled_from([".com", ".de", ".c1", ".x-y", "", ".COM", ".c", "." + "a" * 63, "." + "a" * 64]))
@example("a" * 64, ".".join(["b" * 61] * 3), ".com")
@example("a" * 240, "example", ".com")
def test_the_shortcut_agrees_with_the_library_for_addresses(local: str, domain: str, top: str) -> None:
    text = f"{local}@{domain}{top}"
    assert address_by_us(text) == address_by_the_library(text)


@given(st.emails() | st.text(max_size=60))
def test_no_line_ends_in_an_address(text: str) -> None:
    address = address_by_us(text)
    assert address is None or (len(address.splitlines()) == 1 and " " not in address)


MAILBOXES = [
    ("noreply@example.com", Mailbox("", "noreply@example.com")),
    ("Town Hall <noreply@example.com>", Mailbox("Town Hall", "noreply@example.com")),
    ("  Town Hall   <noreply@Example.com>  ", Mailbox("Town Hall", "noreply@example.com")),
    ("<noreply@example.com>", Mailbox("", "noreply@example.com")),
    ('"Hall, Town" <noreply@example.com>', Mailbox("Hall, Town", "noreply@example.com")),
    (r'"A \"B\" \\ C" <noreply@example.com>', Mailbox(r'A "B" \ C', "noreply@example.com")),
    ("Dr. Who (Ltd.) <noreply@example.com>", Mailbox("Dr. Who (Ltd.)", "noreply@example.com")),
    ("Mairie d'Évry <noreply@example.com>", Mailbox("Mairie d'Évry", "noreply@example.com")),
    ("a <b> <noreply@example.com>", Mailbox("a <b>", "noreply@example.com")),
    ("N" * 200 + " <noreply@example.com>", Mailbox("N" * 200, "noreply@example.com")),
    ('" <noreply@example.com>', Mailbox('"', "noreply@example.com")),
]


@pytest.mark.parametrize(("written", "mailbox"), MAILBOXES)
def test_a_from_address_may_have_a_name(written: str, mailbox: Mailbox) -> None:
    assert parse_mailbox(written) == mailbox


NO_MAILBOXES = [
    "",
    "Town Hall",
    "Town Hall <>",
    "Town Hall noreply@example.com>",
    "Town Hall <noreply@example.com",
    "Town Hall <noreply@example.com> x",
    "Town\r\nBcc: all@example.com <noreply@example.com>",
    "Town\nHall <noreply@example.com>",
    "Town\x85Hall <noreply@example.com>",
    "Town\u2029Hall <noreply@example.com>",
    "Town\tHall <noreply@example.com>",
    "Town\ud800Hall <noreply@example.com>",
    "N" * 201 + " <noreply@example.com>",
]


@pytest.mark.parametrize("written", NO_MAILBOXES)
def test_what_is_no_from_address_is_refused(written: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_mailbox(written)
    assert type(refused.value) is ValueError


@given(st.text(max_size=30))
def test_a_name_can_stand_in_a_header(name: str) -> None:
    try:
        mailbox = parse_mailbox(f"{name} <noreply@example.com>")
    except ValueError:
        return
    assert str(Address(mailbox.name, addr_spec=mailbox.address)).endswith(
        "noreply@example.com>" if mailbox.name else "m"
    )


SENDERS = [
    "12345",
    "123",
    "14165550100",
    "(416) 555-0100",
    "+1 416-555-0100",
    "Campana",
    "Town Hall",
    "A1",
    "ElevenChars",
    "Nine[]Cha",
    "ACME-24.7",
]
NO_SENDERS = [
    "",
    " ",
    "12",
    "1234567890123456",
    "+1416",
    "+CAMPANA",
    "TwelveLetter",
    "Ten[Letter]",  # the brackets take two septets each
    "!?",
    "Tick`",
    "Café",
    "漢字",
    "Town\nHall",
    "+14165550100x1",
    "A" * 1_000_000,
]


@pytest.mark.parametrize("sender", SENDERS)
def test_a_sender_is_a_number_a_short_code_or_a_name(sender: str) -> None:
    check_sender(sender)


@pytest.mark.parametrize("sender", NO_SENDERS)
def test_no_other_sender_is_accepted(sender: str) -> None:
    with pytest.raises(ValueError):
        check_sender(sender)
