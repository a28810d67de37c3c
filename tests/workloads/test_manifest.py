"""Pod manifests: what is read from them, and what is said of bad ones."""

import json
import os
import threading
import time
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.workloads.fields import BadFile
from numa_trio.workloads.manifest import load_manifests
from numa_trio.workloads.pod import Container, ContainerKind, Pod, QosClass

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  restartPolicy: Always
  initContainers:
    - name: setup
      image: tool
      resources: {limits: {cpu: 1, memory: 1Gi}}
    - name: log
      restartPolicy: Always
      resources: {limits: {cpu: 500m, memory: 1Gi}, requests: {cpu: 100m}}
  containers:
    - name: app
      resources:
        requests: {cpu: "2", memory: 1.5Gi, numa-align/numa-0: 1}
        limits: {cpu: 2000m, memory: 1536Mi, numa-align/numa-0: "1"}
"""


def one_container(resources: str = "{}", more: str = "") -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: web}}
spec:
  {more}
  containers: [{{name: app, resources: {resources}}}]
"""


def load(directory: Path, *documents: str) -> tuple[Pod, ...]:
    file = directory / "pods.yaml"
    file.write_text("\n---\n".join(documents), encoding="utf-8")
    return load_manifests([file]).pods


def test_reads_containers_in_the_order_of_their_start(tmp_path: Path) -> None:
    """Init containers come first, those that always restart are sidecars."""
    (pod,) = load(tmp_path, POD)

    assert (pod.namespace, pod.name) == ("default", "web")
    assert [(container.name, container.kind) for container in pod.containers] == [
        ("setup", ContainerKind.INIT),
        ("log", ContainerKind.SIDECAR),
        ("app", ContainerKind.APP),
    ]
    assert pod.containers[2].devices == {"numa-align/numa-0": 1}


def test_requests_default_to_limits(tmp_path: Path) -> None:
    """What has a limit but no request gets the limit as its request, each resource on its own."""
    (pod,) = load(tmp_path, POD)
    log = pod.containers[1].resources

    assert log.requests == {"cpu": log.requests["cpu"], "memory": log.limits["memory"]}
    assert log.requests["cpu"] != log.limits["cpu"]


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ("{}", QosClass.BEST_EFFORT),
        ("{limits: {numa-align/numa-0: 1}}", QosClass.BEST_EFFORT),
        ("{requests: {cpu: 0}}", QosClass.BEST_EFFORT),
        ("{limits: {cpu: 1}}", QosClass.BURSTABLE),
        ("{requests: {cpu: 1, memory: 1Gi}}", QosClass.BURSTABLE),
        ("{limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 500m}}", QosClass.BURSTABLE),
        ("{limits: {cpu: 1, memory: 1Gi}}", QosClass.GUARANTEED),
        ("{limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 1000m}}", QosClass.GUARANTEED),
    ],
)
def test_quality_of_service(tmp_path: Path, resources: str, qos: QosClass) -> None:
    """Guaranteed takes cpu and memory limits that equal the requests."""
    assert load(tmp_path, one_container(resources))[0].qos is qos


def test_one_container_decides_the_quality_of_service(tmp_path: Path) -> None:
    """An init container without limits makes the whole pod Burstable."""
    more = "initContainers: [{name: setup}]"

    (pod,) = load(tmp_path, one_container("{limits: {cpu: 1, memory: 1Gi}}", more))

    assert pod.qos is QosClass.BURSTABLE


@pytest.mark.parametrize(
    ("container", "pod_level", "requests", "qos"),
    [
        ("{limits: {cpu: 1}}", "{limits: {cpu: 2, memory: 1Gi}}", (1, 1 << 30), "Burstable"),
        ("{}", "{limits: {cpu: 2, memory: 1Gi}}", (2, 1 << 30), "Guaranteed"),
        (
            "{limits: {cpu: 2, memory: 1Gi}}",
            "{limits: {cpu: 2, memory: 1Gi}}",
            (2, 1 << 30),
            "Guaranteed",
        ),
        (
            "{requests: {cpu: 500m, memory: 4Mi}}",
            "{requests: {cpu: 1}, limits: {cpu: 1, memory: 1Gi}}",
            (1, 4 << 20),
            "Burstable",
        ),
        ("{requests: {cpu: 1}}", "{limits: {memory: 1Gi}}", (1, 1 << 30), "Burstable"),
        ("{requests: {memory: 4Mi}}", "{requests: {cpu: 1}}", (1, 4 << 20), "Burstable"),
    ],
)
def test_pod_level_resources(
    tmp_path: Path, container: str, pod_level: str, requests: tuple[int, int], qos: str
) -> None:
    """Requests that the pod leaves out are its containers', then its limits; the class follows."""
    (pod,) = load(tmp_path, one_container(container, f"resources: {pod_level}"))

    total = pod.total_requests()
    assert (total["cpu"], total["memory"]) == requests
    assert pod.qos == qos


def test_pod_level_requests_count_init_containers(tmp_path: Path) -> None:
    """What is missing is the peak of the containers: sidecars add up, an init container may top."""
    more = "resources: {limits: {cpu: 9, memory: 1Gi}}\n  initContainers: "
    sidecar = "{name: s, restartPolicy: Always, resources: {requests: {cpu: 1}}}"
    setup = "{name: i, resources: {requests: {cpu: 4}}}"

    (pod,) = load(tmp_path, one_container("{requests: {cpu: 2}}", f"{more}[{sidecar}, {setup}]"))

    assert pod.resources is not None
    assert pod.resources.requests == {"cpu": 5, "memory": 1 << 30}


def test_pod_level_limits_of_huge_pages(tmp_path: Path) -> None:
    """They are the containers' where the pod names none, and so are the requests."""
    (pod,) = load(
        tmp_path,
        one_container("{limits: {cpu: 1, hugepages-2Mi: 4Mi}}", "resources: {limits: {cpu: 1}}"),
    )

    assert pod.resources is not None
    assert pod.resources.limits == pod.resources.requests == {"cpu": 1, "hugepages-2Mi": 4 << 20}


@pytest.mark.parametrize("resources", ["{}", "{limits: {}}", "{requests: {}, limits: {}}"])
def test_empty_pod_level_resources_are_none(tmp_path: Path, resources: str) -> None:
    """What names no resource of the pod as a whole leaves it to the containers."""
    more = f"resources: {resources}"

    (pod,) = load(tmp_path, one_container("{limits: {cpu: 1, memory: 1Gi}}", more))

    assert pod.resources is None
    assert pod.qos is QosClass.GUARANTEED


@pytest.mark.parametrize(
    ("written", "kept"), [("1.9999", "2"), ("100n", "0.001"), ("1.9991", "2"), ("1999m", "1.999")]
)
def test_quantities_are_rounded_up_to_thousandths(tmp_path: Path, written: str, kept: str) -> None:
    """The API server keeps no finer amounts of a resource, so 1.9999 CPUs are two whole ones."""
    (pod,) = load(tmp_path, one_container(f"{{limits: {{cpu: {written}}}}}"))

    assert pod.containers[0].resources.requests["cpu"] == Fraction(kept)


def test_reads_json_indented_with_tabs(tmp_path: Path) -> None:
    """JSON is read as such: YAML allows no tabs where it counts the indentation."""
    document = json.dumps(yaml.safe_load(POD), indent="\t")

    assert load(tmp_path, document) == load(tmp_path, POD)


def test_reads_yaml_that_begins_like_json(tmp_path: Path) -> None:
    """A mapping in braces need not be JSON, and another document may follow."""
    brace = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c}]}}"

    assert [pod.name for pod in load(tmp_path, brace, POD)] == ["a", "web"]


def test_aliases_of_aliases_are_not_spelled_out(tmp_path: Path) -> None:
    """A small file that stands for a thousand million values is refused in a short sentence."""
    levels = ["l0: &l0 [x]"]
    levels += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    for bad in ("metadata: *l9", "metadata: {name: *l9}", "spec: {containers: *l9}", "kind: *l9"):
        with pytest.raises(BadFile) as caught:
            load(tmp_path, "\n".join([*levels, "apiVersion: v1", "kind: Pod", bad]))

        assert len(str(caught.value)) < 200


def test_total_requests_are_the_peak(tmp_path: Path) -> None:
    """Sidecars count beside everything, other init containers only as long as they run."""
    (pod,) = load(tmp_path, POD)

    assert pod.total_requests()["cpu"] * 10 == 21
    assert pod.total_requests()["numa-align/numa-0"] == 1


def test_leaves_out_other_kinds_and_says_so(tmp_path: Path) -> None:
    """A file may hold other objects, and a List of pods."""
    file = tmp_path / "pods.yaml"
    items = "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Service}, %s]"
    pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c}]}}"
    file.write_text(f"---\n---\n{items % pod}\n---\nkind: Ingress\n")

    manifests = load_manifests([file])

    assert [pod.name for pod in manifests.pods] == ["a"]
    assert manifests.remarks == (
        f"{file}: document 2: items[0]: kind Service: skipped, makes no pods",
        f"{file}: document 3: kind Ingress: skipped, makes no pods",
    )


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("[", "is not YAML"),
        ("a: !!python/object:os.system {}", "is not YAML"),
        ("text", "found 'text'; expected a mapping"),
        ("", "found no document of kind Pod"),
        (
            "kind: Service\n---\nkind: Ingress\n---\nkind: Service\n---\na: b",
            r"found no document of kind Pod, only of kind Service, Ingress, \(none\), which is",
        ),
        ("kind: [Pod]", r"kind: found a list; expected text"),
        (one_container().replace("v1", "v2"), "apiVersion: found 'v2'; expected v1"),
        (one_container().replace("web", "12"), "metadata.name: found 12; expected text"),
        (one_container().replace("web}", "web, namespace: A}"), "namespace: found 'A'; expected a"),
        (one_container("{limits: {cpu: !!timestamp foo}}"), "limits.cpu: 'foo' is not a quantity"),
        (one_container(f"{{limits: {{cpu: 0x{'f' * 6000}}}}}"), "limits.cpu: '0xf.* is not a quan"),
        (one_container("{limits: {cpu: 1, cpu: 2}}"), "line 7, .* found 'cpu' for the second time"),
        (one_container().replace("web", "W"), "metadata.name: found 'W'; expected a name"),
        (one_container().replace("{name: web}", "{}"), "metadata.name: found nothing"),
        (one_container().replace("app", "a.b"), r"spec.containers\[0\].name: found 'a.b'"),
        (POD.split("spec:")[0], "spec: found nothing; expected a mapping"),
        (one_container().split("containers")[0] + "containers: []", "at least one container"),
        (
            one_container("[]"),
            r"containers\[0\].resources: found an empty list; expected a mapping",
        ),
        (one_container("{limits: 1}"), r"resources.limits: found 1; expected a mapping"),
        (one_container("{limits: {cpu: 1x}}"), "resources.limits.cpu: '1x' is not a quantity"),
        (one_container("{limits: {cpu: {a: 1}}}"), "limits.cpu: found a mapping; expected a quan"),
        (one_container("{limits: {a/numa-0: 1.0001}}"), "expected a whole number of devices"),
        (
            one_container("{}", "resources: []"),
            "spec.resources: found an empty list; expected a mapping",
        ),
        (one_container("{limits: {cpu: -1}}"), "limits.cpu: -1 is negative"),
        (
            one_container("{limits: {cpus: 1}}"),
            "limits.cpus: 'cpus' is not a resource of a",
        ),
        (one_container("{limits: {numa-0: 1}}"), "limits.numa-0: 'numa-0' is not a resource"),
        (
            one_container("{limits: {cpu: 1}, requests: {cpu: 2}}"),
            "requests.cpu: found 2; expected at most the limit, 1",
        ),
        (
            one_container("{limits: {a/numa-0: 2}, requests: {a/numa-0: 1}}"),
            "requests.a/numa-0: found 1; expected the limit, 2",
        ),
        (
            one_container("{requests: {a/numa-0: 1}}"),
            "requests.a/numa-0: found 1; expected a limit too, equal to the request",
        ),
        (
            one_container("{limits: {a/numa-0: 500m}}"),
            "limits.a/numa-0: found '500m'; expected a whole number of devices",
        ),
        (
            one_container("{limits: {hugepages-2Mi: 2Mi}}"),
            r"spec.containers\[0\].resources: found huge pages only; expected cpu or memory with",
        ),
        (
            one_container("{limits: {cpu: 1, hugepages-2Mi: 3Mi}}"),
            "limits.hugepages-2Mi: found 3Mi; expected a multiple of 2Mi, the size of a page",
        ),
        (
            one_container("{limits: {cpu: 1, hugepages-huge: 2Mi}}"),
            "limits.hugepages-huge: the name has no size of a page; expected one such as",
        ),
        (
            one_container("{limits: {cpu: 1, hugepages-0: 2Mi}}"),
            "limits.hugepages-0: the name has no size of a page",
        ),
        (
            one_container("{requests: {cpu: 3}}", "resources: {requests: {cpu: 2500m}}"),
            "resources.requests.cpu: found 2500m; expected at least what its containers have, 3",
        ),
        (
            one_container("{requests: {cpu: 3}}", "resources: {limits: {cpu: 2}}"),
            "spec.resources.requests.cpu: found 3; expected at most the limit, 2",
        ),
        (
            one_container(
                "{limits: {cpu: 3}, requests: {cpu: 1}}", "resources: {limits: {cpu: 2}}"
            ),
            "spec.resources.limits.cpu: found 2; expected at least what its containers have, 3",
        ),
        (
            one_container("{}", "resources: {requests: {cpu: 1, hugepages-2Mi: 2Mi}}"),
            "spec.resources.requests.hugepages-2Mi: found 2Mi; expected a limit too",
        ),
        (
            one_container("{}", "initContainers: [{name: app}]"),
            "spec: two containers are named 'app'",
        ),
        (
            one_container("{}", "resources: {limits: {a/numa-0: 1}}"),
            "spec.resources.limits.a/numa-0: 'a/numa-0' is not a resource of a whole pod",
        ),
    ],
)
def test_bad_manifest(tmp_path: Path, manifest: str, message: str) -> None:
    """The message names the file, the field, what it holds and what is allowed."""
    with pytest.raises(BadFile, match=message) as caught:
        load(tmp_path, manifest)

    assert str(caught.value).startswith(str(tmp_path / "pods.yaml"))


def test_same_pod_twice(tmp_path: Path) -> None:
    """Two pods of one name cannot be on one cluster."""
    with pytest.raises(BadFile, match="document 2: there is a second pod 'web'"):
        load(tmp_path, POD, POD)


def test_missing_file(tmp_path: Path) -> None:
    """A file that is missing is named, with the reason."""
    with pytest.raises(BadFile, match=r"pods\.yaml: cannot be read: No such file or directory"):
        load_manifests([tmp_path / "pods.yaml"])


def test_file_without_end() -> None:
    """A file is read up to a limit, and so a device that never ends is refused."""
    with pytest.raises(BadFile, match="/dev/zero: is too large; expected at most 1 MiB"):
        load_manifests([Path("/dev/zero")])


def test_file_of_a_pipe(tmp_path: Path) -> None:
    """A FIFO will do, as in `--pod <(kubectl get -o yaml pod/web)`."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=[POD])
    writer.start()

    assert [pod.name for pod in load_manifests([pipe]).pods] == ["web"]

    writer.join()


def test_names_of_the_file_are_quoted_in_messages(tmp_path: Path) -> None:
    """Control characters in keys and kinds do not reach the terminal."""
    for bad in (one_container(r'{limits: {"\e[1m\n": 1}}'), 'kind: "\\e[1m\\n"'):
        with pytest.raises(BadFile) as caught:
            load(tmp_path, bad)

        assert str(caught.value).isprintable()


def test_quality_of_service_of_many_containers() -> None:
    """It is worked out once, however often the managers ask for it."""
    pod = Pod("a", tuple(Container(f"c{number}") for number in range(2000)))
    before = time.process_time()

    assert all(pod.qos is QosClass.BEST_EFFORT for _ in pod.containers)

    assert time.process_time() - before < 1  # working it out each time took 5 s


def test_many_containers_are_read_in_time(tmp_path: Path) -> None:
    """Reading a pod takes time in proportion to its containers."""
    containers = [{"name": f"c{number}"} for number in range(30_000)]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
    before = time.process_time()

    (read,) = load(tmp_path, json.dumps({**pod, "spec": {"containers": containers}}))

    assert len(read.containers) == len(containers)
    assert time.process_time() - before < 5  # comparing all with all took 15 s


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["kind", "metadata", "name", "spec", "containers", "resources"]),
                inner,
            )
        ),
        max_leaves=15,
    )
)
def test_no_document_is_too_odd(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    """Whatever stands in the file, it is read or refused with a `BadFile`."""
    file = tmp_path_factory.getbasetemp() / "odd.yaml"
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": value}
    file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")

    try:
        (pod,) = load_manifests([file]).pods
    except BadFile:
        return
    assert all(isinstance(container, Container) for container in pod.containers)
