"""Owns by which address and port others reach us.

Must not know what is said there.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from campana.channels.voice.addresses import family_of, source_address
from campana.channels.voice.settings import VoiceRouteSettings


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """What the settings of a route say of it."""

    route: str
    local: str
    port: int
    public: str

    @classmethod
    def of(cls, settings: VoiceRouteSettings) -> OwnAddress:
        """Return that of a route."""
        return cls(settings.name, settings.local_address, settings.local_port, settings.public_address)

    def bound(self, family: socket.AddressFamily) -> str:
        """The address to bind to; blank for all. Raises OSError where the configured one is of the other IP version."""
        if self.local and family_of(self.local) != family:
            raise OSError(f"local_address is not of the IP version of the other side ({family.name})")
        return self.local

    def source(self, towards: str) -> str:
        """The address that we send from. Raises OSError without a way there."""
        return self.local or source_address(towards)

    def sent_by(self, source: str, port: int) -> str:
        """Host and port by which others reach us, for Via and Contact: the public address where there is one."""
        host = self.public if self.public and family_of(self.public) == family_of(source) else source
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
