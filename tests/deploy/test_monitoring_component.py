"""What the README says of the component `monitoring`, as kustomize and Prometheus take it."""

import re
from pathlib import Path

import pytest
import yaml

from deploy.manifests import KUSTOMIZE
from deploy.test_kustomize import render_with

README = (KUSTOMIZE / "README.md").read_text()
SECTION = README[README.index("## The component `monitoring`") :]
PATCHES, SCRAPE = (
    yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)[:2]
)


@pytest.mark.kubectl
def test_objects_of_the_operator_get_a_label(tmp_path: Path) -> None:
    """Those of Prometheus' operator, by the patch that the README shows, and no others."""
    manifests = render_with(tmp_path, "kubeadm", ["monitoring"], **PATCHES)
    labelled = {
        each["kind"] for each in manifests if each["metadata"]["labels"].get("release") is not None
    }
    assert labelled == {"PodMonitor", "PrometheusRule"}


def test_scrape_without_the_operator_has_the_labels_of_the_alerts() -> None:
    """Alerts and dashboard name the node; the job is the one that NumaAgentDown looks for."""
    (job,) = SCRAPE["scrape_configs"]
    targets = {each.get("target_label") for each in job["relabel_configs"]}
    assert {"node", "namespace", "pod"} <= targets
    rules = (KUSTOMIZE / "components/monitoring/prometheus-rule.yaml").read_text()
    pattern = re.search(r'up\{job=~"([^"]+)"\}', rules)
    assert pattern is not None
    assert re.fullmatch(pattern[1], job["job_name"])
