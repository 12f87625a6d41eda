"""Campana: a self-hosted server for outbound notification campaigns."""
