"""Email over SMTP: rendering, sending over kept connections, and reading the bounces that come back.

Owns MIME, SMTP and DSNs. Must not know other channels, storage, retries or who asked.
"""

from campana.channels.email.channel import EmailRoute
from campana.channels.email.settings import EmailRouteSettings

__all__ = ["EmailRoute", "EmailRouteSettings"]
