"""Campana: a self-hosted server for outbound notification campaigns.

Owns the package's name alone. Must not import anything: whoever wants a part of it names that part.
"""
