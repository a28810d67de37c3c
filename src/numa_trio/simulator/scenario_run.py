"""A scenario with the real agent: what has become of each pod after each step."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from attrs import define, field, frozen

from numa_trio.exception_groups import flattened
from numa_trio.simulator.admission import UNSCHEDULABLE, Verdict
from numa_trio.simulator.agent_child import AgentFailed
from numa_trio.simulator.record import Observer, Record
from numa_trio.simulator.scenarios import Scenario, Step
from numa_trio.simulator.trial import Setup, TookTooLong, Trial, open_trial
from numa_trio.workloads.pod import Pod


class Phase(StrEnum):
    """How Kubernetes calls what has become of a pod."""

    RUNNING = "Running"
    PENDING = "Pending"  # the scheduler tries again
    FAILED = "Failed"  # kubelet refused it, for good
    DELETED = "Deleted"


@frozen
class PodState:
    """What has become of a pod, and the last verdict on it."""

    phase: Phase
    verdict: Verdict


@frozen
class Count:
    """How many devices of a counted resource are `healthy`, of how many."""

    healthy: int
    capacity: int


@frozen
class Outcome:
    """How it is after a step: the pods by name, and the counted resources."""

    step: Step
    pods: Mapping[str, PodState]
    counted: Mapping[str, Count]


@define
class ScenarioReport(Record):
    """What came of a scenario, step by step."""

    outcomes: list[Outcome] = field(factory=list)


async def play(
    scenario: Scenario, setup: Setup, directory: Path, observer: Observer
) -> ScenarioReport:
    """Run it in an empty directory, as `open_trial` says."""
    report = ScenarioReport()
    try:
        async with open_trial(setup, directory, observer, report) as trial:
            run = _Run(trial)
            for step in scenario.steps:
                report.outcomes.append(await run.take(step))
    except* (AgentFailed, TookTooLong) as failures:
        report.problems += map(str, flattened(failures))
    return report


@define(eq=False)
class _Run:
    trial: Trial
    states: dict[str, PodState] = field(factory=dict)

    async def take(self, step: Step) -> Outcome:
        """Delete and create the pods of a step; the scheduler tries those that wait again."""
        self.trial.tell(step.event)
        for pod in step.deletes:
            self._delete(pod)
        await self.trial.settle()
        waiting = [each.verdict.pod for each in self.states.values() if each.phase is Phase.PENDING]
        for pod in (*waiting, *step.creates):
            await self._try(pod)
        kubelet = self.trial.kubelet
        counted = {
            each.name: Count(kubelet.allocatable(each.name), kubelet.capacity(each.name))
            for each in self.trial.ideal.counted
        }
        return Outcome(step, dict(self.states), counted)

    def _delete(self, pod: Pod) -> None:
        state = self.states[pod.name]
        if state.phase is Phase.RUNNING:
            self.trial.remove(pod)
        self.states[pod.name] = PodState(Phase.DELETED, state.verdict)

    async def _try(self, pod: Pod) -> None:
        verdict = await self.trial.create(pod)
        before = self.states.get(pod.name)
        phase = Phase.RUNNING
        if not verdict.admitted:
            phase = Phase.PENDING if verdict.reason == UNSCHEDULABLE else Phase.FAILED
        self.states[pod.name] = PodState(phase, verdict)
        if before is None or before.phase is not phase:
            self.trial.tell(f"{pod.name}: {phase}")
