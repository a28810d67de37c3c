"""The script that starts the service anew without a gap, with a systemctl that notes its calls."""

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
    start | restart) touch "$unit.active" ;;
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

    def handover(self, *arguments: str) -> tuple[int, str]:
        """Its exit status and what it said."""
        done = subprocess.run(
            ["/bin/sh", HANDOVER, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={
                "PATH": f"{self.directory}/bin:/usr/bin:/bin",
                "UNITS": str(self.directory),
                "HANDOVER_PATIENCE": "5",
            },
        )
        return done.returncode, done.stdout + done.stderr

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


STEPS = [f"start {SECOND}", f"restart {SERVICE}", f"stop {SECOND}"]


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


def test_a_second_agent_that_does_not_start_keeps_nothing_up(host: Host) -> None:
    """The service is started anew as it would be without the script, and it is said."""
    host.fails("start", SECOND)
    status, said = host.handover()
    assert (status, host.calls()) == (0, [f"start {SECOND}", f"restart {SERVICE}"])
    assert "the second agent does not start" in said


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
