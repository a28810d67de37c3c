"""All checks, in the order of their codes."""

from numa_trio.doctor.checks import (
    cpu_manager,
    host,
    machine,
    memory_manager,
    plugin,
    topology_manager,
)
from numa_trio.doctor.evidence.gather import Evidence
from numa_trio.doctor.finding import Check, Finding

CHECKS: tuple[Check, ...] = (
    *topology_manager.CHECKS,
    *cpu_manager.CHECKS,
    *memory_manager.CHECKS,
    *machine.CHECKS,
    *plugin.CHECKS,
    *host.CHECKS,
)


def examine(evidence: Evidence) -> tuple[Finding, ...]:
    """What each check finds; no check can keep another from looking."""
    return tuple(Finding(check, check.look(evidence)) for check in CHECKS)
