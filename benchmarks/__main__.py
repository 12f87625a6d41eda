"""Owns the command `python -m benchmarks [NAME ...]`: which benchmarks run, and what is printed.

Must not measure anything itself.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import (
    add_contact,
    beside,
    calls,
    email,
    growth,
    hot,
    imports,
    kannel,
    latency,
    long,
    setups,
    sms,
    speech,
    store,
    stream,
    tenants,
    workers,
)
from benchmarks.processes import SCRATCH
from benchmarks.report import Finding, Scale
from benchmarks.stores import NAMES
from campana.telemetry import configure_logging

BENCHMARKS: dict[str, Callable[[Scale], Iterator[Finding]]] = {
    "sms": sms.run,
    "email": email.run,
    "kannel": kannel.run,
    "add-contact": add_contact.run,
    "stream": stream.run,
    "imports": imports.run,
    "store": store.run,
    "hot": hot.run,
    "workers": workers.run,
    "tenants": tenants.run,
    "scale": growth.run,
    "long": long.run,
    "latency": latency.run,
    "calls": calls.run,
    "setups": setups.run,
    "beside": beside.run,
    "speech": speech.run,
}


def main() -> None:
    """Run the benchmarks that the command line names, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Campana's benchmarks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; none means all")
    parser.add_argument("--quick", action="store_true", help="see that they run; the figures mean nothing")
    parser.add_argument("--store", choices=("sqlite", "postgresql", "both"), default="both", help="on which (both)")
    parser.add_argument("--contacts", type=int, default=1_000_000, help="of the largest campaign (1,000,000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of which the median counts (3)")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    # What Campana's own parts say in this process is no finding.
    configure_logging("warning", "json")
    stores = tuple(NAMES) if arguments.store == "both" else (arguments.store,)
    rounds, shrink = (1, 50) if arguments.quick else (arguments.rounds, 1)
    scale = Scale(rounds, shrink, stores, arguments.contacts)
    configure_logging("warning", "json")
    print(_machine(), flush=True)
    for name in arguments.names or BENCHMARKS:
        began = time.monotonic()
        for finding in BENCHMARKS[name](scale):
            print("\n".join(["", *finding.lines()]), flush=True)
        print(f"  took     {time.monotonic() - began:.0f} s", flush=True)


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.machine())
    return (
        f"{os.cpu_count()} x {model}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"fsync {_fsync_ms():.2f} ms, load {os.getloadavg()[0]:.1f}"
    )


def _fsync_ms() -> float:
    """The middle one of some small durable writes on the disk that the benchmarks write to."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    path = SCRATCH / "fsync"
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(31):
            began = time.perf_counter()
            file.write(b"x" * 4_096)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    path.unlink()
    return sorted(taken)[15] * 1_000


if __name__ == "__main__":
    main()
