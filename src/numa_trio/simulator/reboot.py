"""The same server rebooted twice: with the agent as a DaemonSet, and as a service of the host.

As a service the agent is started before kubelet, which systemd starts once the agent is ready. As
a DaemonSet it is a pod, whose container runs some time after kubelet has admitted all pods.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path

import trio
from attrs import define, evolve, field, frozen

from numa_trio.exception_groups import flattened
from numa_trio.simulator.admission import Verdict
from numa_trio.simulator.agent_child import AgentFailed
from numa_trio.simulator.expectation import differences, lasting
from numa_trio.simulator.kubelet_config import KubeletWillNotStart
from numa_trio.simulator.readiness import open_readiness
from numa_trio.simulator.record import Named, Observer, Record
from numa_trio.simulator.trial import Setup, TookTooLong, Trial, limited, open_server
from numa_trio.workloads.pod import Pod
from numa_trio.workloads.rules import asks_for

BEFORE_LOG = "agent-before.log"  # that of the agent before the reboot
DAEMONSET_DELAY = 3.0  # seconds; what a sandbox, an image on the disk and a container take at best

_NOTIFY = "notify"


class Deployment(StrEnum):
    """How the agent is run."""

    DAEMONSET = "DaemonSet"
    HOST_SERVICE = "Host service"

    @property
    def slug(self) -> str:
        """Its name for programs and folders."""
        return self.name.lower().replace("_", "-")


@frozen
class RebootStory:
    """Which `pods` are on the server that is rebooted, in the order of their creation.

    As a DaemonSet the agent is started `delay` seconds after kubelet has admitted the pods.
    """

    setup: Setup
    pods: tuple[Pod, ...]
    delay: float = DAEMONSET_DELAY


@define
class Boot:
    """When things happened, in seconds since the server began to boot; None: never."""

    agent_started: float | None = None
    listening: float | None = None  # kubelet, on its new kubelet.sock
    registered: float | None = None  # all resources of the agent
    admitted: float | None = None  # or refused: all pods


@define
class Fate:
    """What became of a pod.

    `before` is the verdict on it before the reboot, `after` the one after it; None if it did not
    run before. If it was refused and has a controller, `successor` is the verdict on the pod that
    this made in its place.
    """

    before: Verdict
    after: Verdict | None = None
    restarts: int = 0
    successor: Verdict | None = None

    @property
    def pod(self) -> Pod:
        """The pod."""
        return self.before.pod


@define
class RebootReport(Record):
    """What came of one reboot. `unmet` says why nothing follows from it; a sentence each."""

    fates: list[Fate] = field(factory=list)
    boot: Boot = field(factory=Boot)
    unmet: list[str] = field(factory=list)


async def play_reboot(
    story: RebootStory, directory: Path, observer: Observer
) -> dict[Deployment, RebootReport]:
    """Run one after the other, each in a folder of its name in an empty directory."""
    start = trio.current_time()
    reports = {}
    for deployment in Deployment:
        folder = directory / deployment.slug
        folder.mkdir()
        named = Named(deployment, observer, after=trio.current_time() - start)
        report = await _play(story, deployment, folder, named)
        report.problems = [f"{deployment}: {problem}" for problem in report.problems]
        reports[deployment] = report
    return reports


async def _play(
    story: RebootStory, deployment: Deployment, directory: Path, observer: Observer
) -> RebootReport:
    report = RebootReport()
    try:
        async with open_server(story.setup, directory, observer, report, on_disk=True) as trial:
            run = _Run(story, deployment, trial, report)
            await run.until_it_goes_down()
            await run.boot()
    except* (AgentFailed, KubeletWillNotStart, TookTooLong) as failures:
        report.problems += map(str, flattened(failures))
    return report


@define(eq=False)
class _Run:
    story: RebootStory
    deployment: Deployment
    trial: Trial
    report: RebootReport
    _booted: float = 0.0

    async def until_it_goes_down(self) -> None:
        """Have kubelet admit the pods, then end it, all containers and the agent."""
        trial = self.trial
        await trial.start_kubelet()
        async with trial.run_agent(BEFORE_LOG):
            await trial.wait_for_resources("the agent to register its resources")
            for pod in self.story.pods:
                self.report.fates.append(Fate(await trial.create(pod)))
            await trial.kubelet.reboot()
        running = [fate for fate in self.report.fates if fate.before.admitted]
        trial.tell(f"the server reboots, with {len(running)} pods")
        domain = self.story.setup.offer.domain
        if not any(asks_for(each, domain) for fate in running for each in fate.pod.containers):
            self.report.unmet.append(
                f"no pod that asks for a resource of {domain}/ ran before the reboot"
            )

    async def boot(self) -> None:
        """Start kubelet and the agent, in the order that the deployment makes for."""
        self._booted = trio.current_time()
        if self.deployment is Deployment.HOST_SERVICE:
            async with self._agent_that_is_ready():
                await self._start_kubelet()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._note_registration)
                    nursery.start_soon(self._note_admission)
                await self._look_back()
        else:
            await self._start_kubelet()
            await self._note_admission()
            self.trial.observer.waiting("the container of the DaemonSet's pod to be started")
            await trio.sleep(self.story.delay)
            async with self._agent():
                await self._note_registration()
                await self._look_back()

    @asynccontextmanager
    async def _agent(self, **variables: str) -> AsyncIterator[None]:
        async with self.trial.run_agent(**variables):
            self.report.boot.agent_started = self._now()
            yield

    @asynccontextmanager
    async def _agent_that_is_ready(self) -> AsyncIterator[None]:
        with open_readiness(self.trial.directory / _NOTIFY) as readiness:
            async with self._agent(**readiness.variables):
                self.trial.observer.waiting("the agent to be ready")
                with limited("the agent did not say that it is ready"):
                    await readiness.wait()
                self.trial.tell("the agent is ready: systemd starts kubelet")
                yield

    async def _start_kubelet(self) -> None:
        await self.trial.kubelet.start()
        self.report.boot.listening = self._now()

    async def _note_registration(self) -> None:
        names = [each.name for each in self.trial.ideal.resources if each.capacity]
        kubelet = self.trial.kubelet
        with limited("the agent did not register all resources"):
            await kubelet.wait_until(lambda: all(kubelet.capacity(name) for name in names))
        self.report.boot.registered = self._now()
        self.trial.tell("all resources are registered")

    async def _note_admission(self) -> None:
        """Wait until kubelet has looked at the pods, and compare with what it should say."""
        trial = self.trial
        trial.observer.waiting("kubelet to admit the pods anew")
        verdicts = await trial.kubelet.admitted_again()
        self.report.boot.admitted = self._now()
        in_time = self.deployment is Deployment.HOST_SERVICE
        expected = {each.pod.uid: each for each in await trial.ideal.reboot(in_time=in_time)}
        self._note_verdicts(verdicts)
        for verdict in verdicts:
            planned = expected.get(verdict.pod.uid)
            if planned is None:
                continue  # it should not have run before: that is a problem already
            trial.complain(*differences(planned, verdict))
            if planned.admitted is not verdict.admitted:
                trial.diverged()
                trial.ideal.remove(verdict.pod)
        refused = sum(not verdict.admitted for verdict in verdicts)
        trial.tell(f"pods: {len(verdicts) - refused} admitted anew, {refused} refused")

    def _note_verdicts(self, verdicts: Sequence[Verdict]) -> None:
        by_uid = {verdict.pod.uid: verdict for verdict in verdicts}
        for fate in self.report.fates:
            fate.after = by_uid.get(fate.pod.uid)
            fate.restarts = self.trial.kubelet.node.restarts[fate.pod.uid]
            if fate.after and fate.after.admitted and lasting(fate.after) != lasting(fate.before):
                self.trial.complain(f"{fate.pod.name} did not keep what it had over the reboot")

    async def _look_back(self) -> None:
        """Once the agent is there: controllers have made other pods for those that were refused."""
        self.trial.trust_kubelet()
        await self.trial.settle()
        for fate in self.report.fates:
            if fate.after and not fate.after.admitted and _has_controller(fate.pod):
                successor = evolve(fate.pod, uid=f"{fate.pod.uid}-anew")
                fate.successor = await self.trial.create(successor)
                outcome = "runs" if fate.successor.admitted else "does not run"
                self.trial.tell(f"{fate.pod.name} was made anew, and {outcome}")

    def _now(self) -> float:
        return trio.current_time() - self._booted


def _has_controller(pod: Pod) -> bool:
    """Whether something makes the pod anew: it is called `deployment/web` then."""
    return "/" in pod.name
