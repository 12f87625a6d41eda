"""The command line: `campana`, a file per noun.

Owns arguments, what is printed, and exit codes: 0 done, 1 it could not be done, 2 a wrong command. Must not hold a
rule: it hands everything to the services and the wiring.
"""

from campana.cli.app import main

__all__ = ["main"]
