"""Owns the programs of others that benchmarks compare with: found on this machine, or unpacked from Debian's packages.

Must not install anything: packages are unpacked into a folder of the checkout, and nothing of them is started but
what a benchmark names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT

PLACE = ROOT / ".tools" / "debian"
_FOLDERS = ("usr/sbin", "usr/bin")


@dataclass(frozen=True, slots=True)
class Program:
    """A program, and the environment that it needs."""

    path: str
    environ: dict[str, str]


class NotThere(Exception):
    """A program is neither installed nor to be had; the sentence says why."""


def program(name: str, package: str, *, fetch: bool) -> Program:
    """Find a program of a Debian package; `fetch` has the package unpacked where it is missing. Raises NotThere."""
    installed = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if installed:
        return Program(installed, {})
    root = PLACE / package
    for attempt in range(2):
        for folder in _FOLDERS:
            path = root / folder / name
            if path.is_file():
                libraries = {str(file.parent) for file in root.rglob("*.so*")}
                return Program(str(path), {"LD_LIBRARY_PATH": ":".join(sorted(libraries))})
        if attempt == 0 and fetch:
            _unpack(package, root)
    raise NotThere(f"It needs {name} of the Debian package {package}.")


def _unpack(package: str, root: Path) -> None:
    """Fetch a package and what it needs that is not installed, and unpack all of it."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NotThere(f"It needs the Debian package {package}, and this is no Debian.")
    archives = root / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    fetch = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "--download-only"]
    fetch += ["-o", f"Dir::Cache::archives={archives}/", "-o", "Debug::NoLocking=true", package]
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(fetch, env=environ, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        raise NotThere(f"The Debian package {package} could not be fetched in two minutes.") from None
    files = sorted(archives.glob("*.deb"))
    if done.returncode or not files:
        why = (done.stderr.strip().splitlines() or ["apt-get says nothing"])[-1]
        raise NotThere(f"The Debian package {package} could not be fetched: {why}")
    for file in files:
        subprocess.run(["dpkg-deb", "-x", str(file), str(root)], check=True, timeout=60)
