"""Voice calls over SIP: one trunk a route, speech made beforehand, a media process that places, plays and listens.

Owns everything that is said on the telephone. Must not know the other channels, storage, or when to try again.
"""

from campana.channels.voice.settings import VoiceRouteSettings

# Not the route: a media process, which lives in this package as well, starts without all that speech needs.
__all__ = ["VoiceRouteSettings"]
