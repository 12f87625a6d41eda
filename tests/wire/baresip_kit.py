"""Owns baresip as a telephone that records: started without any sound card, answering by itself, its recording read.

Must not use Campana's own SIP or RTP: baresip is a judge.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sipp_kit import SOON, free_port, listening, seen

MODULES = ("/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules", "/usr/local/lib/baresip/modules")
RATE = 8_000
Samples = NDArray[np.float64]

needs_baresip = pytest.mark.skipif(shutil.which("baresip") is None, reason="baresip is not here (Debian: baresip-core)")


@dataclass
class Phone:
    """A telephone that answers at once."""

    port: int
    """SIP over UDP and TCP; TLS is at the next."""
    control: int
    folder: Path
    process: asyncio.subprocess.Process

    async def established(self) -> None:
        """Wait until a call is up: baresip then opens the file of its recording."""
        await seen(lambda: any(path.stat().st_size > 2_000 for path in self.folder.glob("dump-*-dec.wav")))

    async def press(self, keys: str) -> None:
        """Press keys in the call that is up, as RFC 4733 events."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.control)
        command = json.dumps({"command": "sndcode", "params": keys}).encode()
        writer.write(b"%d:%b," % (len(command), command))
        await reader.readuntil(b",")
        writer.close()

    async def hang_up(self) -> None:
        """End baresip in its own order, so that its recording is whole."""
        if self.process.returncode is None:
            self.process.terminate()
            async with asyncio.timeout(SOON):
                await self.process.wait()

    def recordings(self) -> list[Samples]:
        """What was heard, a call each, from -1 to 1 at 8 kHz."""
        return [_samples(path) for path in sorted(self.folder.glob("dump-*-dec.wav"))]


def _samples(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64) / 32_768


def _configure(
    folder: Path, number: str, options: tuple[str, ...], says: int, certificate: Path | None
) -> tuple[int, int]:
    folder.mkdir(parents=True, exist_ok=True)
    modules = next((path for path in MODULES if Path(path).is_dir()), MODULES[0])
    port, control = free_port(beside=1), free_port()  # TLS is at the next one
    lines = [f"module_path {modules}"]
    lines += [f"module {name}.so" for name in ("g711", "aufile", "aubridge", "sndfile", "account", "menu", "ctrl_tcp")]
    lines += [f"sip_listen 127.0.0.1:{port}", "net_interface 127.0.0.1", f"ctrl_tcp_listen 127.0.0.1:{control}"]
    lines += [f"audio_source aufile,{folder}/says.wav", "audio_player aubridge,a", "audio_alert aubridge,b"]
    lines += [f"snd_path {folder}", "audio_buffer 20-160"]
    lines += [f"sip_certificate {certificate}"] if certificate else []
    (folder / "config").write_text("\n".join(lines) + "\n", encoding="utf-8")
    account = ";".join([f"<sip:{number}@127.0.0.1>", "regint=0", "answermode=auto", *options])
    (folder / "accounts").write_text(account + "\n", encoding="utf-8")
    with wave.open(str(folder / "says.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(2 * RATE * says // 1_000))
    return port, control


@contextlib.asynccontextmanager
async def baresip(
    folder: Path, number: str, *options: str, says: int = 60_000, certificate: Path | None = None
) -> AsyncIterator[Phone]:
    """A telephone of such a number. It hangs up after `says` milliseconds; `options` are those of its account."""
    port, control = _configure(folder, number, options, says, certificate)
    with (folder / "baresip.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "baresip", "-f", str(folder), "-v", stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        assert await listening(process, port, "udp"), "baresip did not start"
        assert await listening(process, control, "tcp"), "baresip did not start"
        yield Phone(port, control, folder, process)
    finally:
        if process.returncode is None:
            process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


def plays(recording: Samples, clip: Samples) -> list[tuple[int, float]]:
    """Where in a recording a clip is heard: (offset in milliseconds, normalised cross-correlation of -1 to 1) each.

    The correlation at an offset is that of the clip with as long a stretch of the recording, both without their mean
    loudness: 1 is the same sound whatever its volume, and speech correlates below 0.3 with anything else.
    """
    if len(recording) < len(clip):
        return []
    size = 1 << (len(recording) + len(clip)).bit_length()
    product = np.fft.irfft(np.fft.rfft(recording, size) * np.conj(np.fft.rfft(clip, size)), size)
    product = product[: len(recording) - len(clip) + 1]
    energy = np.concatenate([[0.0], np.cumsum(recording**2)])
    window = energy[len(clip) :] - energy[: len(recording) - len(clip) + 1]
    likeness = product / np.sqrt(np.maximum(window * np.sum(clip**2), 1e-9))
    found = []
    while likeness.size and (place := int(np.argmax(likeness))) >= 0 and likeness[place] > 0.5:
        found.append((place * 1_000 // RATE, float(likeness[place])))
        likeness[max(0, place - len(clip) // 2) : place + len(clip) // 2] = -1
    return sorted(found)
