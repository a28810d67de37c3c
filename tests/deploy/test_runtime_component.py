"""The component by which the agent reaches the container runtime, and what the pages say of it."""

import re
from pathlib import Path

import pytest
import yaml

from deploy.contract import assert_contract, the_container
from deploy.manifests import KUSTOMIZE, OVERLAYS, REPOSITORY, documents, namespace_of
from deploy.schemas import NEWEST, OLDEST, assert_valid
from deploy.test_docs import yaml_blocks
from deploy.test_kustomize import assert_sound, one, render_with, settings, unmount
from numa_trio.plugin.annotations import Annotations
from numa_trio.plugin.resource import NEAR_VOLUME
from numa_trio.runtime.messages import CpuSet
from numa_trio.runtime.outcome import Outcome
from numa_trio.runtime.placement import Aspects, Place, place
from numa_trio.setting_values import MemoryPolicy, PinnedPart
from numa_trio.settings import load_settings

PAGE = (REPOSITORY / "docs/runtime.md").read_text()
(EXAMPLE,) = documents(REPOSITORY / "examples/near-volume.yaml")
DISTRIBUTIONS = sorted((REPOSITORY / "docs/distributions").glob("[a-z]*.md"))


@pytest.mark.kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_sockets_directory_is_mounted_and_nothing_else(overlay: str, tmp_path: Path) -> None:
    """The directory in which the agent looks for the socket by itself; nothing else changes."""
    plain = one(render_with(tmp_path, overlay, []), "DaemonSet")
    manifests = render_with(tmp_path, overlay, ["runtime"])
    assert_sound(manifests, OLDEST, NEWEST)
    daemonset = one(manifests, "DaemonSet")
    mount, host_path = unmount(daemonset, "nri")
    directory = str(load_settings({}).nri_socket.parent)
    assert mount == {"name": "nri", "mountPath": directory, "readOnly": True}
    assert host_path == {"path": directory, "type": "DirectoryOrCreate"}
    assert load_settings(settings(manifests)).nri == (PinnedPart.CPUS, PinnedPart.MEMS)
    assert_contract(daemonset, namespace_of(overlay))
    the_container(daemonset)["envFrom"].pop(0)
    assert daemonset == plain


@pytest.mark.kubectl
@pytest.mark.parametrize(
    "components", [["runtime"], ["runtime", "near", "counting"], ["counting", "near", "runtime"]]
)
def test_the_page_shows_settings_that_win(components: list[str], tmp_path: Path) -> None:
    """Of the kustomization on the page, in any order of components, the user's word is the last."""
    (example,) = (block for block in yaml_blocks(PAGE) if "configMapGenerator" in block)
    generators = yaml.safe_load(example)["configMapGenerator"]
    manifests = render_with(tmp_path, "k0s", components, configMapGenerator=generators)
    assert_sound(manifests, OLDEST, NEWEST)
    chosen = load_settings(settings(manifests))
    assert (chosen.nri, chosen.memory_policy) == ((PinnedPart.MEMS,), MemoryPolicy.PREFER)
    assert bool(chosen.counted) == ("counting" in components)


def test_the_comment_shows_a_working_generator() -> None:
    """What the component's comment shows is merged into the ConfigMap of all settings."""
    text = (KUSTOMIZE / "components/runtime/kustomization.yaml").read_text()
    (shown,) = re.findall(r"#   (configMapGenerator:\n(?:#     .*\n)+)", text)
    (generator,) = yaml.safe_load(shown.replace("#     ", "  "))["configMapGenerator"]
    assert generator["behavior"] == "merge"
    assert generator["name"] == "numa-resource-plugin"
    assert load_settings(dict(e.split("=") for e in generator["literals"])).nri


@pytest.mark.kubectl
def test_openshifts_constraints_allow_the_volume(tmp_path: Path) -> None:
    """Host directories are allowed already, and nothing more is asked for."""
    manifests = render_with(tmp_path, "openshift", ["runtime"])
    assert one(manifests, "SecurityContextConstraints")["volumes"] == ["hostPath"]


def test_the_page_says_what_to_do_for_each_outcome() -> None:
    """The metric's outcomes, all of them, in the table of troubleshooting."""
    table = PAGE[PAGE.index("| `outcome` | Meaning |") :].split("\n\n", maxsplit=1)[0]
    rows = re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| [^|]+ \|$", table, re.MULTILINE)
    assert rows[1:] == list(Outcome)


ROW = r"^\| [^|]+ \| (\S+) \| (\S+) \| (\S+) \| (\S+) \| `(\w+)` \|$"


@pytest.mark.parametrize(
    ("cpus", "mems", "gets_cpus", "gets_mems", "outcome"), re.findall(ROW, PAGE, re.MULTILINE)
)
def test_a_container_gets_what_the_page_says(
    cpus: str, mems: str, gets_cpus: str, gets_mems: str, outcome: str
) -> None:
    """Each row of the page's table, on the node that it is about."""
    assert "node 1, which has the\nCPUs 2-3" in PAGE
    asked = CpuSet(*("" if each == "all" else each for each in (cpus, mems)))
    placement = place(Place(frozenset({2, 3}), frozenset({1})), asked, Aspects())
    assert placement.outcome == outcome
    assert (placement.cpu_set.cpus or asked.cpus) == gets_cpus
    assert (placement.cpu_set.mems or asked.mems) == gets_mems


def test_the_pages_pods_hold_a_device_and_need_no_cpu_limit() -> None:
    """The pods that the page shows are what it is about: not Guaranteed."""
    pods = [yaml.safe_load(block) for block in yaml_blocks(PAGE) if "kind: Pod" in block]
    assert pods
    for pod in pods:
        for container in pod["spec"]["containers"]:
            limits = container["resources"]["limits"]
            assert any(name.startswith("numa-align/") for name in limits)
            assert "cpu" not in limits


def test_the_annotations_are_those_that_are_read() -> None:
    """The page and SECURITY.md name what Allocate returns, and the page what a pod may say."""
    annotations = Annotations(load_settings({}).resource_domain)
    for page in (PAGE, (REPOSITORY / "SECURITY.md").read_text()):
        assert f"`{annotations.node}`" in page
    pod = EXAMPLE["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    assert pod["metadata"]["annotations"] == {annotations.near: mount["mountPath"]}
    assert container["resources"]["limits"] == {annotations.near_volume: 1}
    (claim,) = EXAMPLE["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == mount["name"]


def test_the_page_shows_the_example() -> None:
    """The StatefulSet of examples/, word for word, and the API server would take it."""
    assert_valid(EXAMPLE, OLDEST)
    (shown,) = [block for block in yaml_blocks(PAGE) if NEAR_VOLUME in block]
    text = (REPOSITORY / "examples/near-volume.yaml").read_text()
    assert text.endswith(shown)
    assert all(line.startswith("#") for line in text.removesuffix(shown).splitlines())


@pytest.mark.kubectl
def test_namespaces_can_be_excepted_from_the_policies(tmp_path: Path) -> None:
    """The patch that the page shows reaches both bindings, which stay valid."""
    page = (REPOSITORY / "docs/policies.md").read_text()
    (patch,) = [block for block in yaml_blocks(page) if "matchResources" in block]
    patches = yaml.safe_load(patch)["patches"]
    manifests = render_with(tmp_path, "k0s", ["admission-policies", "runtime"], patches=patches)
    assert_sound(manifests, "1.30", NEWEST)
    (selector,) = re.findall(r"kubectl label namespace \S+ (numa-align/pinned-by)=(\w+)", page)
    bindings = [m for m in manifests if m["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert len(bindings) == 2
    for binding in bindings:
        (expression,) = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
        assert expression == {"key": selector[0], "operator": "NotIn", "values": [selector[1]]}


@pytest.mark.parametrize("page", DISTRIBUTIONS, ids=lambda page: page.stem)
def test_each_distribution_says_whether_nri_is_on(page: Path) -> None:
    """A section of its own, with a link to what it is for, and that it was not tried there."""
    (section,) = re.findall(
        r"^## The container runtime\n\n(.*?)(?=^## |\Z)",
        page.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert "](../runtime.md)" in section
    assert "NRI" in section
    assert re.search(r"[Nn]ot tried", " ".join(section.split()))
