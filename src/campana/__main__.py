"""Owns `python -m campana`: the same as `campana`.

Must not do anything of its own.
"""

from campana.cli import main

if __name__ == "__main__":
    main()
