"""Owns what is fixed about the two laws of G.711 on the wire: their payload types, their silence, their pace.

Must not encode or decode (g711.py does), so that the media process starts without numpy.
"""

from __future__ import annotations

from typing import Final, Literal

Law = Literal["PCMU", "PCMA"]

SAMPLE_RATE: Final = 8_000
"""Samples, and so octets, a second (RFC 3551, section 4.5.14)."""
OCTETS_PER_MS: Final = 8
PAYLOAD_TYPES: Final[dict[Law, int]] = {"PCMU": 0, "PCMA": 8}
"""Static payload types (RFC 3551, table 4)."""
SILENCE: Final[dict[Law, bytes]] = {"PCMU": b"\xff", "PCMA": b"\xd5"}
"""The octet that sounds like nothing: the smallest positive value of each law."""
