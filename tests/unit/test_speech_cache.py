"""Clips on disk: whole, for our eyes only, within a size, and there after a restart."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from campana.channels.voice.speech.audio import Finished
from campana.channels.voice.speech.cache import ClipCache


def key(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def sound(octets: int = 800, fill: bytes = b"u") -> Finished:
    return Finished(fill * octets, fill.upper() * octets)


def opened(folder: Path, limit: int = 1_000_000) -> ClipCache:
    cache = ClipCache(folder / "speech", limit)
    cache.open()
    return cache


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_clip_is_two_files_of_nothing_but_sound(tmp_path: Path) -> None:
    clip = opened(tmp_path).put(key(1), sound())
    assert clip.pcmu.read_bytes() == b"u" * 800
    assert clip.pcma.read_bytes() == b"U" * 800
    assert clip.ms == 100
    assert len(files(tmp_path)) == 2


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    clip = opened(tmp_path).put(key(1), sound())
    assert {path.stat().st_mode & 0o777 for path in (clip.pcmu, clip.pcma)} == {0o600}
    folders = [tmp_path / "speech", clip.pcmu.parent, clip.pcmu.parent.parent]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


def test_an_unknown_key_has_no_clip(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.put(key(1), sound())
    assert cache.get(key(2)) is None


def test_clips_survive_a_restart(tmp_path: Path) -> None:
    clip = opened(tmp_path).put(key(1), sound())
    again = opened(tmp_path)
    assert again.get(key(1)) == clip
    assert again.octets == 1_600


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
@pytest.mark.parametrize(
    ("harm", "restarted"),
    [(harm, restarted) for harm in ("truncate", "remove", "empty") for restarted in (True, False)]
    + [("corrupt", True)],
)
def test_a_harmed_clip_is_dropped_whole(tmp_path: Path, law: str, harm: str, restarted: bool) -> None:
    cache = opened(tmp_path)
    path: Path = getattr(cache.put(key(1), sound()), law)
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes({"truncate": b"u" * 799, "corrupt": b"\0" * 800, "empty": b""}[harm])
    if restarted:
        cache = opened(tmp_path)
    assert cache.get(key(1)) is None
    assert cache.octets == 0
    assert files(tmp_path) == []
    assert cache.get(key(1)) is None
    assert cache.put(key(1), sound()) == cache.get(key(1))


def test_what_was_left_half_written_is_removed_at_start(tmp_path: Path) -> None:
    clip = opened(tmp_path).put(key(1), sound())
    clip.pcmu.with_suffix(".part").write_bytes(b"half")
    (clip.pcmu.parent / "notes.txt").write_text("mine")
    (tmp_path / "speech" / "readme").write_text("kept: it is not in a folder of clips")
    assert opened(tmp_path).get(key(1)) == clip
    assert {path.name for path in files(tmp_path)} == {clip.pcmu.name, clip.pcma.name, "readme"}


def test_the_same_key_again_replaces_the_clip(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.put(key(1), sound())
    clip = cache.put(key(1), sound(1_600))
    assert cache.get(key(1)) == clip
    assert cache.octets == 3_200
    assert len(files(tmp_path)) == 2


def test_the_longest_unused_go_first_after_a_restart(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    for number in range(5):
        clip = cache.put(key(number), sound())
        used = time.time() - (100 if number == 2 else 200 + number) * 60
        for path in (clip.pcmu, clip.pcma):
            os.utime(path, (used, used))
    cache = opened(tmp_path, limit=2 * 1_600)
    assert [number for number in range(5) if cache.get(key(number))] == [0, 2]
    assert len(files(tmp_path)) == 4


def test_a_new_clip_makes_the_longest_unused_leave(tmp_path: Path) -> None:
    filled = opened(tmp_path)
    for number in range(3):
        filled.put(key(number), sound())
    cache = opened(tmp_path, limit=3 * 1_600)
    assert cache.get(key(0))
    cache.put(key("new"), sound())
    assert cache.octets == 3 * 1_600
    assert sum(cache.get(key(number)) is not None for number in (1, 2)) == 1
    assert cache.get(key(0))
    assert cache.get(key("new"))


def test_what_was_just_handed_out_stays_although_there_is_no_room(tmp_path: Path) -> None:
    cache = opened(tmp_path, limit=1_600)
    clips = [cache.put(key(number), sound()) for number in range(3)]
    assert [cache.get(key(number)) for number in range(3)] == clips
    assert all(clip.pcmu.exists() for clip in clips)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    folder = tmp_path / "speech" / key(1)[:2]
    folder.write_text("in the way")
    with pytest.raises(OSError):
        cache.put(key(1), sound())
    assert cache.get(key(1)) is None
    assert files(tmp_path) == [folder]
