"""SMS over SMPP 3.4: one SMSC account a route, hand-packed PDUs, receipts and incoming messages.

Owns everything that is said to an SMSC. Must not know the other channels, storage, or when to try again.
"""

from campana.channels.sms.channel import SmsRoute
from campana.channels.sms.settings import SmsRouteSettings

__all__ = ["SmsRoute", "SmsRouteSettings"]
