"""What may be asked: the use cases, one transaction each, a file a noun. Every door goes through here.

Owns who may do what. Must not know of wire formats, of SQL, or of how a message leaves.
"""
