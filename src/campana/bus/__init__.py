"""Who is told: lossy hints between the parts of Campana that something changed.

Owns the hints and their delivery. Must not be relied on: what is lost costs latency, never work.
"""
