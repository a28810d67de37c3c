"""What has happened since the agent started: each count with what it counts."""

from collections.abc import Iterator

from numa_trio.agent.counts import Ending, Outcome
from numa_trio.agent.monitor.observation import CountingSeen, Observation
from numa_trio.agent.monitor.page.durations import format_duration
from numa_trio.agent.monitor.page.facts import explained
from numa_trio.agent.monitor.page.markup import Markup, element


def history_section(observed: Observation) -> Markup:
    """The counts since the start, and how the agent looks at kubelet."""
    started = observed.counts.started
    return element(
        "section",
        element("h2", "Since the start"),
        element(
            "p",
            "The agent started ",
            element("time", started.rfc3339, datetime=started.rfc3339),
            f", {format_duration(observed.now.seconds_since(started))} ago.",
            class_="meaning",
        ),
        element("dl", *_facts(observed)),
        id="history",
        class_="panel",
    )


def _facts(observed: Observation) -> Iterator[Markup]:
    counts = [one.counts for one in observed.resources]
    yield explained(
        "Kubelet sockets seen",
        str(observed.counts.kubelet_generations),
        "How many times a kubelet.sock appeared: 1, and 1 more for each restart of kubelet.",
    )
    outcomes = {each: sum(one.registrations[each] for one in counts) for each in Outcome}
    yield explained(
        "Registrations",
        ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()),
        "How often the agent asked kubelet to register a resource, once for each resource and"
        " restart of kubelet if all goes well: accepted, refused with an error, or kubelet"
        " unavailable.",
    )
    endings = {each: sum(one.reregistrations[each] for one in counts) for each in Ending}
    reasons = (f"{count} {each.replace('_', ' ')}" for each, count in endings.items() if count)
    yield explained(
        "Registered again after",
        ", ".join(reasons) or "nothing",
        "How many of the accepted registrations were not the first of their resource, by the end"
        " of the one before. A new generation is a restart of kubelet.",
    )
    watch = "by polling: the kernel grants no inotify watch" if observed.polling else "by inotify"
    yield explained(
        "Watching",
        f"{observed.kubelet_socket}, {watch}",
        "Where kubelet's socket is expected, and how the agent learns that it changed.",
    )
    if observed.counting:
        yield _counting(observed, observed.counting)


def _counting(observed: Observation, counting: CountingSeen) -> Markup:
    looks = ", ".join(f"{count} {outcome}" for outcome, count in counting.looks.items())
    return explained(
        "Counting",
        f"{counting.socket}: kubelet {last_answer(counting, observed)}; {looks}",
        "The questions to kubelet's pod-resources API: answered; incomplete, as kubelet had just"
        " started; failed.",
    )


def last_answer(counting: CountingSeen, observed: Observation) -> str:
    """How long ago kubelet's last good answer was, in words that follow `kubelet`."""
    if counting.answered is None:
        return "has not answered yet"
    return f"last answered {format_duration(observed.now.seconds_since(counting.answered))} ago"
