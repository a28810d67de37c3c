"""What two reboots came to: a table with a column for each deployment, one object for programs.

docs/simulate.md has the fields of the object.
"""

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.text import Text

from numa_trio.layout import print_lines, print_table
from numa_trio.simulator.admission import UNSCHEDULABLE, Verdict
from numa_trio.simulator.pods_text import nodes_of_cpus
from numa_trio.simulator.reboot import Boot, Deployment, Fate, RebootReport, RebootStory
from numa_trio.simulator.report import pod_of, print_advice, print_problems, settings_of
from numa_trio.simulator.scenario_report import STYLES
from numa_trio.simulator.scenario_run import Phase
from numa_trio.topology.lists import format_list
from numa_trio.workloads.pod import Pod
from numa_trio.workloads.rules import asks_for

Reports = Mapping[Deployment, RebootReport]

_AFTER_BOOT = "Seconds after the server began to boot"


def print_reboot(story: RebootStory, reports: Reports, console: Console) -> None:
    """What became of each pod and when, why, and what was not as it should be."""
    title = (
        f"The server {story.setup.machine.name} is rebooted, with the agent deployed in two ways."
    )
    print_lines(console, title, "", style="bold")
    print_table(console, ("Pod", "Asks for", *Deployment), list(_pods(story, reports)), padding=2)
    console.print()
    print_table(
        console,
        (_AFTER_BOOT, *Deployment),
        [(what, *cells) for what, *cells in _moments(reports)],
        padding=2,
        right=set(Deployment),
    )
    console.print()
    print_lines(console, *_refusals(reports), *_reasons(story, reports))
    print_advice(story.setup, console)
    for report in reports.values():
        print_problems(report, console)
    unmet = _unmet(reports)
    for line in unmet:
        print_lines(console, f"Not as expected: {line}.", style="red")
    if not unmet and not any(report.problems for report in reports.values()):
        print_lines(console, "A real server does the same.", style="green")


def reboot_as_object(story: RebootStory, reports: Reports) -> dict[str, object]:
    """The reports in types that JSON has."""
    problems = [problem for report in reports.values() for problem in report.problems]
    return {
        "reboot": True,
        "ok": not problems and not _unmet(reports),
        "problems": problems,
        "unmet": _unmet(reports),
        "admit_again": story.setup.admit_again,
        "daemonset_delay": story.delay,
        "deployments": [
            {
                "deployment": deployment.slug,
                **settings_of(story.setup, report),
                "boot": {name: _rounded(at) for name, at in _times(report.boot).items()},
                "pods": [_fate(story, fate) for fate in report.fates],
            }
            for deployment, report in reports.items()
        ],
    }


def _fate(story: RebootStory, fate: Fate) -> dict[str, object]:
    def stage(verdict: Verdict | None) -> dict[str, object] | None:
        if verdict is None:
            return None
        return {"phase": _phase(verdict), **pod_of(story.setup.machine, verdict)}

    return {
        "name": fate.pod.name,
        "namespace": fate.pod.namespace,
        "asks_for": _asked(story, fate.pod),
        "restarts": fate.restarts,
        "before": stage(fate.before),
        "after": stage(fate.after),
        "successor": stage(fate.successor),
    }


def _times(boot: Boot) -> dict[str, float | None]:
    return {
        "agent_started": boot.agent_started,
        "listening": boot.listening,
        "registered": boot.registered,
        "admitted": boot.admitted,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _unmet(reports: Reports) -> list[str]:
    return list(dict.fromkeys(line for report in reports.values() for line in report.unmet))


def _pods(story: RebootStory, reports: Reports) -> Iterator[tuple[str | Text, ...]]:
    for pod in story.pods:
        fates = (
            next((fate for fate in report.fates if fate.pod.uid == pod.uid), None)
            for report in reports.values()
        )
        asked = dict.fromkeys(
            name.partition("/")[2] for names in _asked(story, pod).values() for name in names
        )
        yield pod.name, ", ".join(asked), *(_cell(story, fate) for fate in fates)


def _asked(story: RebootStory, pod: Pod) -> dict[str, tuple[str, ...]]:
    """The resources that containers ask a node by, of those that do."""
    domain = story.setup.offer.domain
    return {each.name: names for each in pod.containers if (names := asks_for(each, domain))}


def _cell(story: RebootStory, fate: Fate | None) -> Text:
    if fate is None:
        return Text("")
    if fate.after is None:
        phase = _phase(fate.before)
        return Text(f"{phase} before the reboot", style=STYLES.get(phase, ""))
    phase = _phase(fate.after)
    words = _running(story, fate.after, fate.restarts) if fate.after.admitted else f"{phase}"
    if fate.successor:
        words += f", made anew: {_running(story, fate.successor, 0)}"
    elif not fate.after.admitted:
        words += " for good"
    return Text(words, style=STYLES.get(phase, ""))


def _running(story: RebootStory, verdict: Verdict, restarts: int) -> str:
    words: str = _phase(verdict)
    nodes = {
        node
        for placement in verdict.placements
        if placement.exclusive
        for node in nodes_of_cpus(story.setup.machine, placement)
    }
    if nodes:
        words += f" on node {format_list(nodes)}"
    if restarts:
        words += f", {restarts} restart" + ("s" if restarts > 1 else "")
    return words


def _phase(verdict: Verdict) -> Phase:
    if verdict.admitted:
        return Phase.RUNNING
    return Phase.PENDING if verdict.reason == UNSCHEDULABLE else Phase.FAILED


def _moments(reports: Reports) -> Iterator[tuple[str, ...]]:
    words = {
        "agent_started": "the agent is started",
        "listening": "kubelet.sock is there",
        "registered": "all resources are registered",
        "admitted": "kubelet has admitted or refused the pods",
    }
    times = [_times(report.boot) for report in reports.values()]
    for name, what in words.items():
        seconds = (each[name] for each in times)
        yield what, *("never" if at is None else f"{at:.2f}" for at in seconds)


def _refusals(reports: Reports) -> Iterator[str]:
    """What kubelet said of the pods that it refused after the reboot, each time it is new."""
    refused: dict[str, list[str]] = {}
    for deployment, report in reports.items():
        for fate in report.fates:
            if fate.after and not fate.after.admitted:
                why = f"({deployment}): {fate.after.reason}: {fate.after.message}"
                refused.setdefault(why, []).append(fate.pod.name)
    for why, names in refused.items():
        yield f"{', '.join(names)} {why}"


def _reasons(story: RebootStory, reports: Reports) -> Iterator[str]:
    yield (
        "As a DaemonSet the agent is a pod too: kubelet admits it with the others, and its"
        f" container runs some time later (here {story.delay:g} s), when they have been refused."
    )
    boot = reports[Deployment.HOST_SERVICE].boot
    if boot.registered is not None and boot.admitted is not None:
        ahead = boot.admitted - boot.registered
        yield "As a service of the host it is there before kubelet: " + (
            f"here it had registered {ahead:.2f} s before kubelet came to the pods."
            if ahead > 0
            else f"but here kubelet came to the pods {-ahead:.2f} s before it had registered."
        )
