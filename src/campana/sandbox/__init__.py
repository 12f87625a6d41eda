"""Shipped simulators of the carriers, which speak the real wire protocols, the demo, and the crash drill.

Owns magic destinations and what becomes of them. Must not be known to any other room but the command line.
"""
