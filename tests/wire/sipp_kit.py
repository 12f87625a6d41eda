"""Owns SIPp as the trunk of the voice tests: stories written as SIPp's own scenarios, SIPp run with them, its log read.

Must not use Campana's own SIP: SIPp is what judges it. SIPp ends with an error where anything but the story happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

SOON = 10.0
"""Seconds within which anything that is to happen has happened."""

needs_sipp = pytest.mark.skipif(shutil.which("sipp") is None, reason="sipp is not here (Debian: sip-tester)")

SDP = """\
v=0
o=judge 1 1 IN IP[local_ip_type] [media_ip]
s=-
c=IN IP[local_ip_type] [media_ip]
t=0 0
m=audio [ear] RTP/AVP [law] [events]
a=rtpmap:[events] telephone-event/8000
a=fmtp:[events] 0-15
a=ptime:20
"""
HELD = SDP.replace("a=ptime:20", "a=sendonly")
FOREIGN = SDP.replace("AVP [law]", "AVP 18")
"""Speaks G.729 alone."""

_KEEP = """\
<ereg regexp=" *(.*)" search_in="hdr" header="Via:" check_it="true" assign_to="w1,via"/>
<ereg regexp=" *(.*)" search_in="hdr" header="From:" check_it="true" assign_to="w2,from"/>
<ereg regexp=" *(.*)" search_in="hdr" header="To:" check_it="true" assign_to="w3,to"/>
<ereg regexp=" *(.*)" search_in="hdr" header="CSeq:" check_it="true" assign_to="w4,cseq"/>
<ereg regexp="(sips?:[^&gt;]+)" search_in="hdr" header="Contact:" check_it="true" assign_to="w5,contact"/>
"""

TAG = "judge-[call_number]-[pid]"
CONTACT = "Contact: <sip:phone@[local_ip]:[local_port];transport=[transport]>"


# --- stories -----------------------------------------------------------------------------------------------------


def _sent(lines: Sequence[str], body: str, attributes: str = "") -> str:
    head = [*lines, f"Content-Type: application/{_kind(body)}", "Content-Length: [len]"] if body else [*lines]
    text = "\n".join([*head, *([] if body else ["Content-Length: 0"]), "", *body.splitlines()])
    return f"<send{attributes}><![CDATA[\n{text}\n]]></send>"


def _kind(body: str) -> str:
    if body.startswith("v="):
        return "sdp"
    return "dtmf-relay" if body.startswith("Signal") else "dtmf"


def invite(checks: str = "") -> str:
    """The INVITE that begins a call; what later answers to it need is kept."""
    return f'<recv request="INVITE"><action>{_KEEP}{checks}</action></recv>'


def hear(method: str, *checks: str, keep: bool = False) -> str:
    """A request of the caller that fits the checks made by `check`. If kept, `say(..., tag="")` answers it later."""
    kept = _KEEP[: _KEEP.index("<ereg", _KEEP.index("CSeq:"))] if keep else ""
    return f'<recv request="{method}"><action>{kept}{"".join(checks)}</action></recv>'


def check(header: str, expression: str) -> str:
    """Part of `hear`: the request has such a header."""
    name = f"c{abs(hash((header, expression))) % 10**9}"
    attributes = f'regexp={quoteattr(expression)} search_in="hdr" header="{header}:"'
    return f'<ereg {attributes} check_it="true" assign_to="{name}"/>'


def check_line(expression: str) -> str:
    """Part of `hear`: somewhere in the request stands such text."""
    name = f"c{abs(hash(expression)) % 10**9}"
    return f'<ereg regexp={quoteattr(expression)} search_in="msg" check_it="true" assign_to="{name}"/>'


def say(status: int, *headers: str, body: str = "", again: bool = True, tag: str = TAG) -> str:
    """A response to the INVITE; a final one is repeated until something is heard, unless not `again`."""
    tagged = "" if status == 100 or not tag else f";tag={tag}"
    lines = [f"SIP/2.0 {status} Judged", "Via: [$via]", "From: [$from]", f"To: [$to]{tagged}", "Call-ID: [call_id]"]
    more = ' retrans="500"' if status >= 200 and again else ""
    return _sent([*lines, "CSeq: [$cseq]", *headers], body, more)


def answer(*headers: str, body: str = SDP, again: bool = True, tag: str = TAG) -> str:
    """200 to the INVITE, with sound at the ear."""
    return say(200, CONTACT, *headers, body=body, again=again, tag=tag)


def reply(status: int = 200, *headers: str, body: str = "", tag: str = "") -> str:
    """A response to the request heard last, which is not the INVITE."""
    lines = [f"SIP/2.0 {status} Judged", "[last_Via:]", "[last_From:]", f"[last_To:]{tag and ';tag=' + tag}"]
    return _sent([*lines, "[last_Call-ID:]", "[last_CSeq:]", CONTACT, *headers], body)


def ask(method: str, number: int, *headers: str, body: str = "", branch: str = "[branch]") -> str:
    """A request of the callee within the call."""
    lines = [f"{method} [$contact] SIP/2.0", f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}"]
    lines += [f"From: [$to];tag={TAG}", "To: [$from]", "Call-ID: [call_id]", f"CSeq: {number} {method}"]
    return _sent([*lines, CONTACT, "Max-Forwards: 70", *headers], body, ' retrans="500"')


def acknowledge(number: int) -> str:
    """The callee's ACK to the 2xx of its own INVITE."""
    lines = ["ACK [$contact] SIP/2.0", "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]"]
    lines += [f"From: [$to];tag={TAG}", "To: [$from]", "Call-ID: [call_id]", f"CSeq: {number} ACK"]
    return _sent([*lines, CONTACT, "Max-Forwards: 70"], "")


def gets(status: int, *checks: str) -> str:
    """A response of the caller to `ask`."""
    return f'<recv response="{status}"><action>{"".join(checks)}</action></recv>'


def wait(ms: int) -> str:
    """Say nothing for a time."""
    return f'<pause milliseconds="{ms}"/>'


def branches(rows: Mapping[str, Sequence[str]]) -> list[str]:
    """One story for many numbers: the dialled number's end decides. Begins with the INVITE."""
    dialled = [f'<ereg regexp="^INVITE sip:[^@]*{end}@" search_in="msg" assign_to="n{end}"/>' for end in rows]
    story = [invite("".join(dialled))]
    story += [f'<nop next="l{end}" test="n{end}"/>' for end in rows]
    for end, part in rows.items():
        story += [f'<label id="l{end}"/>', *part, '<nop next="end"/>']
    return [*story, '<label id="end"/>', "<nop/>"]


def scenario(story: Sequence[str]) -> str:
    """The story as a scenario file of SIPp."""
    text = "\n".join(story)
    checks = ",".join(sorted(set(re.findall(r"[\w]+", ",".join(re.findall(r'assign_to="([\w,]+)"', text))))))
    used = f'<Reference variables="{checks}"/>' if checks else ""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="judge">\n{text}\n{used}\n</scenario>\n'


ENDS = (hear("BYE"), reply())
REFUSED = (hear("ACK"),)


# --- SIPp itself -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Message:
    """One message of SIPp's log."""

    at: float
    """Seconds of the day."""
    sent: bool
    """By SIPp; else it came from the caller."""
    text: str

    @property
    def body(self) -> str:
        """What follows the head."""
        return self.text.partition("\n\n")[2]

    @property
    def first(self) -> str:
        """The request or status line."""
        return self.text.split("\n", 1)[0].strip()

    def all(self, header: str) -> list[str]:
        """The values of a header, one an occurrence."""
        head = self.text.split("\n\n", 1)[0]
        return [found.strip() for found in re.findall(rf"^{header}[ \t]*:(.*)$", head, re.MULTILINE | re.IGNORECASE)]

    def __getitem__(self, header: str) -> str:
        (value,) = self.all(header)
        return value


_BLOCK = 4
"""Ports that are given out together: a program takes the one it is told, and the one or two after it."""


def _blocks() -> Iterator[int]:
    """The first port of each block from 10,000 to 15,999, in turn, from anywhere on; each test worker has its own half.

    In turn, so that two programs never get the same one, nor one that has hardly been given back.
    """
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0) % 2
    blocks = range(10_000 + 3_000 * worker, 13_000 + 3_000 * worker, _BLOCK)
    # Not the dice that hypothesis sets to the same number in every process.
    place = random.SystemRandom().randrange(len(blocks))
    while True:
        yield blocks[place % len(blocks)]
        place += 1


_PORTS = _blocks()
_ENTRY = re.compile(
    r"^-{20,} \d{4}-\d\d-\d\d[ \t](\d\d):(\d\d):(\d\d\.\d+)\n\w+ message (received|sent) .*?:\n\n", re.MULTILINE
)


@dataclass
class Sipp:
    """A SIPp that plays one story."""

    port: int
    process: asyncio.subprocess.Process
    folder: Path
    host: str = "127.0.0.1"
    ended: bool = field(default=False)

    @property
    def url(self) -> str:
        """The trunk's URL over UDP."""
        return f"sip:{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def messages(self) -> list[Message]:
        """What went to and fro so far, in order."""
        log = self.folder / "messages.log"
        text = log.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n") if log.exists() else ""
        found = list(_ENTRY.finditer(text))
        ends = [*(entry.start() for entry in found), len(text)][1:]
        return [_message(entry, text[entry.end() : end]) for entry, end in zip(found, ends, strict=True)]

    def heard(self, method: str) -> list[Message]:
        """The requests of one method that the caller sent, each time it did."""
        return [message for message in self.messages() if not message.sent and message.first.startswith(method + " ")]

    async def finish(self) -> None:
        """Wait until the story has come to its end. Fails with SIPp's own words where it went another way."""
        try:
            async with asyncio.timeout(SOON * 2):
                code = await self.process.wait()
        except TimeoutError:
            code = None
        self.ended = True
        assert code == 0, f"SIPp ended with {code}: {self._complaint()}"

    def _complaint(self) -> str:
        logs = [self.folder / name for name in ("errors.log", "screen.log")]
        said = "\n".join(log.read_text(encoding="utf-8", errors="replace") for log in logs if log.exists())
        story = "\n".join(f"{'<-' if message.sent else '->'} {message.first}" for message in self.messages())
        return f"{said[:3_000]}\n{story}"


def _message(entry: re.Match[str], text: str) -> Message:
    hours, minutes, seconds, way = entry.groups()
    return Message(int(hours) * 3600 + int(minutes) * 60 + float(seconds), way == "sent", text.strip("\n"))


def free_port(host: str = "127.0.0.1", beside: int = 2) -> int:
    """An even port free for UDP and TCP, as is the one `beside`, for a program that cannot tell which it took itself.

    It is of those that the kernel gives to nobody who asks for any, nor a route to its sound, so that it stays free.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(100):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            port = next(_PORTS)
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                for number in (port, port + beside):
                    stack.enter_context(socket.socket(family, kind)).bind((host, number))
            return port
    raise OSError("no port is free for both UDP and TCP")


def _is_open(port: int, transport: str, host: str) -> bool:
    table = Path(f"/proc/net/{transport}{'6' if ':' in host else ''}").read_text(encoding="ascii")
    return f":{port:04X} " in "".join(line.split()[1] + " " for line in table.splitlines()[1:])


def _prepared(story: Sequence[str], folder: Path, keys: Mapping[str, object]) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "story.xml").write_text(scenario(story), encoding="utf-8")
    arguments = ["-sf", "story.xml", "-nostdin", "-timeout", "60s", "-timeout_error", "-deadcall_wait", "0"]
    arguments += ["-trace_msg", "-message_file", "messages.log", "-trace_err", "-error_file", "errors.log"]
    for name, value in ({"ear": 9, "law": 8, "events": 101} | dict(keys)).items():
        arguments += ["-key", name, str(value)]
    return arguments


@contextlib.asynccontextmanager
async def sipp(
    story: Sequence[str],
    folder: Path,
    *,
    calls: int = 1,
    host: str = "127.0.0.1",
    tcp: bool = False,
    port: int = 0,
    **keys: object,
) -> AsyncIterator[Sipp]:
    """Run SIPp with a story until it has been told `calls` times; `keys` fill its [brackets]. Port 0: a free one."""
    port = port or free_port(host)
    arguments = _prepared(story, folder, keys)
    arguments += ["-i", host, "-mi", host, "-p", str(port), "-mp", str(free_port(host)), "-bind_local"]
    arguments += ["-t", "t1" if tcp else "u1", "-m", str(calls)]
    with (folder / "screen.log").open("wb") as screen:
        nowhere = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec("sipp", *arguments, cwd=folder, stdout=nowhere, stderr=screen)
    judge = Sipp(port, process, folder, host)
    try:
        assert await listening(process, port, "tcp" if tcp else "udp", host), judge._complaint()
        yield judge
        if not judge.ended:
            await judge.finish()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def seen(met: Callable[[], bool]) -> None:
    """Wait for what another program does and nobody tells: a socket in the kernel's table, a file that grows."""
    async with asyncio.timeout(SOON):
        while True:
            if met():
                return
            await asyncio.sleep(0.005)


async def listening(process: asyncio.subprocess.Process, port: int, transport: str, host: str = "127.0.0.1") -> bool:
    """Wait until a program that was started listens at a port of `udp` or `tcp`; False where it ended instead."""
    await seen(lambda: process.returncode is not None or _is_open(port, transport, host))
    return process.returncode is None
