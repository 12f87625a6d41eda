"""What Campana is deployed with: image, compose.yaml and systemd units name what there is, and let it run safely."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from deployed import DEPLOY, exec_form, mistake, of_yaml, stages, started, unit
from repository import ROOT, project

from campana.config import Settings, load

DOCKERFILE = ROOT / "Dockerfile"
IMAGE = stages(DOCKERFILE)[-1]
COMPOSE: dict[str, Any] = of_yaml(ROOT / "compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if str(service["image"]).startswith("campana")}
CARRIERS = {name: service for name, service in OURS.items() if "entrypoint" in service}
UNITS = sorted((DEPLOY / "systemd").iterdir())

DOOR = 8080
"""The port at which every container of Campana answers."""


def said(name: str) -> list[str]:
    """What the image's own stage says by an instruction."""
    return [rest for instruction, rest in IMAGE if instruction == name]


def environment() -> dict[str, str]:
    return dict(re.findall(r'(\w+)=("[^"]*"|\S+)', " ".join(said("ENV"))))


def empty(folder: Path) -> Path:
    """A configuration that says nothing."""
    file = folder / "campana.toml"
    file.touch()
    return file


# --- the image ---------------------------------------------------------------------------------------------------


def test_the_image_is_built_in_stages_from_a_version_of_a_base_at_no_certain_registry() -> None:
    bases = [stage[0][1].split()[0] for stage in stages(DOCKERFILE)]
    assert len(bases) >= 2
    for base in bases:
        name, colon, tag = base.partition(":")
        assert colon
        assert tag != "latest"
        assert "." not in name.split("/")[0]


def test_the_image_runs_as_nobody_in_particular_and_keeps_its_data_in_a_volume() -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", said("USER")[-1])
    assert [name for name, _ in IMAGE].index("USER") > max(i for i, (name, _) in enumerate(IMAGE) if name == "RUN")
    assert exec_form(said("VOLUME")[-1]) == [environment()["CAMPANA_SERVER__DATA_DIR"]]


def test_the_image_starts_without_a_shell_a_command_that_there_is() -> None:
    program, *words = [*exec_form(said("ENTRYPOINT")[-1]), *exec_form(said("CMD")[-1])]
    assert program == "campana"
    assert mistake(words) is None


def test_the_image_is_set_by_variables_that_are_settings(tmp_path: Path) -> None:
    given = {name: value for name, value in environment().items() if name.startswith("CAMPANA_")}
    settings = load(empty(tmp_path), given)
    assert set(settings.origins.values()) == set(given)
    assert settings.server.port == DOOR
    assert f"{DOOR}" in said("EXPOSE")
    assert given["CAMPANA_WORKER__LISTEN"].endswith(f":{DOOR}")


def test_packages_of_the_image_are_those_of_the_lock() -> None:
    runs = [rest for stage in stages(DOCKERFILE) for name, rest in stage if name == "RUN"]
    commands = [part.strip() for run in runs for part in run.split("&&")]
    installing = [command for command in commands if re.search(r"\bpip install\b|\buv build\b", command)]
    assert len(installing) >= 4
    for command in installing:
        assert "--require-hashes" in command or ("--offline" in command and "--no-deps" in command), command
        assert set(re.findall(r"--extra (\S+)", command)) <= project()["project"]["optional-dependencies"].keys()


def test_what_is_copied_into_the_image_is_there_and_not_left_out() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    let_in = [rule[1:].rstrip("/") for rule in rules if rule[0] == "!"]
    copies = [rest.split() for stage in stages(DOCKERFILE) for name, rest in stage if name == "COPY"]
    sources = [source for words in copies if not words[0].startswith("--from") for source in words[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source.rstrip("/"), rule) for rule in let_in), source
    for rule in let_in:
        assert any(source.rstrip("/") == rule for source in sources), rule


class _Door(BaseHTTPRequestHandler):
    """Is well, and then no more."""

    answers: Iterator[int]

    def do_GET(self) -> None:
        self.send_response(next(self.answers) if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def door() -> Iterator[ThreadingHTTPServer]:
    handler = type("Door", (_Door,), {"answers": iter([200, 503])})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def healthy(port: int) -> bool:
    (check,) = said("HEALTHCHECK")
    program, *words = exec_form(check[check.index("CMD ") + 4 :])
    assert program == "python"
    assert str(DOOR) in words[-1]
    words[-1] = words[-1].replace(str(DOOR), str(port))
    # A proxy that is set for the whole machine is not asked.
    proxy = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, *words], env=proxy, capture_output=True, check=False)
    return done.returncode == 0


def test_the_health_check_tells_well_from_ill_and_from_nobody_there(door: ThreadingHTTPServer) -> None:
    assert healthy(door.server_port)
    assert not healthy(door.server_port)
    door.shutdown()
    door.server_close()
    assert not healthy(door.server_port)


# --- compose.yaml ------------------------------------------------------------------------------------------------


def test_compose_runs_a_database_doors_and_two_workers() -> None:
    assert SERVICES["worker"]["deploy"]["replicas"] == 2
    assert SERVICES["api"]["command"] == ["api"]
    database, _, version = SERVICES["postgres"]["image"].partition(":")
    assert (database, int(version) >= 15) == ("postgres", True)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_of_an_image_with_a_version(name: str) -> None:
    image, colon, tag = SERVICES[name]["image"].partition(":")
    assert colon
    assert tag != "latest"
    assert "." not in image.split("/")[0]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_the_health_of_those_it_needs(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert "healthcheck" in SERVICES[other], other


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_container_of_ours_may_do_little(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "user", "network_mode", "pid"} & service.keys()


def test_nothing_but_the_doors_can_be_reached_and_those_from_this_machine_alone() -> None:
    assert {name for name, service in SERVICES.items() if service.get("ports")} == {"api"}
    assert all(port.startswith("127.0.0.1:") and port.endswith(f":{DOOR}") for port in SERVICES["api"]["ports"])


@pytest.mark.parametrize("name", sorted(OURS.keys() - CARRIERS.keys()))
def test_a_service_runs_a_command_that_there_is_with_settings_that_there_are(name: str, tmp_path: Path) -> None:
    assert mistake(OURS[name]["command"]) is None
    given = {key: re.sub(r"\$\{[^}]*\}", "secret", value) for key, value in OURS[name]["environment"].items()}
    assert set(load(empty(tmp_path), given).origins.values()) == set(given)


def test_files_and_volumes_that_compose_names_are_there() -> None:
    named = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    assert named
    for one in named:
        assert (ROOT / one).is_file() if one.startswith(".") else one in COMPOSE["volumes"], one
    assert [service["build"] for service in SERVICES.values() if "build" in service] == ["."]


def composed() -> Settings:
    return load(DEPLOY / "compose" / "campana.toml", {})


def test_routes_lead_to_the_carriers_where_they_listen() -> None:
    led_to = set()
    for route in composed().routes:
        # `sip:` has no slashes, which urlsplit wants before a host.
        place = urlsplit(re.sub(r"^sip:", "sip://", route.url).partition(";")[0])
        words = CARRIERS[str(place.hostname)]["command"]
        assert words[words.index("--port") + 1] == str(place.port), route.name
        assert words[words.index("--host") + 1] == "0.0.0.0"
        assert str(place.port) in CARRIERS[str(place.hostname)]["healthcheck"]["test"][-1]
        led_to.add(place.hostname)
    assert led_to == set(CARRIERS)


def test_a_stop_has_time_for_what_is_in_flight() -> None:
    for name in OURS.keys() - CARRIERS.keys():
        assert int(OURS[name]["stop_grace_period"].removesuffix("s")) > composed().server.shutdown_seconds


@pytest.mark.parametrize("name", sorted(CARRIERS))
def test_a_carrier_starts_as_compose_says_and_passes_its_check(name: str, tmp_path: Path) -> None:
    service = CARRIERS[name]
    entrypoint, words = service["entrypoint"], list(service["command"])
    port = words[words.index("--port") + 1]
    words[words.index("--port") + 1] = "0"
    words[words.index("--host") + 1] = "127.0.0.1"
    words = [str(tmp_path / "data") if word.startswith("/var/lib/campana/") else word for word in words]
    process = subprocess.Popen([sys.executable, *entrypoint[1:], *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        listening = process.stdout.readline().strip()
        how, program, *check = service["healthcheck"]["test"]
        assert (how, program, entrypoint[0]) == ("CMD", "python", "python")
        check[-1] = check[-1].replace(port, listening)
        subprocess.run([sys.executable, *check], check=True, timeout=30)
    finally:
        process.kill()
        process.communicate()


# --- systemd -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_a_command_that_there_is(path: Path) -> None:
    program, *words = started(unit(path)["Service"])
    assert program == "/opt/campana/.venv/bin/campana"
    assert mistake(words) is None


def test_there_is_a_unit_for_each_role() -> None:
    roles = {path.name: started(unit(path)["Service"])[1] for path in UNITS}
    assert roles == {"campana.service": "serve", "campana-api.service": "api", "campana-worker@.service": "worker"}


def test_units_are_hardened_alike() -> None:
    def rights(path: Path) -> list[tuple[str, str]]:
        service = unit(path)["Service"]
        keys = [key for key, _ in service]
        return service[keys.index("NoNewPrivileges") :]

    first, *others = [rights(path) for path in UNITS]
    assert all(one == first for one in others)
    assert {"ProtectSystem": "strict", "ProtectHome": "true", "PrivateTmp": "true"}.items() <= dict(first).items()
    # The media process asks for real-time scheduling, and Prometheus' client reads /proc/stat.
    assert not {"RestrictRealtime", "ProcSubset"} & dict(first).keys()


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_runs_as_a_user_of_its_own_and_stops_with_time_enough(path: Path) -> None:
    service = dict(unit(path)["Service"])
    assert service["User"] == service["StateDirectory"] == "campana"
    assert int(service["TimeoutStopSec"]) > Settings().server.shutdown_seconds
    # Not all of its processes: a media process ends when it has hung up, and speech when nobody waits for it.
    assert service["KillMode"] == "mixed"


# --- what pages tell people to run -------------------------------------------------------------------------------


def told() -> list[tuple[str, str]]:
    """Every command of ours that pages on running it and compose.yaml tell to run, after where it stands."""
    texts = {
        name: "\n".join(re.findall(r"^```sh\n(.*?)^```$", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL))
        for name in ("README.md", "docs/operations.md", "docs/many-machines.md")
    }
    texts["compose.yaml"] = (ROOT / "compose.yaml").read_text()
    shown = r"(?:^|\bbin/|\bapi |\bcampana )campana ((?:--config )?[a-z][^#|&\n]*)"
    return [(name, found.strip()) for name, text in texts.items() for found in re.findall(shown, text, re.MULTILINE)]


@pytest.mark.parametrize(("page", "command"), told())
def test_commands_that_pages_tell_to_run_are_commands_with_their_options(page: str, command: str) -> None:
    assert mistake(shlex.split(command)) is None, page


def test_the_example_of_prometheus_asks_what_there_is() -> None:
    example = of_yaml(DEPLOY / "prometheus" / "prometheus.yml")
    assert all((DEPLOY / "prometheus" / name).is_file() for name in example["rule_files"])
    (job,) = example["scrape_configs"]
    assert job["job_name"].startswith("campana")
    assert "metrics_path" not in job
    ports = {target.rpartition(":")[2] for one in job["static_configs"] for target in one["targets"]}
    assert str(Settings().server.port) in ports


def test_campana_toml_of_compose_says_no_host_of_the_database() -> None:
    raw = tomllib.loads((DEPLOY / "compose" / "campana.toml").read_text(encoding="utf-8"))
    assert "database" not in raw
    assert "server" not in raw
