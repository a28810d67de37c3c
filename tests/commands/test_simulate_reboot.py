"""`numa-trio simulate --reboot`: the real agent, started after kubelet and before it."""

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from numa_trio.cli import main
from numa_trio.commands.simulate_options import add_arguments
from numa_trio.commands.simulate_plan import read_setup

PAGE = (Path(__file__).parents[2] / "docs/simulate.md").read_text()
SHOWN = re.search(r"```sh\nnuma-trio simulate --reboot\n```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
REFUSED = (
    "Pod was rejected: Allocate failed due to no healthy devices present; cannot allocate"
    " unhealthy devices numa-align/numa-1, which is unexpected"
)
SOON = ("--daemonset-delay", "0")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("NUMA_")]:
        monkeypatch.delenv(name)


def reboot(*arguments: str | Path) -> int:
    return main(["simulate", "--reboot", *map(str, arguments)])


def pods_file(folder: Path, *names: str, kind: str = "Pod", **limits: Any) -> Path:
    """Pods with one CPU each, or controllers, with these limits besides."""
    app = {"name": "app", "resources": {"limits": {"cpu": 1, "memory": "128Mi", **limits}}}
    spec: dict[str, Any] = {"containers": [app]}
    if kind != "Pod":
        spec = {"template": {"spec": spec}}
    version = {"Pod": "v1", "Deployment": "apps/v1"}[kind]
    path = folder / f"{'-'.join(names)}.json"
    items = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}
        for name in names
    ]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return path


def on(*nodes: int) -> dict[str, int]:
    return {f"numa-align/numa-{node}": 1 for node in nodes}


def timeless(text: str) -> list[str]:
    """The lines without what differs from run to run."""
    return [re.sub(r" *\d+\.\d\d\b", " …", line.rstrip()) for line in text.splitlines()]


def test_page_shows_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/simulate.md has what comes of a reboot, but for the moments; the status is 0."""
    assert SHOWN

    assert reboot(*SOON) == 0

    seen = capsys.readouterr()
    assert timeless(seen.out) == timeless(SHOWN[1].replace("(here 3 s)", "(here 0 s)"))
    told = [re.sub(r"^ *\d+\.\d\d s  ", "", line) for line in seen.err.splitlines()]
    service = [line.partition(": ")[2] for line in told if line.startswith("Host service: ")]
    down = service.index("the server reboots, with 4 pods")
    order = [
        next(n for n, line in enumerate(service) if n > down and re.search(pattern, line))
        for pattern in (
            "the agent was started",
            "the agent is ready: systemd starts kubelet",
            "kubelet listens",
            "all resources are registered",
            "pods: 4 admitted anew, 0 refused",
        )
    ]
    assert order == sorted(order)


def test_agent_that_registers_too_late(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a service of the host, too, it would lose pods then, which is its fault: status 1."""
    bare = pods_file(tmp_path, "bare", **on(1))
    two_nodes = pods_file(tmp_path, "two-nodes", **on(0, 1))
    gpu = pods_file(tmp_path, "gpu", **{"nvidia.com/gpu": 1}, **on(1))
    web = pods_file(tmp_path, "web", kind="Deployment", **on(1))

    status = reboot(
        *("--pod", bare, two_nodes, gpu, web, "--admit-again", "0", *SOON, "--output", "json")
    )

    document = json.loads(capsys.readouterr().out)
    assert (status, document["ok"], document["unmet"]) == (1, False, [])
    assert document["problems"] == [
        f"Host service: {name}: expected that it runs, but it is refused with"
        f" UnexpectedAdmissionError: {REFUSED}"
        for name in ("bare", "deployment/web")
    ]
    assert (document["admit_again"], document["daemonset_delay"]) == (0.0, 0.0)
    kinds = [each["deployment"] for each in document["deployments"]]
    assert kinds == ["daemonset", "host-service"]
    for deployment in document["deployments"]:
        boot = deployment["boot"]
        assert boot["listening"] <= boot["admitted"] <= boot["registered"]
        assert (boot["agent_started"] < boot["listening"]) == (
            deployment["deployment"] == "host-service"
        )
        first, never, pending, replaced = deployment["pods"]
        assert first["asks_for"] == {"app": ["numa-align/numa-1"]}
        assert (first["before"]["phase"], first["restarts"]) == ("Running", 0)
        assert first["after"]["phase"] == "Failed"
        assert (first["after"]["message"], first["successor"]) == (REFUSED, None)
        assert (never["before"]["phase"], never["after"]) == ("Failed", None)
        assert (pending["before"]["phase"], pending["after"]) == ("Pending", None)
        assert replaced["after"]["message"] == REFUSED
        assert replaced["successor"]["phase"] == "Running"
        assert replaced["successor"]["containers"][0]["numa_nodes"] == [1]


def test_pods_that_ask_for_nothing_show_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Perhaps the resource is misspelt: status 1, although all of them run on."""
    pods = pods_file(tmp_path, "plain", **{"numa-aligned/numa-1": 0})

    assert reboot("--pod", pods, "--admit-again", "0", *SOON) == 1

    out = capsys.readouterr().out
    assert re.search(
        r"^plain +Running on node 0, 1 restart +Running on node 0, 1 rest", out, re.MULTILINE
    )
    told = (
        r"here it had registered [\d.]+ s before kubelet|but here kubelet came to the pods [\d.]+ s"
    )
    assert re.search(rf"it is there before kubelet: ({told})", out)
    assert out.endswith(
        "Not as expected: no pod that asks for a resource of numa-align/ ran before the reboot.\n"
    )


def test_systemd_does_not_hear_of_a_simulated_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it started the simulation, its socket is not the agents'."""
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.setenv(name, "1")
    parser = argparse.ArgumentParser()
    add_arguments(parser)

    variables = read_setup(parser.parse_args(["--reboot"])).variables

    assert not variables.keys() & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--reboot", "--scenario", "wired"], "--scenario has no meaning for a reboot"),
        (["--reboot", "--hold-agent", "0"], "--hold-agent has no meaning for a reboot"),
        (["--reboot", "--expect", "refused"], "--expect has no meaning for a reboot"),
        (["--daemonset-delay", "1"], "--daemonset-delay is about a reboot: give --reboot too"),
        (["--reboot", "--machine", "two-by-two", "--reserved-cpus", "3"], "has two CPUs that"),
    ],
)
def test_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What does not go together is refused before anything is started."""
    assert main(["simulate", *arguments]) == 2
    assert message in capsys.readouterr().err
