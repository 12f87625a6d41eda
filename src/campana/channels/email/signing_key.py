"""Owns the private key of DKIM signatures: which kinds there are, and what makes one unusable or weak.

Must not know messages, or what a signature covers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

_LEAST_BITS = 1024
_ADVISED_BITS = 2048
_COMMON_BITS = 4096
"""RFC 8301 section 3.2: what signers must have at least, should have at least, and what every verifier can check."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that is ready to sign, from any thread."""

    algorithm: str
    """As the tag a= names it: rsa-sha256 (RFC 6376 section 3.3.1) or ed25519-sha256 (RFC 8463 section 3)."""
    sign: Callable[[bytes], bytes]
    """From the SHA-256 of what is signed, 32 octets, to the signature."""
    weakness: str = ""
    """What speaks against the key, in words; empty where nothing does."""
    slow: bool = False
    """Signing takes many times as long as handing the work to another thread."""


def load_signing_key(path: Path) -> SigningKey:
    """Load a private key in PEM, PKCS #1 or PKCS #8. Raises ValueError, naming the setting, where it is no use."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ValueError(f"dkim_key: the file cannot be read ({error.strerror})") from None
    except TypeError:
        raise ValueError("dkim_key: the key has a password: it must be stored without") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("dkim_key: not a private key in PEM") from None
    if isinstance(key, RSAPrivateKey):
        return _rsa(key)
    if isinstance(key, Ed25519PrivateKey):
        return SigningKey("ed25519-sha256", key.sign)
    raise ValueError("dkim_key: neither an RSA nor an Ed25519 key")


def _rsa(key: RSAPrivateKey) -> SigningKey:
    bits = key.key_size
    if bits < _LEAST_BITS:
        raise ValueError(f"dkim_key: an RSA key of {bits} bits, at least {_LEAST_BITS} are needed (RFC 8301)")
    padding, digest = PKCS1v15(), Prehashed(SHA256())
    weakness = ""
    if bits < _ADVISED_BITS:
        weakness = f"a key of {bits} bits, at least {_ADVISED_BITS} are advised"
    elif bits > _COMMON_BITS:
        weakness = f"a key of {bits} bits, not every receiver takes more than {_COMMON_BITS}"
    return SigningKey("rsa-sha256", lambda hashed: key.sign(hashed, padding, digest), weakness, slow=True)
