"""One settings object of file, environment and defaults; everything wrong is said at once, and no secret is."""

from __future__ import annotations

import contextlib
import json
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campana.channels.email import EmailRouteSettings
from campana.channels.sms import SmsRouteSettings
from campana.config import ConfigError, Settings, describe, load
from campana.config.showing import mask_url

SMS = '[[routes]]\nname = "sms-main"\nchannel = "sms"\nurl = "smpp://id:hunter2@smsc.example:2775"\n'
MAIL = '[[routes]]\nname = "mail"\nchannel = "email"\nurl = "smtp://mail.example:25"\ntls = "off"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "campana.toml"


def loaded(file: Path, text: str, **environ: str) -> Settings:
    file.write_text(text, encoding="utf-8")
    return load(file, environ)


def told(path: Path | None, environ: dict[str, str]) -> list[str]:
    try:
        load(path, environ)
    except ConfigError as error:
        return error.problems
    return []


def problems(file: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(file, text, **environ)
    return caught.value.problems


# --- where values come from --------------------------------------------------------------------------------------


def test_an_empty_file_gives_the_defaults(file: Path) -> None:
    settings = loaded(file, "")
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8080)
    assert settings.server.max_request_bytes == 1024 * 1024
    assert settings.database_path == file.parent / "campana-data" / "campana.db"
    assert settings.delivery.retry_minutes == (1, 5, 15, 60)
    assert settings.sessions.idle_minutes == 20
    assert settings.bounces.address is None
    assert settings.routes == ()
    assert settings.origins == {}


def test_the_file_is_read_and_says_so(file: Path) -> None:
    settings = loaded(file, '[server]\nhost = "0.0.0.0"\nport = 0\n[log]\nformat = "console"\n' + SMS + MAIL)
    assert (settings.server.host, settings.server.port, settings.log.format) == ("0.0.0.0", 0, "console")
    assert settings.file == file
    assert settings.origins == {"server.host": "file", "server.port": "file", "log.format": "file", "routes": "file"}
    sms, mail = settings.routes
    assert isinstance(sms, SmsRouteSettings)
    assert isinstance(mail, EmailRouteSettings)
    assert (sms.name, mail.tls) == ("sms-main", "off")


@pytest.mark.parametrize(
    ("variable", "text", "section", "key", "value"),
    [
        ("CAMPANA_SERVER__PORT", "9000", "server", "port", 9000),
        ("CAMPANA_SERVER__SHUTDOWN_SECONDS", "2.5", "server", "shutdown_seconds", 2.5),
        ("CAMPANA_SERVER__DATA_DIR", "here", "server", "data_dir", Path("here")),
        (
            "CAMPANA_SERVER__TRUSTED_PROXIES",
            "10.0.0.0/8, ::1",
            "server",
            "trusted_proxies",
            (ip_network("10.0.0.0/8"), ip_network("::1/128")),
        ),
        ("CAMPANA_DELIVERY__RETRY_MINUTES", "2,4", "delivery", "retry_minutes", (2, 4)),
        ("CAMPANA_DELIVERY__RETRY_MINUTES", "[2, 4, 8]", "delivery", "retry_minutes", (2, 4, 8)),
        ("CAMPANA_PROGRESS__ALLOW_PRIVATE_NETWORKS", "true", "progress", "allow_private_networks", True),
        ("CAMPANA_LOG__LEVEL", "debug", "log", "level", "debug"),
    ],
)
def test_a_variable_wins_over_the_file(
    file: Path, variable: str, text: str, section: str, key: str, value: object
) -> None:
    settings = loaded(file, "[server]\nport = 1\n[delivery]\nretry_minutes = [9]\n", **{variable: text})
    assert getattr(getattr(settings, section), key) == value
    assert settings.origins[f"{section}.{key}"] == variable


@pytest.mark.parametrize(
    "variable", ["CAMPANA_PORT", "CAMPANA_SERVICE_HOST", "CAMPANA_PORT_8080_TCP", "OTHER_SERVER__PORT", "PATH"]
)
def test_variables_of_others_do_not_count(file: Path, variable: str) -> None:
    assert loaded(file, "", **{variable: "tcp://10.0.0.1:80"}) == loaded(file, "")


def test_an_empty_variable_does_not_count(file: Path) -> None:
    assert loaded(file, "[server]\nport = 7\n", CAMPANA_SERVER__PORT="", CAMPANA_ROUTES=" ").server.port == 7


def test_routes_of_the_environment_replace_those_of_the_file(file: Path) -> None:
    routes = [{"name": "other", "channel": "email", "url": "smtp://other.example", "connections": 3}]
    settings = loaded(file, SMS + MAIL, CAMPANA_ROUTES=json.dumps(routes))
    (route,) = settings.routes
    assert isinstance(route, EmailRouteSettings)
    assert (route.name, route.connections) == ("other", 3)
    assert settings.origins["routes"] == "CAMPANA_ROUTES"


def test_without_a_path_the_local_file_is_read_if_there_is_one(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        assert load(None, {}).file is None
        assert load(None, {}).database_path == Path("campana-data/campana.db")
        (tmp_path / "campana.toml").write_text("[server]\nport = 99\n")
        assert load(None, {}).server.port == 99
        assert load(None, {}).file == Path("campana.toml")


def test_paths_are_relative_to_the_file(file: Path) -> None:
    settings = loaded(
        file,
        '[server]\ndata_dir = "data"\ntls_certificate = "tls/cert.pem"\ntls_key = "/etc/key.pem"\n'
        '[[routes]]\nname = "mail"\nchannel = "email"\nurl = "smtp://mail.example"\ntls_ca = "ca.pem"\n',
    )
    assert settings.server.data_dir == file.parent / "data"
    assert settings.server.tls_certificate == file.parent / "tls" / "cert.pem"
    assert settings.server.tls_key == Path("/etc/key.pem")
    (route,) = settings.routes
    assert isinstance(route, EmailRouteSettings)
    assert route.tls_ca == file.parent / "ca.pem"


@pytest.mark.parametrize(
    ("url", "expected"),
    [("sqlite:///here.db", "{folder}/here.db"), ("sqlite:////var/lib/there.db", "/var/lib/there.db")],
)
def test_the_database_may_lie_elsewhere(file: Path, url: str, expected: str) -> None:
    settings = loaded(file, f'[database]\nurl = "{url}"\n')
    assert settings.database_path == Path(expected.format(folder=file.parent))


@pytest.mark.parametrize(
    ("listen", "address"),
    [("127.0.0.1:2526", ("127.0.0.1", 2526)), ("[::1]:25", ("::1", 25)), ("mx.example:0", ("mx.example", 0))],
)
def test_the_bounce_listener_has_an_address(file: Path, listen: str, address: tuple[str, int]) -> None:
    assert loaded(file, f'[bounces]\nlisten = "{listen}"\n').bounces.address == address


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\nport = 70000\n", "server.port: should be less than or equal to 65535"),
        ('[server]\nport = "x"\n', "server.port: should be a valid integer, unable to parse string as an integer"),
        ("[server]\nprot = 1\n", "server.prot: there is no such key; did you mean port?"),
        ("[sever]\nport = 1\n", "sever: there is no such section; did you mean server?"),
        ("server = 1\n", "server: should be a table"),
        ('[server]\ntls_key = "k.pem"\n', "server: tls_certificate and tls_key belong together: set both or none"),
        (
            '[database]\nurl = "mysql://u:hunter2@db/campana"\n',
            'database.url: the scheme "mysql" is not supported: it should be postgresql or sqlite',
        ),
        (
            "[database]\nconnections = 4\n",
            "database: connections needs an url that begins with postgresql://",
        ),
        (
            '[database]\nurl = "postgresql://db/campana"\nlisten_url = "http://u:hunter2@db"\n',
            "database.listen_url: should begin with postgresql://",
        ),
        (
            '[database]\nurl = "postgresql://db/campana"\nconnections = 1\n',
            "database.connections: should be greater than or equal to 2",
        ),
        ('[worker]\nlisten = "localhost:70000"\n', "worker.listen: the port should be at most 65535"),
        ('[database]\nurl = "sqlite://"\n', "database.url: should be sqlite:///PATH with the path of a file"),
        ('[database]\nurl = "sqlite:///"\n', "database.url: should be sqlite:///PATH with the path of a file"),
        ("[delivery]\nretry_minutes = []\n", "delivery.retry_minutes: tuple should have at least 1 item"),
        ("[delivery]\nretry_minutes = [0, -1]\n", "delivery.retry_minutes.1: should be greater than or equal to 0"),
        ('[log]\nlevel = "loud"\n', "log.level: should be 'debug', 'info', 'warning' or 'error'"),
        ('[bounces]\nlisten = "2526"\n', "bounces.listen: string should match pattern"),
        ('[bounces]\nlisten = "h:99999"\n', "bounces.listen: the port should be at most 65535"),
        ("routes = 1\n", "routes: should be a list of tables, each under [[routes]]"),
        ('[[routes]]\nname = "a"\n', 'routes "a": channel: is required; there are: email, sms'),
        ('[[routes]]\nchannel = "fax"\n', "routes, entry 1: channel: is not a channel; there are: email, sms"),
        ('[[routes]]\nname = "a"\nchannel = "email"\n', 'routes "a": url: is required'),
        (MAIL + "conections = 3\n", 'routes "mail": conections: there is no such key; did you mean connections?'),
        (MAIL + "rate = 0\n", 'routes "mail": rate: should be greater than 0'),
        (MAIL + MAIL, 'routes "mail": another route has this name already'),
    ],
)
def test_what_is_wrong_is_one_line_with_key_and_rule(file: Path, text: str, expected: str) -> None:
    (line,) = problems(file, text)
    assert line.startswith(expected)
    assert "hunter2" not in line


def test_all_problems_are_told_at_once(file: Path) -> None:
    found = problems(
        file,
        "[server]\nport = -1\n[log]\nformat = 'xml'\n" + SMS.replace("smpp:", "http:") + "[[routes]]\nchannel='x'\n",
        CAMPANA_SERVER__SHUTDOWN_SECONDS="soon",
        CAMPANA_SRVER__PORT="1",
        CAMPANA_SERVER__PRT="1",
    )
    assert len(found) == 7
    assert any(line.startswith("server.shutdown_seconds (CAMPANA_SERVER__SHUTDOWN_SECONDS): ") for line in found)
    assert "CAMPANA_SRVER__PORT: there is no such section; did you mean server?" in found
    assert "CAMPANA_SERVER__PRT: there is no such key; did you mean port?" in found


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"CAMPANA_ROUTES": "{"}, "CAMPANA_ROUTES: it is not valid JSON"),
        ({"CAMPANA_ROUTES": "[" * 100_000}, "CAMPANA_ROUTES: it is not valid JSON"),
        ({"CAMPANA_ROUTES": "{}"}, "routes: should be a list of tables, each under [[routes]]"),
        ({"CAMPANA_ROUTES": "[1]"}, "routes: should be a list of tables, each under [[routes]]"),
        (
            {"CAMPANA_DELIVERY__RETRY_MINUTES": "[1,"},
            "CAMPANA_DELIVERY__RETRY_MINUTES: should be a JSON list or values with commas between them",
        ),
    ],
)
def test_variables_that_cannot_be_read(file: Path, environ: dict[str, str], expected: str) -> None:
    assert problems(file, "", **environ) == [expected]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[server\n", "it is not valid TOML"),
        (b"\xff\xfe", "it is not UTF-8 text"),
        (b"#" * 5_000_000, "it is too large for a configuration"),
        (b"a = " + b"[" * 10_000, "it is not valid TOML"),
    ],
)
def test_files_that_cannot_be_read(file: Path, content: bytes, expected: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=expected):
        load(file, {})


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(ConfigError) as caught:
            load(path, {})
        assert caught.value.problems == [f"{path}: there is no such file"]


@pytest.mark.parametrize("key", ["url", "rate", "accounts", "priority"])
@pytest.mark.parametrize(
    "value", ['"smpp://id:hunter2@h:x"', '"hunter2 hunter2"', "[{a = 'hunter2'}]", "{a = 'hunter2'}"]
)
def test_no_value_is_put_into_a_sentence(file: Path, key: str, value: str) -> None:
    entry = {"name": '"a"', "channel": '"sms"', "url": '"smpp://id:x@h"'} | {key: value}
    found = problems(file, "[[routes]]\n" + "".join(f"{name} = {item}\n" for name, item in entry.items()))
    assert found
    assert "hunter2" not in "".join(found)


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)


@settings(max_examples=30)
@given(
    st.dictionaries(st.sampled_from(["SERVER__PORT", "LOG__LEVEL", "DELIVERY__RETRY_MINUTES", "ROUTES"]), json_values),
    st.lists(st.dictionaries(st.sampled_from(["name", "channel", "url", "rate"]), json_values)),
)
def test_any_environment_is_accepted_or_refused_with_sentences(values: dict[str, object], routes: object) -> None:
    environ = {f"CAMPANA_{name}": json.dumps(value) for name, value in values.items()}
    for found in (told(None, environ), told(None, environ | {"CAMPANA_ROUTES": json.dumps(routes)})):
        assert all(": " in line for line in found)


# --- how it is shown ---------------------------------------------------------------------------------------------


def test_every_key_is_shown_with_its_origin_and_without_secrets(file: Path) -> None:
    settings = loaded(file, "[server]\nport = 81\n" + SMS, CAMPANA_LOG__LEVEL="error")
    lines = {line.key: line for line in describe(settings)}
    assert (lines["server.port"].value, lines["server.port"].origin) == (81, "file")
    assert (lines["log.level"].value, lines["log.level"].origin) == ("error", "CAMPANA_LOG__LEVEL")
    assert (lines["server.host"].value, lines["server.host"].origin) == ("127.0.0.1", "default")
    assert lines["routes.sms-main.url"].value == "smpp://id:***@smsc.example:2775"
    assert lines["routes.sms-main.url"].origin == "file"
    assert lines["routes.sms-main.window"].origin == "default"
    assert "hunter2" not in json.dumps([line.value for line in describe(settings)])
    assert "hunter2" not in repr(settings)


def test_secrets_of_a_route_are_masked_whole(file: Path) -> None:
    settings = loaded(file, MAIL + 'bounce_domain = "b.example"\nverp_secret = "hunter2-hunter2-hunter2"\n')
    lines = {line.key: line.value for line in describe(settings)}
    assert lines["routes.mail.verp_secret"] == "***"
    assert lines["routes.mail.bounce_domain"] == "b.example"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("smtp://mail.example:25", "smtp://mail.example:25"),
        ("smpp://id:secret@h:2775", "smpp://id:***@h:2775"),
        ("smpp://id@h", "smpp://id@h"),
        ("smpp://id:se/cr@et@h", "smpp://id:***@h"),
        ("http://h/send?user=a&password=secret&x=1", "http://h/send?user=a&password=***&x=1"),
        ("http://h/?apikey=secret&API_KEY=secret#x", "http://h/?apikey=***&API_KEY=***#x"),
        ("sqlite:////var/lib/campana.db", "sqlite:////var/lib/campana.db"),
        ("secret", "***"),
    ],
)
def test_urls_are_masked(url: str, masked: str) -> None:
    assert mask_url(url) == masked
