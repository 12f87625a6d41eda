"""How a list of contacts is read: from bytes to text, from text to rows, from rows to what is stored.

Owns CSV and JSON Lines as people send them. Must not know how a list came in, nor how contacts are stored.
"""
