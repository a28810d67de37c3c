"""What `numa-trio simulate` is to do: its options, the environment and the files put together."""

import argparse
import os
from pathlib import Path

from numa_trio.commands.simulate_expect import expected_of
from numa_trio.commands.simulate_near import WIRED
from numa_trio.commands.terminal import complain
from numa_trio.plugin.advertising import advertise
from numa_trio.plugin.counted import Counted
from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import BadConfiguration, Settings, check_socket_paths, load_settings
from numa_trio.simulator.builtin_pods import builtin_pods
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.hints import Policy, Scope
from numa_trio.simulator.ideal import Offer
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.machine_file import load_machine, shipped_machines
from numa_trio.simulator.node import Node
from numa_trio.simulator.reboot import DAEMONSET_DELAY, RebootStory
from numa_trio.simulator.reboot_pods import reboot_pods
from numa_trio.simulator.scenarios import Scenario, plan_scenario
from numa_trio.simulator.simulation import Plan
from numa_trio.simulator.sysfs_tree import read_simulated_machine
from numa_trio.simulator.trial import SOCKET_DIR, Setup
from numa_trio.simulator.wired import WiredStory, plan_wired
from numa_trio.topology.lists import MalformedText, parse_list
from numa_trio.workloads.fields import BadFile
from numa_trio.workloads.manifest import load_manifests
from numa_trio.workloads.pod import Pod

_HOST = "host"
_USUAL_MACHINE = "two-node-server"
_SCENARIO_MACHINE = "two-by-two"  # one NUMA node has room for two CPUs: all is seen at a glance
_LONGEST_SLOTS = "numa-1023"
# Should it have started this command, it wants to hear of that, and not of a simulated agent.
_OF_SYSTEMD = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


def read_setup(arguments: argparse.Namespace) -> Setup:
    """The machine, kubelet and agent, without what it offers near things.

    Raises what `simulate` reports with exit status 2.
    """
    variables = {**os.environ, "NUMA_HTTP_ADDR": "", "NUMA_LOG_FORMAT": "text"}
    # What runs on this machine is none of the simulated one's business.
    variables["NUMA_NRI"] = "off"
    for name in ("NUMA_SOCKET_DIR", *_OF_SYSTEMD):
        variables.pop(name, None)
    if arguments.capacity is not None:
        variables["NUMA_CAPACITY"] = arguments.capacity
    if arguments.counted is not None:
        variables["NUMA_COUNTED"] = arguments.counted
    settings = load_settings(variables)
    choice = arguments.machine or (_SCENARIO_MACHINE if arguments.scenario else _USUAL_MACHINE)
    machine = _machine(choice, settings)
    config = KubeletConfig(
        Policy(arguments.policy),
        Scope(arguments.scope),
        _reserved_cpus(arguments),
        full_pcpus_only=arguments.full_pcpus_only,
        prefer_closest_numa_nodes=arguments.prefer_closest_numa_nodes,
        max_allowable_numa_nodes=arguments.max_allowable_numa_nodes,
    )
    Node.create(machine, config)  # before anything is started
    slots = tuple(
        NumaResource.of_node(verdict.node.id, settings.capacity, settings.resource_domain)
        for verdict in advertise(machine.machine, settings.cpuless_nodes)
        if verdict.advertised
    )
    return Setup(
        machine,
        config,
        Offer(slots, settings.counted, settings.memory_unit),
        variables,
        settings.sysfs_root if choice == _HOST else None,
        admit_again=arguments.admit_again,
    )


def read_plan(
    arguments: argparse.Namespace, setup: Setup
) -> Plan | Scenario | WiredStory | RebootStory:
    """The pods that are to run over a restart of kubelet, or what was asked for instead."""
    if arguments.reboot:
        return _reboot(arguments, setup)
    if arguments.daemonset_delay is not None:
        raise BadConfiguration("--daemonset-delay is about a reboot: give --reboot too")
    if arguments.scenario:
        return _scenario(arguments, setup)
    if not arguments.pod:
        if arguments.expect:
            raise BadConfiguration("--expect is about pods of your own: give --pod too")
        pods = builtin_pods(setup.machine, setup.offer)
        return Plan(setup, pods, hold_agent=arguments.hold_agent)
    pods = _own_pods(arguments)
    return Plan(setup, pods, expected_of(arguments, pods), arguments.hold_agent)


def _own_pods(arguments: argparse.Namespace) -> tuple[Pod, ...]:
    manifests = load_manifests(arguments.pod, arguments.replicas)
    for line in manifests.remarks:
        complain(line)
    return manifests.pods


def _reboot(arguments: argparse.Namespace, setup: Setup) -> RebootStory:
    given = {
        "--scenario": arguments.scenario,
        "--expect": arguments.expect,
        "--hold-agent": arguments.hold_agent is not None,
    }
    if stray := [option for option in given if given[option]]:
        raise BadConfiguration(
            f"{stray[0]} has no meaning for a reboot, which has a course of its own: leave out"
            f" {stray[0]} or --reboot"
        )
    pods = _own_pods(arguments) if arguments.pod else reboot_pods(setup)
    delay = arguments.daemonset_delay
    return RebootStory(setup, pods, DAEMONSET_DELAY if delay is None else delay)


def _scenario(arguments: argparse.Namespace, setup: Setup) -> Scenario | WiredStory:
    if arguments.pod:
        raise BadConfiguration(
            f"--scenario {arguments.scenario} brings its own pods: leave out --pod, or --scenario"
        )
    if arguments.expect:
        raise BadConfiguration(
            f"--expect is about pods of your own, and --scenario {arguments.scenario} has others:"
            " leave out one of them"
        )
    if arguments.hold_agent is not None:
        raise BadConfiguration(
            f"--hold-agent is about a restart of kubelet, and --scenario {arguments.scenario} has"
            " none: leave out one of them"
        )
    if arguments.scenario == WIRED:
        return plan_wired(setup)
    return plan_scenario(arguments.scenario, setup.machine, setup.config, setup.offer)


def check_path_length(setup: Setup, directory: Path) -> None:
    """Raise `BadConfiguration` if sockets in this temporary directory could not be made."""
    names = [each.local_name for each in setup.offer.near]
    if setup.offer.counted:
        names += [f"{name}-{Counted.MEMORY}" for name in (_LONGEST_SLOTS, *names)]
    instance = setup.variables.get("NUMA_INSTANCE", "")
    try:
        for name in (_LONGEST_SLOTS, *names):
            check_socket_paths(directory / SOCKET_DIR, instance, name)
    except BadConfiguration as problem:
        raise BadConfiguration(f"{problem}; temporary directories are made in TMPDIR") from None


def _reserved_cpus(arguments: argparse.Namespace) -> int | frozenset[int]:
    text = arguments.reserved_system_cpus
    if text is None:
        count: int = arguments.reserved_cpus
        return count
    try:
        return parse_list(text)
    except MalformedText as problem:
        raise BadConfiguration(f"--reserved-system-cpus: {problem}") from None


def _machine(choice: str, settings: Settings) -> SimulatedMachine:
    if choice == _HOST:
        return read_simulated_machine(settings.sysfs_root, _HOST)
    shipped = shipped_machines()
    if choice in shipped:
        return load_machine(shipped[choice])
    path = Path(choice)
    there = os.path.exists(path)  # noqa: PTH110  Path.exists raises where the name is too long
    if path.suffix not in {".yaml", ".yml"} and not there:
        raise BadFile(
            f"--machine {choice!r}: no such machine; expected {', '.join(shipped)}, {_HOST},"
            " or a YAML file that describes one"
        )
    return load_machine(path)
