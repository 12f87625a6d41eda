"""Owns how an engine that is a program is run: a process for a text, with limits on its time and its answer.

Must not know which program.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Collection, Sequence
from typing import Final

from campana.channels.voice.speech.contract import EngineFailed, SpeechRefused, SpeechUnavailable

_PART: Final = 65_536
_FAREWELL_SECONDS: Final = 10.0
_LIMITED: Final = 'ulimit -f "$1"; shift; exec "$@"'
"""Runs a program that is ended by SIGXFSZ when a file of its grows beyond so many blocks."""
_BLOCK: Final = 512


async def run(words: Sequence[str], text: str, seconds: float, most: int, codes: Collection[int] = (0,)) -> bytes:
    """What the program prints on standard output, given a text on standard input. `codes` are those of success.

    Raises EngineFailed where it fails or takes too long, SpeechUnavailable where it cannot be started. Of more than
    `most` octets, the rest is not read.
    """
    process = await _started(words, text, ())
    try:
        async with asyncio.timeout(seconds):
            answer = await _read(process, most)
            if len(answer) < most:
                _check(words, await process.wait(), codes)
            return answer
    except TimeoutError:
        raise EngineFailed(f"{words[0]} took more than {seconds:.0f} seconds") from None
    finally:
        await _end(process)


async def run_into_file(words: Sequence[str], text: str, seconds: float, most: int) -> bytes:
    """What the program writes into a file in memory; `FILE` among its words stands for the file's path.

    For programs that write a header last, and so cannot write into a pipe. Raises like `run`, and SpeechRefused where
    the file would grow beyond `most` octets.
    """
    file = os.memfd_create("speech")
    try:
        named = [f"/proc/self/fd/{file}" if word == "FILE" else word for word in words]
        process = await _started(["sh", "-c", _LIMITED, "sh", str(most // _BLOCK + 1), *named], text, (file,))
        try:
            async with asyncio.timeout(seconds):
                code = await process.wait()
            if code == -signal.SIGXFSZ:
                raise SpeechRefused("the text takes too long to hear")
            _check(words, code)
        except TimeoutError:
            raise EngineFailed(f"{words[0]} took more than {seconds:.0f} seconds") from None
        finally:
            await _end(process)
        return os.pread(file, most, 0)
    finally:
        os.close(file)


async def _started(words: Sequence[str], text: str, files: Sequence[int]) -> Process:
    given = _in_memory(text)
    try:
        output = DEVNULL if files else PIPE
        return await asyncio.create_subprocess_exec(
            "nice", "-n", "5", *words, stdin=given, stdout=output, stderr=DEVNULL, pass_fds=files
        )
    except OSError as error:
        raise SpeechUnavailable(f"{words[0]} cannot be started: {error.strerror}") from error
    finally:
        os.close(given)


def _in_memory(text: str) -> int:
    """A file that holds a text, to be read from its start; to be closed.

    Not a pipe: uvloop's pipe to a process is a socket, and no program can open /dev/stdin where it is one.
    """
    file = os.memfd_create("text")
    os.write(file, text.encode("utf-8", "ignore"))
    os.lseek(file, 0, os.SEEK_SET)
    return file


async def _read(process: Process, most: int) -> bytes:
    answer = bytearray()
    if process.stdout is not None:
        while len(answer) < most and (part := await process.stdout.read(_PART)):
            answer += part
    return bytes(answer)


def _check(words: Sequence[str], code: int, codes: Collection[int] = (0,)) -> None:
    if code not in codes:
        raise EngineFailed(f"{words[0]} ended with {code}")


async def _end(process: Process) -> None:
    """Kill it, and wait until it is gone.

    What it has printed is read to its end: asyncio tells of a process only once its pipes are at an end, and reads no
    further in a pipe of which too much is waiting already.
    """
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FAREWELL_SECONDS):
            while process.stdout is not None and await process.stdout.read(_PART):
                pass
            await process.wait()
