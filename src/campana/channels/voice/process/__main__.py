"""Owns how a media process is started: `python -m campana.channels.voice.process FD LEVEL FORMAT`.

Must not know what it does then. It is started by the main process alone, with one end of a socket pair.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys

import uvloop

from campana.channels.voice.process.child import MediaProcess
from campana.channels.voice.process.stderr import hasty_stderr
from campana.telemetry import configure_logging


def main(descriptor: str, level: str, form: str) -> int:
    """Run a media process on the inherited socket `descriptor`; return its exit code."""
    # Ctrl-C and a service manager mean the whole house: the main process decides when calls end, and how.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Sound is due every 5 ms, whatever else wants the core; not everybody may ask for that.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    configure_logging(level, "console" if form == "console" else "json", hasty_stderr())
    end = socket.socket(fileno=int(descriptor))
    end.setblocking(False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(MediaProcess().run(end))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
