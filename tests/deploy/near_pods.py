"""Pods that ask for nodes by names of what is near, good and bad, for the policy tests.

On the stand-in `data`, `log` and `data-1` are near node 1, `fabric` and `data-0` near node 0.
"""

from deploy.pods import Case, Object, container, pod, sidecar, with_limits

NEAR_NODES = {
    "near-data": 1,
    "near-log": 1,
    "near-fabric": 0,
    "near-data-0": 0,
    "near-data-1": 1,
}


def near(item: Object, **amounts: object) -> Object:
    """The container with these near resources too; `data_cpu` is numa-align/near-data-cpu."""
    names = {f"numa-align/near-{name.replace('_', '-')}": n for name, n in amounts.items()}
    return with_limits(item, names)


APP = near(container("app"), data=1)

NEAR_LET_IN = [
    Case("near a disk", pod(APP)),
    Case("near a disk, with a container beside it", pod(APP, container("metrics"))),
    Case(
        "near a disk, as the first init container is",
        pod(APP, init=[near(container("first"), data=1), container("second")]),
    ),
    Case(
        "CPUs and memory counted near the disk: no second node",
        pod(near(container("app", cpu=2), data=1, data_cpu=2, data_memory=1)),
    ),
    Case(
        "CPUs counted near the disk, as the init container names it",
        pod(near(container("app"), data_cpu=1), init=[near(container("init"), data=1)]),
    ),
    Case(
        "the second of two disks of a glob",
        pod(near(container("app"), data_1=1), init=[near(container("init"), data_1=1)]),
    ),
    Case(
        "near different things in two containers, where that is allowed",
        pod(APP, near(container("other"), fabric=1)),
        one_node_per_pod="false",
    ),
    Case("zero of the disk in an init container", pod(APP, init=[near(container("i"), data=0)])),
]

NEAR_REFUSED = [
    Case("init container without what the app is near", pod(APP, init=[container("i")]), ["NA004"]),
    Case(
        "a sidecar between init containers, the second without what the app is near",
        pod(APP, init=[near(container("first"), data=1), sidecar("mesh"), container("second")]),
        ["NA004"],
    ),
    Case(
        "init container by number, on another node than the disk",
        pod(APP, init=[container("init", 0)]),
        ["NA005", "NA004"],
    ),
    Case(
        "init container by number, by chance on the node of the disk",
        pod(APP, init=[container("init", 1)]),
        ["NA005", "NA004"],
        stricter=True,
    ),
    Case(
        "init container near another disk of the same glob",
        pod(near(container("app"), data_1=1), init=[near(container("init"), data_0=1)]),
        ["NA005", "NA004"],
    ),
    Case("a number and a disk in one container", pod(near(container("app", 0), data=1)), ["NA005"]),
    Case(
        "a number and a disk in one container, by chance of one node",
        pod(near(container("app", 1), data=1)),
        ["NA005"],
        one_node_per_pod="false",
        stricter=True,
    ),
    Case(
        "a disk and a card in one container",
        pod(near(container("app"), data=1, fabric=1)),
        ["NA005"],
        one_node_per_pod="false",
    ),
    Case(
        "two disks in one container, by chance near one node",
        pod(near(container("app"), data=1, log=1)),
        ["NA005"],
        stricter=True,
    ),
    Case(
        "both disks of a glob in one container",
        pod(near(container("app"), data_0=1, data_1=1)),
        ["NA005"],
    ),
    Case(
        "near a disk, with CPUs of a numbered node counted",
        pod(near(container("app", counted={"0-cpu": 1}), data=1)),
        ["NA005"],
    ),
    Case(
        "near different things in two containers",
        pod(APP, near(container("other"), fabric=1)),
        ["NA005"],
        stricter=True,
    ),
    Case(
        "fewer CPUs counted near the disk than the limit",
        pod(near(container("app", cpu=4), data=1, data_cpu=2)),
        ["NA007"],
        stricter=True,
    ),
]
