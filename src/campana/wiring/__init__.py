"""What a running Campana is made of, and the order in which its parts start and stop, a file for each kind of part.

Owns the names of concrete stores, buses and routes, and hands each part what it needs: the only room that does. Must
not hold rules.
"""

from campana.wiring.parts import build_routes, build_speech, now_ms, speaking
from campana.wiring.roles import Pins, Role
from campana.wiring.running import SWITCH_SECONDS, run, serve
from campana.wiring.stores import instance_for, services_for, upgrade

__all__ = [
    "SWITCH_SECONDS",
    "Pins",
    "Role",
    "build_routes",
    "build_speech",
    "instance_for",
    "now_ms",
    "run",
    "serve",
    "services_for",
    "speaking",
    "upgrade",
]
