"""What `--expect` says is to become of the pods."""

import argparse
from collections.abc import Iterable

from numa_trio.settings import BadConfiguration
from numa_trio.simulator.expected import Expected
from numa_trio.simulator.judging import PodOutcome
from numa_trio.workloads.pod import Pod


def expected_of(arguments: argparse.Namespace, pods: Iterable[Pod]) -> Expected:
    """What is expected of these pods; raises `BadConfiguration`."""
    usual = PodOutcome.PINNED
    named: dict[str, PodOutcome] = {}
    for text in arguments.expect:
        name, _, outcome = text.rpartition("=")
        try:
            expected = PodOutcome(outcome)
        except ValueError:
            raise BadConfiguration(
                f"--expect {text!r}: expected {', '.join(PodOutcome)}, or such after a pod's name"
                ' and "="'
            ) from None
        if name:
            named[name] = expected
        else:
            usual = expected
    names = {pod.name for pod in pods}
    if strangers := [name for name in named if name not in names]:
        raise BadConfiguration(
            f"--expect {strangers[0]}=…: no pod is called so; expected {', '.join(sorted(names))}"
        )
    return Expected(usual, named)
