"""Where it is kept: the only room with SQL.

Owns tables, statements, transactions and migrations behind the contract in store.py. Must not know of wire
protocols, of carriers, or of who may do what.
"""
