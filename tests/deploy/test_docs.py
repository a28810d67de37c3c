"""The snippets of the documents are what the documents say of them."""

import re

import pytest
import yaml

from deploy.admission import ValidatingPolicy
from deploy.manifests import COMPONENTS, KUSTOMIZE, OVERLAYS, PARAMETERS, REPOSITORY
from deploy.schemas import OLDEST
from numa_trio.workloads.quantity import parse_quantity

POLICIES = (REPOSITORY / "docs/policies.md").read_text()
RULES = re.findall(r"^### (NA00\d): (.*?)(?=^##)", POLICIES, flags=re.MULTILINE | re.DOTALL)

# Kubelet's default, and what k3s and RKE2 have instead: no threshold for memory.
EVICTION = dict.fromkeys(OVERLAYS, "100Mi") | {"k3s": "0", "rke2": "0"}


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


def test_components_are_documented() -> None:
    """The table of components has each of them, with its first release."""
    readme = (KUSTOMIZE / "README.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| .* \| (\S+) \|$", readme, flags=re.MULTILINE))
    assert rows == {name: "any" if v == OLDEST else v for name, v in COMPONENTS.items()}


@pytest.mark.parametrize("distribution", OVERLAYS)
def test_reserved_memory_adds_up(distribution: str) -> None:
    """Kubelet would start: reserved memory is the system's and the eviction threshold, exactly."""
    page = (REPOSITORY / f"docs/distributions/{distribution}.md").read_text()
    by_node = re.findall(r"numaNode: \d+\n +limits:\n +memory: (\S+)", page) or re.findall(
        r"\d:memory=(\w+)", page
    )
    (system,) = re.findall(
        r"systemReserved:\n +cpu: \S+\n +memory: (\S+)|system-reserved=cpu=1,memory=(\w+)", page
    )
    assert len(by_node) == 2
    assert sum(map(parse_quantity, by_node)) == parse_quantity("".join(system)) + parse_quantity(
        EVICTION[distribution]
    )


@pytest.mark.parametrize("distribution", OVERLAYS)
def test_pages_say_all_steps(distribution: str) -> None:
    """Each page renders its overlay, and names both state files and the policies to set."""
    page = (REPOSITORY / f"docs/distributions/{distribution}.md").read_text()
    assert f"kustomize deploy/kustomize/overlays/{distribution} |" in page
    assert "cpu_manager_state" in page
    assert "memory_manager_state" in page
    assert "single-numa-node" in page
    assert ("drain $NODE" in page and "uncordon $NODE" in page) or "drains" in page
