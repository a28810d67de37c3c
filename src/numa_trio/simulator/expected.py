"""What is to become of pods: pinned, unless something else is meant."""

from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from numa_trio.simulator.judging import Judged, PodOutcome

_RUNS = {PodOutcome.PINNED, PodOutcome.UNPINNED, PodOutcome.RUNNING}


@frozen
class Expected:
    """What is expected of each pod that asks for a NUMA node, and of pods by `name`."""

    usual: PodOutcome = PodOutcome.PINNED
    named: Mapping[str, PodOutcome] = field(factory=dict)

    def of(self, judged: Judged) -> PodOutcome | None:
        """What is expected of this pod; None where anything will do."""
        usual = self.usual if judged.asks_for else None
        return self.named.get(judged.verdict.pod.name, usual)

    def unmet(self, judged: Sequence[Judged], domain: str) -> Iterator[str]:
        """In what pods are otherwise; a sentence each. `domain` is that of the resources."""
        for each in judged:
            expected = self.of(each)
            if expected is None or each.outcome is expected:
                continue
            if expected is not PodOutcome.RUNNING or each.outcome not in _RUNS:
                yield f"{each.verdict.pod.name} is {each.outcome}, expected {expected}"
        if not any(self.of(each) for each in judged):
            yield f"no pod asks for a NUMA node: none has limits for a resource of {domain}/"
