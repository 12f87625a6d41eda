"""What is asked of every store: the portable statements, a file a noun.

Owns SQLAlchemy Core statements that mean the same on every database. Must not hold dialect twins, nor run anything.
"""
