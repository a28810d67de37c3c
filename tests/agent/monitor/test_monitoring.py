"""The alerts and the dashboard ask for metrics that there are, and alert when they should."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from numa_trio.agent.monitor.exposition import Metric, MetricType
from numa_trio.agent.monitor.metrics import INSTRUMENTS

COMPONENT = Path(__file__).parents[3] / "deploy/kustomize/components/monitoring"
SCENARIOS = Path(__file__).with_name("alert_scenarios.yaml")

# What Prometheus, the PodMonitor and histograms add to our own labels.
FOREIGN_LABELS = {"node", "namespace", "pod", "instance", "job", "le"}

Object = dict[str, Any]


def rule_spec() -> Object:
    spec: Object = yaml.safe_load((COMPONENT / "prometheus-rule.yaml").read_text())["spec"]
    return spec


def alerts() -> list[Object]:
    return [rule for group in rule_spec()["groups"] for rule in group["rules"]]


def dashboard() -> Object:
    board: Object = json.loads((COMPONENT / "dashboard.json").read_text())
    return board


def panels() -> list[Object]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Each query, by what asks it."""
    for alert in alerts():
        yield alert["alert"], alert["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["label"], variable["definition"]


def series() -> dict[str, Metric]:
    """Each name that Prometheus stores, and the metric that it belongs to."""
    names = {}
    for metric in (instrument.metric for instrument in INSTRUMENTS):
        histogram = metric.type is MetricType.HISTOGRAM
        suffixes = ("_bucket", "_sum", "_count") if histogram else ("",)
        names |= {metric.name + suffix: metric for suffix in suffixes}
    return names


@pytest.mark.parametrize(("asker", "expression"), list(expressions()))
def test_asks_for_what_there_is(asker: str, expression: str) -> None:
    """Metrics, labels and label values of each query are those of the definitions."""
    known = series()
    found = re.findall(r"\b((?:numa_trio|process)_\w+)(?:{([^}]*)})?", expression)
    assert found or re.search(r"\b(up|kube_\w+|kubelet_\w+)[{[]", expression)
    for name, matchers in found:
        assert name in known, f"{asker} asks for {name}"
        labels = {label.name: label for label in known[name].labels}
        for label, value in re.findall(r'(\w+)=~?"([^"]*)"', matchers):
            assert label in labels.keys() | FOREIGN_LABELS, f"{asker}: {name} has no {label}"
            if label in labels and labels[label].values and not value.startswith("$"):
                assert set(value.split("|")) <= labels[label].values.keys()


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_and_where(alert: Object) -> None:
    """Who is woken learns the machine, what it means, and how bad it is."""
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert "{{ $labels.node }}" in alert["annotations"]["summary"]
    assert alert["annotations"]["description"].endswith(".")
    used = set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"])))
    assert alert["annotations"]["runbook"] == f"docs/alerts.md#{alert['alert'].lower()}"
    grouping = re.search(r"sum by \(([^)]*)\)", alert["expr"])
    if grouping:
        assert used <= set(re.split(r",\s*", grouping[1]))


def test_the_page_of_alerts_has_each_in_order() -> None:
    """The section to which the annotation leads is there, says how bad it is, and no other is."""
    page = (COMPONENT.parents[3] / "docs/alerts.md").read_text()
    sections = re.findall(r"^## (\w+)\n\n(\w+),", page, re.MULTILINE)
    severities = {"Critical": "critical", "Warning": "warning", "Information": "info"}
    assert [(name, severities[word]) for name, word in sections] == [
        (alert["alert"], alert["labels"]["severity"]) for alert in alerts()
    ]
    assert len(re.findall("^## ", page, re.MULTILINE)) == len(sections)


def test_panels_lie_side_by_side() -> None:
    """No panel covers another, and none leaves the 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _y in cells), panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))


def test_the_dashboard_asks_the_chosen_data_source() -> None:
    """It can be imported anywhere, and the component ships it under a name of its own."""
    sources = {panel["datasource"]["uid"] for panel in panels()}
    assert sources == {"${datasource}"}
    (kustomization,) = yaml.safe_load_all((COMPONENT / "kustomization.yaml").read_text())
    (generator,) = kustomization["configMapGenerator"]
    assert generator["files"] == ["numa-trio.json=dashboard.json"]
    assert "prometheus-rule.yaml" in kustomization["resources"]


def run_promtool(folder: Path, *arguments: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.fail("this test needs promtool, of Debian's package prometheus, on the PATH")
    result = subprocess.run([promtool, *arguments], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.promtool
def test_rules_are_well_formed(tmp_path: Path) -> None:
    """Prometheus parses each expression and each text."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule_spec()))
    run_promtool(tmp_path, "check", "rules", "rules.yaml")


# A node with two running containers for node 0, and one that is starting for near-data; what is
# pending without a server, has failed, or is counted, is not in use.
IN_USE_SERIES = {
    'kube_pod_container_resource_requests{%s,pod="a",container="x"}': "numa_0 n1 Running",
    'kube_pod_container_resource_requests{%s,pod="b",container="y"}': "numa_0 n1 Running",
    'kube_pod_container_resource_requests{%s,pod="c",container="x"}': "near_data n1 Pending",
    'kube_pod_container_resource_requests{%s,pod="d",container="x"}': "numa_0  Pending",
    'kube_pod_container_resource_requests{%s,pod="e",container="x"}': "numa_0 n1 Failed",
    'kube_pod_container_resource_requests{%s,pod="a",container="z"}': "numa_0_cpu n1 Running",
}


@pytest.mark.promtool
def test_slots_in_use_are_those_of_pods_on_a_server(tmp_path: Path) -> None:
    """Prometheus itself evaluates the panel's query."""
    (panel,) = (panel for panel in panels() if panel["title"] == "Slots in use")
    series = []
    for name, what in IN_USE_SERIES.items():
        resource, node, phase = what.split(" ")
        labels = f'namespace="n",resource="numa_align_{resource}",node="{node}"'
        series.append({"series": name % labels, "values": "1x2"})
        pod = re.search(r'pod="\w"', name)
        assert pod is not None
        for each in ("Pending", "Running", "Failed"):
            phases = f'kube_pod_status_phase{{namespace="n",{pod[0]},phase="{each}"}}'
            series.append({"series": phases, "values": f"{int(each == phase)}x2"})
    expected = [
        {"labels": '{node="n1",resource="numa_align_numa_0"}', "value": 2},
        {"labels": '{node="n1",resource="numa_align_near_data"}', "value": 1},
    ]
    query = {
        "expr": panel["targets"][0]["expr"].replace("$node", ".*"),
        "eval_time": "1m",
        "exp_samples": expected,
    }
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [query]}
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump({"tests": [test]}))
    run_promtool(tmp_path, "test", "rules", "scenario.yaml")


@pytest.mark.promtool
def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    """Prometheus itself evaluates the rules over the scenarios' series."""
    spec = rule_spec()
    for rule in (rule for group in spec["groups"] for rule in group["rules"]):
        del rule["annotations"]  # promtool would compare the texts too
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec))
    scenarios = yaml.safe_load(SCENARIOS.read_text())
    tested = {test["alertname"] for one in scenarios["tests"] for test in one["alert_rule_test"]}
    assert tested == {alert["alert"] for alert in alerts()}
    (tmp_path / "scenarios.yaml").write_text(yaml.safe_dump(scenarios))
    run_promtool(tmp_path, "test", "rules", "scenarios.yaml")
