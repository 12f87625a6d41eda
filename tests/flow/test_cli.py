"""The command line: what each command does, prints and answers; serving is done by a real process."""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from argon2 import PasswordHasher

from campana import wiring
from campana.cli import main

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _process_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, interval = root.handlers, root.level, sys.getswitchinterval()
    yield
    sys.setswitchinterval(interval)
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "campana.toml"
    path.write_text("[server]\nport = 0\n", encoding="utf-8")
    return path


@dataclass
class Done:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> object:
        return json.loads(self.out)


@pytest.fixture
def run(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run a command in this process, on the test's own file and, where given, standard input."""

    def run_(*words: str, stdin: str = "", config: Path | None = file, terminal: bool = False) -> Done:
        typed = io.StringIO(stdin)
        typed.isatty = lambda: terminal  # type: ignore[method-assign]
        monkeypatch.setattr(sys, "stdin", typed)
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main([*([] if config is None else ["--config", str(config)]), *words])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return Done(int(exit_.value.code or 0), printed.out, printed.err)

    return run_


# --- accounts and users ------------------------------------------------------------------------------------------


def test_accounts_are_added_and_listed(run) -> None:
    added = run("account", "add", "acme", "--time-zone", "Europe/Rome", "--region", "IT")
    assert (added.code, added.out, added.err) == (0, 'The account "acme" was added.\n', "")
    assert run("account", "add", "beta", "--json").json["id"] == "beta"
    acme, beta = run("account", "list", "--json").json
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", acme.pop("created_at"))
    assert acme == {"id": "acme", "time_zone": "Europe/Rome", "region": "IT"}
    assert (beta["time_zone"], beta["region"]) == ("UTC", None)
    shown = run("account", "list").out
    assert re.search(r"acme +Europe/Rome +IT +\d{4}-", shown)
    assert re.search(r"beta +UTC +- +\d{4}-", shown)


def test_users_are_added_and_listed(run) -> None:
    run("account", "add", "acme")
    for role in ("admin", "operator", "api", "agent"):
        added = run("user", "add", "acme", f"my-{role}", "--role", role, "--password-stdin", stdin=PASSWORD + "\n")
        assert added.code == 0
        assert added.out == f'The user "my-{role}" was added to the account "acme" with the role {role}.\n'
    users = run("user", "list", "acme", "--json").json
    assert [(user["account"], user["name"], user["role"]) for user in users] == [
        ("acme", "my-admin", "admin"),
        ("acme", "my-agent", "agent"),
        ("acme", "my-api", "api"),
        ("acme", "my-operator", "operator"),
    ]
    assert re.search(r"my-api +api +\d{4}-", run("user", "list", "acme").out)


@pytest.mark.parametrize("stdin", [PASSWORD, PASSWORD + "\n", PASSWORD + "\r\n", PASSWORD + "\nanother line\n"])
def test_the_password_is_the_first_line_without_its_end(run, file: Path, stdin: str) -> None:
    run("account", "add", "acme")
    run("user", "add", "acme", "ann", "--role", "api", "--password-stdin", stdin=stdin)
    database = sqlite3.connect(file.parent / "campana-data" / "campana.db")
    ((encoded,),) = database.execute("SELECT password_hash FROM users").fetchall()
    database.close()
    assert PasswordHasher().verify(encoded, PASSWORD)


def test_a_password_is_changed(run, file: Path) -> None:
    run("account", "add", "acme")
    run("user", "add", "acme", "ann", "--role", "api", "--password-stdin", stdin=PASSWORD)
    database = sqlite3.connect(file.parent / "campana-data" / "campana.db")
    before = database.execute("SELECT password_hash FROM users").fetchall()
    changed = run("user", "password", "acme", "ann", "--password-stdin", stdin="another password")
    assert (changed.code, changed.out) == (0, 'The password of "ann" was set.\n')
    assert database.execute("SELECT password_hash FROM users").fetchall() != before
    database.close()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["account", "add", "ACME"], 'campana: An account "ACME" exists already.\n'),
        (["account", "add", "x", "--region", "XX"], 'campana: The region "XX" is not a country code'),
        (["account", "add", "x", "--time-zone", "Mars"], 'campana: The time zone "Mars" is not in the IANA database'),
        (["user", "list", "other"], 'campana: There is no account "other".\n'),
        (
            ["user", "add", "other", "ann", "--role", "api", "--password-stdin"],
            'campana: There is no account "other".\n',
        ),
        (["user", "add", "acme", "ann", "--role", "api", "--password-stdin"], 'campana: The account "acme" has a user'),
        (["user", "password", "acme", "bob", "--password-stdin"], 'campana: The account "acme" has no user "bob".\n'),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_1(run, words: list[str], sentence: str) -> None:
    run("account", "add", "acme")
    run("user", "add", "acme", "ann", "--role", "api", "--password-stdin", stdin=PASSWORD)
    done = run(*words, stdin=PASSWORD)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(sentence)
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("command", [["add", "acme", "bob", "--role", "api"], ["password", "acme", "ann"]])
@pytest.mark.parametrize("password", ["", "\n" + PASSWORD])
def test_bad_passwords_are_refused_and_not_repeated(run, command: list[str], password: str) -> None:
    run("account", "add", "acme")
    done = run("user", *command, "--password-stdin", stdin=password)
    assert (done.code, done.err) == (1, "campana: The password should have 1 to 1024 characters.\n")


def test_a_short_password_is_taken_with_a_word_of_warning(run) -> None:
    run("account", "add", "acme")
    done = run("user", "add", "acme", "ann", "--role", "api", "--password-stdin", stdin="secret")
    assert (done.code, done.err) == (0, "campana: The password has fewer than 8 characters: it is easily guessed.\n")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["account", "add"], "ACCOUNT"),
        (["account", "frobnicate"], "frobnicate"),
        (["frobnicate"], "frobnicate"),
        (["--frobnicate"], "--frobnicate"),
        (["user", "add", "acme", "ann", "--password-stdin"], "--role"),
        (["user", "add", "acme", "ann", "--role", "root", "--password-stdin"], "operator"),
        (["user", "add", "acme", "ann", "--role", "api"], "--password-stdin"),
        (["user", "password", "acme", "ann"], "--password-stdin"),
    ],
)
def test_wrong_commands_are_explained_and_exit_with_2(run, words: list[str], hint: str) -> None:
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert hint in done.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("drill --media sms,fax", "--media: each must be one of sms, voice, email"),
        ("drill --media=", "--media: each must be one of sms, voice, email"),
        ("drill --database mysql://nobody@127.0.0.1/none", "--database: should be postgresql://"),
        ("drill --database postgresql://nobody@host:port/none", "--database: the port should be a number"),
        ("drill --workers 3", "--workers goes with --database: on SQLite there is one server"),
        ("drill --apis 3", "--apis goes with --database: on SQLite there is one server"),
        ("drill --cuts 1", "--cuts goes with --database: on SQLite there is one server"),
        ("worker --listen nowhere", "--listen should be HOST:PORT, a port from 0 to 65535"),
        ("attempts acme one", "the campaign's id is refused."),
    ],
)
def test_what_cannot_be_meant_is_one_sentence_and_exit_code_2(run, words: str, sentence: str) -> None:
    done = run(*words.split(" "))
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"campana: {sentence}")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("drill --database postgresql://nobody@127.0.0.1:1/none", "the database cannot be used right now: "),
        ("drill --keep .", "File exists"),
    ],
)
def test_a_drill_that_cannot_be_run_is_told_in_a_sentence(run, words: str, sentence: str) -> None:
    done = run(*words.split(" "))
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert sentence in done.err


@pytest.mark.parametrize("role", ["api", "worker"])
def test_a_part_of_campana_needs_a_database_that_can_be_shared(run, file: Path, role: str) -> None:
    file.write_text("")
    done = run(role)
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"campana: database.url: `campana {role}` shares the database with other processes, so that it should be "
        "postgresql://\n"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--routes sms-main,none", "there is no route none in the configuration; there are: mail, sms-main"),
        ("--channels voice", "there is no channel voice in the configuration; there are: email, sms"),
    ],
)
def test_a_worker_that_is_kept_to_nothing(run, file: Path, words: str, sentence: str) -> None:
    file.write_text('[database]\nurl = "postgresql://127.0.0.1:1/none"\n' + ROUTES.format(port=1))
    done = run("worker", *words.split(" "))
    assert (done.code, done.out, done.err) == (1, "", f"campana: {sentence}\n")


# --- configuration, database, routes -----------------------------------------------------------------------------

ROUTES = """
[[routes]]
name = "sms-main"
channel = "sms"
url = "smpp://id:hunter2@127.0.0.1:{port}"
[[routes]]
name = "mail"
channel = "email"
url = "smtp://127.0.0.1:{port}"
"""


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nobody answers: bound, so that nobody else takes it, but not listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_the_configuration_is_shown_without_secrets(run, file: Path) -> None:
    file.write_text("[server]\nport = 0\n" + ROUTES.format(port=2775))
    shown = run("config", "show")
    assert shown.code == 0
    assert re.search(r"server\.port +0 +file", shown.out)
    assert re.search(r"log\.level +info +default", shown.out)
    assert "smpp://id:***@127.0.0.1:2775" in shown.out
    as_json = run("config", "show", "--json")
    found = {line["key"]: line for line in as_json.json["settings"]}
    assert as_json.json["file"] == str(file)
    assert found["server.port"] == {"key": "server.port", "value": 0, "origin": "file"}
    assert found["routes.mail.url"]["value"] == "smtp://127.0.0.1:2775"
    assert "hunter2" not in shown.out + as_json.out


def test_a_variable_is_shown_as_its_origin(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPANA_LOG__LEVEL", "debug")
    found = {line["key"]: line for line in run("config", "show", "--json").json["settings"]}
    assert found["log.level"] == {"key": "log.level", "value": "debug", "origin": "CAMPANA_LOG__LEVEL"}


def test_the_configuration_is_checked(run, file: Path) -> None:
    assert run("config", "check").out == f"{file} is valid: 0 routes.\n"
    file.write_text("[server]\nport = 99999\nhots = 1\n")
    done = run("config", "check")
    assert (done.code, done.out) == (1, "")
    assert "server.port: should be less than or equal to 65535" in done.err
    assert "server.hots: there is no such key; did you mean host?" in done.err


@pytest.mark.parametrize("words", [["serve"], ["account", "list"], ["routes", "check"], ["db", "upgrade"]])
def test_every_command_refuses_a_bad_configuration(run, tmp_path: Path, words: list[str]) -> None:
    done = run(*words, config=tmp_path / "missing.toml")
    assert (done.code, done.err) == (1, f"campana: {tmp_path / 'missing.toml'}: there is no such file\n")


def test_the_database_is_created_once(run, file: Path) -> None:
    assert run("db", "upgrade").out.startswith(f"Created the database {file.parent / 'campana-data' / 'campana.db'}")
    for words in (["db", "upgrade"], ["db", "upgrade", "--finish"]):
        again = run(*words)
        assert (again.code, "already" in again.out) == (0, True)


def test_an_upgrade_is_not_finished_beside_a_server(run, file: Path) -> None:
    assert run("db", "upgrade").code == 0
    with (file.parent / "campana-data" / "campana.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run("db", "upgrade", "--finish")
    assert (done.code, "another Campana serves" in done.err) == (1, True)


def test_a_database_of_a_newer_version_is_used_as_long_as_it_can_be(run, file: Path) -> None:
    run("db", "upgrade")
    database = sqlite3.connect(file.parent / "campana-data" / "campana.db")
    database.execute("UPDATE alembic_version SET version_num = '9990'")
    database.commit()
    assert run("account", "add", "acme").code == 0
    assert "is at revision 9990 already" in run("db", "upgrade").out
    database.execute("UPDATE instance SET oldest_code = '9980'")
    database.commit()
    for words in (["account", "list"], ["db", "upgrade", "--finish"], ["serve"]):
        done = run(*words)
        assert (done.code, done.out) == (1, "")
        assert done.err.splitlines()[-1].startswith("campana: the database was upgraded for a newer version: ")


@pytest.mark.parametrize("words", [["account", "list"], ["db", "upgrade"], ["serve"]])
def test_a_database_that_cannot_be_used_is_told_in_a_sentence(run, file: Path, words: list[str]) -> None:
    (file.parent / "campana-data").mkdir()
    (file.parent / "campana-data" / "campana.db").write_bytes(b"this is no database " * 1000)
    done = run(*words)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1].startswith("campana: the database cannot be used right now: ")


def test_what_is_kept_is_for_its_own_user_alone(run, tmp_path: Path) -> None:
    place = tmp_path / "campana-data"
    place.mkdir(mode=0o755)
    before = os.umask(0o022)
    try:
        run("account", "add", "acme")
    finally:
        os.umask(before)
    kept = list(place.iterdir())
    assert kept
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in kept} == {path.name: "0o600" for path in kept}


# --- which database it is ----------------------------------------------------------------------------------------


def test_a_database_that_is_not_there_is_no_good_news(run, file: Path) -> None:
    missing = run("instance", "show")
    sentence = (
        "campana: the database cannot be used right now: Campana has no tables there: is it the one that is meant?"
    )
    assert (missing.code, missing.err) == (1, f"{sentence}\n")
    assert not list(file.parent.rglob("campana.db")), "nothing was made by a look"


def test_a_database_says_which_it_is(run) -> None:
    run("db", "upgrade")
    shown = run("instance", "show", "--json").json
    nothing = {"campaigns": 0, "sms": 0, "voice": 0, "email": 0}
    assert len(shown.pop("id")) == 36
    never_ran = {"label": None, "epoch": 0, "home": "not known", "held": False, "reason": None}
    assert shown == never_ran | {"waiting": nothing}
    assert re.search(r"^held +no$", run("instance", "show").out, re.MULTILINE)


def test_an_operator_says_which_database_it_is(run, file: Path) -> None:
    run("db", "upgrade")
    before = run("instance", "show", "--json").json
    assert run("instance", "retire", "--yes").out == "The database is retired: nothing is sent from it.\n"
    retired = run("instance", "show", "--json").json
    assert (retired["id"], retired["held"]) == (before["id"], True)
    assert re.search(r"^held +yes: it was retired: it is a copy to look at$", run("instance", "show").out, re.MULTILINE)
    file.write_text('[server]\nport = 0\n[database]\nlabel = "production"\n')
    resumed = run("instance", "resume", "--yes")
    shown = run("instance", "show", "--json").json
    assert resumed.out == f"The database goes on from here as {shown['id']}.\n"
    assert shown["id"] != before["id"]
    assert (shown["label"], shown["home"], shown["held"]) == ("production", "here", False)
    file.write_text("[server]\nport = 0\n")
    assert "database.label" in run("instance", "show", "--json").json["reason"]


@pytest.mark.parametrize("word", ["resume", "retire"])
def test_an_operators_word_is_confirmed(run, word: str) -> None:
    run("db", "upgrade")
    before = run("instance", "show", "--json").json
    unasked = run("instance", word)
    assert unasked.code == 2
    assert "use --yes" in unasked.err
    refused = run("instance", word, stdin="n\n", terminal=True)
    assert (refused.code, refused.err.splitlines()[-1]) == (1, "campana: nothing was changed")
    assert "nothing" in refused.out
    assert run("instance", "show", "--json").json == before
    assert run("instance", word, stdin="y\n", terminal=True).code == 0
    assert run("instance", "show", "--json").json != before


def test_routes_that_do_not_work_are_told(run, file: Path, closed_port: int) -> None:
    file.write_text(ROUTES.format(port=closed_port))
    done = run("routes", "check")
    assert done.code == 1
    assert re.search(r"^sms-main \(sms\): \S.*$", done.out, re.MULTILINE)
    assert re.search(r"^mail \(email\): \S.*$", done.out, re.MULTILINE)
    one = run("routes", "check", "mail", "--json")
    assert one.code == 1
    (report,) = one.json
    assert (report["name"], report["medium"], report["ok"]) == ("mail", "email", False)
    assert report["problem"]
    assert "hunter2" not in done.out + done.err + one.out


def test_routes_that_are_not_configured(run, file: Path) -> None:
    assert (run("routes", "check").code, run("routes", "check").out) == (0, "No routes are configured.\n")
    file.write_text(ROUTES.format(port=2775))
    done = run("routes", "check", "other")
    assert (done.code, done.err) == (1, 'campana: there is no route "other"; configured are: sms-main, mail\n')


def test_a_route_that_works_is_told(run, file: Path) -> None:
    """Against the least that is a mail server: a greeting, an EHLO, a goodbye."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_greet, args=(server,), daemon=True).start()
        port = server.getsockname()[1]
        file.write_text(f'[[routes]]\nname = "mail"\nchannel = "email"\nurl = "smtp://127.0.0.1:{port}"\ntls = "off"\n')
        done = run("routes", "check", "mail")
    assert (done.code, done.out.splitlines()[0]) == (0, "mail (email): works")


def _greet(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection, connection.makefile("rwb") as stream:
        stream.write(b"220 mail.example ready\r\n")
        stream.flush()
        for line in stream:
            verb = line.strip().upper()[:4]
            stream.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 mail.example\r\n")
            stream.flush()


def test_a_defect_is_told_without_a_traceback_unless_asked_for(
    run, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_what: object) -> str:
        raise RuntimeError("no number +12025550123")

    monkeypatch.setattr(wiring, "upgrade", broken)
    done = run("db", "upgrade")
    assert done.code == 1
    assert done.err == "campana: a defect: RuntimeError: no number <number> (--traceback shows where)\n"
    with pytest.raises(RuntimeError, match="no number"):
        main(["--config", str(file), "--traceback", "db", "upgrade"])
    assert capsys.readouterr().out == ""


def test_version_and_help(run) -> None:
    printed = run("--version", config=None).out
    assert re.fullmatch(r"campana \d+\.\d+\.\d+\S*\n", printed)
    as_module = subprocess.run(
        [sys.executable, "-m", "campana", "--version"], capture_output=True, check=True, text=True
    )
    assert as_module.stdout == printed
    helped = run("--help", config=None)
    assert helped.code == 0
    assert all(word in helped.out for word in ("serve", "account", "user", "routes", "db", "config"))


# --- serving -----------------------------------------------------------------------------------------------------


def _first_line(process: subprocess.Popen[str], seconds: float) -> str:
    lines: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: lines.append(process.stdout.readline()), daemon=True)
    reader.start()
    reader.join(seconds)
    assert lines, "the server printed nothing in time"
    return lines[0]


@contextmanager
def served(file: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server as a process of its own, and the line that it printed; killed in the end if it has not stopped."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("CAMPANA_")}
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("campana")), "--config", str(file), "serve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )
    try:
        yield process, _first_line(process, 60)
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_serving_from_nothing_to_a_graceful_stop(run, file: Path) -> None:
    with served(file) as (process, line):
        found = re.fullmatch(r"Campana is listening on (http://127\.0\.0\.1:\d+/OutboundNotifications\.svc)\n", line)
        assert found, line
        with urllib.request.urlopen(f"{found[1]}?wsdl", timeout=30) as answer:
            assert (answer.status, b"OutboundNotifications" in answer.read()) == (200, True)

        # Accounts and users are added while the server runs, and count at once.
        assert run("account", "add", "acme").code == 0
        assert run("user", "add", "acme", "ann", "--role", "api", "--password-stdin", stdin=PASSWORD).code == 0
        assert re.search(r"<(\w+:)?ErrorCode>0</", _open_session(found[1], "acme", "ann"))

        second = run("serve")
        assert second.code == 1
        assert "another Campana serves" in second.err

        process.send_signal(signal.SIGTERM)
        rest, logged = process.communicate(timeout=60)
        assert (process.returncode, rest) == (0, "")
        assert PASSWORD not in logged
        assert all(isinstance(json.loads(entry), dict) for entry in logged.splitlines())


def _open_session(address: str, account: str, user: str) -> str:
    body = f"""<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
      <OpenAPISession xmlns="http://tempuri.org/"><accountId>{account}</accountId><username>{user}</username>
      <password>{PASSWORD}</password></OpenAPISession></s:Body></s:Envelope>"""
    request = urllib.request.Request(address, body.encode(), {"Content-Type": "text/xml; charset=utf-8"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


def test_an_address_in_use_is_told_in_a_sentence(run, file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        file.write_text(f"[server]\nport = {port}\n")
        done = run("serve")
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1].startswith("campana: ")
    assert f"cannot listen on 127.0.0.1 port {port}" in done.err
