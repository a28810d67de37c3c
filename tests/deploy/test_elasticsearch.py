"""docs/elasticsearch.md and the example near a disk: their manifests are valid and work."""

import re
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml

from deploy.admission import MutatingPolicy, ValidatingPolicy, as_admitted
from deploy.manifests import COUNTING_PARAMETERS, PARAMETERS, REPOSITORY, documents
from deploy.schemas import NEWEST, OLDEST, assert_valid
from deploy.test_docs import yaml_blocks
from deploy.test_kustomize import assert_sound, render, settings
from deploy.test_policies_and_kubelet import CPUS_PER_NODE, add, pod_of
from numa_trio.locality.target import Kind
from numa_trio.near.source import NearSource
from numa_trio.settings import load_settings
from numa_trio.simulator.admission import admit
from simulated import cluster, machine

Object = dict[str, Any]

PAGE = (REPOSITORY / "docs/elasticsearch.md").read_text()
AGENT, VOLUMES, INSTANCES, COUNTED = yaml_blocks(PAGE)
MANIFESTS: list[Object] = [*yaml.safe_load_all(VOLUMES), *yaml.safe_load_all(INSTANCES)]
KINDS = {manifest["kind"]: manifest for manifest in MANIFESTS}
(EXAMPLE,) = documents(REPOSITORY / "examples/near-the-data.yaml")


def pod_of_set() -> Object:
    """What the StatefulSet creates."""
    template = KINDS["StatefulSet"]["spec"]["template"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "elasticsearch-0"}} | {
        "spec": template["spec"]
    }


PODS = pytest.mark.parametrize("manifest", [pod_of_set(), EXAMPLE], ids=["StatefulSet", "example"])


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize(
    "manifest", [*MANIFESTS, pod_of_set(), EXAMPLE], ids=lambda manifest: manifest["kind"]
)
def test_manifests_are_valid(manifest: Object, version: str) -> None:
    """Each manifest has just the fields of its kind."""
    assert_valid(manifest, version)


def test_volume_is_what_the_name_stands_for() -> None:
    """The path of the volume is the target, which has to be a mount."""
    (setting,) = re.findall(r"- NUMA_NEAR=(\S+)", AGENT)
    (named,) = NearSource(load_settings({"NUMA_NEAR": setting}).near).names().names
    assert (named.name, named.target.kind) == ("data", Kind.MOUNT)
    target = named.target.text
    assert target == f"mount:{KINDS['PersistentVolume']['spec']['local']['path']}"
    assert f"| `data={target}` | `data={target.removeprefix('mount:')}` |" in PAGE


def test_claims_fit_the_volumes() -> None:
    """A claim of the set is bound to such a volume, and mounted."""
    spec = KINDS["StatefulSet"]["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    volume = KINDS["PersistentVolume"]["spec"]
    assert volume["storageClassName"] == KINDS["StorageClass"]["metadata"]["name"]
    assert claim["spec"]["storageClassName"] == volume["storageClassName"]
    assert claim["spec"]["accessModes"] == volume["accessModes"]
    assert claim["spec"]["resources"]["requests"] == volume["capacity"]
    (container,) = spec["template"]["spec"]["containers"]
    assert [mount["name"] for mount in container["volumeMounts"]] == [claim["metadata"]["name"]]


def test_instances_find_each_other() -> None:
    """The Service selects the pods, and the first masters are pods of the set."""
    service, stateful_set = KINDS["Service"], KINDS["StatefulSet"]
    labels = stateful_set["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels
    assert stateful_set["spec"]["selector"]["matchLabels"] == labels
    name = service["metadata"]["name"]
    assert stateful_set["spec"]["serviceName"] == name
    (container,) = stateful_set["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    assert variables["discovery.seed_hosts"] == name
    assert variables["cluster.initial_master_nodes"] == ",".join(
        f"{stateful_set['metadata']['name']}-{i}" for i in range(stateful_set["spec"]["replicas"])
    )
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert {each["name"]: each["port"] for each in service["spec"]["ports"]} == ports


@PODS
def test_rules_let_them_in(policy: ValidatingPolicy, manifest: Object) -> None:
    """They ask for a node, and break no rule."""
    assert policy.matching.matches(manifest)
    assert policy.refusals(manifest, PARAMETERS) == []


def test_example_needs_the_name_in_its_init_container(policy: ValidatingPolicy) -> None:
    """As its comment says: neither without the name nor with a number instead."""
    for line, codes in (("", ["NA004"]), ('numa-align/numa-1: "1"', ["NA005", "NA004"])):
        text = (REPOSITORY / "examples/near-the-data.yaml").read_text()
        other = yaml.safe_load(text.replace('numa-align/near-data: "1"', line, 1))
        messages = policy.refusals(other, PARAMETERS)
        assert [message.split(":")[0] for message in messages] == codes


@PODS
@pytest.mark.parametrize("node", [0, 1])
def test_one_manifest_fits_servers_wired_either_way(manifest: Object, node: int) -> None:
    """The containers get CPUs and memory of the node of the disk, and are told which it is."""
    nodes = [range(first, first + CPUS_PER_NODE) for first in (0, CPUS_PER_NODE)]
    on = cluster(machine(*nodes, memory=64 << 30))
    add(on, "near-data", node, 100)
    verdict = trio.run(lambda: admit(on.node, pod_of(manifest), on.plugins))
    assert verdict.admitted
    for placement in verdict.placements:
        assert placement.exclusive
        assert {cpu // CPUS_PER_NODE for cpu in placement.cpus} == {node}
        assert {*placement.memory_nodes} == {node}
        assert placement.environment["NUMA_NODE"] == str(node)


def test_counts_are_those_of_the_policy(counting_policy: MutatingPolicy) -> None:
    """The line that the page shows for the limits is the one that the policy adds."""
    before = as_admitted(pod_of_set())
    after = counting_policy.mutated(before, COUNTING_PARAMETERS)
    (was,), (container,) = before["spec"]["containers"], after["spec"]["containers"]
    added = container["resources"]["limits"].items() - was["resources"]["limits"].items()
    shown = yaml.safe_load(COUNTED)
    assert added == {(name, str(amount)) for name, amount in shown.items()}


@pytest.mark.kubectl
def test_agents_kustomization_renders(tmp_path: Path) -> None:
    """It names the target, shows the agent the host, and counts."""
    (tmp_path / "numa-trio").symlink_to(REPOSITORY)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/kustomization.yaml").write_text(AGENT)
    manifests = render(tmp_path / "mine")
    assert_sound(manifests, OLDEST, NEWEST)
    assert settings(manifests) == {
        "NUMA_CAPACITY": "100",
        "NUMA_COUNTED": "cpu",
        "NUMA_HOST_ROOT": "/host",
        "NUMA_NEAR": "data=mount:/var/lib/elasticsearch",
    }
