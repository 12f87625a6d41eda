"""The doors: they translate between a wire and the services.

Owns requests, answers and faults. Must not know of SQL, of carriers, or of the engine.
"""
