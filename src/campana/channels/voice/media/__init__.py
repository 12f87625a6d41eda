"""The sound of calls: RTP, its pacing, pressed keys and RTCP.

Owns the media sockets. Must not know of signalling but for the addresses it is told, nor how speech is made.
"""
