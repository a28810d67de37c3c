"""What the script numa-trio-memory-state reads as JSON, compared with Python's reader."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.memory_host import AWKS, KIB, TWO_NODES, Host, Tools, recorded

NOW = {
    (str(node), kind): str(kib * KIB)
    for node, kinds in TWO_NODES.items()
    for kind, kib in kinds.items()
}

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
# None is a name that is looked for.
OTHER_KEYS = st.text().map(lambda key: f'{key}"\\ é')


class _Digits(str):
    """A whole number as it is written."""

    __slots__ = ()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def keeps(text: str) -> bool:
    """Whether kubelet starts with this text: the same rules, by Python's reader."""
    try:
        state = json.loads(text, parse_int=_Digits, parse_constant=_refuse)
    except ValueError:
        return False
    if not isinstance(state, dict) or type(state.get("policyName")) is not str:
        return False
    if state["policyName"] in ("", "None"):
        return state["policyName"] == "None" and _totals(state) is not None
    totals = _totals(state)
    if totals == {} and not state.get("entries"):
        return True
    return totals == NOW


def _totals(state: dict[str, Any]) -> dict[tuple[str, str], str] | None:
    """The totals by node and kind; None if they are not of the form that they have."""
    totals: dict[tuple[str, str], str] = {}
    machine = state.get("machineState")
    if machine is None:
        return totals
    if not isinstance(machine, dict):
        return None
    for node, content in machine.items():
        # Without a map, kubelet finds no memory where the machine has some.
        for kind, table in content.get("memoryMap", {"memory": {}}).items():
            total = table.get("total", _Digits("0"))
            if type(total) is not _Digits or not re.fullmatch(r"[0-9]+", total):
                return None
            totals[node, kind] = str(total)
    return totals


def shuffled(value: object, more: dict[str, object], order: Random, depth: int = 0) -> object:
    """The same with the keys of every object in another order, and keys that nobody asked for."""
    if not isinstance(value, dict):
        return value
    items = [(key, shuffled(inner, more, order, depth + 1)) for key, inner in value.items()]
    # Not where each key is a NUMA node, or a kind of memory.
    if depth not in (1, 3):
        items += more.items()
    order.shuffle(items)
    return dict(items)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A state of this machine or of one with a KiB more or less, written in one of many ways."""
    state = recorded()
    total = state["machineState"]["1"]["memoryMap"]["memory"]
    total["total"] += draw(st.sampled_from([0, 0, KIB, -KIB]))
    state["policyName"] = draw(st.sampled_from(["Static", "Static", "None"]))
    state["entries"] = draw(st.dictionaries(st.text(), values, max_size=2))
    space = st.text(" \t\n\r", max_size=2)
    text = json.dumps(
        shuffled(state, draw(st.dictionaries(OTHER_KEYS, values, max_size=2)), draw(st.randoms())),
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 1, "\t"])),
        separators=(draw(space) + "," + draw(space), draw(space) + ":" + draw(space)),
    )
    return draw(space) + text.replace("/", draw(st.sampled_from(["/", "\\/"]))) + draw(space)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Such a text with one character more, less or other, or cut off."""
    text = json.dumps(recorded(entries={'a"\\': [1.5e3, None, {}]}), separators=(",", ":"))
    at = draw(st.integers(0, len(text) - 1))
    kept = draw(st.integers(0, 1))
    put = draw(st.sampled_from(["", *'{}[]:,"\\ \0\n\x1f\x7f01-.eu', "é"]))
    return text[:at] + put + text[at + kept :] if draw(st.integers(0, 5)) else text[:at]


@pytest.fixture(scope="module", params=AWKS)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """The machine whose totals are right, with each awk that is installed."""
    root = Path(tempfile.mkdtemp(prefix="numa-"))
    (root / "bin").mkdir()
    yield Host(root / "root", Tools.of(request.param, root / "bin")).make()
    shutil.rmtree(root)


def assert_read_alike(host: Host, documents: list[str]) -> None:
    """The script leaves those alone with which kubelet starts, and moves the others."""
    folder = Path(tempfile.mkdtemp(dir=host.root))
    files = [folder / f"{number}" for number in range(len(documents))]
    for file, document in zip(files, documents, strict=True):
        file.write_bytes(document.encode(errors="surrogatepass"))
    done = host.run(*files)
    assert (done.returncode, done.stderr) == (0, "")
    assert [file.exists() for file in files] == [keeps(document) for document in documents]
    shutil.rmtree(folder)


@settings(max_examples=12)
@given(documents=st.lists(texts(), min_size=1, max_size=5))
def test_any_way_to_write_json_is_read(host: Host, documents: list[str]) -> None:
    """Order of keys, white space, nesting and escapes make no difference."""
    assert_read_alike(host, documents)


@settings(max_examples=6)
@given(documents=st.lists(damaged(), min_size=10, max_size=20))
def test_a_damaged_file_is_told_from_one_that_is_whole(host: Host, documents: list[str]) -> None:
    """A character may change nothing, a figure, or that it can be read at all."""
    assert_read_alike(host, documents)


def test_the_model_knows_both_answers() -> None:
    """What is compared with would notice a script that always, or never, moves the file."""
    assert keeps(json.dumps(recorded()))
    assert not keeps(json.dumps(recorded({0: TWO_NODES[0]})))
    assert not keeps(json.dumps(recorded())[:-1])
