"""The snippets of the documents are what the documents say of them."""

import copy
import re
import subprocess

import pytest
import yaml

from deploy.admission import MutatingPolicy, ValidatingPolicy, as_admitted
from deploy.manifests import (
    COMPONENTS,
    KUSTOMIZE,
    OVERLAYS,
    PARAMETERS,
    REPOSITORY,
)
from deploy.near_pods import NEAR_LET_IN, NEAR_REFUSED
from deploy.pods import Object, container, pod
from deploy.schemas import OLDEST
from numa_trio.workloads.quantity import parse_quantity

POLICIES = (REPOSITORY / "docs/policies.md").read_text()
RULES = re.findall(r"^### (NA00\d): (.*?)(?=^##)", POLICIES, flags=re.MULTILINE | re.DOTALL)

CLOUDS = ["aks", "bottlerocket", "eks", "gke"]
# Kubelet's default, and what k3s and RKE2 have instead: no threshold for memory.
EVICTION = dict.fromkeys([*OVERLAYS, "bottlerocket", "eks"], "100Mi") | {"k3s": "0", "rke2": "0"}


def yaml_blocks(text: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_rules_have_a_section_each() -> None:
    """Every code has its section, in order."""
    assert [code for code, _ in RULES] == [f"NA00{number}" for number in range(1, 9)]


@pytest.mark.parametrize(("code", "section"), RULES, ids=[code for code, _ in RULES])
def test_first_snippet_is_refused_and_second_let_in(
    policy: ValidatingPolicy, code: str, section: str
) -> None:
    """A rule's section shows a pod that breaks this rule alone, and then one that breaks none."""
    before, after = (yaml.safe_load(block) for block in yaml_blocks(section))
    assert [m.split(":")[0] for m in policy.refusals(before, PARAMETERS)] == [code]
    assert policy.matching.matches(after)
    assert policy.refusals(after, PARAMETERS) == []


def test_annotation_is_the_policys() -> None:
    """The annotation in the document is the one that the policy looks for."""
    (block,) = [b for b in yaml_blocks(POLICIES) if "annotations" in b]
    (annotation,) = yaml.safe_load(block)["metadata"]["annotations"]
    file = "deploy/kustomize/components/init-container-policy/policy.yaml"
    assert f"[?'{annotation}']" in (REPOSITORY / file).read_text()


def of_other_domain(component: str) -> list[Object]:
    """A policy after the command by which the document changes the domain of the resources."""
    (command,) = re.findall(r"<!-- domain -->\n```sh\n.*?\| (sed .*?) \|.*\n```", POLICIES)
    text = (KUSTOMIZE / "components" / component / "policy.yaml").read_text()
    changed = subprocess.run(
        ["sh", "-c", command], input=text, capture_output=True, text=True, check=True
    )
    return list(yaml.safe_load_all(changed.stdout))


def renamed(pod: Object) -> Object:
    """The pod with resources of the document's other domain."""
    result = copy.deepcopy(pod)
    for each in result["spec"]["containers"] + result["spec"].get("initContainers", []):
        for kind, amounts in each.get("resources", {}).items():
            names = {name.replace("numa-align/", "example.com/"): n for name, n in amounts.items()}
            each["resources"][kind] = names
    return result


def test_rules_know_resources_of_another_domain() -> None:
    """With the documented command the rules judge resources of that domain, and no others."""
    changed = ValidatingPolicy.read(of_other_domain("admission-policies")[0])
    for case in NEAR_LET_IN + NEAR_REFUSED:
        data = {"data": {"one-node-per-pod": case.one_node_per_pod}}
        messages = changed.refusals(renamed(case.pod), data)
        assert [message.split(":")[0] for message in messages] == case.broken, case.name
        assert "numa-align/" not in "".join(messages)
        assert not changed.matching.matches(case.pod)


def test_other_policies_know_resources_of_another_domain() -> None:
    """The same command changes what the other two policies add; their labels stay."""
    init = MutatingPolicy.read(of_other_domain("init-container-policy")[0])
    counting = MutatingPolicy.read(of_other_domain("counting-policy")[0])
    before = as_admitted(renamed(pod(container("app", 1), init=[container("init")])))
    before["metadata"]["annotations"] = {"numa-align/copy-to-init-containers": "true"}
    after = counting.mutated(init.mutated(before), {"data": {"counted": "cpu"}})
    for each in after["spec"]["containers"] + after["spec"]["initContainers"]:
        asked = {"example.com/numa-1": "1", "example.com/numa-1-cpu": "1"}
        assert each["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"} | asked
    binding = of_other_domain("counting-policy")[1]["spec"]
    assert binding["matchResources"]["namespaceSelector"]["matchLabels"] == {
        "numa-align/count": "true"
    }


def test_components_are_documented() -> None:
    """The table of components has each of them, with its first release."""
    readme = (KUSTOMIZE / "README.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| .* \| (\S+) \|$", readme, flags=re.MULTILINE))
    assert rows == {name: "any" if v == OLDEST else v for name, v in COMPONENTS.items()}


@pytest.mark.parametrize("distribution", EVICTION)
def test_reserved_memory_adds_up(distribution: str) -> None:
    """Kubelet would start: reserved memory is the system's and the eviction threshold, exactly."""
    page = (REPOSITORY / f"docs/distributions/{distribution}.md").read_text()
    by_node = re.findall(
        r"numaNode: \d+\n +limits:\n +memory: (\S+)|\d:memory=(\w+)|"
        r"^enabled = true\nmemory = \"(\w+)",
        page,
        re.MULTILINE,
    )
    (system,) = re.findall(
        r"(?:system|kube)Reserved:\n +cpu: \S+\n +memory: (\S+)|"
        r"system-reserved=cpu=1,memory=(\w+)|kube-reserved\]\ncpu = \S+\nmemory = \"(\w+)",
        page,
    )
    assert len(by_node) == 2
    assert sum(parse_quantity("".join(each)) for each in by_node) == parse_quantity(
        "".join(system)
    ) + parse_quantity(EVICTION[distribution])


@pytest.mark.parametrize("distribution", OVERLAYS)
def test_pages_say_all_steps(distribution: str) -> None:
    """Each page names both state files and the policies to set."""
    page = (REPOSITORY / f"docs/distributions/{distribution}.md").read_text()
    assert "cpu_manager_state" in page
    assert "memory_manager_state" in page
    assert "single-numa-node" in page
    assert ("drain $NODE" in page and "uncordon $NODE" in page) or "drains" in page


@pytest.mark.parametrize("distribution", [*OVERLAYS, *CLOUDS])
def test_pages_begin_with_an_image(distribution: str) -> None:
    """The first commands build, push and deploy, and what else there is to an image is linked."""
    page = (REPOSITORY / f"docs/distributions/{distribution}.md").read_text()
    first, *_ = re.findall(r"^```sh\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    registry, *_, build, push, deploy = first.splitlines()
    assert registry.startswith("export REGISTRY=registry.example.com/")
    assert (build, push) == ("just build", "just push")
    overlay = distribution if distribution in OVERLAYS else "kubeadm"
    assert deploy == f"just overlay={overlay} deploy"
    assert "[The image](README.md#the-image)" in page
    assert f"]({distribution}.md) |" in (REPOSITORY / "docs/distributions/README.md").read_text()


@pytest.mark.parametrize("distribution", CLOUDS)
def test_pages_of_clouds_say_what_is_known(distribution: str) -> None:
    """They name what cannot be set, the vendor's page, and that nothing was tried."""
    page = (REPOSITORY / f"docs/distributions/{distribution}.md").read_text()
    assert page.count("Nothing here\nwas tried") + page.count("Nothing here was tried") == 1
    assert "| What cannot be set |" in page
    assert "](https://" in page
    assert "single-numa-node" in page


@pytest.mark.parametrize("distribution", ["eks", "k0s", "k3s", "kubeadm", "microk8s", "rke2"])
def test_pages_lead_to_the_unit_for_the_reboot(distribution: str) -> None:
    """Where a node takes systemd units, the page says which one `Static` needs."""
    page = (REPOSITORY / f"docs/distributions/{distribution}.md").read_text()
    assert "[numa-trio-memory-state](../memory-state.md)" in page


def test_smoke_test_is_a_pod_that_the_rules_let_in(policy: ValidatingPolicy) -> None:
    """The README's first pod can be pinned, and its command shows what it got."""
    readme = (REPOSITORY / "README.md").read_text()
    (text,) = re.findall(
        r"<!-- smoke test -->.*?<<'END'\n(.*?)^END$", readme, re.MULTILINE | re.DOTALL
    )
    first = yaml.safe_load(text)
    assert policy.matching.matches(as_admitted(first))
    assert policy.refusals(as_admitted(first), PARAMETERS) == []
    (test,) = first["spec"]["containers"]
    shown = subprocess.run(
        test["command"], env={"NUMA_NODE": "1"}, capture_output=True, text=True, check=True
    )
    assert re.match(r"NUMA_NODE=1\nCpus_allowed_list:\s+\S+\nMems_allowed_list:", shown.stdout)
