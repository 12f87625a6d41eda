"""Owns the processes of a benchmark: starting and ending them, and what they cost in CPU time and memory.

Must not know what runs in them.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SCRATCH = ROOT / ".tools" / "benchmarks"
"""On the disk of the checkout: a folder for temporary files may be in memory, where nothing is durable."""
PATIENCE = 120.0

_TICKS = os.sysconf("SC_CLK_TCK")


class Broken(Exception):
    """A process did not do what it was started for: what it said stands in the sentence."""


class Process:
    """A process that a benchmark started."""

    def __init__(self, arguments: Sequence[str], *, environ: dict[str, str] | None = None, output: Path | None = None):
        self._arguments = arguments
        with tempfile.TemporaryFile() if output is None else output.open("w+b") as errors:
            self._popen = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **(environ or {})},
                cwd=ROOT,
            )
            self._errors = os.dup(errors.fileno())
        self.pid = self._popen.pid
        self._buffer = b""

    def line(self, patience: float = PATIENCE) -> str:
        """The next line of its standard output. Raises Broken where none comes."""
        deadline = time.monotonic() + patience
        out = self._popen.stdout
        assert out is not None
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                raise self._broken(f"said nothing for {patience:g} seconds")
            part = os.read(out.fileno(), 65_536)
            if not part:
                raise self._broken("ended too early")
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def answer(self, patience: float = PATIENCE) -> dict[str, Any]:
        """The next line of its standard output, read as JSON."""
        found: dict[str, Any] = json.loads(self.line(patience))
        return found

    def cpu(self) -> float:
        """Seconds of CPU that it has used so far, user and system, all threads."""
        return cpu_of(self.pid)

    def memory(self, kind: str = "VmHWM") -> int:
        """KiB of memory: VmHWM is the most it ever had, VmRSS what it has now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                return int(line.split()[1])
        raise self._broken("has ended")

    def forget_peak(self) -> None:
        """Have VmHWM begin anew from what it has now (proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def wait(self, patience: float = PATIENCE) -> None:
        """Wait for its end. Raises Broken where it failed or does not end."""
        try:
            code = self._popen.wait(patience)
        except subprocess.TimeoutExpired:
            raise self._broken("did not end") from None
        if code:
            raise self._broken(f"failed with {code}")

    def end(self) -> None:
        """End it, gently first."""
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(15)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()
        os.close(self._errors)

    def _broken(self, how: str) -> Broken:
        size = os.fstat(self._errors).st_size
        said = os.pread(self._errors, 2_000, max(0, size - 2_000)).decode(errors="replace").strip()
        return Broken(f"{' '.join(self._arguments[:4])} {how}.\n{said}")


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used so far, user and system, all threads (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def family_cpu(pid: int) -> float:
    """Seconds of CPU of a process and its children so far, those that it has waited for included (proc(5)).

    A child's own children count from their end on.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    whole = sum(map(int, fields[11:15])) / _TICKS
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        # One that has just ended is counted among those that were waited for, in the next look.
        with suppress(FileNotFoundError, ProcessLookupError):
            whole += cpu_of(int(child))
    return whole


def machine_cpu() -> float:
    """Seconds of CPU that all programs of this machine have used so far, and the kernel for them (proc(5), stat)."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split(maxsplit=8)[1:8])
    return (user + nice + system + irq + softirq) / _TICKS


@contextmanager
def running(arguments: Sequence[str], **options: Any) -> Iterator[Process]:
    """A process for as long as the block lasts."""
    process = Process(arguments, **options)
    try:
        yield process
    finally:
        process.end()


def python(module: str, *arguments: object) -> list[str]:
    """The command that runs a module in this interpreter."""
    return [sys.executable, "-m", module, *map(str, arguments)]


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for one round's files, gone afterwards."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(dir=SCRATCH, prefix="run-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def free_port() -> int:
    """A port that nobody listens on right now, for programs that cannot choose one themselves."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def await_port(port: int, patience: float = 20.0) -> None:
    """Wait until somebody listens on a port. Raises Broken."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            time.sleep(0.02)
    raise Broken(f"nobody listens on port {port}")
