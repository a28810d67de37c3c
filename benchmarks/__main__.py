"""Measure numa-trio beside a plain Go plugin, or show the results of an earlier run again.

Leaves results.json, table.md and plot.svg in the output directory. The exit status says whether
the measuring worked, not whether the targets are met.
"""

import argparse
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from attrs import evolve
from rich.console import Console
from rich.progress import Progress

from benchmarks.build import Programs, build, versions
from benchmarks.image import compressed_file_bytes, compressed_image_bytes
from benchmarks.plot import svg
from benchmarks.quota import NoQuota
from benchmarks.report import markdown, print_table
from benchmarks.results import OURS, PEER, Observation, Run, summarize
from benchmarks.scenarios import BRIEF, FULL, TARGETS, Scenario, scenarios
from benchmarks.subject import Subject
from benchmarks.testbed import Testbed

RESULTS = "results.json"


def main() -> int:
    """Run it as the command line says."""
    arguments = _parser().parse_args()
    # A file or a CI log has no width of its own.
    console = Console(width=None if sys.stdout.isatty() else 150)
    if arguments.show:
        _present(Run.read(arguments.show), arguments.show.parent, console)
        return 0
    output: Path = arguments.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    agent = tuple(shlex.split(arguments.agent)) if arguments.agent else None
    programs = build(output, arguments.python, agent)
    chosen = [
        scenario
        for scenario in scenarios(BRIEF if arguments.brief else FULL)
        if not arguments.only or scenario.name.startswith(tuple(arguments.only))
    ]
    run = _measure(chosen, programs, output)
    if arguments.image:
        run = evolve(run, observations=run.observations + _sizes(programs, arguments.image))
        run.write(output / RESULTS)
    _present(run, output, console)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--brief", action="store_true", help="a minute's run, to see that everything works"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="scenarios whose name begins with one of these"
    )
    parser.add_argument(
        "--python",
        type=Path,
        default=Path(sys.executable),
        metavar="PATH",
        help="the interpreter to install numa-trio for (default: this one)",
    )
    parser.add_argument(
        "--agent", metavar="COMMAND", help="measure this instead of installing numa-trio"
    )
    parser.add_argument("--image", metavar="REFERENCE", help="also tell this image's size")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("build/bench"),
        metavar="DIR",
        help="for programs, logs and results (default: %(default)s)",
    )
    parser.add_argument(
        "--show", type=Path, metavar="JSON", help="just show an earlier run, drawn anew"
    )
    return parser


def _measure(chosen: list[Scenario], programs: Programs, output: Path) -> Run:
    """Each scenario in turn; what has been observed is written after each."""
    run = Run(_circumstances(programs), (), ())
    testbed = Testbed(programs.kubelet, output)
    steps = sum(2 * scenario.rounds for scenario in chosen)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("measuring", total=steps)

        def show(doing: str) -> None:
            progress.update(task, description=doing)
            progress.advance(task)

        for scenario in chosen:
            try:
                observed = tuple(_observe(scenario, programs, testbed, show))
                run = evolve(run, observations=run.observations + observed)
            except NoQuota as reason:
                remark = f"{scenario.name} was not measured: {reason}"
                run = evolve(run, remarks=(*run.remarks, remark))
            run.circumstances["load average, end"] = _load_average()
            run.write(output / RESULTS)
    return run


def _observe(
    scenario: Scenario, programs: Programs, testbed: Testbed, show: Callable[[str], None]
) -> Iterator[Observation]:
    """All rounds of a scenario, alternating between the plugins."""
    for number, subject in _alternating(scenario.rounds, programs):
        show(f"{scenario.name} {number + 1}/{scenario.rounds} {subject.name}")
        for value in scenario.observe(testbed, subject):
            yield Observation(
                value.measure, value.case, value.unit, subject.name, number, value.values
            )


def _sizes(programs: Programs, image: str) -> tuple[Observation, ...]:
    sizes = {
        OURS: compressed_image_bytes(image),
        PEER: compressed_file_bytes(Path(programs.peer.command[0])),
    }
    return tuple(
        Observation("image", "compressed", "MiB", name, 0, (size / 1024**2,))
        for name, size in sizes.items()
    )


def _alternating(rounds: int, programs: Programs) -> Iterator[tuple[int, Subject]]:
    """Both plugins in each round, the first of one round last in the next."""
    pair = [programs.ours, programs.peer]
    for number in range(rounds):
        for subject in pair:
            yield number, subject
        pair.reverse()


def _circumstances(programs: Programs) -> dict[str, str]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": f"{os.cpu_count()} CPUs, {model}, Linux {platform.release()}",
        "versions": ", ".join(f"{k} {v}" for k, v in versions(programs.ours).items()),
        "commit": commit.stdout.strip() or "unknown",
        "load average, start": _load_average(),
    }


def _load_average() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def _present(run: Run, output: Path, console: Console) -> None:
    summaries = summarize(run.observations, TARGETS)
    print_table(run, summaries, console)
    (output / "table.md").write_text(markdown(summaries))
    (output / "plot.svg").write_text(svg(summaries))
    console.print(f"written: table.md and plot.svg in {output}")


if __name__ == "__main__":
    sys.exit(main())
