"""`numa-trio simulate`: the real agent as a child process, beside the kubelet stand-in."""

import json
import os
import re
import select
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from numa_trio.cli import main
from numa_trio.simulator import agent_child, trial
from numa_trio.simulator.machine_file import shipped_machines

PYTHON = sys.executable
PAGE = (Path(__file__).parents[2] / "docs/simulate.md").read_text()
MISTAKES = re.search(r"two mistakes.*?```yaml\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = Path(__file__).parents[2] / "examples"
PINNED_POD = ["--pod", EXAMPLES / "pinned-pod.yaml"]

# The machine and the pods whose verdicts were seen with a real kubelet 1.36.
SMALL_MACHINE = """
nodes:
  - {id: 0, cpus: 0-1, memory: 4Gi}
  - {id: 1, cpus: 2-3, memory: 4Gi}
"""
PINNED = {"cpu": 1, "memory": "128Mi"}


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("NUMA_")]:
        monkeypatch.delenv(name)


def manifest(name: str, *containers: dict[str, Any], init: dict[str, Any] | None = None) -> str:
    def spell(name: str, limits: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "resources": {"limits": limits}}

    spec = {
        "initContainers": [spell("init", init)] if init else [],
        "containers": [spell(f"app-{n}", limits) for n, limits in enumerate(containers)],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    return json.dumps(pod)


def on(*nodes: int, **limits: Any) -> dict[str, Any]:
    return PINNED | limits | {f"numa-align/numa-{node}": 1 for node in nodes}


def simulate(*arguments: str | Path) -> int:
    """With a kubelet that looks at running pods sooner than most, so that the tests are short."""
    return main(["simulate", "--admit-again", "0.5", *map(str, arguments)])


# On a busy machine the agent may need longer than that to be back; init containers depend on it.
PATIENT = ("--admit-again", "4")


def as_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def recorded() -> list[tuple[str, str]]:
    """The lines of the recording in the documentation, each with the class that delays it."""
    picture = Path(__file__).parents[2] / "docs/pictures/simulate.svg"
    lines = ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")
    return [(line.attrib["class"], "".join(line.itertext())) for line in lines]


def happened(timeline: str) -> list[str]:
    """What happened, whenever that was and in whichever process."""
    events = re.findall(r"^ *\d+\.\d\d s  (.*)$", timeline, re.MULTILINE)
    return [re.sub(r"process \d+", "process", event) for event in events]


def words(text: str) -> list[str]:
    return [word for word in text.split() if not word.startswith("─")]


def test_built_in_pods_come_out_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Without options there is a timeline with a kubelet restart, a table, and status 0."""
    assert simulate(*PATIENT) == 0

    out = capsys.readouterr().out
    assert re.search(r"\d\.\d\d s  kubelet was killed", out)
    assert out.count("numa-align/numa-1: 100 of 100 devices healthy") == 2
    assert "Machine two-node-server, topology manager policy single-numa-node, scope con" in out
    for row in (
        r"pinned +app +numa-0 +pinned +0 +\S+ +0 +NUMA_NODE=0",
        r"with-init +init \(init\) +numa-0 +pinned +0 .* NUMA_NODE=0",
        r"near-the-data +app +near-data +pinned +1 .* NUMA_NODE=1",
        r"half-a-cpu +app +numa-1 +unpinned +any +shared +1 +NUMA_NODE=1",
        r"init-elsewhere +numa-1 +refused",
        "init-elsewhere: refused: TopologyAffinityError: Pod was rejected: .*",
    ):
        assert re.search(f"^{row} *$", out, re.MULTILINE)
    assert "half-a-cpu: unpinned\n  NA002: CPU is not a whole number in app. " in out
    assert "Each of the 10 pods came out as on a real cluster." in out
    # The recording says the same, in a narrower window and at other moments.
    (_, prompt), *lines = recorded()
    assert prompt == "$ numa-trio simulate"
    ours, theirs = (
        text.partition("Machine two-node-server") for text in (out, "\n".join(t for _, t in lines))
    )
    assert sorted(happened(theirs[0])) == sorted(happened(ours[0]))
    assert words(theirs[2]) == words(ours[2])


def test_verdicts_of_a_real_kubelet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the real agent, too, pods that need no other come out as a real kubelet had them."""
    machine = tmp_path / "small.yaml"
    machine.write_text(SMALL_MACHINE)
    pods = tmp_path / "pods.yaml"
    pods.write_text(
        "\n---\n".join(
            [
                manifest("both-nodes", on(0, 1)),
                manifest("wrong-init", on(1), init=PINNED),
                manifest("too-many", on(1, cpu=3)),
                manifest("part", on(0, cpu="500m")),
                manifest("init", on(1), init=on(1)),
            ]
        )
    )

    refusals = [f"--expect={name}=refused" for name in ("both-nodes", "wrong-init", "too-many")]
    expected = [*refusals, "--expect", "part=unpinned"]
    assert simulate("--machine", machine, "--pod", pods, *expected, "--output", "json") == 0

    document = as_json(capsys)
    assert (document["ok"], document["unmet"]) == (True, [])
    assert document["recovery_seconds"] > 0
    first, second = document["rounds"]
    assert (first["kubelet"], second["kubelet"]) == (1, 2)
    assert first["pods"] == second["pods"]
    refused = {pod["name"]: pod["reason"] for pod in first["pods"] if not pod["admitted"]}
    assert refused == dict.fromkeys(
        ["both-nodes", "wrong-init", "too-many"], "TopologyAffinityError"
    )
    part, init = (pod for pod in first["pods"] if pod["admitted"])
    assert (part["outcome"], part["expected"]) == ("unpinned", "unpinned")
    assert part["asks_for"] == {"app-0": ["numa-align/numa-0"]}
    assert [finding["code"] for finding in part["findings"]] == ["NA002"]
    assert (init["outcome"], init["expected"], init["findings"]) == ("pinned", "pinned", [])
    assert part["containers"] == [
        {
            "name": "app-0",
            "kind": "app",
            "cpus": "0-3",
            "exclusive": False,
            "numa_nodes": [0, 1],
            "memory_nodes": [0],
            "memory_bound": True,
            "devices": {"numa-align/numa-0": ["numa-0-0"]},
            "environment": {"NUMA_NODE": "0"},
        }
    ]
    assert [(c["kind"], c["cpus"], c["devices"]) for c in init["containers"]] == [
        ("init", "2", {"numa-align/numa-1": ["numa-1-0"]}),
        ("app", "2", {"numa-align/numa-1": ["numa-1-0"]}),
    ]


def test_status_1_if_a_pod_is_not_where_it_asked_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under the policy none pods run anywhere: not as expected, but no fault of the agent."""
    pods = tmp_path / "pods.yaml"
    pods.write_text(manifest("far", on(1)))

    assert simulate("--policy", "none", "--pod", pods) == 1

    seen = capsys.readouterr()
    assert "far: unpinned\n  far/app-0 asks for node 1, but its CPUs 32 are elsewhere." in seen.out
    assert "The topology manager policy none does not look at NUMA nodes" in seen.out
    assert "Not as expected: far is unpinned, expected pinned.\n" in seen.out
    assert "Not as it should be" not in seen.out
    assert seen.err == ""


def test_policy_none_is_no_fault_of_the_agent(capsys: pytest.CaptureFixture[str]) -> None:
    """What becomes of the built-in pods is what the policy does, and is said."""
    assert simulate(*PATIENT, "--policy", "none", "--output", "json") == 0

    document = as_json(capsys)
    assert document["advice"].startswith("The topology manager policy none does not look at")
    outcomes = {pod["name"]: pod["outcome"] for pod in document["rounds"][0]["pods"]}
    assert outcomes["on-numa-1"] == outcomes["two-nodes"] == "unpinned"


def test_mistakes_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """docs/simulate.md shows what is said of pods that are not pinned."""
    assert MISTAKES
    pods = tmp_path / "pods.yaml"
    pods.write_text(MISTAKES[1])

    assert simulate("--pod", pods) == 1

    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[lines.index("Pods") - 2 :] == MISTAKES[2].splitlines()


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "type[Agent]":
    Agent.path = tmp_path / "python"
    monkeypatch.setattr(agent_child.sys, "executable", str(Agent.path))
    return Agent


class Agent:
    """Puts another agent in the place of the real one: Python code, run before its own."""

    path: Path

    @classmethod
    def becomes(cls, code: str) -> None:
        cls.path.write_text(f"#!{PYTHON}\n{code}\nfrom numa_trio.cli import main\nmain(['run'])\n")
        cls.path.chmod(cls.path.stat().st_mode | stat.S_IXUSR)


def test_agent_with_the_wrong_variable(
    agent: type[Agent], capsys: pytest.CaptureFixture[str]
) -> None:
    """An agent that answers Allocate with another node is caught by the manifest."""
    agent.becomes(
        "from numa_trio.plugin import resource\n"
        "resource.NumaResource.allocate = lambda self, requests: [\n"
        "    resource.ContainerAllocation({'NUMA_NODE': '0'}) for _ in requests]\n"
    )

    assert simulate() == 1

    out = capsys.readouterr().out
    assert "on-numa-1/app asks for node 1, but NUMA_NODE is 0" in out


def test_agent_with_the_wrong_topology(
    agent: type[Agent], capsys: pytest.CaptureFixture[str]
) -> None:
    """An agent whose slots are on the wrong node makes pods run where they should not."""
    agent.becomes(
        "from numa_trio.plugin import resource\n"
        "resource.NumaResource.devices = lambda self: tuple(\n"
        "    resource.Device(f'{self.local_name}-{n}', True, (0,)) for n in range(self.capacity))\n"
    )

    assert simulate() == 1

    out = capsys.readouterr().out
    assert "init-elsewhere: expected that it is refused" in out
    assert "on-numa-1/app asks for node 1, but its CPUs 1 are elsewhere" in out


def test_agent_that_is_held_back(capsys: pytest.CaptureFixture[str]) -> None:
    """A running pod whose init container has the resource is killed where the agent is too late."""
    assert simulate("--hold-agent", "1", "--output", "json") == 1

    report = as_json(capsys)
    again = {pod["name"]: pod["admitted"] for pod in report["admitted_again"]}
    assert again == {
        "on-numa-0": True,
        "on-numa-1": True,
        "on-near-data": True,
        "with-init": False,
        "near-the-data": False,
        "pinned": True,
        "half-a-cpu": True,
    }
    killed = "ran when kubelet was restarted, and was killed with UnexpectedAdmissionError:"
    for name, problem in zip(("with-init", "near-the-data"), report["problems"], strict=True):
        assert problem.startswith(f"{name} {killed}")
    assert report["recovery_seconds"] >= 1


def test_agent_that_is_held_back_not_too_long(capsys: pytest.CaptureFixture[str]) -> None:
    """Back before kubelet looks at them, it loses no pod."""
    assert simulate(*PATIENT, "--hold-agent", "0.1", "--output", "json") == 0
    assert all(pod["admitted"] for pod in as_json(capsys)["admitted_again"])


def test_options_of_kubelet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reserved CPUs can be named, and policy options be set; kubelet refuses by them."""
    machine, pods = tmp_path / "smt.yaml", tmp_path / "pods.json"
    machine.write_text("threads_per_core: 2\nnodes: [{id: 0, cpus: 0-7, memory: 4Gi}]\n")
    odd, even = manifest("odd", on(0)), manifest("even", on(0, cpu=2))
    pods.write_text(f'{{"apiVersion": "v1", "kind": "List", "items": [{odd}, {even}]}}')
    options = ["--full-pcpus-only", "--prefer-closest-numa-nodes", "--max-allowable-numa-nodes", 9]

    status = simulate(
        *("--machine", machine, "--pod", pods, "--reserved-system-cpus", "3", "--output", "json"),
        *("--expect", "odd=refused"),
        *map(str, options),
    )

    refused, placed = as_json(capsys)["rounds"][0]["pods"]
    assert (status, refused["reason"]) == (0, "SMTAlignmentError")
    assert placed["containers"][0]["cpus"] == "0,4"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--reserved-system-cpus", "0-", "--reserved-system-cpus: "),
        ("--reserved-system-cpus", "64", "CPU 64 is reserved, but two-node-server has only"),
        ("--max-allowable-numa-nodes", "4", "is 4: kubelet allows no less than 8"),
        ("--hold-agent", "31", "'31': expected seconds from 0 to 30"),
        ("--replicas", "0", "'0': expected a whole number from 1 to 1000"),
        ("--replicas", "two", "'two': expected a whole number from 1 to 1000"),
        ("--admit-again", "-1", "'-1': expected seconds from 0 to 30"),
        ("--admit-again", "2s", "'2s': expected seconds from 0 to 30"),
    ],
)
def test_bad_option_of_kubelet(
    option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What kubelet would not take is refused before anything is started."""
    try:
        status = simulate(f"{option}={value}")
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else -1

    assert status == 2
    assert message in capsys.readouterr().err


def test_pod_that_is_pinned(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence at the end says so."""
    assert simulate("--pod", EXAMPLES / "pinned-pod.yaml") == 0

    assert "\nEach pod that asks for a NUMA node is pinned there.\n" in capsys.readouterr().out


def test_agent_that_ends_at_once(agent: type[Agent], capsys: pytest.CaptureFixture[str]) -> None:
    """An agent that does not run is named as the reason, and its output is shown."""
    agent.becomes("import sys; print('no way'); sys.exit(3)")

    assert simulate("--output", "json") == 1

    seen = capsys.readouterr()
    document = json.loads(seen.out)
    assert document["problems"] == ["the agent ended by itself: it exited with status 3"]
    assert (document["ok"], document["rounds"], document["recovery_seconds"]) == (False, [], None)
    assert "no way" in seen.err


def test_agent_that_never_registers(
    agent: type[Agent], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is waited for without limit, and what was awaited is said."""
    monkeypatch.setattr(trial, "WAIT_LIMIT", 0.3)
    agent.becomes("import time; time.sleep(100)")

    assert simulate() == 1

    assert "not all resources were allocatable within 0.3 s" in capsys.readouterr().out


def test_agent_that_does_not_end(
    agent: type[Agent], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An agent that ignores SIGTERM is a problem, and is killed."""
    monkeypatch.setattr(agent_child, "_FAREWELL", 0.3)
    agent.becomes("import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])")

    assert simulate("--pod", EXAMPLES / "pinned-pod.yaml") == 1

    assert "the agent did not end within 0.3 s of SIGTERM" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--machine", "laptop"], "no such machine; expected eight-node-epyc, gpu-memory, sparse"),
        (["--machine", "none.yaml"], "none.yaml: cannot be read: No such file"),
        (["--machine", EXAMPLES / "pinned-pod.yaml"], "apiVersion: unknown; expected threads_per"),
        (["--pod", "none.yaml"], "none.yaml: cannot be read: No such file"),
        (["--pod", shipped_machines()["sparse"]], "found no document of kind Pod"),
        (["--capacity", "0"], "NUMA_CAPACITY='0': expected a whole number from 1"),
        (["--expect", "refused"], "--expect is about pods of your own: give --pod too"),
        (["--scenario", "overfull", "--expect", "refused"], "leave out one of them"),
        ([*PINNED_POD, "--expect", "failed"], "expected pinned, unpinned, running, refused, pend"),
        ([*PINNED_POD, "--expect", "web=pending"], "no pod is called so; expected pinned"),
        (["--reserved-cpus", "65"], "65 CPUs are reserved of the 64"),
    ],
)
def test_bad_input(
    arguments: list[str | Path], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bad file or value is named before anything is started, with status 2."""
    assert simulate(*arguments) == 2

    seen = capsys.readouterr()
    assert (message in seen.err, seen.out) == (True, "")


def test_host_without_sysfs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The machine `host` is what sysfs says, and it is said if that says nothing."""
    monkeypatch.setenv("NUMA_SYSFS_ROOT", str(tmp_path / "none"))

    assert simulate("--machine", "host") == 2

    assert f"sysfs root {tmp_path / 'none'}" in capsys.readouterr().err


def test_temporary_directory_too_deep_for_sockets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A TMPDIR that leaves no room for the names of sockets is named."""
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))

    assert simulate() == 2

    assert "at most 107 fit" in (error := capsys.readouterr().err)
    assert "TMPDIR" in error


def test_help_names_every_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help knows the machines that ship."""
    monkeypatch.setenv("COLUMNS", "400")  # names are not torn apart
    with pytest.raises(SystemExit):
        simulate("--help")

    out = capsys.readouterr().out
    assert all(name in out for name in shipped_machines())


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A directory near the root, since the path of a socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory)


def heed_hangups() -> None:
    """Between fork and exec: also where these tests run under nohup, which has SIGHUP ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interruption_leaves_nothing_behind(short_directory: Path, number: signal.Signals) -> None:
    """A signal ends the agent and removes the temporary directory."""
    with subprocess.Popen(
        [sys.executable, "-m", "numa_trio", "simulate"],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(short_directory)},
        text=True,
        preexec_fn=heed_hangups,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if started := re.search(r"started as process (\d+)", line):
                process.send_signal(number)
                break
        assert process.wait(timeout=30) == 128 + number

    assert started is not None
    assert not Path(f"/proc/{started[1]}").exists()
    assert list(short_directory.iterdir()) == []


def test_agent_does_not_outlive_a_killed_simulation(short_directory: Path) -> None:
    """Nobody can clean up after SIGKILL, but the agent ends by itself."""
    with subprocess.Popen(
        [sys.executable, "-m", "numa_trio", "simulate"],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(short_directory)},
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = (re.search(r"started as process (\d+)", line) for line in process.stdout)
        started = next(line for line in lines if line)
        agent = os.pidfd_open(int(started[1]))
        process.kill()

    try:
        assert select.select([agent], [], [], 30)[0] == [agent]
    finally:
        os.close(agent)


def test_closed_terminal_ends_it(short_directory: Path) -> None:
    """With its terminal gone, writing fails before the signal is seen: the status is SIGHUP's."""
    screen, terminal = os.openpty()
    name = os.ttyname(terminal)
    # The shell, which leads a session, makes the terminal its own by opening it.
    command = f'exec "$0" -m numa_trio simulate <>{name} >&0 2>&0'
    with subprocess.Popen(
        ["/bin/sh", "-c", command, sys.executable],
        env={**os.environ, "TMPDIR": str(short_directory), "TERM": "xterm"},
        start_new_session=True,
        preexec_fn=heed_hangups,
    ) as process:
        shown = b""
        while not (started := re.search(rb"started as process (\d+)\s", shown)):
            shown += os.read(screen, 4096)
        os.close(terminal)
        os.close(screen)
        assert process.wait(timeout=30) == 128 + signal.SIGHUP

    assert not Path(f"/proc/{int(started[1])}").exists()
    assert list(short_directory.iterdir()) == []
