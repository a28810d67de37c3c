"""The options of `numa-trio simulate`."""

import argparse
from pathlib import Path

_MOST_REPLICAS = 1000  # a kubelet takes 110 pods
_LONGEST = 30  # seconds for an option; a simulation waits twice as long for anything


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--machine",
        metavar="NAME|FILE|host",
        help="two-node-server (the default), eight-node-epyc, gpu-memory, sparse, two-by-two (the"
        " default of --scenario), a YAML file that describes a machine, or host for this one",
    )
    parser.add_argument(
        "--pod",
        action="extend",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="manifests of the pods to run, or of Deployments, StatefulSets, DaemonSets, Jobs,"
        " CronJobs and Lists; a folder, or - for standard input (default: the examples and some"
        " more pods)",
    )
    parser.add_argument(
        "--replicas",
        type=_replicas,
        default=1,
        metavar="N",
        help="how many pods to run of each Deployment, StatefulSet and Job, whatever its manifest"
        " says (default: 1)",
    )
    parser.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="[POD=]OUTCOME",
        help="what is to become of the pods of --pod that ask for a NUMA node, or of one by its"
        " name: pinned (the default), unpinned, running (pinned or not), refused (by kubelet) or"
        " pending; may be repeated",
    )
    parser.add_argument(
        "--scenario",
        choices=["overfull", "stranger", "large-init", "wired"],
        help="instead of pods of your own, a story of a NUMA node that is full: more replicas than"
        " fit; a pod that asks for no node but gets its CPUs; an init container larger than its"
        " app. Or (wired) of two servers whose disks hang on different NUMA nodes",
    )
    parser.add_argument(
        "--reboot",
        action="store_true",
        help="instead of a restart of kubelet, a reboot of the server: once with the agent as a"
        " DaemonSet, once as a service of the host, and what becomes of the pods of each",
    )
    parser.add_argument(
        "--daemonset-delay",
        type=_seconds,
        metavar="SECONDS",
        help="with --reboot: from the admission of the pods until the container of the DaemonSet's"
        " pod is started (default: 3)",
    )
    parser.add_argument(
        "--counted",
        choices=["cpu", "cpu,memory"],
        help="what is counted of each NUMA node as a resource of its own (default: NUMA_COUNTED,"
        " else nothing); the built-in pods then ask for it, as the policy numa-counted-pods has"
        " pods do",
    )
    parser.add_argument(
        "--near",
        action="append",
        default=[],
        metavar="NAME=TARGET",
        help="have the agent offer also what is near this, as near-NAME, as in"
        " data=/var/lib/elasticsearch; may be repeated (besides NUMA_NEAR and NUMA_NEAR_FILE;"
        " default: data, for a disk of the machine)",
    )
    parser.add_argument(
        "--policy",
        choices=["none", "best-effort", "restricted", "single-numa-node"],
        default="single-numa-node",
        help="kubelet's topology manager policy (default: single-numa-node)",
    )
    parser.add_argument(
        "--scope",
        choices=["container", "pod"],
        default="container",
        help="kubelet's topology manager scope (default: container)",
    )
    parser.add_argument(
        "--capacity",
        metavar="N",
        help="slots of each NUMA node (default: NUMA_CAPACITY, else 100)",
    )
    parser.add_argument(
        "--reserved-cpus",
        type=int,
        default=1,
        metavar="N",
        help="CPUs that kubelet keeps for the system (default: 1)",
    )
    parser.add_argument(
        "--reserved-system-cpus",
        metavar="LIST",
        help="which CPUs these are, such as 0-1,8 (default: kubelet chooses)",
    )
    parser.add_argument(
        "--full-pcpus-only",
        action="store_true",
        help="with the CPU manager's policy option of this name",
    )
    parser.add_argument(
        "--prefer-closest-numa-nodes",
        action="store_true",
        help="with the topology manager's policy option of this name",
    )
    parser.add_argument(
        "--max-allowable-numa-nodes",
        type=int,
        default=8,
        metavar="N",
        help="the topology manager's policy option of this name (default: 8)",
    )
    parser.add_argument(
        "--admit-again",
        type=_seconds,
        default=2.0,
        metavar="SECONDS",
        help="from the new kubelet.sock until kubelet admits again the pods that are there already"
        " (default: 2)",
    )
    parser.add_argument(
        "--hold-agent",
        type=_seconds,
        metavar="SECONDS",
        help="freeze the agent while kubelet restarts, until so long after the new kubelet.sock:"
        " a look at what happens to running pods when a plugin is late",
    )
    parser.add_argument(
        "--output",
        choices=["text", "json"],
        default="text",
        help="a timeline and a table for people or JSON for programs (default: text)",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show the agent's log, also if all went well"
    )
    parser.epilog = (
        "Exit status: 0 if every pod of --pod that asks for a NUMA node is pinned there, or came"
        " out as --expect says, and the agent did its part; with --reboot, if it came too late for"
        " each pod that asks for a NUMA node as a DaemonSet, and for none as a service of the host;"
        " 1 if not; 2 for a bad file or"
        " configuration; 129, 130 or 143 if SIGHUP, SIGINT (Ctrl-C) or SIGTERM ended it. The agent"
        " takes its other settings from the environment, as `numa-trio run` does."
    )


def _replicas(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if not 1 <= count <= _MOST_REPLICAS:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected a whole number from 1 to {_MOST_REPLICAS}"
        )
    return count


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds from 0 to {_LONGEST}")
    return seconds
