"""Pods for the policy tests, good and bad, each with the rules that it breaks."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

Object = dict[str, Any]


def container(
    name: str,
    *nodes: int,
    cpu: object = 1,
    memory: object = "1Gi",
    requests: Object | None = None,
    others: tuple[str, ...] = (),
    none_of: tuple[int, ...] = (),
    counted: Mapping[str, object] = MappingProxyType({}),
    **fields: object,
) -> Object:
    """A container with these limits, and requests that equal them unless given; None: left out.

    It asks for one slot of each of the nodes, for zero of those in `none_of`, and for what is
    `counted` (`1-cpu` is numa-align/numa-1-cpu).
    """
    names = [*others, *(f"numa-align/numa-{node}" for node in nodes)]
    amounts = {"cpu": cpu, "memory": memory} | dict.fromkeys(names, 1)
    amounts |= {f"numa-align/numa-{node}": "0" for node in none_of}
    amounts |= {f"numa-align/numa-{name}": count for name, count in counted.items()}
    limits = {name: amount for name, amount in amounts.items() if amount is not None}
    resources = {"limits": limits, "requests": limits | (requests or {})}
    return {"name": name, "image": "example.com/app", "resources": resources, **fields}


def sidecar(name: str, *nodes: int, **fields: Any) -> Object:
    """A restartable init container."""
    return container(name, *nodes, restartPolicy="Always", **fields)


def pod(*containers: Object, init: list[Object] | None = None, **spec: object) -> Object:
    """A Pod; `init` may be left out, as in most manifests."""
    whole_spec = {"containers": list(containers), **spec}
    if init is not None:
        whole_spec["initContainers"] = init
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": whole_spec}


def without_requests(item: Object) -> Object:
    """The container with limits only."""
    return {**item, "resources": {"limits": item["resources"]["limits"]}}


def with_limits(item: Object, more: Object) -> Object:
    """The container with further limits, and requests that equal them."""
    resources = {kind: amounts | more for kind, amounts in item["resources"].items()}
    return {**item, "resources": resources}


@frozen
class Case:
    """A pod, and the codes of the rules it breaks in the order that they are reported.

    `stricter` marks a rule that kubelet does not need: it would pin the pod all the same.
    """

    name: str
    pod: Object
    broken: list[str] = field(factory=list)
    one_node_per_pod: str = "true"
    memory_unit: str = "1Gi"
    stricter: bool = False


APP = container("app", 0)
# Kubelet gives an init container that names no node CPUs of node 0, if any are free.
FAR_APP = container("app", 1)

LET_IN = [
    Case("one container on one node", pod(APP)),
    Case("several slots of one node", pod(container("app", 0, 0))),
    Case("a container beside it that asks for no node", pod(APP, container("metrics"))),
    Case("init container with the node, then the app", pod(APP, init=[container("init", 0)])),
    Case(
        "only the first of two init containers has the node",
        pod(APP, init=[container("first", 0), container("second")]),
    ),
    Case("an empty list of init containers", pod(APP, init=[])),
    Case("requests left out", pod(without_requests(APP))),
    Case("2000m is two CPUs", pod(container("app", 0, cpu="2000m"))),
    Case("2.0 is two CPUs", pod(container("app", 0, cpu="2.0"))),
    Case("half a GiB is a whole number of bytes", pod(container("app", 0, memory="0.5Gi"))),
    Case("1e9 bytes", pod(container("app", 0, memory="1e9"))),
    Case("1k is a thousand CPUs", pod(container("app", 0, cpu="1k"))),
    Case(
        "equal amounts, written differently",
        pod(container("app", 0, cpu="2", requests={"cpu": "2000m", "memory": "1024Mi"})),
    ),
    Case("a sidecar needs no node: it keeps its CPUs", pod(APP, init=[sidecar("mesh")])),
    Case(
        "a sidecar before the first ordinary init container",
        pod(APP, init=[sidecar("mesh"), container("init", 0)]),
    ),
    Case(
        "a sidecar between the app and its init container, which has the node",
        pod(FAR_APP, init=[container("init", 1), sidecar("mesh")]),
    ),
    Case(
        "a sidecar before two init containers, of which the first has the node",
        pod(
            FAR_APP,
            init=[
                sidecar("mesh"),
                container("first", 1),
                container("second", others=("numa-aligned/numa-1",)),
            ],
        ),
    ),
    Case(
        "each init container after a sidecar has the node",
        pod(FAR_APP, init=[container("first", 1), sidecar("mesh"), container("second", 1)]),
    ),
    Case("a sidecar with the node", pod(APP, init=[sidecar("mesh", 0)])),
    Case("only an init container asks", pod(container("app"), init=[container("init", 1)])),
    Case("a resource of another domain", pod(container("app", 0, others=("numa-aligned/numa-1",)))),
    Case("pod-level resources that say nothing", pod(APP, resources={})),
    Case(
        "an ephemeral container, which can have no resources",
        pod(APP, ephemeralContainers=[{"name": "debug", "image": "example.com/debug"}]),
    ),
    Case(
        "init container with zero of the node, which aligns it too",
        pod(FAR_APP, init=[container("init", none_of=(1,))]),
    ),
    Case(
        "zero of another node beside it, where that is allowed",
        pod(FAR_APP, container("metrics", none_of=(0,)), init=[sidecar("mesh", none_of=(0,))]),
        one_node_per_pod="false",
    ),
    Case(
        "CPUs and memory counted beside the slot",
        pod(container("app", 0, cpu=4, memory="2Gi", counted={"0-cpu": 4, "0-memory": 2})),
    ),
    Case(
        "CPUs and memory counted without a slot: one node",
        pod(container("app", counted={"0-cpu": 1, "0-memory": 1})),
    ),
    Case(
        "resources of others that end alike",
        pod(container("app", 0, cpu=2, memory="2Gi", others=("gpu/x-cpu", "gpu/x-memory"))),
    ),
    Case("CPUs counted without a slot", pod(container("app", cpu=4, counted={"0-cpu": 4}))),
    Case(
        "memory counted and nothing else, more than is needed",
        pod(container("app", memory="1025Mi", counted={"1-memory": 3})),
    ),
    Case(
        "as many CPUs counted, written differently",
        pod(container("app", 0, cpu="2000m", counted={"0-cpu": "2"})),
    ),
    Case(
        "memory counted in a smaller unit",
        pod(container("app", 0, memory="1Gi", counted={"0-cpu": 1, "0-memory": 4})),
        memory_unit="256Mi",
    ),
    Case(
        "a unit that is no amount is the default",
        pod(container("app", 0, memory="2Gi", counted={"0-memory": 2})),
        memory_unit="much",
    ),
    Case(
        "a unit that the agent would refuse is the default",
        pod(container("app", 0, memory="2Gi", counted={"0-memory": 2})),
        memory_unit="1k",
    ),
    Case(
        "counted resources name the node: init container by its CPUs, app by its slot",
        pod(FAR_APP, init=[container("init", counted={"1-cpu": 1})]),
    ),
    Case(
        "counted resources name the node: init container by its slot, app by its memory",
        pod(container("app", counted={"1-memory": 1}), init=[container("init", 1)]),
    ),
    Case(
        "slot in one container, CPUs in another",
        pod(FAR_APP, container("other", cpu=2, counted={"1-cpu": 2})),
    ),
    Case(
        "two containers on two nodes, where that is allowed",
        pod(container("app", 0), container("other", 1)),
        one_node_per_pod="false",
    ),
    Case(
        "an init container on the first of two nodes, where that is allowed",
        pod(container("app", 0), container("other", 1), init=[container("init", 0)]),
        one_node_per_pod="false",
    ),
]

REFUSED = [
    Case("no limits at all", pod(APP, {"name": "other"}), ["NA001"]),
    Case("no memory limit", pod(container("app", 0, memory=None)), ["NA001"]),
    Case("no CPU limit", pod(container("app", 0, cpu=None)), ["NA001"]),
    Case("zero CPUs", pod(container("app", 0, cpu="0")), ["NA001"]),
    Case("zero memory", pod(container("app", 0, memory="0")), ["NA001"]),
    Case(
        "zero memory in a container beside it", pod(APP, container("other", memory="0")), ["NA001"]
    ),
    Case(
        "zero CPUs in an init container",
        pod(APP, init=[container("init", 0, cpu=0)]),
        ["NA001"],
    ),
    Case(
        "a CPU request without a limit",
        pod(container("app", 0, cpu=None, requests={"cpu": 1})),
        ["NA001"],
    ),
    Case(
        "a sidecar without limits",
        pod(APP, init=[{"name": "mesh"} | {"restartPolicy": "Always"}]),
        ["NA001"],
    ),
    Case(
        "an init container without limits",
        pod(APP, init=[container("init", 0), {"name": "other"}]),
        ["NA001"],
    ),
    Case("half a CPU", pod(container("app", 0, cpu="500m")), ["NA002"]),
    Case("one and a half CPUs", pod(container("app", 0, cpu="1.5")), ["NA002"]),
    Case("a thousandth too much", pod(container("app", 0, cpu="2001m")), ["NA002"]),
    Case("a thousandth too little", pod(container("app", 0, cpu="1999m")), ["NA002"]),
    Case(
        "a fraction in a container beside it",
        pod(APP, container("metrics", cpu="100m")),
        ["NA002"],
        stricter=True,
    ),
    Case(
        "a fraction where only an init container asks",
        pod(container("app"), init=[container("init", 0, cpu="500m")]),
        ["NA002"],
    ),
    Case("memory of 0.3Gi", pod(container("app", 0, memory="0.3Gi")), ["NA008"]),
    Case("memory of 1.7Mi", pod(container("app", 0, memory="1.7Mi")), ["NA008"]),
    Case("memory in thousandths", pod(container("app", 0, memory="1500m")), ["NA008"]),
    Case("memory of a tenth of a byte", pod(container("app", 0, memory=0.1)), ["NA008"]),
    Case(
        "part of a byte in an init container that asks for no node",
        pod(APP, init=[sidecar("mesh", memory="33554432001m")]),
        ["NA008"],
    ),
    Case(
        "part of a byte of huge pages",
        pod(with_limits(APP, {"hugepages-2Mi": "2097151500m"})),
        ["NA008"],
    ),
    Case("fewer CPUs requested", pod(container("app", 0, cpu=2, requests={"cpu": 1})), ["NA003"]),
    Case(
        "less memory requested", pod(container("app", 0, requests={"memory": "512Mi"})), ["NA003"]
    ),
    Case("1G is not 1Gi", pod(container("app", 0, requests={"memory": "1G"})), ["NA003"]),
    Case("init container without the node", pod(FAR_APP, init=[container("init")]), ["NA004"]),
    Case(
        "the second init container has the node, the first has not",
        pod(FAR_APP, init=[container("first"), container("second", 1)]),
        ["NA004"],
    ),
    Case(
        "the sidecar has the node, the init container after it has not",
        pod(FAR_APP, init=[sidecar("mesh", 1), container("init")]),
        ["NA004"],
    ),
    Case(
        "a sidecar keeps the CPUs of the first init container, and the second has no node",
        pod(FAR_APP, init=[container("first", 1), sidecar("mesh"), container("second")]),
        ["NA004"],
    ),
    Case(
        "init containers on two nodes, where that is allowed",
        pod(FAR_APP, init=[container("first", 1), container("second", 0)]),
        ["NA004"],
        one_node_per_pod="false",
    ),
    Case(
        "the init container shares another resource with the app",
        pod(
            container("app", 1, others=("numa-aligned/numa-0",)),
            init=[container("init", others=("numa-aligned/numa-0",))],
        ),
        ["NA004"],
    ),
    Case(
        "only the second init container asks",
        pod(container("app"), init=[container("first"), container("second", 1)]),
        ["NA004"],
    ),
    Case(
        "init container on another node",
        pod(APP, init=[container("init", 1)]),
        ["NA005", "NA004"],
    ),
    Case(
        "init container on the second of two nodes, where that is allowed",
        pod(container("app", 0), container("other", 1), init=[container("init", 1)]),
        ["NA004"],
        one_node_per_pod="false",
    ),
    Case(
        "init container on a third node, where two are allowed",
        pod(container("app", 0), container("other", 1), init=[container("init", 2)]),
        ["NA004"],
        one_node_per_pod="false",
    ),
    Case("two nodes in one container", pod(container("app", 0, 1)), ["NA005"]),
    Case("one slot of a node, zero of another", pod(container("app", 1, none_of=(0,))), ["NA005"]),
    Case(
        "zero of another node in a container beside it",
        pod(FAR_APP, container("metrics", none_of=(0,))),
        ["NA005"],
        stricter=True,
    ),
    Case(
        "the second init container names another node zero times",
        pod(FAR_APP, init=[container("first", 1), container("second", none_of=(0,))]),
        ["NA005", "NA004"],
    ),
    Case(
        "two nodes in one container, one in another: said once",
        pod(container("app", 0, 1), container("other", 1)),
        ["NA005"],
    ),
    Case(
        "two nodes in one container, where two in a pod are allowed",
        pod(container("app", 0, 1)),
        ["NA005"],
        one_node_per_pod="false",
    ),
    Case(
        "two containers on two nodes",
        pod(container("app", 0), container("other", 1)),
        ["NA005"],
        stricter=True,
    ),
    Case(
        "a switch that is neither true nor false counts as true",
        pod(container("app", 0), container("other", 1)),
        ["NA005"],
        one_node_per_pod="no",
        stricter=True,
    ),
    Case(
        "slot of one node, CPUs of another",
        pod(container("app", 0, counted={"1-cpu": 1})),
        ["NA005"],
    ),
    Case(
        "CPUs of one node, memory of another",
        pod(container("app", counted={"0-cpu": 1, "1-memory": 1})),
        ["NA005"],
    ),
    Case(
        "zero CPUs of another node name it too",
        pod(container("app", 0, counted={"1-cpu": 0})),
        ["NA005", "NA007"],
    ),
    Case(
        "slot in one container, CPUs of another node in the other",
        pod(APP, container("other", counted={"1-cpu": 1})),
        ["NA005"],
        stricter=True,
    ),
    Case(
        "an init container without the node that the app's CPUs name",
        pod(container("app", counted={"1-cpu": 1}), init=[container("init")]),
        ["NA004"],
    ),
    Case(
        "an init container that counts CPUs of another node",
        pod(FAR_APP, init=[container("init", counted={"0-cpu": 1})]),
        ["NA005", "NA004"],
    ),
    Case(
        "no memory limit, though CPUs are counted",
        pod(container("app", memory=None, counted={"0-cpu": 1})),
        ["NA001"],
    ),
    Case(
        "half a CPU, of which one is counted",
        pod(container("app", cpu="500m", counted={"0-cpu": 1})),
        ["NA002", "NA007"],
    ),
    Case(
        "fewer CPUs counted than the limit",
        pod(container("app", 0, cpu=4, counted={"0-cpu": 2})),
        ["NA007"],
        stricter=True,
    ),
    Case(
        "more CPUs counted than the limit",
        pod(container("app", 0, cpu=2, counted={"0-cpu": 4})),
        ["NA007"],
        stricter=True,
    ),
    Case(
        "CPUs counted wrongly in an init container and a sidecar",
        pod(
            APP,
            init=[
                container("init", counted={"0-cpu": 3}),
                sidecar("mesh", counted={"0-cpu": 0}),
            ],
        ),
        ["NA007"],
        stricter=True,
    ),
    Case(
        "less memory counted than the limit, by a byte",
        pod(container("app", 0, memory=2**31 + 1, counted={"0-memory": 2})),
        ["NA007"],
        stricter=True,
    ),
    Case(
        "memory counted in another unit",
        pod(container("app", 0, memory="1Gi", counted={"0-memory": 1})),
        ["NA007"],
        memory_unit="512Mi",
        stricter=True,
    ),
    Case(
        "both counted wrongly",
        pod(container("app", 0, counted={"0-cpu": 2, "0-memory": 0})),
        ["NA007", "NA007"],
        stricter=True,
    ),
    Case(
        "pod-level resources",
        pod(APP, resources={"limits": {"cpu": "4", "memory": "4Gi"}}),
        ["NA006"],
    ),
    Case("pod-level requests", pod(APP, resources={"requests": {"cpu": "4"}}), ["NA006"]),
    Case(
        "much at once, the most basic first",
        pod(container("app", 0, 1, cpu="1500m"), {"name": "other"}, init=[container("init")]),
        ["NA001", "NA002", "NA005", "NA004"],
    ),
]

NOT_OURS = [
    Case("no resources", pod({"name": "app"})),
    Case("a fraction of a CPU", pod(container("app", cpu="100m"))),
    Case("no limits", pod({"name": "app", "resources": {"requests": {"cpu": "100m"}}})),
    Case("pod-level resources", pod({"name": "app"}, resources={"limits": {"cpu": "1500m"}})),
    Case(
        "a resource of another domain",
        pod({"name": "app", "resources": {"limits": {"example.com/numa-align": 1}}}),
    ),
    Case(
        "a resource of a domain that begins alike",
        pod({"name": "app", "resources": {"limits": {"numa-aligned/numa-0": 1}}}),
    ),
    Case("zero of a NUMA node", pod(container("app", memory="0", none_of=(0,)))),
    Case("zero CPUs of a NUMA node", pod(container("app", memory="0", counted={"0-cpu": 0}))),
    Case("init containers of all sorts", pod({"name": "app"}, init=[{"name": "init"}])),
]
