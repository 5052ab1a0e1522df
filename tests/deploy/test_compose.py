"""compose.yaml and Grafana's provisioning, as far as it can be checked without a container engine.

No package with the compose specification's JSON schema is among the locked ones: what it would say about the parts that
are used here is checked by hand.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from wardlight.boards_rule import arrival_rule
from wardlight.commands import command_named
from wardlight.main import app

DEPLOY = Path(__file__).resolve().parent.parent.parent / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
TEXT = (DEPLOY / "compose.yaml").read_text()
SERVICES: dict[str, Any] = COMPOSE["services"]
SERVICE_KEYS = {
    *("build", "cap_drop", "command", "depends_on", "environment", "healthcheck", "image", "network_mode", "ports"),
    *("read_only", "restart", "secrets", "security_opt", "tmpfs", "volumes"),
}
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}
each_service = pytest.mark.parametrize("name", sorted(SERVICES))


def test_only_words_of_the_specification_are_used() -> None:
    assert set(COMPOSE) == {"name", "services", "secrets", "volumes"}
    assert {
        name: set(service) - SERVICE_KEYS for name, service in SERVICES.items() if set(service) - SERVICE_KEYS
    } == {}


@each_service
def test_a_service_is_pinned_checked_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+", service["image"])
    assert service["restart"] == "unless-stopped"
    assert set(service["healthcheck"]) <= HEALTH_KEYS
    assert service["healthcheck"]["test"][0] == "CMD"
    assert all(re.fullmatch(r"\d+s", service["healthcheck"][key]) for key in ("interval", "timeout"))


@each_service
def test_what_a_service_refers_to_exists(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    for other, how in service.get("depends_on", {}).items():
        assert other in SERVICES
        assert how == {"condition": "service_healthy"}
    for volume in service["volumes"]:
        source = volume.rsplit(":", 2 if volume.endswith(":ro") else 1)[0]
        known = source in COMPOSE["volumes"] or source.startswith("${") or (DEPLOY / source).exists()
        assert known, f"{source} is neither a volume nor a file"


def test_nothing_is_open_to_others_but_the_broker() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert [name for name, service in SERVICES.items() if "ports" in service and "network_mode" in service] == []


def test_no_secret_stands_in_the_files() -> None:
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN", key):
                assert value.startswith("/run/secrets/"), f"{name}: {key}"


def test_every_variable_is_explained() -> None:
    used = set(re.findall(r"\$\{(\w+)", TEXT))
    told = set(re.findall(r"^(\w+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert used == told


def test_the_servers_options_exist() -> None:
    assert get_command(app) is not None
    options = {option for parameter in command_named("serve").params for option in parameter.opts}
    words = [word.split("=")[0] for word in SERVICES["wardlight"]["command"] if word.startswith("--")]
    assert words
    assert set(words) <= options


def test_the_image_runs_as_nobody_special_and_holds_every_package() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert "USER wardlight" in lines
    copied = {line.split()[1] for line in lines if re.match(r"COPY \w+ \w+$", line)}
    assert copied == {"vitals", "gateway", "ingest", "alerts", "simulators", "wardlight"}
    assert all(re.search(r":\d+\.\d+\.\d+-", line) for line in lines if line.startswith("FROM"))


def _provisioned(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        (DEPLOY / "grafana" / "provisioning" / folder / "wardlight.yaml").read_text()
    )
    return found


def test_provisioned_sources_are_those_the_boards_choose() -> None:
    uids = {source["uid"] for source in _provisioned("datasources")["datasources"]}
    assert uids == {"wardlight-readings", "wardlight-rollups"}
    mounts = [volume.split(":") for volume in SERVICES["grafana"]["volumes"]]
    path = _provisioned("dashboards")["providers"][0]["options"]["path"]
    assert [path] == [target for source, target, *_ in mounts if source == "./grafana/boards/influxql"]


def test_the_provisioned_rule_is_the_one_that_install_makes() -> None:
    (rule,) = _provisioned("alerting")["groups"][0]["rules"]
    made = arrival_rule("influxql", "wardlight-readings", "wardlight")
    assert rule == {key: made[key] for key in rule}
