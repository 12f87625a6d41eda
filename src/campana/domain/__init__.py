"""What is true: the values and rules of campaigns, contacts, deliveries and their outcomes.

Owns every decision that can be made from values alone. Must not know of I/O, the clock, randomness,
databases, wire protocols or who asked.
"""
