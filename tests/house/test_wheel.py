"""The wheel: it has every file that the program reads, and works without the repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from repository import ROOT, SOURCE, files


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    packed = {name for name in ZipFile(wheel).namelist() if name.startswith("campana/")}
    expected = {str(path.relative_to(SOURCE.parent)) for path in files() if path.is_relative_to(SOURCE)}
    assert packed == expected
    assert "campana/api/soap/wsdl/OutboundNotifications.wsdl" in packed
    assert any(name.startswith("campana/storage/migrations/versions/0001") for name in packed)


def test_the_wheel_says_its_licence_and_its_program(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        assert "License-Expression: MIT" in archive.read(f"{info}/METADATA").decode()
        assert "campana = campana.cli:main" in archive.read(f"{info}/entry_points.txt").decode()
        assert archive.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_it_runs_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    """Packages of this environment, but Campana's own files from the wheel: migrations and the WSDL are read."""
    unpacked = tmp_path / "site"
    ZipFile(wheel).extractall(unpacked)
    look = "import campana.api.soap.wsdl as w; print(w.__file__); print(len(w.document('wsdl', 'http://x/y') or ''))"
    environ = {**os.environ, "PYTHONPATH": str(unpacked)}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    file, size = run("-c", look).split()
    assert Path(file).is_relative_to(unpacked)
    assert int(size) > 10_000
    assert "Created the database" in run("-m", "campana", "db", "upgrade")
