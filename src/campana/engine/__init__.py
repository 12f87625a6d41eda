"""The river: what happens to a delivery from its planning to its last receipt, one file a bend.

Owns the order of things and who holds a lease. Must not know of SQL, of wire formats, or of who asked.
"""
