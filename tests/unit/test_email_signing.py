"""DKIM signatures, checked by an independent reading of RFC 6376 (dkim_judge.py) and by RFC 8463's own example."""

from __future__ import annotations

import base64
import hashlib
import re
from math import lcm
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, PrivateFormat
from dkim_judge import NO_PASSWORD, PEM, PKCS1, PKCS8, SPKI, Private, holds, record, tags
from hypothesis import example, given, settings
from hypothesis import strategies as st

from campana.channels.contract import Content
from campana.channels.email.canonical import relaxed_body, relaxed_fields
from campana.channels.email.message import Letter, letter_composer
from campana.channels.email.signing import Seal, Signer
from campana.channels.email.signing_key import load_signing_key
from campana.domain.delivery import Medium

NOW = 1_700_000_000_999
NAME = b"campana._domainkey.example.com."
PRIVATE: dict[str, Private] = {
    "RSA": rsa.generate_private_key(65537, 2048),
    "Ed25519": Ed25519PrivateKey.generate(),
}
DNS = {kind: {NAME: record(private)} for kind, private in PRIVATE.items()}


def written(folder: Path, private: Private, form: PrivateFormat = PKCS8, line_end: bytes = b"\n") -> Path:
    path = folder / "dkim.pem"
    path.write_bytes(private.private_bytes(PEM, form, NO_PASSWORD).replace(b"\n", line_end))
    return path


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Signer]:
    keys = {kind: load_signing_key(written(tmp_path_factory.mktemp("key"), own)) for kind, own in PRIVATE.items()}
    return {kind: Signer("example.com", "campana", key, lambda: NOW) for kind, key in keys.items()}


def received(letter: Letter) -> bytes:
    """What a server keeps: the end taken off, dots unstuffed (RFC 5321 section 4.5.2)."""
    text = (letter.head + letter.rest)[:-3].replace(b"\r\n..", b"\r\n.")
    assert letter.size == len(text)
    return text


def signed(
    signer: Signer, html: str, *, to: str = "ann@example.org", own: str | None = None, subject: str = "Ein Gruß 😀"
) -> bytes:
    content = Content(Medium.EMAIL, "Grüße <shop@example.com>", html, subject, "c-1")
    letter: Letter = letter_composer(content, lambda: NOW, None, signer)(1, 1, to, own).payload
    letter.sign()
    letter.sign()  # once is enough
    text = received(letter)
    assert text.startswith(b"DKIM-Signature: ")
    assert text.count(b"DKIM-Signature: ") == 1
    return text


# --- whole messages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PRIVATE)
@pytest.mark.parametrize(
    ("html", "own"),
    [(".\n<p>Hello</p>\n..\n", None), ("<p>你好</p>   \n\n\n", None), ("<p>x</p>", "<p>\tmine  </p>\n.\n\n")],
)
def test_signatures_hold(signers: dict[str, Signer], kind: str, html: str, own: str | None) -> None:
    assert holds(signed(signers[kind], html, own=own), DNS[kind])


TAMPERED = [
    (b"ann@example.org", b"bob@example.org"),
    (b"shop@example.com", b"shup@example.com"),
    (b"\r\nSubject: ", b"\r\nSubject: Re: "),
    (b"\r\nDate: Tue", b"\r\nDate: Wed"),
    (b"\r\nMessage-ID: <1", b"\r\nMessage-ID: <2"),
    (b"auto-generated", b"auto-replied"),
    (b"X-Campana-Campaign: c-1", b"X-Campana-Campaign: c-2"),
    (b"multipart/alternative", b"multipart/mixed"),
    (b"<p>Hello", b"<p>Hellu"),
    (b"t=1700000000", b"t=1700000001"),
    (b"--\r\n", b"--\r\nmore\r\n"),
]


@pytest.mark.parametrize("kind", PRIVATE)
@pytest.mark.parametrize(("before", "after"), TAMPERED, ids=[str(row[1]) for row in TAMPERED])
def test_what_was_changed_does_not_hold(signers: dict[str, Signer], kind: str, before: bytes, after: bytes) -> None:
    text = signed(signers[kind], "<p>Hello</p>")
    assert holds(text, DNS[kind])
    assert before in text
    assert not holds(text.replace(before, after), DNS[kind])


@pytest.mark.parametrize("kind", PRIVATE)
@pytest.mark.parametrize(
    "name", ["From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"]
)
def test_nothing_that_readers_see_can_be_added(signers: dict[str, Signer], kind: str, name: str) -> None:
    text = signed(signers[kind], "<p>Hello</p>")
    field = f"{name}: evil@example.net\r\n".encode()
    assert not holds(field + text, DNS[kind])
    assert not holds(text.replace(b"\r\n\r\n", b"\r\n" + field + b"\r\n", 1), DNS[kind])
    assert holds(b"Received: from a by b\r\n" + text, DNS[kind]), "what servers add on the way does no harm"


def test_the_tags(signers: dict[str, Signer]) -> None:
    found = tags(signed(signers["RSA"], "<p>x</p>"))
    assert (found[b"v"], found[b"a"], found[b"c"]) == (b"1", b"rsa-sha256", b"relaxed/relaxed")
    assert (found[b"d"], found[b"s"], found[b"t"]) == (b"example.com", b"campana", b"1700000000")
    names = [name.strip() for name in found[b"h"].split(b":")]
    once = {b"auto-submitted", b"x-campana-campaign"}
    twice = {b"from", b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type"}
    assert {name: names.count(name) for name in names} == (
        dict.fromkeys(once, 1) | dict.fromkeys(twice, 2) | {b"cc": 1, b"reply-to": 1}
    )
    assert tags(signed(signers["Ed25519"], "<p>x</p>"))[b"a"] == b"ed25519-sha256"


def test_each_signature_tells_when_it_was_made(signers: dict[str, Signer]) -> None:
    instants = iter([NOW, NOW + 1000])
    rsa_signer = signers["RSA"]
    seal = Seal(Signer("example.com", "campana", rsa_signer.key, lambda: next(instants)), b"From: a@b\r\n", (), b"")
    fields = [seal.sign(b"") for _ in range(2)]
    assert [tags(field + b"From: a@b\r\n\r\n")[b"t"] for field in fields] == [b"1700000000", b"1700000001"]
    assert all(holds(field + b"From: a@b\r\n\r\n", DNS["RSA"]) for field in fields)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(sorted(PRIVATE)),
    subject=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), max_size=200),
    html=st.text(st.sampled_from(" \t\r\n.<p>&é你😀=-")).map(lambda text: f"<p>{text}"),
    local=st.text(st.sampled_from("abcö"), min_size=1, max_size=20),
)
@example(kind="RSA", subject="", html="<p>", local="a")
@example(kind="RSA", subject=" blank ends ", html="<p>\n.\n..\n. \n\n\n", local="ö")
def test_any_message_is_signed(signers: dict[str, Signer], kind: str, subject: str, html: str, local: str) -> None:
    text = signed(signers[kind], html, to=f"{local}@example.org", subject=subject)
    assert holds(text, DNS[kind])


# --- any header and body -----------------------------------------------------------------------------------------

WORD = st.sampled_from(["x", "=?utf-8?b?w7w=?=", "Ann <ann@example.org>,", "ü", "a:b", ";", "b=", "."])
GAP = st.sampled_from([" ", "  ", "\t", "\r\n ", "\r\n\t", " \r\n  "])
VALUE = st.lists(st.tuples(GAP, WORD), max_size=12).map(lambda pairs: "".join(gap + word for gap, word in pairs))
END = st.sampled_from(["", " ", "\t ", "\r\n "])
LINES = st.lists(st.sampled_from(["", " ", "\t", ".", "..", ".x ", "a  b\t", "ü", "x" * 998, "b="]), max_size=8)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(PRIVATE)),
    values=st.tuples(VALUE, VALUE, VALUE, VALUE),
    end=END,
    lines=LINES,
    last=st.sampled_from(["", "x"]),
)
@example(kind="RSA", values=("", "", "", ""), end="", lines=[], last="")
@example(kind="RSA", values=(" a",) * 4, end=" ", lines=["x", "", " ", ""], last="")
def test_any_header_and_body_is_signed(
    signers: dict[str, Signer], kind: str, values: tuple[str, ...], end: str, lines: list[str], last: str
) -> None:
    """Folded lists of people, blanks and tabs anywhere, dots at line starts, empty lines at the body's end."""
    sender, subject, to, content_type = (value.rstrip(" \t\r\n") + end for value in values)
    shared = f"From: f{sender}\r\nSubject:{subject}\r\n".encode()
    own = f"To:{to}\r\nDate: now\r\n".encode()
    body = "".join(line + "\r\n" for line in lines) + last
    entity = f"MIME-Version: 1.0\r\nContent-Type: {content_type}\r\n\r\n{body}".encode()
    text = Seal(signers[kind], shared, (b"to", b"date"), entity).sign(own) + shared + own + entity
    assert holds(text, DNS[kind])
    assert holds(text + b"\r\n \r\n" if text.endswith(b"\r\n") else text + b" \r\n", DNS[kind]), "relaxed"
    assert not holds(text + b"!", DNS[kind])
    assert not holds(text.replace(b"Date: now", b"Date: then"), DNS[kind])


@pytest.mark.parametrize("kind", PRIVATE)
@pytest.mark.parametrize(
    ("domain", "selector", "longest"),
    [("example.com", "s1", 78), (".".join(["a" * 61] * 4), ".".join(["b" * 60] * 4), 256)],
)
def test_lines_are_folded(signers: dict[str, Signer], kind: str, domain: str, selector: str, longest: int) -> None:
    text = signed(Signer(domain, selector, signers[kind].key, lambda: NOW), "<p>x</p>")
    field = re.split(rb"\r\n(?![ \t])", text)[0]
    lines = field.split(b"\r\n")
    assert max(map(len, lines)) <= longest
    assert all(line.strip() and line == line.rstrip() for line in lines)
    assert holds(text, {f"{selector}._domainkey.{domain}.".encode(): record(PRIVATE[kind])})


# --- RFC 8463, appendix A: a message, its signature and the private key that made it --------------------------------

EXAMPLE_FIELDS = (
    b"From: Joe SixPack <joe@football.example.com>\r\n"
    b"To: Suzie Q <suzie@shopping.example.net>\r\n"
    b"Subject: Is dinner ready?\r\n"
    b"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    b"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
)
EXAMPLE_BODY = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
EXAMPLE_BODY_HASH = b"2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
EXAMPLE_SIGNATURE = b"/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
EXAMPLE_TAGS = (
    b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
    b" d=football.example.com; i=@football.example.com;\r\n"
    b" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
    b" subject : date : message-id : from : subject : date;\r\n"
    b" bh=" + EXAMPLE_BODY_HASH + b";\r\n b="
)
EXAMPLE_DNS = {
    b"brisbane._domainkey.football.example.com.": b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
}
EXAMPLE_KEY = Ed25519PrivateKey.from_private_bytes(base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="))


def test_the_judge_accepts_the_rfcs_example() -> None:
    field = EXAMPLE_TAGS + EXAMPLE_SIGNATURE[:60] + b"\r\n " + EXAMPLE_SIGNATURE[60:] + b"\r\n"
    text = field + EXAMPLE_FIELDS + b"\r\n" + EXAMPLE_BODY
    assert holds(text, EXAMPLE_DNS)
    assert not holds(text.replace(b"dinner", b"supper"), EXAMPLE_DNS)


def test_our_parts_make_the_rfcs_signature(tmp_path: Path) -> None:
    assert base64.b64encode(hashlib.sha256(relaxed_body(EXAMPLE_BODY)).digest()) == EXAMPLE_BODY_HASH
    fields = relaxed_fields(EXAMPLE_FIELDS + EXAMPLE_TAGS + b"\r\n")
    hashed = hashlib.sha256(b"".join(fields.values()).removesuffix(b"\r\n")).digest()
    key = load_signing_key(written(tmp_path, EXAMPLE_KEY))
    assert base64.b64encode(key.sign(hashed)) == EXAMPLE_SIGNATURE


# --- keys --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(("kind", "form"), [("RSA", PKCS1), ("RSA", PKCS8), ("Ed25519", PKCS8)])
def test_forms_of_keys(tmp_path: Path, kind: str, form: PrivateFormat, line_end: bytes) -> None:
    key = load_signing_key(written(tmp_path, PRIVATE[kind], form, line_end))
    assert key.weakness == ""
    assert holds(signed(Signer("example.com", "campana", key, lambda: NOW), "<p>x</p>"), DNS[kind])


def mersenne(first: int, second: int) -> rsa.RSAPrivateKey:
    """An RSA key of two Mersenne primes, given by their exponents: of any size at once, and of no use as a secret."""
    p, q = 2**first - 1, 2**second - 1
    secret = pow(65537, -1, lcm(p - 1, q - 1))
    parts = (p, q, secret, secret % (p - 1), secret % (q - 1), rsa.rsa_crt_iqmp(p, q))
    return rsa.RSAPrivateNumbers(*parts, rsa.RSAPublicNumbers(65537, p * q)).private_key()


@pytest.mark.parametrize(
    ("primes", "weakness"),
    [
        ((607, 521), "a key of 1128 bits, at least 2048 are advised"),
        ((2203, 2281), "a key of 4484 bits, not every receiver takes more than 4096"),
    ],
)
def test_keys_that_are_not_advised_sign_all_the_same(tmp_path: Path, primes: tuple[int, int], weakness: str) -> None:
    private = mersenne(*primes)
    signer = Signer("example.com", "campana", load_signing_key(written(tmp_path, private)), lambda: NOW)
    assert signer.key.weakness == weakness
    assert str(signer) == f"campana at example.com, rsa-sha256 ({weakness})"
    assert holds(signed(signer, "<p>x</p>"), {NAME: record(private)})


def useless_keys() -> dict[str, tuple[bytes, str]]:
    private = PRIVATE["RSA"]
    elliptic = ec.generate_private_key(ec.SECP256R1())
    return {
        "empty": (b"", "not a private key in PEM"),
        "no key": (
            b"-----BEGIN RSA PRIVATE KEY-----\nbm8=\n-----END RSA PRIVATE KEY-----\n",
            "not a private key in PEM",
        ),
        "binary": (bytes(range(256)), "not a private key in PEM"),
        "public": (private.public_key().public_bytes(PEM, SPKI), "not a private key in PEM"),
        "elliptic": (elliptic.private_bytes(PEM, PKCS8, NO_PASSWORD), "neither an RSA nor an Ed25519 key"),
        "with a password": (private.private_bytes(PEM, PKCS8, BestAvailableEncryption(b"x")), "has a password"),
        "short": (mersenne(521, 127).private_bytes(PEM, PKCS1, NO_PASSWORD), "an RSA key of 648 bits, at least 1024"),
    }


@pytest.mark.parametrize("kind", useless_keys())
def test_keys_that_are_no_use(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "dkim.pem"
    contents, words = useless_keys()[kind]
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=rf"^dkim_key: .*{words}") as refused:
        load_signing_key(path)
    assert "BEGIN" not in str(refused.value)


@pytest.mark.parametrize(("name", "words"), [("missing.pem", "No such file"), ("", "Is a directory")])
def test_files_that_cannot_be_read(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(ValueError, match=rf"^dkim_key: the file cannot be read \({words}"):
        load_signing_key(tmp_path / name)
