"""Runs what `numa-trio simulate` is to do until it is done, or until a signal ends it."""

import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from attrs import frozen

from numa_trio.simulator.reboot import (
    BEFORE_LOG,
    Deployment,
    RebootStory,
    play_reboot,
)
from numa_trio.simulator.reboot_report import print_reboot, reboot_as_object
from numa_trio.simulator.record import Observer
from numa_trio.simulator.report import as_object, print_report
from numa_trio.simulator.scenario_report import print_scenario, scenario_as_object
from numa_trio.simulator.scenario_run import play
from numa_trio.simulator.scenarios import Scenario
from numa_trio.simulator.simulation import Plan, simulate
from numa_trio.simulator.trial import AGENT_LOG, Setup
from numa_trio.simulator.wired import WiredStory, play_wired
from numa_trio.simulator.wired_report import print_wired, wired_as_object

if TYPE_CHECKING:
    from rich.console import Console


@frozen
class Result:
    """What came of it: what was not as it should be, and the report for programs and people.

    `problems` are the agent's, `unmet` says in what pods are not as expected of them. `logs` are
    the agents', each by what it is.
    """

    problems: Sequence[str]
    unmet: Sequence[str]
    as_object: Callable[[], dict[str, object]]
    show: Callable[["Console"], None]
    logs: Mapping[str, Path]


@frozen
class Job:
    """What is to be done, and with which machine, kubelet and agent."""

    setup: Setup
    plan: Plan | Scenario | WiredStory | RebootStory

    @property
    def setups(self) -> dict[str, Setup]:
        """What each folder of the directory is for; one without a name is the directory itself."""
        if isinstance(self.plan, WiredStory):
            return {server.name: server.setup for server in self.plan.servers}
        if isinstance(self.plan, RebootStory):
            return {each.slug: self.setup for each in Deployment}
        return {"": self.setup}

    async def run(self, directory: Path, observer: Observer) -> Result:
        """Do it, in an empty directory."""
        plan, setup = self.plan, self.setup
        logs = {"The agent's log": directory / AGENT_LOG}
        if isinstance(plan, WiredStory):
            return await _run_wired(plan, directory, observer)
        if isinstance(plan, RebootStory):
            return await _run_reboot(plan, directory, observer)
        if isinstance(plan, Scenario):
            outcome = await play(plan, setup, directory, observer)
            return Result(
                outcome.problems,
                (),
                partial(scenario_as_object, plan, setup, outcome),
                partial(print_scenario, plan, setup, outcome),
                logs,
            )
        report = await simulate(plan, directory, observer)
        return Result(
            report.problems,
            report.unmet,
            partial(as_object, plan, report),
            partial(print_report, plan, report),
            logs,
        )


async def _run_wired(story: WiredStory, directory: Path, observer: Observer) -> Result:
    reports = await play_wired(story, directory, observer)
    return Result(
        [problem for report in reports for problem in report.problems],
        (),
        partial(wired_as_object, story, reports),
        partial(print_wired, story, reports),
        {
            f"The agent's log on {server.name}": directory / server.name / AGENT_LOG
            for server in story.servers
        },
    )


async def _run_reboot(story: RebootStory, directory: Path, observer: Observer) -> Result:
    reports = await play_reboot(story, directory, observer)
    return Result(
        [problem for report in reports.values() for problem in report.problems],
        [line for report in reports.values() for line in report.unmet],
        partial(reboot_as_object, story, reports),
        partial(print_reboot, story, reports),
        {
            f"The agent's log as a {each}{when}": directory / each.slug / name
            for each in Deployment
            for when, name in ((", before the reboot", BEFORE_LOG), ("", AGENT_LOG))
        },
    )


async def run_job(job: Job, directory: Path, observer: Observer) -> Result | signal.Signals:
    """The result, or the signal that said to leave off."""
    outcome: Result | signal.Signals | None = None

    async def leave_off() -> None:
        nonlocal outcome
        async for number in signals:
            outcome = signal.Signals(number)
            nursery.cancel_scope.cancel()

    # Under nohup the end of the terminal is to be ignored.
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    hangup = () if ignored else (signal.SIGHUP,)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, *hangup) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave_off)
            outcome = await job.run(directory, observer)
            nursery.cancel_scope.cancel()
    assert outcome is not None
    return outcome
