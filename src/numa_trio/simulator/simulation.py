"""A run of the real agent with the kubelet stand-in: pods, a kubelet restart, pods again."""

import os
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import trio
from attrs import define, field, frozen

from numa_trio.exception_groups import flattened
from numa_trio.simulator.admission import Verdict
from numa_trio.simulator.agent_child import AgentFailed
from numa_trio.simulator.expectation import lasting
from numa_trio.simulator.expected import Expected
from numa_trio.simulator.judging import Judged, judge
from numa_trio.simulator.record import Observer, Record
from numa_trio.simulator.room import room_of
from numa_trio.simulator.trial import Setup, TookTooLong, Trial, open_trial
from numa_trio.workloads.pod import Pod

KUBELET_DOWN = 0.5  # seconds between the end of kubelet and its new start


@frozen
class Plan:
    """What is simulated.

    `expected` is what is to become of the pods, None where any verdict will do that is kubelet's.
    With `hold_agent` the agent is frozen while kubelet restarts, until so many seconds after the
    socket is there.
    """

    setup: Setup
    pods: tuple[Pod, ...]
    expected: Expected | None = None
    hold_agent: float | None = None


@frozen
class Round:
    """The verdicts on the pods in one life of kubelet, and what is allocatable beside them."""

    judged: list[Judged] = field(factory=list)
    allocatable: dict[str, int] = field(factory=dict)

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdicts without what they mean."""
        return [each.verdict for each in self.judged]


@define
class Report(Record):
    """What came of it, for each life of kubelet.

    `again` are the verdicts on the pods that ran when kubelet was restarted. `unmet` says in what
    pods are not as the plan expects them; a sentence each.
    """

    rounds: list[Round] = field(factory=list)
    again: tuple[Verdict, ...] = ()
    unmet: list[str] = field(factory=list)
    recovery_seconds: float | None = None  # from the new kubelet.sock to all slots allocatable


async def simulate(plan: Plan, directory: Path, observer: Observer) -> Report:
    """Run it in an empty directory, as `open_trial` says."""
    report = Report()
    try:
        async with open_trial(plan.setup, directory, observer, report) as trial:
            await _Run(plan, trial, report).run()
    except* (AgentFailed, TookTooLong) as failures:
        report.problems += map(str, flattened(failures))
    return report


@frozen
class _Run:
    plan: Plan
    trial: Trial
    report: Report

    async def run(self) -> None:
        await self._admit_all()
        await self._restart()
        await self._look_again()
        for pod in self.plan.pods:
            self.trial.remove(pod)
        self.trial.prefix = "after the restart: "
        await self.trial.settle()
        await self._admit_all()

    async def _admit_all(self) -> None:
        this = Round()
        self.report.rounds.append(this)
        trial, setup = self.trial, self.plan.setup
        for pod in self.plan.pods:
            before = room_of(trial.kubelet.node)
            verdict = await trial.create(pod)
            this.judged.append(judge(setup, trial.ideal.resources, verdict, before))
        if self.plan.expected is not None:
            unmet = self.plan.expected.unmet(this.judged, setup.offer.domain)
            self.report.unmet += [each for each in unmet if each not in self.report.unmet]
        for resource in self.trial.ideal.resources:
            this.allocatable[resource.name] = self.trial.kubelet.allocatable(resource.name)
        counts = Counter(verdict.reason or "running" for verdict in this.verdicts)
        self.trial.tell("pods: " + ", ".join(f"{count} {what}" for what, count in counts.items()))

    async def _restart(self) -> None:
        hold, trial = self.plan.hold_agent, self.trial
        trial.observer.waiting("kubelet to come back")
        await trial.kubelet.stop()
        if hold is not None and trial.agent is not None:
            os.kill(trial.agent, signal.SIGSTOP)
            trial.tell("the agent is held back")
        await trio.sleep(KUBELET_DOWN)
        await trial.kubelet.start()
        listening = trio.current_time()
        if hold is not None and trial.agent is not None:
            await trio.sleep(hold)
            os.kill(trial.agent, signal.SIGCONT)
            trial.tell("the agent goes on")
        await trial.wait_for_resources("the agent to register its resources")
        self.report.recovery_seconds = trio.current_time() - listening
        trial.tell("all slots are allocatable again")

    async def _look_again(self) -> None:
        """Wait until kubelet has admitted the running pods again, or killed them."""
        trial = self.trial
        trial.observer.waiting("kubelet to admit the running pods again")
        expected = await trial.ideal.admit_again()
        self.report.again = tuple(await trial.kubelet.admitted_again())
        refused = {verdict.pod.uid for verdict in expected if not verdict.admitted}
        for verdict in self.report.again:
            name = verdict.pod.name
            if not verdict.admitted and verdict.pod.uid not in refused:
                trial.ideal.remove(verdict.pod)
                trial.complain(
                    f"{name} ran when kubelet was restarted, and was killed with"
                    f" {verdict.reason}: {verdict.message}"
                )
            elif lasting(verdict) != self._lasting_before(verdict):
                trial.complain(f"{name} did not keep what it had over the restart")
        survivors = sum(verdict.admitted for verdict in self.report.again)
        trial.tell(f"{survivors} of the {len(self.report.again)} pods that ran go on running")
        trial.trust_kubelet()
        await trial.settle()

    def _lasting_before(self, verdict: Verdict) -> Mapping[str, object]:
        first = self.report.rounds[0].verdicts
        (before,) = (each for each in first if each.pod.uid == verdict.pod.uid)
        return lasting(before) if verdict.admitted else {}
