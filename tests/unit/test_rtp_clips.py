"""Clips: read once for all who ask, kept within a limit, and honest where a file is gone."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from campana.channels.voice.media.clips import LONGEST, Clips


def written(folder: Path, name: str, octets: bytes) -> str:
    path = folder / name
    path.write_bytes(octets)
    return str(path)


def remove(path: str) -> None:
    Path(path).unlink()


async def test_all_who_ask_get_the_same_octets_once(tmp_path: Path) -> None:
    path = written(tmp_path, "a", b"sound")
    clips = Clips()
    first, *others = await asyncio.gather(*(clips.get(path) for _ in range(20)))
    assert first == b"sound"
    assert all(other is first for other in others)
    # What is kept needs the file no more.
    remove(path)
    assert await clips.get(path) is first


async def test_the_least_lately_used_are_forgotten_first(tmp_path: Path) -> None:
    paths = [written(tmp_path, name, name.encode() * 40) for name in "abc"]
    clips = Clips(limit=100)
    a, _ = await clips.get(paths[0]), await clips.get(paths[1])
    assert await clips.get(paths[0]) is a
    await clips.get(paths[2])
    for path in paths:
        remove(path)
    assert await clips.get(paths[0]) is a
    assert await clips.get(paths[2]) == b"c" * 40
    with pytest.raises(FileNotFoundError):
        await clips.get(paths[1])


async def test_a_clip_larger_than_the_limit_is_played_but_not_kept(tmp_path: Path) -> None:
    path = written(tmp_path, "a", bytes(200))
    clips = Clips(limit=100)
    assert await clips.get(path) == bytes(200)
    remove(path)
    with pytest.raises(FileNotFoundError):
        await clips.get(path)


async def test_a_file_that_comes_later_is_found_then(tmp_path: Path) -> None:
    clips = Clips()
    with pytest.raises(FileNotFoundError):
        await clips.get(str(tmp_path / "a"))
    assert await clips.get(written(tmp_path, "a", b"now")) == b"now"


async def test_all_who_ask_hear_of_a_missing_file(tmp_path: Path) -> None:
    clips = Clips()
    found = await asyncio.gather(*(clips.get(str(tmp_path / "a")) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [FileNotFoundError] * 3


async def test_one_who_gives_up_takes_nothing_from_the_others(tmp_path: Path) -> None:
    # A pipe is read as soon as somebody writes: until then both wait.
    path = tmp_path / "pipe"
    os.mkfifo(path)
    clips = Clips()
    hasty, patient = (asyncio.create_task(clips.get(str(path))) for _ in range(2))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(hasty, 0.01)
    await asyncio.to_thread(path.write_bytes, b"sound")
    assert await asyncio.wait_for(patient, 5) == b"sound"


async def test_what_is_longer_than_any_clip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.truncate(LONGEST + 1)
    with pytest.raises(OSError) as caught:
        await Clips().get(str(path))
    assert caught.value.errno == errno.EFBIG
