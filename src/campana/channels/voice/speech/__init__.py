"""Speech: texts to finished G.711, by engines that are programs of their own.

Owns voices, engines and the cache of what was spoken. Must not know of calls.
"""
