"""The dashboard and the alert rules ask for metrics that there are, leave none out, and are explained."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from deployed import DEPLOY, of_yaml, series, unknown_names
from repository import ROOT, SOURCE

from campana.domain.errors import MethodCode
from campana.domain.outcome import DeliveryCode

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "campana.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
DRAWN = [panel for panel in PANELS if panel["type"] != "row"]
RULES: list[dict[str, Any]] = [
    rule for group in of_yaml(DEPLOY / "prometheus" / "alerts.yml")["groups"] for rule in group["rules"]
]
ASKED = [
    (f"{panel['title']}: {target['legendFormat']}", target["expr"]) for panel in DRAWN for target in panel["targets"]
]
ASKED += [(rule["alert"], rule["expr"]) for rule in RULES]
EXPRESSIONS = [expression for _, expression in ASKED]


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=[where for where, _ in ASKED])
def test_what_is_asked_for_is_measured(expression: str) -> None:
    assert unknown_names(expression) == []


def test_what_is_not_measured_would_be_found() -> None:
    assert unknown_names('sum by (medium, phase) (rate(campana_sent_total{route="a", host="b"}[5m]))') == [
        "campana_sent_total",
        "phase",
    ]
    assert unknown_names('campana_route_up{job="a", medium="sms"} == 0') == ["medium"]
    assert unknown_names("process_threads > 0") == ["process_threads"]


def test_the_dashboard_shows_every_metric() -> None:
    drawn = " ".join(target["expr"] for panel in DRAWN for target in panel["targets"])
    families = {re.sub(r"_(?:bucket|sum|count)$", "", name) for name in series() if name.startswith("campana_")}
    assert sorted(family for family in families if not re.search(rf"\b{family}(?:_bucket)?\b", drawn)) == []


def test_figures_and_codes_that_are_asked_for_are_told() -> None:
    text = " ".join(EXPRESSIONS)
    told = (SOURCE / "channels" / "voice" / "channel.py").read_text(encoding="utf-8")
    figures = set(re.findall(r'figure="(\w+)"', text))
    assert figures
    for figure in figures:
        assert f'"{figure}": figures.' in told, figure
    assert set(re.findall(r'campana_outcomes_total\{[^}]*code="(\d+)"', text)) == {str(int(DeliveryCode.UNCERTAIN))}
    (codes,) = re.findall(r'campana_soap_requests_total\{code=~"([\d|]+)"', text)
    assert [int(code) for code in codes.split("|")] == [MethodCode.SERVICE_UNAVAILABLE, MethodCode.INTERNAL_ERROR]


# --- the dashboard -----------------------------------------------------------------------------------------------


def test_the_dashboard_can_be_imported_anywhere() -> None:
    assert {"title", "uid", "schemaVersion", "time", "refresh", "templating", "annotations"} <= DASHBOARD.keys()
    # An id is given by the Grafana that keeps it.
    assert "id" not in DASHBOARD
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert unknown_names(variables["job"]["query"]["query"].split("(")[1].split(",")[0]) == []
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(PANELS)))
    assert used - {"__rate_interval"} == variables.keys()


def test_panels_have_what_grafana_asks_of_them() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({(panel["type"], panel["title"]) for panel in PANELS}) == len(PANELS)
    for panel in DRAWN:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit" if panel["type"] != "state-timeline" else "mappings"]
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(set(references)) == len(references)
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


def test_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not taken & cells, panel["title"]
        taken |= cells


# --- the alerts --------------------------------------------------------------------------------------------------


def test_an_alert_says_how_bad_it_is_and_what_is_seen() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("warning", "critical")
        summary = rule["annotations"]["summary"]
        assert summary.endswith(".")
        # What stands in braces is a label or the value.
        for found in re.findall(r"\{\{(.*?)\}\}", summary):
            assert re.fullmatch(r" (?:\$value(?: \| humanize\w*)?|\$labels\.(\w+)) ", found), found


def test_every_alert_is_explained_and_tested() -> None:
    names = [rule["alert"] for rule in RULES]
    page = (ROOT / "docs" / "many-machines.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(Campana\w+)` \|", page, re.MULTILINE) == names
    tests = of_yaml(DEPLOY / "prometheus" / "alerts_test.yml")["tests"]
    expected = [case for test in tests for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in expected if case.get("exp_alerts")} == set(names)
    assert {case["alertname"] for case in tests[0]["alert_rule_test"] if not case.get("exp_alerts")} == set(names)
