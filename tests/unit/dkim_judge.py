"""An independent reading of RFC 6376: dkimpy's verifier, with a DNS of the test's own.

dkimpy checks Ed25519 only where PyNaCl is installed, so for those keys the last step is taken here: the hash is still
dkimpy's, over what dkimpy parsed, chose and made canonical.
"""

from __future__ import annotations

import base64
import hashlib
import re

import dkim
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from dkim.canonicalization import CanonicalizationPolicy

PEM, DER, RAW = serialization.Encoding.PEM, serialization.Encoding.DER, serialization.Encoding.Raw
PKCS1, PKCS8 = serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8
NO_PASSWORD = serialization.NoEncryption()
SPKI, RAW_PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.Raw

Private = RSAPrivateKey | Ed25519PrivateKey


def record(private: Private) -> bytes:
    """The key's public half as it stands in DNS (RFC 6376 section 3.6.1, RFC 8463 section 4)."""
    if isinstance(private, RSAPrivateKey):
        return b"v=DKIM1; k=rsa; p=" + base64.b64encode(private.public_key().public_bytes(DER, SPKI))
    return b"v=DKIM1; k=ed25519; p=" + base64.b64encode(private.public_key().public_bytes(RAW, RAW_PUBLIC))


def tags(message: bytes) -> dict[bytes, bytes]:
    """The tags of the first signature."""
    found: dict[bytes, bytes] = dkim.DKIM(message).verify_headerprep()[0]
    return found


def holds(message: bytes, dns: dict[bytes, bytes]) -> bool:
    """Tell whether the first signature holds, by the records that stand under these names."""
    if tags(message)[b"a"] == b"ed25519-sha256":
        return _holds_ed25519(message, dns)
    return bool(dkim.verify(message, dnsfunc=lambda name, timeout=5: dns.get(name, b"")))


def _holds_ed25519(message: bytes, dns: dict[bytes, bytes]) -> bool:
    verifier = dkim.DKIM(message)
    sig, included, fields = verifier.verify_headerprep()
    policy = CanonicalizationPolicy.from_c_value(sig[b"c"])
    body_hash = hashlib.sha256(policy.canonicalize_body(verifier.body)).digest()
    if base64.b64decode(re.sub(rb"\s", b"", sig[b"bh"])) != body_hash:
        return False
    hashed = hashlib.sha256()
    dkim.hash_headers(hashed, policy, policy.canonicalize_headers(verifier.headers), included, fields[0], sig)
    public = dkim.util.parse_tag_value(dns[sig[b"s"] + b"._domainkey." + sig[b"d"] + b"."])
    assert public[b"k"] == b"ed25519"
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public[b"p"]))
    try:
        key.verify(base64.b64decode(re.sub(rb"\s", b"", sig[b"b"])), hashed.digest())
    except InvalidSignature:
        return False
    return True
