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
    start | restart) [ -e "$1-$unit.ends" ] || touch "$unit.active" ;;
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

    def ends(self, verb: str, unit: str) -> None:
        """It starts, and does not run for long."""
        (self.directory / f"{verb}-{unit}.ends").touch()
        (self.directory / f"{unit}.active").unlink(missing_ok=True)

    def handover(self, *arguments: str) -> tuple[int, str]:
        """Its exit status and what it said."""
        with self.started(*arguments) as running:
            said, _ = running.communicate(timeout=60)
        return running.returncode, said

    def started(self, *arguments: str) -> "subprocess.Popen[str]":
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


def test_a_second_agent_that_does_not_start_is_a_warning(host: Host) -> None:
    """The new version or the new settings are broken: what runs is better, and is left as it is."""
    host.fails("restart", SECOND)
    status, said = host.handover()
    assert (status, host.calls()) == (1, STEPS[:1])
    assert f"the second agent does not start, and {SERVICE} would not either" in said
    assert f"journalctl -u {SECOND}" in said


def test_so_is_one_that_does_not_stay(host: Host) -> None:
    """As where a setting or the new version ends it after its start."""
    host.unit(SECOND, NONE, active=False)
    host.ends("restart", SECOND)
    status, said = host.handover()
    assert (status, host.calls()) == (1, STEPS[:1])
    assert "the second agent has ended" in said


def test_so_is_one_of_which_kubelet_takes_nothing(host: Host) -> None:
    """It is stopped, for nobody needs it."""
    host.unit(SECOND, NONE)
    status, said = host.handover()
    assert (status, host.calls()) == (1, [STEPS[0], STEPS[2]])
    assert "kubelet takes nothing of the second agent" in said


def test_kubelet_that_goes_meanwhile_needs_nothing_to_be_kept(host: Host) -> None:
    """Then neither has a stream, and the service is started anew."""
    host.unit(SERVICE, ALL, NONE)
    host.unit(SECOND, NONE)
    status, _ = host.handover()
    assert (status, host.calls()) == (0, STEPS)


def test_a_service_that_ends_again_leaves_the_second_agent(host: Host) -> None:
    """The same for one that kubelet takes nothing of while it does of the second one."""
    host.unit(SERVICE, ALL, NONE)
    status, said = host.handover()
    assert (status, host.calls()) == (1, STEPS[:2])
    assert f"has nothing that kubelet takes; {SECOND} serves meanwhile" in said


def test_what_is_left_of_a_try_that_failed_is_ended(host: Host) -> None:
    """By the next one that finds the service not running."""
    (host.directory / f"{SERVICE}.active").unlink()
    host.unit(SECOND, ALL)
    status, _ = host.handover()
    assert (status, host.calls()) == (0, [STEPS[1], STEPS[2]])


def test_one_at_a_time(host: Host) -> None:
    """The second agent of one is not stopped by another: that waits."""
    with (host.directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with host.started() as waiting:
            assert waiting.stdout is not None
            assert "another one is at work" in waiting.stdout.readline()
            assert host.calls() == []
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert waiting.wait(timeout=60) == 0
    assert host.calls() == STEPS


def test_only_root_can(host: Host) -> None:
    """Who cannot write the lock learns it before anything is done."""
    (host.directory / "lock").mkdir()
    status, said = host.handover()
    assert (status, host.calls()) == (2, [])
    assert "run this as root" in said


def test_a_service_that_does_not_start_leaves_the_second_agent(host: Host) -> None:
    """It goes on serving, and the status and the message say what to look at."""
    host.fails("restart", SERVICE)
    status, said = host.handover()
    assert (status, host.calls()) == (1, STEPS[:2])
    assert f"journalctl -u {SERVICE}" in said


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
