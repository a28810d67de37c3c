"""`numa-trio topology` for people: what is drawn, in terminals of any width."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from drawn_machines import EVERY_MACHINE, Roots, drawn, plant_any, seen_of
from numa_trio.cli import main
from numa_trio.commands.topology_box import Box, boxes_per_row, draw_row, wrapped
from numa_trio.commands.topology_words import Fact
from numa_trio.topology.lists import format_list
from sysfs_tree import plant_nodes

NARROWEST_LINE = 22  # columns for words in a box of 40, beside the longest label
PROGRAM = "import sys; from numa_trio.cli import main; sys.exit(main(sys.argv[1:]))"


def draw(machine: str, columns: int = 80) -> str:
    return drawn(seen_of(machine), columns)


@pytest.mark.parametrize("machine", EVERY_MACHINE)
def test_every_machine_fits_every_terminal_with_its_words_whole(machine: str) -> None:
    """No line is too long, boxes have straight sides, and narrow ones say what wide ones do."""
    seen = seen_of(machine)
    widest = words(drawn(seen, 200))
    for columns in (40, 80, 120, 200):
        lines = drawn(seen, columns).splitlines()
        # A path in a sentence is not broken, so that it can be copied.
        assert max(cell_len(line) for line in lines if " " in line or "─" in line) <= columns
        assert all(line.count("│") % 2 == 0 for line in lines)
        assert {len(set(map(cell_len, box))) for box in boxes(lines)} == {1}
        missing = widest - words("\n".join(lines))
        # Lists of CPUs are continued after a comma.
        broken = {word for word in missing if not re.fullmatch("[0-9,-]+", word)}
        assert machine == "odd" or all(cell_len(word) > NARROWEST_LINE for word in broken)


def words(text: str) -> set[str]:
    """Those in the boxes, without bars."""
    lines = [line for line in text.splitlines() if line.startswith(("╭", "│"))]
    return set(re.sub("[╭╮─│█░]", " ", "\n".join(lines)).split())


def boxes(lines: list[str]) -> list[list[str]]:
    """The lines of each row of boxes."""
    found: list[list[str]] = []
    for line in lines:
        if line.startswith("╭"):
            found.append([])
        if line.startswith(tuple("╭│╰")):
            found[-1].append(line)
    assert found
    return found


def test_a_wide_terminal_has_boxes_side_by_side() -> None:
    """One below the other in 80 columns, and as many as there is room for in wider ones."""
    seen = seen_of("8-nodes")
    tops = {columns: drawn(seen, columns).split("╭─ NUMA node 1 ")[0] for columns in (80, 120, 200)}
    assert "╰" in tops[80]
    assert "╰" not in tops[120]
    assert drawn(seen, 200).splitlines()[2].count("╭") == 4
    assert boxes_per_row(80, 48, 8) == 1
    assert boxes_per_row(97, 48, 8) == 2
    assert boxes_per_row(10, 48, 8) == 1
    assert boxes_per_row(500, 48, 2) == 2


def test_says_what_a_node_has() -> None:
    """CPUs, cores with their threads, memory, huge pages, and the nearest node."""
    lines = draw("odd").splitlines()
    assert lines[0] == "3 NUMA nodes, 2 sockets, 7 cores, 9 CPUs, 24 GiB of memory (18 GiB free)"
    assert lines[1] == "Offline: 4 CPUs: 4-5,11-12."
    assert lines[3] == f"╭─ NUMA node 0 {'─' * 44} numa-align/numa-0 ─╮"
    box = [line.strip("│ ") for line in lines[4:9]]
    assert box == [
        "CPUs        8: 0-3,6-9, socket 0",
        "Cores       6 (4 of 1 thread, 2 of 2 threads): 0,1 2,3 6 7 8 9",
        "Memory      ███████████████░░░░░ 6 GiB of 8 GiB used, 2 GiB free",
        "Huge pages  2 MiB: 24 of 1024 used, 1000 free",
        "Nearest     node 2 at 14",
    ]


def test_tells_nodes_without_cpus_or_memory_apart() -> None:
    """With what the kernel tells of their memory."""
    output = draw("odd")
    assert "Has      CPUs without memory" in output
    assert "Has      memory without CPUs" in output
    assert "CXL memory, memory tier 22" in output
    assert "reads from node 0: 64000 MB/s, 250 ns" in output
    assert "Has      neither CPUs nor memory" in draw("memoryless-nodes")


def test_cores_that_go_on_evenly_are_shortened() -> None:
    """Siblings far apart and next to each other; a core that is out of step stands alone."""
    assert "16, 2 threads each: 0,32 1,33 … 15,47 " in draw("two-node-server")


def test_devices_are_under_their_node() -> None:
    """With what they are and what told the node; under each node, if they are near several."""
    first, second, elsewhere = (text.split("╰")[0] for text in draw("two-node-vm*").split("╭")[1:])
    mount = "/var/lib/elasticsearch: ext4, /dev/mapper/vg--0-data,"
    assert mount in first
    assert mount in second
    assert "near node 1 too" in first
    assert "near node 0 too" in second
    assert "─ Near no known node ─" in elsewhere
    assert "eth0: " in elsewhere


def test_many_devices_are_a_list_of_names() -> None:
    """Each name is there."""
    output = words(draw("odd", 120))
    assert "14:" in output
    assert {f"nvme{number}n1," for number in range(9)} <= output


def test_nodes_are_grouped_by_socket_where_sockets_have_several() -> None:
    """Else the socket stands beside the CPUs; nodes of no socket come last."""
    output = draw("eight-node-epyc")
    assert [line for line in output.splitlines() if line.startswith("Socket")] == [
        "Socket 0",
        "Socket 1",
    ]
    assert output.index("NUMA node 3 ") < output.index("Socket 1") < output.index("NUMA node 4 ")
    assert ", socket 0 " not in output
    gpus = draw("gpu-memory")
    assert "Socket" not in gpus


def test_distances_mark_the_nearest() -> None:
    """A row from each node; its nearest others are marked, unless all are as near."""
    lines = draw("odd").splitlines()
    start = lines.index("Distances, from the row's node to the column's (* the nearest)")
    assert lines[start + 1 : start + 5] == [
        "      0   1   2",
        "  0  10  21  14*",
        "  1  21* 10  24",
        "  2  14* 24  10",
    ]
    assert "21*" in draw("two-sockets")
    assert "20*" not in draw("memory-tiers")
    assert "Distances" not in draw("1-nodes")


def test_distances_of_many_nodes_are_lists() -> None:
    """Where a matrix has no room, with the nearest first and each distance there."""
    output = draw("64-nodes")
    text = " ".join(output[output.index("Distances, the nearest first") :].split())
    line = text[text.index("from node 5:") : text.index("from node 6:")]
    assert line.startswith("from node 5: 11 to node 4; 12 to node 7; 13 to node 6;")
    assert re.findall(r"([0-9]+) to node", line) == [str(10 + far) for far in range(1, 64)]


def test_says_which_nodes_are_not_advertised_and_why() -> None:
    """Nodes that are left out for one reason share one sentence."""
    output = draw("memory-tiers", 300)
    assert re.search("─ NUMA node 4 ─+ not advertised ─", output)
    assert output.count("Not advertised") == 1
    assert "Not advertised: 4,6: no online CPUs" in output


def test_what_the_kernel_does_not_tell_is_unknown() -> None:
    """Not zero, and a remark says why."""
    output = draw("no-numa", 300)
    assert re.search("│ CPUs +5: 0-1,3-5 +│", output)
    assert re.search("│ Memory +unknown +│", output)
    assert "the kernel knows no NUMA nodes" in output
    assert output.startswith("1 NUMA node, 5 CPUs\n")


@pytest.mark.parametrize(
    ("kibibytes", "size"),
    [(0, "none"), (1, "1 KiB"), (1536, "1.5 MiB"), (1024**3, "1 TiB"), (5 * 1024**4, "5 PiB")],
)
def test_memory_is_shown_in_the_largest_unit_it_fills(
    tmp_path: Path, kibibytes: int, size: str
) -> None:
    """A person reads the size without counting digits."""
    meminfo = f"Node 0 MemTotal:  {kibibytes} kB"
    plant_nodes(tmp_path, {"online": "0", "node0/cpulist": "0", "node0/meminfo": meminfo})
    assert f"│ Memory  {size} " in drawn(Roots(tmp_path).look(), 80)


WORDS = st.lists(st.text("abc,/網-", min_size=1, max_size=30), max_size=12)


@given(WORDS, st.integers(14, 60), st.integers(0, 2))
def test_wrapped_lines_fit_and_lose_nothing(texts: list[str], width: int, indent: int) -> None:
    """A word that fits in a line is whole; of one that does not, all is there in several."""
    lines = wrapped(" ".join(texts), width, indent)
    assert max(map(cell_len, lines)) <= width
    assert "".join("".join(lines).split()) == "".join(texts)
    whole = {word for line in lines for word in line.split()}
    assert {word for word in texts if cell_len(word) <= width - indent} <= whole


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (16, ["3 of 16 GiB used", "13 GiB free"]),
        (10, ["3 of", "16 GiB", "used", "13 GiB", "free"]),
        (5, ["3 of", "16", "GiB", "used", "13", "GiB", "free"]),
    ],
)
def test_a_number_stays_with_its_unit(width: int, lines: list[str]) -> None:
    """While both fit in a line."""
    assert wrapped("3 of 16 GiB used 13 GiB free", width) == lines


def test_a_long_word_is_continued_after_a_comma_or_slash() -> None:
    """So that no number or name of a folder is broken; without either where the line ends."""
    assert wrapped("0,2,4,10,12,14", 6) == ["0,2,4,", "10,12,", "14"]
    assert wrapped("/var/lib/data", 9) == ["/var/lib/", "data"]
    assert wrapped("abcdefgh", 5) == ["abcde", "fgh"]


def test_a_badge_without_room_becomes_a_fact() -> None:
    """The name of a resource may be longer than the title's line."""
    box = Box("NUMA node 0", "a.long.domain.example/numa-0", "green", (Fact("CPUs", ("none",)),))
    assert [line.plain for line in draw_row([box], 36)] == [
        "╭─ NUMA node 0 ────────────────────╮",
        "│ Resource  a.long.domain.example/ │",
        "│             numa-0               │",
        "│ CPUs      none                   │",
        "╰──────────────────────────────────╯",
    ]


def test_nothing_is_cut_off_in_a_narrow_terminal(tmp_path: Path) -> None:
    """In a window of 40 columns lists go on in further lines, and every digit is still there."""
    cpus = format_list(range(0, 80, 2))
    plant_nodes(tmp_path, {"online": "0", "node0/cpulist": cpus, "node0/distance": "10"})
    lines = in_terminal(40, "topology", "--sysfs-root", str(tmp_path)).splitlines()
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in lines]
    assert max(map(len, plain)) <= 40
    text = re.sub("[╭╮╰╯─│]", "", "\n".join(plain))
    assert f"40:{cpus}" in "".join(text.split())
    assert "mount the host's /proc/1/mountinfo (read-only) below a" in " ".join(text.split())


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_has_colours_unless_they_are_unwanted(
    tmp_path: Path, variables: dict[str, str], coloured: bool
) -> None:
    """Green is what is advertised."""
    plant_nodes(tmp_path, {"online": "0", "node0/cpulist": "0"})
    output = in_terminal(80, "topology", "--sysfs-root", str(tmp_path), **variables)
    assert bool(re.search(r"\x1b\[[0-9;]*32m", output)) is coloured


def in_terminal(columns: int, *arguments: str, **variables: str) -> str:
    """What a command writes to a terminal."""
    ours, window = pty.openpty()
    kept = {name: text for name, text in os.environ.items() if not name.startswith("NUMA_")}
    subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=window,
        env=kept | {"COLUMNS": str(columns), "TERM": "xterm"} | variables,
        check=True,
    )
    os.close(window)
    output = os.read(ours, 20_000).decode()
    os.close(ours)
    return output


@pytest.mark.parametrize(("columns", "widest"), [(None, 80), ("120", 119), ("wide", 80)])
def test_a_pipe_has_the_drawing_and_each_sentence_on_a_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: str | None,
    widest: int,
) -> None:
    """80 columns or what COLUMNS says, without colours; what is to be found by grep is whole."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    roots = plant_any(tmp_path, "memory-tiers")
    assert main(["topology", *roots.options]) == 0
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert {len(line) for line in output.splitlines() if line.startswith("╭")} == {widest}
    (sentence,) = [line for line in output.splitlines() if line.startswith("Not advertised")]
    assert len(sentence) > widest


def test_an_encoding_without_lines_gets_other_characters(tmp_path: Path) -> None:
    """Boxes are drawn with what ASCII has."""
    roots = plant_any(tmp_path, "two-node-server")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "topology", *roots.options],
        env=os.environ | {"PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        check=True,
    )
    assert b"+- NUMA node 0 ---" in done.stdout
    assert b"| Memory   .................... 0 B of 128 GiB used" in done.stdout
    assert b" 0,32 1,33 ~ 15,47 " in done.stdout
