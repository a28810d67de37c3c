"""What is measured: each scenario starts a plugin anew and observes one thing of it."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from attrs import frozen

from benchmarks.results import Of, Target
from benchmarks.subject import Memory, Process, Subject
from benchmarks.testbed import Testbed

# A resource whose list has not come by then is lost. Both plugins retry within seconds.
_PATIENCE_SECONDS = 5.0
_QUOTA_CPUS = 0.1
_MIB = 1024 * 1024

# Every other figure is for information.
TARGETS = {
    ("recovery", "2 nodes"): Target(Of.RATIO, 3),
    ("recovery", "8 nodes"): Target(Of.RATIO, 3),
    ("restarts lost", "1 node"): Target(Of.HIGHEST, 0),
    ("restarts lost", "2 nodes"): Target(Of.HIGHEST, 0),
    ("restarts lost", "8 nodes"): Target(Of.HIGHEST, 0),
    ("restarts lost", "64 nodes"): Target(Of.HIGHEST, 0),
    ("start, CPU time", "2 nodes"): Target(Of.MEDIAN, 0.30),
    ("start", "2 nodes, 0.1 CPU"): Target(Of.MEDIAN, 4),
    ("Allocate, median", "1 client"): Target(Of.RATIO, 3),
    ("first list", "100 slots"): Target(Of.RATIO, 3),
    ("first list", "10,000 slots"): Target(Of.RATIO, 3),
    ("memory, proportional", "2 x 100 slots, started"): Target(Of.MEDIAN, 32),
    ("memory, proportional", "2 x 100 slots, used"): Target(Of.MEDIAN, 32),
    ("memory, proportional", "8 x 10,000 slots, started"): Target(Of.MEDIAN, 40),
    ("memory, proportional", "8 x 10,000 slots, used"): Target(Of.MEDIAN, 40),
    ("idle, voluntary switches", "2 nodes"): Target(Of.HIGHEST, 0.1),
    ("idle, CPU ticks", "2 nodes"): Target(Of.HIGHEST, 0),
}


class Value(NamedTuple):
    """What was observed: one or more values of a measure in a case."""

    measure: str
    case: str
    unit: str
    values: tuple[float, ...]


@frozen
class Scenario:
    """Something to observe of a plugin, once in each round."""

    name: str
    rounds: int
    observe: Callable[[Testbed, Subject], Iterator[Value]]


@frozen
class Load:
    """How much is measured.

    Restarts are those of one round, by the number of nodes. After `settle_seconds` a plugin has
    given back what only its start needed, and the timers of its start are over.
    """

    rounds: int
    restarts: Mapping[int, int]
    starts: int
    quota_starts: int
    allocations: int
    first_lists: int
    memory_rounds: int
    memory_allocations: int
    settle_seconds: int
    idle_seconds: int


FULL = Load(
    rounds=5,
    restarts={1: 10, 2: 200, 8: 10, 64: 10},
    starts=15,
    quota_starts=3,
    allocations=4_000,
    first_lists=100,
    memory_rounds=2,
    memory_allocations=100_000,
    settle_seconds=20,
    idle_seconds=60,
)
BRIEF = Load(
    rounds=1,
    restarts={1: 2, 2: 5, 8: 2},
    starts=2,
    quota_starts=1,
    allocations=400,
    first_lists=5,
    memory_rounds=1,
    memory_allocations=400,
    settle_seconds=1,
    idle_seconds=3,
)


def scenarios(load: Load) -> list[Scenario]:
    """Everything that is measured, so much of it."""
    return [
        Scenario("start", load.starts, _start),
        Scenario("start-quota", load.quota_starts, _start_under_quota),
        *(
            Scenario(f"recovery-{nodes}", load.rounds, partial(_recovery, nodes, restarts))
            for nodes, restarts in load.restarts.items()
        ),
        Scenario("allocate", load.rounds, partial(_allocate, load.allocations)),
        *(
            Scenario(f"list-{slots}", load.rounds, partial(_first_list, slots, load.first_lists))
            for slots in (100, 1_000, 10_000)
        ),
        *(
            Scenario(
                f"memory-{nodes}x{slots}",
                load.memory_rounds,
                partial(_memory, nodes, slots, load.settle_seconds, load.memory_allocations),
            )
            for nodes, slots in ((2, 100), (8, 100), (8, 10_000))
        ),
        Scenario("idle", 1, partial(_idle, load.settle_seconds, load.idle_seconds)),
    ]


def _start(testbed: Testbed, subject: Subject) -> Iterator[Value]:
    with testbed.serving(subject) as service:
        yield Value("start", "2 nodes", "s", (service.start_seconds,))
        yield Value("start, CPU time", "2 nodes", "s", (service.start_cpu_seconds,))


def _start_under_quota(testbed: Testbed, subject: Subject) -> Iterator[Value]:
    with testbed.serving(subject, cpus=_QUOTA_CPUS) as service:
        case = f"2 nodes, {_QUOTA_CPUS} CPU"
        yield Value("start", case, "s", (service.start_seconds,))


def _recovery(nodes: int, restarts: int, testbed: Testbed, subject: Subject) -> Iterator[Value]:
    """Stop kubelet and start it again, with pauses of varying length in both states."""
    pauses = random.Random(nodes)  # every plugin meets the same
    recoveries = []
    with testbed.serving(subject, nodes=nodes) as service:
        cpu_before = service.plugin.cpu_seconds()
        for _ in range(restarts):
            time.sleep(pauses.uniform(0.02, 0.1))
            service.kubelet.stop()
            time.sleep(pauses.uniform(0.05, 0.3))
            service.kubelet.start()
            recoveries.append(service.kubelet.await_lists(_PATIENCE_SECONDS))
        cpu = service.plugin.cpu_seconds() - cpu_before
    found = [recovery.milliseconds for recovery in recoveries if recovery.delivered == nodes]
    case = f"{nodes} nodes" if nodes > 1 else "1 node"
    yield Value("restarts lost", case, f"of {restarts} a round", (restarts - len(found),))
    if found:
        yield Value("recovery", case, "ms", tuple(found))
    yield Value("recovery, CPU time", case, "ms", (1e3 * cpu / restarts,))


def _allocate(calls: int, testbed: Testbed, subject: Subject) -> Iterator[Value]:
    with testbed.serving(subject) as service:
        for clients in (1, 8):
            cpu_before = service.plugin.cpu_seconds()
            seen = service.kubelet.allocate(clients, calls)
            cpu = service.plugin.cpu_seconds() - cpu_before
            case = f"{clients} clients" if clients > 1 else "1 client"
            yield Value("Allocate, median", case, "ms", (seen.p50,))
            yield Value("Allocate, 99th percentile", case, "ms", (seen.p99,))
            yield Value("Allocate, throughput", case, "1/s", (seen.per_second,))
            yield Value("Allocate, CPU time", case, "ms", (1e3 * cpu / calls,))


def _first_list(slots: int, count: int, testbed: Testbed, subject: Subject) -> Iterator[Value]:
    with testbed.serving(subject, slots=slots) as service:
        times = service.kubelet.first_lists(count)
    yield Value("first list", f"{slots:,} slots", "ms", tuple(times))


def _memory(
    nodes: int, slots: int, settle: int, calls: int, testbed: Testbed, subject: Subject
) -> Iterator[Value]:
    with testbed.serving(subject, nodes=nodes, slots=slots) as service:
        time.sleep(settle)
        machine = f"{nodes} x {slots:,} slots"
        yield from _memory_values(f"{machine}, started", service.plugin.memory())
        service.kubelet.allocate(clients=8, calls=calls)
        yield from _memory_values(f"{machine}, used", service.plugin.memory())


def _memory_values(case: str, memory: Memory) -> Iterator[Value]:
    yield Value("memory, proportional", case, "MiB", (memory.proportional / _MIB,))
    yield Value("memory, resident", case, "MiB", (memory.resident / _MIB,))
    yield Value("memory, peak", case, "MiB", (memory.peak / _MIB,))


def _idle(settle: int, seconds: int, testbed: Testbed, subject: Subject) -> Iterator[Value]:
    """Look once a second. Seconds in which nothing sleeps and wakes are truly idle."""
    with testbed.serving(subject) as service:
        time.sleep(settle)
        ticks, cpu = service.plugin.cpu_ticks(), service.plugin.cpu_seconds()
        switches = list(_each_second(seconds, service.plugin))
        ticks = service.plugin.cpu_ticks() - ticks
        cpu = service.plugin.cpu_seconds() - cpu
    per_second = [after - before for before, after in pairwise(switches)]
    yield Value("idle, voluntary switches", "2 nodes", "1/s", (sum(per_second) / seconds,))
    awake = 100 * sum(map(bool, per_second)) / seconds
    yield Value("idle, seconds with a switch", "2 nodes", "%", (awake,))
    yield Value("idle, CPU time", "2 nodes", "ms/min", (60e3 * cpu / seconds,))
    yield Value("idle, CPU ticks", "2 nodes", "ticks", (ticks,))


def _each_second(seconds: int, plugin: Process) -> Iterator[int]:
    """The count of voluntary switches now and after each second."""
    yield plugin.voluntary_switches()
    for _ in range(seconds):
        time.sleep(1)
        yield plugin.voluntary_switches()
