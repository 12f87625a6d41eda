"""`campana demo` as a person runs it: a real process, its terminal read line by line, its examples pasted."""

from __future__ import annotations

import io
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from campana.domain.call import CallReport, HungUpBy
from campana.domain.delivery import Medium, Status
from campana.sandbox.demo_campaign import PEOPLE, fate_in_words
from campana.sandbox.demo_client import Outcome, Standing
from campana.sandbox.demo_screen import Screen
from campana.sandbox.mail_boxes import ReceivedMail
from campana.sandbox.sip_phones import EndedBy, Moment, PhoneCall
from campana.sandbox.smsc_phones import Received
from campana.storage.store import AttemptRow

SECONDS = 60.0

ENDS = {
    "+12025550100": "4 success",
    "ada@example.com": "4 success",
    "+12125550190": "4 success",
    "defer-1@example.com": "4 success",
    "+13125550180": "6 failure 210 SmsUndeliverable",
    "unknown@example.com": "6 failure 410 EmailMailboxUnknown",
    "+14155550189": "6 failure 204 SmsInvalidDestination",
    "bounce@example.com": "6 failure 410 EmailMailboxUnknown",
    "+16175550181": "6 failure 211 SmsExpired",
    "+17135550187": "4 success",
    "throttle-1@example.com": "4 success",
    "+13035550185": "4 success",
    "full@example.com": "6 failure 405 EmailMailboxFull",
    "+12065550194": "4 success",
    "vacation@example.com": "4 success",
    "spam@example.com": "6 failure 414 EmailContentRefused",
    "+15035550102": "4 success",
    "jan@example.com": "4 success",
    "+14045550193": "4 success",
    "disabled@example.com": "6 failure 411 EmailMailboxDisabled",
    "+16025550197": "6 failure 106 Uncertain",
    "lea@example.com": "4 success",
}
NEVER_ARRIVE = {destination for destination, end in ENDS.items() if destination.endswith("@example.com")} & {
    "unknown@example.com",
    "full@example.com",
    "spam@example.com",
    "disabled@example.com",
} | {"+14155550189"}


CALLED = {
    "+12025550100": ("4 success", ["answers", r"has heard \S+ s to the end"]),
    "+12125550141": ("4 success", [r"hangs up, having heard \S+ s", "rings again", r"has heard \S+ s to the end"]),
    "+13125550143": ("4 success", ["says 486 Busy Here", "rings again", r"has heard \S+ s to the end"]),
    "+14155550144": ("6 failure 304 VoiceNoAnswer", ["rang in vain"]),
    "+16175550147": ("4 success", ["answers", r"has heard \S+ s to the end"]),
    "+17135550148": ("4 success", ["presses 1", r"has heard \S+ s to the end"]),
    "+13035550145": ("6 failure 310 VoiceNumberUnknown", ["says 404 Not Found"]),
}
"""What becomes of calls, and what the screen tells of them in order."""


class Demo:
    """A demo that runs: what it printed so far, and waiting for what it will print."""

    def __init__(self, *words: str, tmp: Path) -> None:
        self.tmp = tmp / "tmp"
        self.tmp.mkdir(exist_ok=True)
        environ = {**os.environ, "TMPDIR": str(self.tmp), "HTTP_PROXY": "http://127.0.0.1:1", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "campana", "demo", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environ,
        )
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip())
        self._queue.put(None)

    def until(self, pattern: str) -> re.Match[str]:
        """Read on until a line matches."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                line = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"no line like {pattern!r} in:\n" + "\n".join(self.lines))
            self.lines.append(line)
            found = re.search(pattern, line)
            if found is not None:
                return found

    def end(self) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + SECONDS
        while (line := self._queue.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            self.lines.append(line)
        return self.process.wait(SECONDS)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@contextmanager
def demo(*words: str, tmp: Path) -> Iterator[Demo]:
    running = Demo(*words, tmp=tmp)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()


def test_the_campaign_comes_to_the_end_that_the_sandbox_promises(tmp_path: Path) -> None:
    with demo("--once", "--port", "0", tmp=tmp_path) as running:
        assert running.end() == 0, running.text
    text = running.text
    assert "29 deliveries = 18 reached + 11 failed + 0 still open" in text
    assert "The campaign is over" in text
    table = text[text.index("contact medium destination") :]
    for destination, end in ENDS.items():
        assert re.search(rf" {re.escape(destination)} .* {end}\s*$", table, re.MULTILINE), destination
        arrived = re.search(rf"^\d\d:\d\d:\d\d  (SMS|email) +{re.escape(destination)} ", text, re.MULTILINE)
        assert (arrived is None) is (destination in NEVER_ARRIVE), destination
    for number, (end, told) in CALLED.items():
        assert re.search(rf" voice +{re.escape(number)} .* {end}\s*$", table, re.MULTILINE), number
        lines = "".join(re.findall(rf"^.*  voice   {re.escape(number)} .*\n", text, re.MULTILINE))
        assert re.search(".*".join(told), lines, re.DOTALL), lines
    assert re.search(r"^Farid  +1 +\S+ s +\S+ s +2 +1 +200 +us +4 success$", text, re.MULTILINE)
    assert text.count("  SOAP    AddCampaignContact ") == len(PEOPLE) == 12
    assert re.search(r"  status  Dina email 4 success$", text, re.MULTILINE), "a success before its bounce"
    assert re.search(r"  SMS     \+15035550102 W czwartek .* Młyńskiej .*  2 parts$", text, re.MULTILINE)
    assert "\x1b" not in text
    assert list(running.tmp.iterdir()) == []


def test_it_goes_on_serving_and_its_examples_can_be_pasted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with socket.socket() as taken, demo_beside(taken, "--data-dir", str(data), tmp=tmp_path) as running:
        running.until("Port 8080 is in use")
        address = running.until(r"^  address   (http://127\.0\.0\.1:\d+/OutboundNotifications\.svc)$")[1]
        assert not address.startswith("http://127.0.0.1:8080/")
        running.until("^  account   demo$")
        password = running.until(r"^  password  (\S{16})$")[1]
        running.until("^Ctrl-C ends the demo and keeps its data")
        environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        pasted = subprocess.run(
            ["bash", "-c", between(running.text, r"^\S*python\S* - <<'END'$", "^END$")],
            check=False,
            capture_output=True,
            text=True,
            env=environ,
            timeout=SECONDS,
        )
        assert (pasted.stdout.strip(), pasted.stderr.strip()) == ("0", "")
        running.until(r"  voice   \+12025550123 rings: Waterworks \+12025550100")
        for page in ("README.md", "docs/clients.md"):
            told = subprocess.run(
                [sys.executable, "-c", python_of(page, address, password)],
                check=False,
                capture_output=True,
                text=True,
                env=environ,
                timeout=SECONDS,
            )
            assert re.fullmatch(r"[0-9a-f-]{36} [1234] [01234]\n", told.stdout), told.stderr
            running.until(r"  SMS     \+12025550123 No water")
        assert "<a:SessionId>" in open_session(address, between(running.text, "^<s:Envelope", "</s:Envelope>'$"))
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0
        assert running.lines[-1] == "The demo has ended."
    assert (data / "campana.db").is_file()
    with wave.open(str(data / "heard" / "+12025550100-1.wav")) as file:
        assert file.getparams()[:3] == (1, 2, 8_000)
        assert file.getnframes() > 8_000 * 4, "two plays"
    with demo("--data-dir", str(data), "--port", "0", tmp=tmp_path) as again:
        again.until("  SOAP    AddCampaign ")
        again.process.send_signal(signal.SIGINT)
        assert again.end() == 0
        assert "campana:" not in again.text
        assert password not in again.text


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--once",), 1)])
def test_it_can_be_interrupted_at_any_moment(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    with demo(*words, "--port", "0", tmp=tmp_path) as running:
        running.until("^Campana with sandbox carriers")
        running.process.send_signal(signal.SIGINT)
        assert running.end() == code
    assert "Traceback" not in running.text
    assert list(running.tmp.iterdir()) == []


def test_a_port_that_was_asked_for_and_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo("--port", str(port), tmp=tmp_path) as running:
            assert running.end() == 1
    assert running.lines[-1] == f"campana: cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert list(running.tmp.iterdir()) == []


@contextmanager
def demo_beside(taken: socket.socket, *words: str, tmp: Path) -> Iterator[Demo]:
    """A demo while port 8080 is in use: by us, or by whoever has it already."""
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(("127.0.0.1", 8080))
        taken.listen()
    except OSError:
        taken.close()
    with demo(*words, tmp=tmp) as running:
        yield running


def between(text: str, first: str, last: str) -> str:
    found = re.search(f"{first}.*?{last}", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


def python_of(page: str, address: str, password: str) -> str:
    """The Python with which a page speaks SOAP, made to speak to this demo."""
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    shown_there = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (code,) = (one for one in shown_there if "OutboundNotifications.svc" in one)
    own = {"http://localhost:8080/OutboundNotifications.svc": address, "the password": password}
    for shown, real in {**own, '"acme"': '"demo"', '"orders"': '"api"'}.items():
        assert shown in code
        code = code.replace(shown, real)
    return code


def open_session(address: str, body: str) -> str:
    request = urllib.request.Request(
        address, body.removesuffix("'").encode(), {"Content-Type": "text/xml", "Connection": "close"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=SECONDS) as answer:
        return str(answer.read().decode())


# --- the screen --------------------------------------------------------------------------------------------------


def standing(name: str, status: Status, error: int = 0, medium: Medium = Medium.SMS) -> Standing:
    destination = "+12025550100" if medium is Medium.SMS else "ada@example.com"
    return Standing(name, medium, destination, status, error, 2)


def screen(*, terminal: bool, width: int = 80) -> tuple[Screen, io.StringIO]:
    printed = io.StringIO()
    console = Console(file=printed, force_terminal=terminal, width=width, color_system="standard" if terminal else None)
    return Screen(console), printed


def test_off_a_terminal_every_change_is_a_line_and_nothing_is_cut() -> None:
    shown, printed = screen(terminal=False)
    shown.stands([standing("Ada", Status.PENDING)])
    shown.stands([standing("Ada", Status.PENDING)])
    shown.stands([standing("Ada", Status.WAITING_FOR_RETRY, 203)])
    shown.sms(Received("Water", "+12025550100", "long " * 100, ("1", "2", "3", "4"), 0, 0))
    lines = [line[10:] for line in printed.getvalue().splitlines()]
    assert lines[:2] == ["status  Ada SMS 1 pending", "status  Ada SMS 5 retry 203 SmsTemporary"]
    assert lines[2].count("long") == 100
    assert lines[2].endswith("  4 parts")


def a_call(**changes: object) -> PhoneCall:
    return PhoneCall(
        **(
            {"number": "+12025550141", "attempt": 1, "call_id": "", "caller": "+12025550100"}
            | {"caller_name": "Water", "identity": (), "invited_at": 0.0, "heard_octets": 12_000}
            | changes
        )
    )


@pytest.mark.parametrize(
    ("call", "moment", "words"),
    [
        (a_call(), Moment.RINGING, "rings: Water +12025550100"),
        (a_call(attempt=2), Moment.RINGING, "rings again: Water +12025550100"),
        (a_call(), Moment.ANSWERED, "answers"),
        (a_call(pressed="12"), Moment.PRESSED, "presses 2"),
        (a_call(status=486, ended_by=EndedBy.PHONE), Moment.ENDED, "says 486 Busy Here"),
        (a_call(status=487, ended_by=EndedBy.CALLER), Moment.ENDED, "rang in vain"),
        (a_call(answered_at=1.0, ended_by=EndedBy.PHONE), Moment.ENDED, "hangs up, having heard 1.5 s"),
        (
            a_call(answered_at=1.0, ended_by=EndedBy.CALLER, wav=Path("a/heard/x-1.wav")),
            Moment.ENDED,
            "has heard 1.5 s to the end  heard/x-1.wav",
        ),
        (a_call(), Moment.INVITED, None),
        (a_call(), Moment.TEXT, None),
    ],
)
def test_what_telephones_live_through_is_told(call: PhoneCall, moment: Moment, words: str | None) -> None:
    shown, printed = screen(terminal=False)
    shown.call(call, moment)
    assert printed.getvalue()[10:].rstrip("\n") == (f"voice   +12025550141 {words}" if words else "")


def test_every_call_is_in_a_table_at_the_end() -> None:
    missed = CallReport(began_at=0, ended_at=5_000, ringing_ms=3_000, ended_by=HungUpBy.US, sip_status=487)
    heard = CallReport(
        began_at=0, ended_at=9_000, answered_at=1, heard_ms=4_250, plays=1, digits="12", ended_by=HungUpBy.CALLEE
    )
    attempts = [
        AttemptRow("id", Medium.VOICE, number, 0, "trunk", status, code, None, None, call)
        for number, (status, code, call) in enumerate(
            [(Status.WAITING_FOR_RETRY, 304, missed), (Status.SUCCESS, 0, heard), (Status.SUCCESS, 0, None)], 1
        )
    ]
    shown, printed = screen(terminal=False)
    shown.over(Outcome("", [], 1.0, finished=True, names={"id": "Ada"}), attempts)
    lines = [" ".join(line.split()) for line in printed.getvalue().splitlines()]
    assert lines[1:4] == [
        "call to attempt rang heard plays keys SIP ended by it is",
        "Ada 1 3.0 s - - - 487 us 5 retry 304 VoiceNoAnswer",
        "Ada 2 - 4.2 s 1 12 - callee 4 success",
    ]


def test_on_a_terminal_lines_fit_and_the_table_stays_below_them() -> None:
    shown, printed = screen(terminal=True)
    shown.called("AddCampaign", "x" * 200, 0.0123)
    ends = [standing("Ada", Status.SUCCESS), standing("Ada", Status.PERMANENT_FAILURE, 410, Medium.EMAIL)]
    shown.stands([*ends, standing("Ada", Status.WAITING_FOR_RETRY, 303, Medium.VOICE)])
    shown.mail(ReceivedMail("", ("ada@example.com",), b"Subject: " + b"y" * 200 + b"\r\n\r\n", 0))
    shown.close()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed.getvalue())
    assert max(map(len, re.split(r"[\r\n]+", text))) <= 80
    assert "…  12 ms" in text
    assert text.rindex("email   ada@example.com") < text.rindex("contact SMS")
    assert re.search("Ada +4 success +5 retry 303 +6 failure 410 *$", text, re.MULTILINE)


def test_a_campaign_that_does_not_end_is_not_called_over() -> None:
    shown, printed = screen(terminal=False)
    shown.over(Outcome("", [standing("Ada", Status.SENDING), standing("Bruno", Status.SUCCESS)], 90.0, finished=False))
    text = printed.getvalue()
    assert "The campaign is NOT over, even after 90.0 s." in text
    assert "2 deliveries = 1 reached + 0 failed + 1 still open" in text
    assert "was to fail" not in text


def test_people_meet_fates_of_the_table_in_plain_words() -> None:
    assert fate_in_words(Medium.EMAIL, "defer-1@example.com") == "greylisted once, then delivered"
    assert fate_in_words(Medium.EMAIL, "defer-3@example.com") == "greylisted 3 times, then delivered"
    assert fate_in_words(Medium.SMS, "+13125550180") == "receipt UNDELIV"
    assert fate_in_words(Medium.SMS, "+13125550100") == "delivered"
    assert fate_in_words(Medium.VOICE, "+13125550142") == "busy: 486"
    assert {person.voice for person in PEOPLE if person.voice} == set(CALLED)
    assert {destination for person in PEOPLE for destination in (person.sms, person.email) if destination} == set(ENDS)
