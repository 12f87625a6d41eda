"""DKIM signatures, checked by an independent reading of RFC 6376: dkimpy's verifier with a DNS of our own."""

from __future__ import annotations

import base64
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from campana.channels.contract import Content
from campana.channels.email.message import Letter, letter_composer
from campana.channels.email.signing import Signer
from campana.domain.delivery import Medium

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
TRADITIONAL, PKCS8 = serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8
NO_PASSWORD = serialization.NoEncryption()


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def record(private: rsa.RSAPrivateKey) -> bytes:
    public = private.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


def signed(signer: Signer, html: str, to: str = "ann@example.org", own: str | None = None) -> bytes:
    content = Content(Medium.EMAIL, "Grüße <shop@example.com>", html, "Ein Gruß 😀", "c-1")
    letter: Letter = letter_composer(content, lambda: 1_700_000_000_000, None, signer)(1, 1, to, own).payload
    letter.sign()
    letter.sign()  # once is enough
    text = (letter.head + letter.rest)[:-3].replace(b"\r\n..", b"\r\n.")
    assert letter.size == len(text)
    return text


@pytest.mark.parametrize("form", [TRADITIONAL, PKCS8])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_signatures_hold(
    tmp_path: Path, private: rsa.RSAPrivateKey, form: serialization.PrivateFormat, line_end: bytes
) -> None:
    path = tmp_path / "dkim.pem"
    path.write_bytes(private.private_bytes(PEM, form, NO_PASSWORD).replace(b"\n", line_end))
    signer = Signer("example.com", "campana", path)
    asked: list[bytes] = []

    def dns(name: bytes, timeout: int = 5) -> bytes:
        asked.append(name)
        return record(private)

    for html, own in ((".\n<p>Hello</p>\n..\n", None), ("<p>你好</p>   \n\n\n", None), ("<p>x</p>", "<p>mine</p>")):
        text = signed(signer, html, own=own)
        assert text.startswith(b"DKIM-Signature: ")
        assert dkim.verify(text, dnsfunc=dns)
        assert not dkim.verify(text.replace(b"ann@example.org", b"bob@example.org"), dnsfunc=dns)
        assert not dkim.verify(text + b"more\r\n", dnsfunc=dns)
        assert not dkim.verify(b"From: evil@example.com\r\n" + text, dnsfunc=dns)
    assert set(asked) == {b"campana._domainkey.example.com."}


def test_the_signed_fields(tmp_path: Path, private: rsa.RSAPrivateKey) -> None:
    path = tmp_path / "dkim.pem"
    path.write_bytes(private.private_bytes(PEM, TRADITIONAL, NO_PASSWORD))
    text = signed(Signer("example.com", "campana", path), "<p>x</p>")
    tags = dkim.util.parse_tag_value(text.split(b"DKIM-Signature: ")[1].split(b"\r\nFrom:")[0])
    assert tags[b"c"] == b"relaxed/relaxed"
    assert tags[b"a"] == b"rsa-sha256"
    fields = [name.strip() for name in tags[b"h"].split(b":")]
    assert fields.count(b"from") == 2
    assert {b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type"} <= set(fields)


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "elliptic", "public"])
def test_keys_that_are_no_use(tmp_path: Path, private: rsa.RSAPrivateKey, kind: str) -> None:
    path = tmp_path / "dkim.pem"
    elliptic = ec.generate_private_key(ec.SECP256R1())
    contents = {
        "empty": b"",
        "text": b"-----BEGIN RSA PRIVATE KEY-----\nbm8=\n-----END RSA PRIVATE KEY-----\n",
        "elliptic": elliptic.private_bytes(PEM, PKCS8, NO_PASSWORD),
        "public": private.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    }
    if kind in contents:
        path.write_bytes(contents[kind])
    with pytest.raises(ValueError, match=r"^dkim_key: ") as refused:
        Signer("example.com", "campana", path)
    assert "BEGIN" not in str(refused.value)
