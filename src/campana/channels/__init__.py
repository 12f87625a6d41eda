"""How it leaves: one package a medium, siblings that never meet, behind one contract.

Owns wire formats, sessions and the carriers' own codes. Must not know of storage, retries or who asked.
"""
