"""The script that starts the service anew without a gap, with a systemctl that notes its calls."""

import fcntl
import re
import subprocess
from pathlib import Path

import pytest
from attrs import define

ROOT = Path(__file__).resolve().parents[2]
HANDOVER = ROOT / "deploy/packages/handover"
SERVICE, SECOND = "numa-trio.service", "numa-trio-handover.service"
ALL, NONE, SOME = (f"kubelet holds the stream of {count} of 3 resources" for count in (3, 0, 2))

# `show` gives one line of the unit's file at each call, and the last one for ever.
SYSTEMCTL = """\
#!/bin/sh
cd "$UNITS"
for unit; do :; done
case $1 in
    is-active) exec test -e "$unit.active" ;;
    show)
        echo "StatusText=$(head -n 1 "$unit.status" 2>/dev/null)"
        if [ "$(wc -l <"$unit.status")" -gt 1 ]; then sed -i 1d "$unit.status"; fi
        exit ;;
esac
echo "$1 $unit" >>calls
[ ! -e "$1-$unit.fails" ] || exit 1
case $1 in
    start | restart)
        touch "$unit.active"
        [ ! -e "$unit.ends" ] || rm "$unit.active" ;;
    stop) rm -f "$unit.active" ;;
esac
"""


@define
class Host:
    """Units, and what is known of them, as files."""

    directory: Path

    def unit(self, name: str, *status: str, active: bool = True) -> None:
        if active:
            (self.directory / f"{name}.active").touch()
        (self.directory / f"{name}.status").write_text("".join(f"{line}\n" for line in status))

    def fails(self, verb: str, unit: str) -> None:
        (self.directory / f"{verb}-{unit}.fails").touch()

    def ends(self, unit: str) -> None:
        """Its agent starts, and ends at once."""
        (self.directory / f"{unit}.ends").touch()

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["/bin/sh", HANDOVER, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                "PATH": f"{self.directory}/bin:/usr/bin:/bin",
                "UNITS": str(self.directory),
                "HANDOVER_PATIENCE": "5",
                "HANDOVER_LOCK": str(self.directory / "lock"),
            },
        )

    def handover(self, *arguments: str) -> tuple[int, str]:
        """Its exit status and what it said."""
        process = self.start(*arguments)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said

    def calls(self) -> list[str]:
        calls = self.directory / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A service that runs and has all its streams; nothing takes time."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("systemctl", SYSTEMCTL), ("sleep", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    host = Host(tmp_path)
    host.unit(SERVICE, ALL)
    host.unit(SECOND, NONE, SOME, ALL, active=False)
    return host


STEPS = [f"restart {SECOND}", f"restart {SERVICE}", f"stop {SECOND}"]


def test_a_second_agent_serves_while_the_service_is_started_anew(host: Host) -> None:
    """It is started first, and stopped last."""
    host.unit(SERVICE, ALL, NONE, SOME, ALL)
    status, said = host.handover()
    assert (status, host.calls()) == (0, STEPS)
    assert said == f"numa-trio handover: {SERVICE} was started anew: {ALL}\n"


def test_it_waits_until_kubelet_has_turned_to_each(host: Host) -> None:
    """What kubelet holds of each agent is asked for until it is all; then the next step comes."""
    host.unit(SERVICE, ALL, NONE, NONE, ALL, NONE, ALL)
    host.handover()
    left = [(host.directory / f"{unit}.status").read_text() for unit in (SERVICE, SECOND)]
    assert left == [f"{ALL}\n", f"{ALL}\n"]


@pytest.mark.parametrize("unit", [SERVICE, SECOND])
def test_an_agent_that_kubelet_does_not_take_is_not_waited_for_for_ever(
    host: Host, unit: str
) -> None:
    """A resource whose registration is refused must not keep the new version from running."""
    host.unit(unit, SOME, active=unit == SERVICE)
    status, said = host.handover()
    assert (status, host.calls()) == (0, STEPS)
    assert f"kubelet has not turned to all of {unit}" in said


@pytest.mark.parametrize(
    ("active", "known", "why"),
    [(False, "", "it does not run"), (True, NONE, "kubelet is not connected")],
)
def test_nothing_to_keep_means_a_plain_restart(
    host: Host, active: bool, known: str, why: str
) -> None:
    """Where kubelet does not hold a stream, no second agent is needed."""
    (host.directory / f"{SERVICE}.active").unlink()
    host.unit(SERVICE, known, active=active)
    status, said = host.handover()
    assert (status, host.calls()) == (0, [f"restart {SERVICE}"])
    assert why in said


def test_where_the_second_agent_does_not_start_the_service_is_left_as_it_runs(host: Host) -> None:
    """A version or settings with which nothing starts must not end the agent that serves."""
    host.fails("restart", SECOND)
    status, said = host.handover()
    assert (status, host.calls()) == (1, [f"restart {SECOND}"])
    assert "the second agent does not start" in said
    assert f"journalctl -u {SECOND}" in said


def test_a_second_agent_that_ends_again_is_as_one_that_does_not_start(host: Host) -> None:
    """It told systemd that it watches, and failed then: the new one would, too."""
    host.ends(SECOND)
    status, said = host.handover()
    assert (status, host.calls()) == (1, [f"restart {SECOND}"])
    assert "the second agent has ended" in said


def test_a_second_agent_of_which_kubelet_takes_nothing_is_stopped(host: Host) -> None:
    """Kubelet holds what the service offers, so it would have taken another agent's."""
    host.unit(SECOND, NONE, active=False)
    status, said = host.handover()
    assert (status, host.calls()) == (1, [STEPS[0], STEPS[2]])
    assert "kubelet takes nothing of the second agent" in said


def test_a_kubelet_that_goes_meanwhile_does_not_stop_it(host: Host) -> None:
    """It takes nothing of either agent then, and nothing is lost by going on."""
    host.unit(SERVICE, ALL, NONE)
    host.unit(SECOND, NONE, active=False)
    status, _ = host.handover()
    assert (status, host.calls()) == (0, STEPS)


@pytest.mark.parametrize(("ends", "status"), [(True, SOME), (False, NONE)])
def test_a_service_that_fails_after_its_start_leaves_the_second_agent(
    host: Host, ends: bool, status: str
) -> None:
    """The one that serves is not stopped for one that does not."""
    host.unit(SERVICE, ALL, status)
    if ends:
        host.ends(SERVICE)
    exit_status, said = host.handover()
    assert (exit_status, host.calls()) == (1, STEPS[:2])
    assert f"{SECOND} serves meanwhile" in said


def test_what_an_earlier_try_left_is_stopped_once_the_service_runs(host: Host) -> None:
    """A second agent that serves for a service that has failed is not needed any more."""
    (host.directory / f"{SERVICE}.active").unlink()
    host.unit(SECOND, ALL)
    status, _ = host.handover()
    assert (status, host.calls()) == (0, STEPS[1:])


def test_one_at_a_time(host: Host) -> None:
    """The second agent of one must not be stopped by another, which waits for it instead."""
    with (host.directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = host.start()
        assert waiting.stdout is not None
        assert "waiting for it" in waiting.stdout.readline()
        assert host.calls() == []
    waiting.communicate(timeout=60)
    assert (waiting.returncode, host.calls()) == (0, STEPS)


def test_a_lock_that_cannot_be_written_is_who_is_not_root(host: Host) -> None:
    """Nothing is done, and it is said what to do."""
    (host.directory / "lock").mkdir()
    status, said = host.handover()
    assert (status, host.calls()) == (2, [])
    assert "run this as root" in said


def test_arguments_are_a_mistake(host: Host) -> None:
    """Nothing is done with them, not even the usual."""
    status, said = host.handover("--help")
    assert (status, host.calls()) == (2, [])
    assert "no argument is expected, not --help" in said


def test_the_agent_says_what_the_script_reads() -> None:
    """The words of the status are those of the agent."""
    source = (ROOT / "src/numa_trio/agent/service_manager.py").read_text()
    (words,) = re.findall(r'"(kubelet holds the stream of) ', source)
    (read,) = re.findall(r"StatusText=(.*?) \\\(", HANDOVER.read_text())
    assert read == words
